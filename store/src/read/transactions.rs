//! Transactions by hash, by block and newest first; logs; inclusions that reorgs dropped.

use super::{
    Page, Position, Range, Slice, Snapshot, bind_height, bind_index,
    blocks::dropped_by,
    decode_all,
    fill::{Source, Span, descends, fill},
    windows::{Occurrence, Windows, find_windows},
};
use crate::{
    pg::{TableRow as _, column},
    rows::{LogRow, TransactionRow, hash_prefix},
    view::{BlockContext, DroppedInclusion, TransactionSummary},
};
use alloy::primitives::B256;
use sqlx::{AssertSqlSafe, PgConnection, QueryBuilder, postgres::PgRow};
use std::collections::HashMap;

/// The canonical transaction with a hash.
pub async fn find_transaction(
    connection: &mut PgConnection,
    hash: B256,
) -> Result<Option<TransactionRow>, sqlx::Error> {
    let positions: Vec<(i64, i32)> =
        sqlx::query_as("SELECT block_number, tx_index FROM tx_lookup WHERE hash_prefix = $1")
            .bind(hash_prefix(&hash))
            .fetch_all(&mut *connection)
            .await?;
    for (block_number, tx_index) in positions {
        let row =
            sqlx::query("SELECT * FROM transactions WHERE block_number = $1 AND tx_index = $2")
                .bind(block_number)
                .bind(tx_index)
                .fetch_optional(&mut *connection)
                .await?;
        let row = row.map(|row| TransactionRow::decode(&row)).transpose()?;
        if let Some(row) = row.filter(|row| row.hash == hash) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// Canonical transactions, newest first.
pub async fn list_transactions(
    snapshot: &mut Snapshot,
    page: Page<Position>,
) -> Result<Slice<TransactionRow>, sqlx::Error> {
    let at = (&page, descends::<Transactions>(&page));
    let windows = find_windows(snapshot, Occurrence::Any, Range::default(), at).await?;
    fill(snapshot.connection(), &Transactions, page, windows).await
}

struct Transactions;

impl Source for Transactions {
    type Key = Position;
    type Row = TransactionRow;

    fn key(row: &TransactionRow) -> Position {
        Position {
            block_number: row.block_number,
            tx_index: row.tx_index,
        }
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<Position>,
    ) -> Result<Vec<TransactionRow>, sqlx::Error> {
        let mut query = QueryBuilder::new("SELECT * FROM transactions WHERE true");
        span.push_heights(&mut query);
        span.push_rest(&mut query);
        decode_all(&query.build().fetch_all(connection).await?)
    }
}

/// Transactions of the canonical block at a height, or of a block that a reorg dropped there, in
/// block order.
pub async fn list_block_transactions(
    connection: &mut PgConnection,
    number: u64,
    dropped_by: Option<u64>,
    page: Page<Position>,
) -> Result<Slice<TransactionRow>, sqlx::Error> {
    let source = OfBlock { number, dropped_by };
    fill(connection, &source, page, Windows::whole()).await
}

struct OfBlock {
    number: u64,
    dropped_by: Option<u64>,
}

impl Source for OfBlock {
    type Key = Position;
    type Row = TransactionRow;
    const ASCENDING: bool = true;

    fn key(row: &TransactionRow) -> Position {
        Transactions::key(row)
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<Position>,
    ) -> Result<Vec<TransactionRow>, sqlx::Error> {
        let mut query = QueryBuilder::new("SELECT * FROM ");
        match self.dropped_by {
            None => query.push("transactions WHERE true"),
            Some(reorg) => query
                .push("orphaned_transactions WHERE reorg_id = ")
                .push_bind(bind_height(reorg)),
        };
        query.push(" AND block_number = ");
        query.push_bind(bind_height(self.number));
        span.push_rest(&mut query);
        decode_all(&query.build().fetch_all(connection).await?)
    }
}

/// Positions in order, once each, and cut where another bucket of heights begins: a query between the first
/// and the last of them opens one chunk, where one for all of them would plan and lock every chunk.
async fn by_bucket(
    connection: &mut PgConnection,
    positions: impl Iterator<Item = (u64, u32)>,
) -> Result<Vec<Vec<(i64, i32)>>, sqlx::Error> {
    let mut positions: Vec<(i64, i32)> = positions
        .map(|(number, index)| (bind_height(number), bind_index(index)))
        .collect();
    positions.sort_unstable();
    positions.dedup();
    let size: Option<i64> = sqlx::query_scalar("SELECT bucket_blocks FROM chain")
        .fetch_optional(connection)
        .await?;
    let size = size.unwrap_or(i64::MAX);
    let buckets = positions.chunk_by(|one, other| one.0 / size == other.0 / size);
    Ok(buckets.map(<[_]>::to_vec).collect())
}

/// Columns of the canonical transactions at some positions.
async fn select_at(
    connection: &mut PgConnection,
    columns: &str,
    positions: impl Iterator<Item = (u64, u32)>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let mut rows = Vec::new();
    for bucket in by_bucket(connection, positions).await? {
        let (numbers, indexes): (Vec<i64>, Vec<i32>) = bucket.into_iter().unzip();
        let sql = format!(
            "SELECT {columns} FROM transactions
             WHERE block_number BETWEEN $3 AND $4 AND block_number = ANY($1)
               AND (block_number, tx_index) IN (SELECT * FROM unnest($1, $2))"
        );
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(&numbers)
            .bind(&indexes)
            .bind(numbers.first())
            .bind(numbers.last())
            .fetch_all(&mut *connection)
            .await?;
        rows.extend(found);
    }
    Ok(rows)
}

/// Transactions at exactly these positions, in this order.
pub(super) async fn list_at(
    connection: &mut PgConnection,
    positions: &[Position],
) -> Result<Vec<TransactionRow>, sqlx::Error> {
    let at = positions.iter().map(|at| (at.block_number, at.tx_index));
    let rows = select_at(connection, "*", at).await?;
    let mut rows: Vec<TransactionRow> = decode_all(&rows)?;
    let order: HashMap<(u64, u32), usize> = positions
        .iter()
        .enumerate()
        .map(|(at, position)| ((position.block_number, position.tx_index), at))
        .collect();
    rows.sort_by_key(|row| order.get(&(row.block_number, row.tx_index)).copied());
    Ok(rows)
}

/// Canonical transactions as they are shown in lists: each with its block's hash and time.
pub async fn with_blocks(
    connection: &mut PgConnection,
    rows: &[TransactionRow],
) -> Result<Vec<TransactionSummary>, sqlx::Error> {
    let contexts = block_contexts(connection, rows.iter().map(|row| row.block_number)).await?;
    rows.iter()
        .map(|row| {
            let context = contexts.get(&row.block_number);
            let context = *context.ok_or(sqlx::Error::RowNotFound)?;
            Ok(TransactionSummary::new(row, context))
        })
        .collect()
}

/// Hash and time of the canonical blocks at some heights.
pub(super) async fn block_contexts(
    connection: &mut PgConnection,
    numbers: impl Iterator<Item = u64>,
) -> Result<HashMap<u64, BlockContext>, sqlx::Error> {
    let mut blocks = Vec::new();
    for bucket in by_bucket(connection, numbers.map(|number| (number, 0))).await? {
        let numbers: Vec<i64> = bucket.into_iter().map(|(number, _)| number).collect();
        let found = sqlx::query(
            "SELECT number, hash, timestamp FROM blocks
             WHERE number BETWEEN $2 AND $3 AND number = ANY($1)",
        )
        .bind(&numbers)
        .bind(numbers.first())
        .bind(numbers.last())
        .fetch_all(&mut *connection)
        .await?;
        blocks.extend(found);
    }
    blocks
        .iter()
        .map(|block| {
            let context = BlockContext {
                hash: column(block, "hash")?,
                timestamp: column(block, "timestamp")?,
            };
            Ok((column(block, "number")?, context))
        })
        .collect()
}

/// Hashes of the canonical transactions at some positions.
pub(super) async fn hashes_at(
    connection: &mut PgConnection,
    positions: impl Iterator<Item = (u64, u32)>,
) -> Result<HashMap<(u64, u32), B256>, sqlx::Error> {
    let rows = select_at(connection, "block_number, tx_index, hash", positions).await?;
    rows.iter()
        .map(|row| {
            let position = (column(row, "block_number")?, column(row, "tx_index")?);
            Ok((position, column(row, "hash")?))
        })
        .collect()
}

/// The logs of a canonical transaction, in order.
pub async fn list_logs(
    connection: &mut PgConnection,
    transaction: &TransactionRow,
) -> Result<Vec<LogRow>, sqlx::Error> {
    let end = transaction
        .first_log_index
        .saturating_add(transaction.log_count);
    let rows = sqlx::query(
        "SELECT * FROM logs WHERE block_number = $1 AND log_index >= $2 AND log_index < $3
         ORDER BY log_index",
    )
    .bind(bind_height(transaction.block_number))
    .bind(bind_index(transaction.first_log_index))
    .bind(bind_index(end))
    .fetch_all(connection)
    .await?;
    decode_all(&rows)
}

/// The logs of a transaction in the block that a reorg dropped it from.
pub async fn list_orphaned_logs(
    connection: &mut PgConnection,
    reorg: u64,
    transaction: &TransactionRow,
) -> Result<Vec<LogRow>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT * FROM orphaned_logs WHERE reorg_id = $1 AND block_number = $2 AND tx_index = $3
         ORDER BY log_index",
    )
    .bind(bind_height(reorg))
    .bind(bind_height(transaction.block_number))
    .bind(bind_index(transaction.tx_index))
    .fetch_all(connection)
    .await?;
    decode_all(&rows)
}

