//! Rows of `token_transfers`.

use super::TransactionRow;
use crate::pg::table;
use alloy::primitives::{Address, Log};
use chain::{TokenTransfer, Wei};

table! {
    /// A token transfer.
    TokenTransferRow in "token_transfers" {
        /// Height.
        block_number: u64,
        /// Position of its log in the block.
        log_index: u32,
        /// Position of its transaction.
        tx_index: u32,
        /// Position within a batch.
        position: u32,
        /// [`chain::TransferKind::number`].
        kind: u8,
        /// The contract.
        token: Address,
        /// The zero address for mints and deposits.
        from_address: Address,
        /// The zero address for burns and withdrawals.
        to_address: Address,
        /// Which token; none for fungible ones.
        token_id: Option<Wei>,
        /// Base units of the token.
        amount: Wei,
    }
}

/// The token transfers that the logs of a transaction tell of.
pub(crate) fn transfers_of(
    row: &TransactionRow,
    logs: &[Log],
) -> impl Iterator<Item = TokenTransferRow> {
    let (block_number, tx_index) = (row.block_number, row.tx_index);
    let first = row.first_log_index;
    chain::token_transfers(logs)
        .into_iter()
        .map(move |transfer: TokenTransfer| TokenTransferRow {
            block_number,
            log_index: first + super::count(transfer.log),
            tx_index,
            position: transfer.position,
            kind: transfer.kind.number(),
            token: transfer.token,
            from_address: transfer.from,
            to_address: transfer.to,
            token_id: transfer.token_id.map(Wei),
            amount: Wei(transfer.amount),
        })
}
