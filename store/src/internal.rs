//! Internal transfers: what their traces are held against, and how they are written.

use crate::{
    pg::{column, write},
    rows::InternalTransferRow,
    state::{BlockRef, height},
};
use chain::{InternalTransfer, TracedTransaction, Wei};
use sqlx::{PgConnection, PgExecutor, Row as _};
use std::ops::RangeInclusive;

/// Rows that are written at once: few enough for one INSERT. A COPY that is given up half-way would
/// spoil its connection.
const ROWS_AT_ONCE: usize = 1_000;

/// A block whose transactions are to be traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UntracedBlock {
    /// Height and hash.
    pub block: BlockRef,
    /// How many transactions it has.
    pub transactions: u32,
}

/// The canonical blocks of a range, highest first.
pub async fn list_untraced(
    db: impl PgExecutor<'_>,
    range: RangeInclusive<u64>,
) -> Result<Vec<UntracedBlock>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, hash, tx_count FROM blocks WHERE number BETWEEN $1 AND $2
         ORDER BY number DESC",
    )
    .bind(height(*range.start())?)
    .bind(height(*range.end())?)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(UntracedBlock {
                block: BlockRef {
                    number: column(row, "number")?,
                    hash: column(row, "hash")?,
                },
                transactions: column(row, "tx_count")?,
            })
        })
        .collect()
}

/// What is proven of a block's transactions, in order.
pub async fn list_traced_transactions(
    db: impl PgExecutor<'_>,
    number: u64,
) -> Result<Vec<TracedTransaction>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT hash, from_address, to_address, contract_address, value, status
         FROM transactions WHERE block_number = $1 ORDER BY tx_index",
    )
    .bind(height(number)?)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(TracedTransaction {
                hash: column(row, "hash")?,
                from: column(row, "from_address")?,
                to: column(row, "to_address")?,
                created: column(row, "contract_address")?,
                value: column::<Wei>(row, "value")?.0,
                status: row.try_get("status")?,
            })
        })
        .collect()
}

/// Whether a block is canonical.
pub async fn is_canonical(db: impl PgExecutor<'_>, block: BlockRef) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM blocks WHERE number = $1 AND hash = $2)")
        .bind(height(block.number)?)
        .bind(block.hash.as_slice())
        .fetch_one(db)
        .await
}

/// The row of an internal transfer of a block.
#[must_use]
pub fn internal_row(number: u64, transfer: InternalTransfer) -> InternalTransferRow {
    InternalTransferRow {
        block_number: number,
        gas: transfer.gas,
        gas_used: transfer.gas_used,
        tx_index: u32::try_from(transfer.tx_index).unwrap_or(u32::MAX),
        trace_index: transfer.trace_index,
        kind: transfer.kind.number(),
        from_address: transfer.from,
        to_address: transfer.to,
        trace_id: transfer.trace_id,
        value: Wei(transfer.value),
    }
}

/// Writes internal transfers; what contracts they created is to be read later.
pub async fn write_internal(
    connection: &mut PgConnection,
    rows: &[InternalTransferRow],
) -> Result<(), sqlx::Error> {
    for rows in rows.chunks(ROWS_AT_ONCE) {
        write(connection, rows).await?;
    }
    let makes_one = |row: &&InternalTransferRow| {
        chain::InternalKind::from_number(row.kind).is_some_and(chain::InternalKind::creates)
    };
    let created = rows.iter().filter(makes_one);
    let created: Vec<&[u8]> = created.map(|row| row.to_address.as_slice()).collect();
    if created.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO contract_code (address) SELECT DISTINCT a FROM unnest($1::bytea[]) AS a
         ORDER BY a ON CONFLICT DO NOTHING",
    )
    .bind(created)
    .execute(connection)
    .await?;
    Ok(())
}
