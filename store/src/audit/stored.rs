//! What the database has about a range of blocks.

use crate::{
    pg::TableRow,
    read::{Snapshot, bind_height},
    rows::{RowBatch, TransactionRow, hash_prefix},
};
use alloy::primitives::Address;
use sqlx::{AssertSqlSafe, postgres::PgRow};
use std::collections::HashSet;

/// Loads all rows of a range: those that blocks are made of by height, derived ones by their own
/// keys, as they are read in earnest.
pub(super) async fn load(
    snapshot: &mut Snapshot,
    low: u64,
    high: u64,
) -> Result<RowBatch, sqlx::Error> {
    let mut rows = RowBatch {
        blocks: load_by_height(snapshot, "number", "number", low, high).await?,
        withdrawals: load_by_height(snapshot, "block_number", "position", low, high).await?,
        transactions: load_by_height(snapshot, "block_number", "tx_index", low, high).await?,
        logs: load_by_height(snapshot, "block_number", "log_index", low, high).await?,
        ..RowBatch::default()
    };
    let prefixes = rows.transactions.iter();
    let prefixes = prefixes.map(|row| hash_prefix(&row.hash)).collect();
    rows.tx_lookup = load_derived(snapshot, BY_PREFIX, low, high, prefixes).await?;
    let prefixes = rows.blocks.iter();
    let prefixes = prefixes.map(|row| hash_prefix(&row.hash)).collect();
    rows.block_lookup = load_derived(snapshot, BY_PREFIX, low, high, prefixes).await?;
    let addresses = addresses(&rows.transactions);
    rows.activity = load_derived(snapshot, BY_ADDRESS, low, high, addresses).await?;
    let times = rows.blocks.iter().map(|row| bind_height(row.timestamp));
    rows.stats = load_derived(snapshot, BY_TIME, low, high, times.collect()).await?;
    Ok(rows)
}

async fn load_by_height<R: TableRow>(
    snapshot: &mut Snapshot,
    height: &str,
    position: &str,
    low: u64,
    high: u64,
) -> Result<Vec<R>, sqlx::Error> {
    let sql = format!(
        "SELECT * FROM {} WHERE {height} BETWEEN $1 AND $2 ORDER BY {height}, {position}",
        R::TABLE
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(bind_height(low))
        .bind(bind_height(high))
        .fetch_all(snapshot.connection())
        .await?;
    decode(&rows)
}

const BY_PREFIX: &str = "hash_prefix = ANY($3) AND block_number BETWEEN $1 AND $2";
const BY_ADDRESS: &str = "address = ANY($3) AND block_number BETWEEN $1 AND $2";
const BY_TIME: &str = "\"time\" IN (SELECT to_timestamp(t) FROM unnest($3::bigint[]) AS t)
                       AND number BETWEEN $1 AND $2";

async fn load_derived<R, K>(
    snapshot: &mut Snapshot,
    filter: &str,
    low: u64,
    high: u64,
    keys: Vec<K>,
) -> Result<Vec<R>, sqlx::Error>
where
    R: TableRow,
    Vec<K>: for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let sql = format!("SELECT * FROM {} WHERE {filter}", R::TABLE);
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(bind_height(low))
        .bind(bind_height(high))
        .bind(keys)
        .fetch_all(snapshot.connection())
        .await?;
    decode(&rows)
}

/// Every address that takes part in some transactions.
fn addresses(transactions: &[TransactionRow]) -> Vec<Vec<u8>> {
    let parts = transactions
        .iter()
        .flat_map(|tx| [Some(tx.from_address), tx.to_address, tx.contract_address]);
    let distinct: HashSet<Address> = parts.flatten().collect();
    distinct
        .into_iter()
        .map(|address| address.to_vec())
        .collect()
}

fn decode<R: TableRow>(rows: &[PgRow]) -> Result<Vec<R>, sqlx::Error> {
    rows.iter().map(R::decode).collect()
}
