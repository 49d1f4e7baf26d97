//! Rows of many blocks in COPY's form, for history: written by the ten thousand.
//!
//! In: the rows of runs of blocks, encoded as soon as they are there, so that their structs need not be
//! kept. Out: one COPY a table. Rows whose index does not begin with the height are sorted by their
//! key over the whole batch, so that a page of the index is visited once and not once a row.

use super::{
    ActivityRow, BlockCreditRow, BlockLookupRow, BlockRow, BlockStatsRow, LogRow, RowBatch,
    TokenTransferRow, TransactionRow, TxLookupRow, WithdrawalRow,
};
use crate::pg::{CopyRows, RowError, copy_all, write};
use sqlx::PgConnection;

/// The rows of a run of blocks.
#[derive(Debug, Default)]
pub struct EncodedRows {
    blocks: CopyRows,
    withdrawals: CopyRows,
    transactions: CopyRows,
    logs: CopyRows,
    token_transfers: Vec<TokenTransferRow>,
    credits: CopyRows,
    activity: Vec<ActivityRow>,
    tx_lookup: Vec<TxLookupRow>,
    block_lookup: Vec<BlockLookupRow>,
    stats: Vec<BlockStatsRow>,
    rows: usize,
    transaction_count: usize,
}

impl EncodedRows {
    /// Encodes what can be written in any order.
    pub fn of(batch: RowBatch) -> Result<Self, RowError> {
        Ok(Self {
            rows: batch.len(),
            transaction_count: batch.transactions.len(),
            blocks: CopyRows::of(&batch.blocks)?,
            withdrawals: CopyRows::of(&batch.withdrawals)?,
            transactions: CopyRows::of(&batch.transactions)?,
            logs: CopyRows::of(&batch.logs)?,
            token_transfers: batch.token_transfers,
            credits: CopyRows::of(&batch.credits)?,
            activity: batch.activity,
            tx_lookup: batch.tx_lookup,
            block_lookup: batch.block_lookup,
            stats: batch.stats,
        })
    }

    /// How many rows all tables get.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// The rows of a batch, ready to be written.
#[derive(Debug)]
pub struct CopyBatch {
    blocks: Vec<CopyRows>,
    withdrawals: Vec<CopyRows>,
    transactions: Vec<CopyRows>,
    logs: Vec<CopyRows>,
    token_transfers: Vec<CopyRows>,
    credits: Vec<CopyRows>,
    activity: Vec<CopyRows>,
    tx_lookup: Vec<CopyRows>,
    block_lookup: Vec<BlockLookupRow>,
    stats: Vec<BlockStatsRow>,
    /// How many rows all tables get.
    pub rows: usize,
    /// How many of them are transactions.
    pub transaction_count: usize,
}

impl CopyBatch {
    /// Puts runs together and sorts what is sorted by its key. What counts is shown before it is encoded.
    pub fn of(
        parts: Vec<EncodedRows>,
        count: impl FnOnce(&[ActivityRow], &[TokenTransferRow]),
    ) -> Result<Self, RowError> {
        let mut batch = Self {
            blocks: Vec::with_capacity(parts.len()),
            withdrawals: Vec::with_capacity(parts.len()),
            transactions: Vec::with_capacity(parts.len()),
            logs: Vec::with_capacity(parts.len()),
            token_transfers: Vec::new(),
            credits: Vec::with_capacity(parts.len()),
            activity: Vec::new(),
            tx_lookup: Vec::new(),
            block_lookup: Vec::new(),
            stats: Vec::new(),
            rows: 0,
            transaction_count: 0,
        };
        let (mut activity, mut tx_lookup) = (Vec::new(), Vec::new());
        let mut transfers = Vec::new();
        for part in parts {
            batch.rows += part.rows;
            batch.transaction_count += part.transaction_count;
            batch.blocks.push(part.blocks);
            batch.withdrawals.push(part.withdrawals);
            batch.transactions.push(part.transactions);
            batch.logs.push(part.logs);
            transfers.extend(part.token_transfers);
            batch.credits.push(part.credits);
            batch.block_lookup.extend(part.block_lookup);
            batch.stats.extend(part.stats);
            activity.extend(part.activity);
            tx_lookup.extend(part.tx_lookup);
        }
        activity.sort_unstable_by_key(|row: &ActivityRow| {
            (row.address, row.block_number, row.tx_index)
        });
        tx_lookup.sort_unstable_by_key(|row: &TxLookupRow| row.hash_prefix);
        // One of its indexes then goes in order: a fifth of what writing them costs.
        transfers.sort_by_key(|row: &TokenTransferRow| row.from_address);
        batch
            .block_lookup
            .sort_unstable_by_key(|row| row.hash_prefix);
        count(&activity, &transfers);
        batch.activity.push(CopyRows::of(&activity)?);
        batch.token_transfers.push(CopyRows::of(&transfers)?);
        batch.tx_lookup.push(CopyRows::of(&tx_lookup)?);
        Ok(batch)
    }

    /// Writes what is partitioned by height or not at all: nothing here waits for another writer, as
    /// long as the chunks exist (see `chunks::prepare`).
    pub async fn write(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        copy_all::<BlockRow>(connection, &self.blocks).await?;
        copy_all::<WithdrawalRow>(connection, &self.withdrawals).await?;
        copy_all::<TransactionRow>(connection, &self.transactions).await?;
        copy_all::<LogRow>(connection, &self.logs).await?;
        copy_all::<TokenTransferRow>(connection, &self.token_transfers).await?;
        copy_all::<BlockCreditRow>(connection, &self.credits).await?;
        copy_all::<ActivityRow>(connection, &self.activity).await?;
        copy_all::<TxLookupRow>(connection, &self.tx_lookup).await
    }

    /// Writes the small rest. Statistics are partitioned by time and may need a new chunk, which one
    /// transaction after the other may create: to be called by one writer at a time.
    pub async fn write_rest(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        write(connection, &self.block_lookup).await?;
        write(connection, &self.stats).await
    }
}
