//! Transactions by hash, by block and newest first; logs; inclusions that reorgs dropped.

use super::{
    Page, Position, Slice, bind_height, bind_index, blocks::dropped_by, decode_all,
    list_by_position,
};
use crate::{
    pg::{TableRow as _, column},
    rows::{LogRow, TransactionRow, hash_prefix},
    view::{BlockContext, DroppedInclusion, TransactionSummary},
};
use alloy::primitives::B256;
use sqlx::PgConnection;
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
    connection: &mut PgConnection,
    page: Page,
) -> Result<Slice<TransactionRow>, sqlx::Error> {
    let rows = list_by_position(connection, "SELECT * FROM transactions", "", &[], page).await?;
    Ok(Slice::new(decode_all(&rows)?, page))
}

/// Transactions of the canonical block at a height, or of a block that a reorg dropped there, in
/// block order from a position upwards.
pub async fn list_block_transactions(
    connection: &mut PgConnection,
    number: u64,
    dropped_by: Option<u64>,
    from_index: u32,
    limit: u32,
) -> Result<Vec<TransactionRow>, sqlx::Error> {
    let query = match dropped_by {
        None => sqlx::query(
            "SELECT * FROM transactions WHERE block_number = $1 AND tx_index >= $2
             ORDER BY tx_index LIMIT $3",
        ),
        Some(_) => sqlx::query(
            "SELECT * FROM orphaned_transactions
             WHERE block_number = $1 AND tx_index >= $2 AND reorg_id = $4
             ORDER BY tx_index LIMIT $3",
        ),
    };
    let mut query = query
        .bind(bind_height(number))
        .bind(bind_index(from_index))
        .bind(i64::from(limit));
    if let Some(reorg) = dropped_by {
        query = query.bind(bind_height(reorg));
    }
    decode_all(&query.fetch_all(connection).await?)
}

/// Transactions at exactly these positions, in this order.
pub(super) async fn list_at(
    connection: &mut PgConnection,
    positions: &[Position],
) -> Result<Vec<TransactionRow>, sqlx::Error> {
    let (numbers, indexes): (Vec<i64>, Vec<i32>) = positions
        .iter()
        .map(|at| (bind_height(at.block_number), bind_index(at.tx_index)))
        .unzip();
    let rows = sqlx::query(
        "SELECT * FROM transactions WHERE block_number = ANY($1)
           AND (block_number, tx_index) IN (SELECT * FROM unnest($1, $2))",
    )
    .bind(numbers)
    .bind(indexes)
    .fetch_all(connection)
    .await?;
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
    let mut numbers: Vec<i64> = rows
        .iter()
        .map(|row| bind_height(row.block_number))
        .collect();
    numbers.dedup();
    let blocks = sqlx::query("SELECT number, hash, timestamp FROM blocks WHERE number = ANY($1)")
        .bind(numbers)
        .fetch_all(connection)
        .await?;
    let mut contexts: HashMap<u64, BlockContext> = HashMap::with_capacity(blocks.len());
    for block in &blocks {
        let context = BlockContext {
            hash: column(block, "hash")?,
            timestamp: column(block, "timestamp")?,
        };
        contexts.insert(column(block, "number")?, context);
    }
    rows.iter()
        .map(|row| {
            let context = contexts.get(&row.block_number);
            let context = *context.ok_or(sqlx::Error::RowNotFound)?;
            Ok(TransactionSummary::new(row, context))
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
