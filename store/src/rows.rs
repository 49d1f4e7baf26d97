//! One row type per table, and how a proven block becomes rows.
//!
//! In: proven blocks, in order. Out: the rows of every table, ready for COPY. Pure: a block always
//! yields the same rows, which is what lets two indexes be compared row for row.

mod activity;
mod block;
mod credit;
mod encoded;
mod internal;
mod token;
mod transaction;

pub use activity::{ActivityRow, Role};
pub use block::{BlockLookupRow, BlockRow, BlockStatsRow, WithdrawalRow};
pub use credit::{BlockCreditRow, Credit};
pub use encoded::{CopyBatch, EncodedRows};
pub use internal::InternalTransferRow;
pub use token::TokenTransferRow;
pub(crate) use token::transfers_of;
pub use transaction::{LogRow, TransactionRow, TxLookupRow};

use crate::pg::{write, write_orphaned};
use alloy::primitives::B256;
use chain::ProvenBlock;
use sqlx::postgres::PgConnection;

/// The key by which a hash is looked up: its first eight bytes, as `hash_prefix()` in the schema.
#[must_use]
pub fn hash_prefix(hash: &B256) -> i64 {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(prefix)
}

/// A count that came from the length of a list of a block.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The rows of a run of blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowBatch {
    /// Headers.
    pub blocks: Vec<BlockRow>,
    /// Withdrawals.
    pub withdrawals: Vec<WithdrawalRow>,
    /// Transactions with receipts.
    pub transactions: Vec<TransactionRow>,
    /// Logs.
    pub logs: Vec<LogRow>,
    /// Wallet pages.
    pub activity: Vec<ActivityRow>,
    /// Token transfers.
    pub token_transfers: Vec<TokenTransferRow>,
    /// What blocks credit by themselves.
    pub credits: Vec<BlockCreditRow>,
    /// Network metrics.
    pub stats: Vec<BlockStatsRow>,
    /// Hash → height.
    pub block_lookup: Vec<BlockLookupRow>,
    /// Hash → position.
    pub tx_lookup: Vec<TxLookupRow>,
}

impl RowBatch {
    /// Adds one block's rows.
    pub fn push(&mut self, block: &ProvenBlock) {
        let (activity_from, transfers_from) = (self.activity.len(), self.token_transfers.len());
        for (index, transaction) in block.transactions.iter().enumerate() {
            let row = TransactionRow::new(block.number(), count(index), transaction);
            self.activity.extend(activity::of(&row));
            self.tx_lookup.push(TxLookupRow {
                hash_prefix: hash_prefix(&row.hash),
                block_number: row.block_number,
                tx_index: row.tx_index,
            });
            self.logs
                .extend(transaction::logs_of(&row, &transaction.receipt.logs));
            self.token_transfers
                .extend(transfers_of(&row, &transaction.receipt.logs));
            self.transactions.push(row);
        }
        self.stats.push(BlockStatsRow::new(
            block,
            &self.activity[activity_from..],
            self.token_transfers.len() - transfers_from,
        ));
        self.credits.extend(credit::credits_of(block));
        self.block_lookup.push(BlockLookupRow {
            hash_prefix: hash_prefix(&block.hash),
            block_number: block.number(),
        });
        self.withdrawals.extend(block::withdrawals_of(block));
        self.blocks.push(BlockRow::new(block));
    }

    /// Writes every row, lookups sorted by their key so that their index is filled in order.
    pub async fn write(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.tx_lookup.sort_unstable_by_key(|row| row.hash_prefix);
        self.block_lookup
            .sort_unstable_by_key(|row| row.hash_prefix);
        self.activity
            .sort_unstable_by_key(|row| (row.address, row.block_number, row.tx_index));
        write(connection, &self.blocks).await?;
        write(connection, &self.withdrawals).await?;
        write(connection, &self.transactions).await?;
        write(connection, &self.logs).await?;
        write(connection, &self.activity).await?;
        write(connection, &self.token_transfers).await?;
        write(connection, &self.credits).await?;
        write(connection, &self.stats).await?;
        write(connection, &self.block_lookup).await?;
        write(connection, &self.tx_lookup).await
    }

    /// Writes the rows of blocks that a reorg dropped; these have no lookups and no statistics.
    pub async fn write_orphaned(
        &self,
        connection: &mut PgConnection,
        reorg: i64,
    ) -> Result<(), sqlx::Error> {
        write_orphaned(connection, reorg, &self.blocks).await?;
        write_orphaned(connection, reorg, &self.withdrawals).await?;
        write_orphaned(connection, reorg, &self.transactions).await?;
        write_orphaned(connection, reorg, &self.logs).await
    }

    /// How many rows all tables get.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
            + self.withdrawals.len()
            + self.transactions.len()
            + self.logs.len()
            + self.activity.len()
            + self.token_transfers.len()
            + self.credits.len()
            + self.stats.len()
            + self.block_lookup.len()
            + self.tx_lookup.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}