/// Where reorgs dropped each of these transactions from, newest first; those never dropped are left
/// out.
pub async fn list_dropped_inclusions(
    connection: &mut PgConnection,
    hashes: &[B256],
) -> Result<HashMap<B256, Vec<DroppedInclusion>>, sqlx::Error> {
    let hashes: Vec<&[u8]> = hashes.iter().map(B256::as_slice).collect();
    let rows = sqlx::query(
        "SELECT t.hash, t.reorg_id, t.block_number, t.tx_index, b.hash AS block_hash,
                r.ancestor_number, extract(epoch FROM r.detected_at)::bigint AS detected
         FROM orphaned_transactions t
         JOIN orphaned_blocks b ON b.reorg_id = t.reorg_id AND b.number = t.block_number
         JOIN reorgs r ON r.id = t.reorg_id
         WHERE t.hash = ANY($1) ORDER BY t.reorg_id DESC",
    )
    .bind(hashes)
    .fetch_all(connection)
    .await?;
    let mut dropped: HashMap<B256, Vec<DroppedInclusion>> = HashMap::new();
    for row in &rows {
        let inclusion = DroppedInclusion {
            block_number: column(row, "block_number")?,
            block_hash: column(row, "block_hash")?,
            transaction_index: column(row, "tx_index")?,
            dropped_by: dropped_by(row)?,
        };
        dropped
            .entry(column(row, "hash")?)
            .or_default()
            .push(inclusion);
    }
    Ok(dropped)
}

/// A transaction as it was in the block that the last reorg dropped it from.
pub async fn find_last_dropped(
    connection: &mut PgConnection,
    hash: B256,
) -> Result<Option<(TransactionRow, BlockContext, u64)>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT t.*, b.hash AS block_hash, b.timestamp AS block_timestamp
         FROM orphaned_transactions t
         JOIN orphaned_blocks b ON b.reorg_id = t.reorg_id AND b.number = t.block_number
         WHERE t.hash = $1 ORDER BY t.reorg_id DESC LIMIT 1",
    )
    .bind(hash.as_slice())
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let context = BlockContext {
            hash: column(&row, "block_hash")?,
            timestamp: column(&row, "block_timestamp")?,
        };
        Ok((
            TransactionRow::decode(&row)?,
            context,
            column(&row, "reorg_id")?,
        ))
    })
    .transpose()
}
