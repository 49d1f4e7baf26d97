//! Token transfers.

use super::{BlockContext, TokenStandard, TokenSummary, TokenView, checksum, rfc3339};
use crate::rows::TokenTransferRow;
use alloy::primitives::{Address, B256};
use chain::{TransferKind, Wei};
use serde::Serialize;

/// The transaction that something in it is shown with.
#[derive(Clone, Copy, Debug)]
pub struct TransactionContext {
    /// Hash.
    pub hash: B256,
    /// Its block.
    pub block: BlockContext,
}

/// A token transfer.
#[derive(Clone, Debug, Serialize)]
pub struct TransferView {
    transaction_hash: B256,
    transaction_index: u32,
    block_number: u64,
    block_hash: B256,
    timestamp: u64,
    time: String,
    log_index: u32,
    /// Position within a batch; 0 for all others.
    position: u32,
    kind: &'static str,
    token: TokenSummary,
    /// The zero address for mints and deposits.
    #[serde(with = "checksum")]
    from: Address,
    /// The zero address for burns and withdrawals.
    #[serde(with = "checksum")]
    to: Address,
    /// Which token; none for fungible ones.
    token_id: Option<Wei>,
    /// Base units; 1 for ERC-721.
    amount: Wei,
}

impl TransferView {
    /// A transfer of a token that may not be known yet; none for a kind that does not exist.
    #[must_use]
    pub fn new(
        row: &TokenTransferRow,
        token: Option<&TokenView>,
        transaction: TransactionContext,
    ) -> Option<Self> {
        let kind = TransferKind::from_number(row.kind)?;
        let mut token = TokenSummary::new(row.token, token);
        token.standard = token.standard.or(TokenStandard::from_name(kind.name()));
        Some(Self {
            transaction_hash: transaction.hash,
            transaction_index: row.tx_index,
            block_number: row.block_number,
            block_hash: transaction.block.hash,
            timestamp: transaction.block.timestamp,
            time: rfc3339(transaction.block.timestamp),
            log_index: row.log_index,
            position: row.position,
            kind: kind.name(),
            token,
            from: row.from_address,
            to: row.to_address,
            token_id: row.token_id,
            amount: row.amount,
        })
    }
}
