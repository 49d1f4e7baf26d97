//! What the database has about a range of blocks.

use crate::{
    pg::TableRow,
    read::bind_height,
    rows::{BlockRow, RowBatch, TransactionRow, WithdrawalRow, hash_prefix},
};
use alloy::primitives::Address;
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgRow};
use std::collections::HashSet;

/// Bytes of rows that are held at a time by one worker, as the weights count them: a run of small
/// blocks shares the fixed cost of the queries, and a mainnet block stands almost alone.
const BATCH_BYTES: i64 = 16 * 1024 * 1024;

/// Which blocks are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those of the chain.
    Canonical,
    /// Those that a reorg dropped.
    Orphaned(u64),
}

/// Cuts a range into runs of heights whose rows fit in memory, at least one height each.
pub(super) async fn batches(
    connection: &mut PgConnection,
    part: Part,
    low: u64,
    high: u64,
) -> Result<Vec<(u64, u64)>, sqlx::Error> {
    let sql = match part {
        Part::Canonical => include_str!("../queries/audit_weights.sql"),
        Part::Orphaned(_) => include_str!("../queries/audit_orphan_weights.sql"),
    };
    let mut query = sqlx::query_as(sql)
        .bind(bind_height(low))
        .bind(bind_height(high));
    if let Part::Orphaned(reorg) = part {
        query = query.bind(bind_height(reorg));
    }
    let weights: Vec<(i64, i64)> = query.fetch_all(connection).await?;
    let (mut cuts, mut from, mut bytes) = (Vec::new(), low, 0_i64);
    for (number, weight) in weights {
        let number = number.unsigned_abs();
        if bytes > 0 && bytes.saturating_add(weight) > BATCH_BYTES && number > from {
            cuts.push((from, number - 1));
            (from, bytes) = (number, 0);
        }
        bytes = bytes.saturating_add(weight);
    }
    cuts.push((from, high));
    Ok(cuts)
}

/// Loads all rows of a range: those that blocks are made of by height, derived ones by their own
/// keys, as they are read in earnest. Dropped blocks have none of the latter.
pub(super) async fn load(
    connection: &mut PgConnection,
    part: Part,
    low: u64,
    high: u64,
) -> Result<RowBatch, sqlx::Error> {
    let mut range = Range {
        connection,
        part,
        low,
        high,
    };
    let mut rows = RowBatch {
        blocks: range.by_height("number", "number").await?,
        withdrawals: range.by_height("block_number", "position").await?,
        transactions: range.by_height("block_number", "tx_index").await?,
        logs: range.by_height("block_number", "log_index").await?,
        ..RowBatch::default()
    };
    if part == Part::Canonical {
        let prefixes = rows.transactions.iter();
        let prefixes = prefixes.map(|row| hash_prefix(&row.hash)).collect();
        rows.tx_lookup = range.by_key(BY_PREFIX, prefixes).await?;
        let prefixes = rows.blocks.iter();
        let prefixes = prefixes.map(|row| hash_prefix(&row.hash)).collect();
        rows.block_lookup = range.by_key(BY_PREFIX, prefixes).await?;
        let addresses = addresses(&rows.transactions);
        rows.activity = range.by_key(BY_ADDRESS, addresses).await?;
        rows.token_transfers = range
            .by_height("block_number", "log_index, position")
            .await?;
        let credited = credited(&rows.blocks, &rows.withdrawals);
        rows.credits = range.by_key(BY_ADDRESS, credited).await?;
        let times = rows.blocks.iter().map(|row| bind_height(row.timestamp));
        rows.stats = range.by_key(BY_TIME, times.collect()).await?;
    }
    Ok(rows)
}

const BY_PREFIX: &str = "hash_prefix = ANY($3) AND block_number BETWEEN $1 AND $2";
const BY_ADDRESS: &str = "address = ANY($3) AND block_number BETWEEN $1 AND $2";
const BY_TIME: &str = "\"time\" IN (SELECT to_timestamp(t) FROM unnest($3::bigint[]) AS t)
                       AND number BETWEEN $1 AND $2";

struct Range<'c> {
    connection: &'c mut PgConnection,
    part: Part,
    low: u64,
    high: u64,
}

impl Range<'_> {
    async fn by_height<R: TableRow>(
        &mut self,
        height: &str,
        position: &str,
    ) -> Result<Vec<R>, sqlx::Error> {
        let (table, of) = match self.part {
            Part::Canonical => (R::TABLE.to_owned(), String::new()),
            Part::Orphaned(reorg) => (
                format!("orphaned_{}", R::TABLE),
                format!("reorg_id = {reorg} AND "),
            ),
        };
        let sql = format!(
            "SELECT * FROM {table} WHERE {of}{height} BETWEEN $1 AND $2 ORDER BY {height}, {position}"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(bind_height(self.low))
            .bind(bind_height(self.high))
            .fetch_all(&mut *self.connection)
            .await?;
        decode(&rows)
    }

    async fn by_key<R, K>(&mut self, filter: &str, keys: Vec<K>) -> Result<Vec<R>, sqlx::Error>
    where
        R: TableRow,
        Vec<K>: for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let sql = format!("SELECT * FROM {} WHERE {filter}", R::TABLE);
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(bind_height(self.low))
            .bind(bind_height(self.high))
            .bind(keys)
            .fetch_all(&mut *self.connection)
            .await?;
        decode(&rows)
    }
}

/// Every address that takes part in some transactions.
fn addresses(transactions: &[TransactionRow]) -> Vec<Vec<u8>> {
    let parts = transactions
        .iter()
        .flat_map(|tx| [Some(tx.from_address), tx.to_address, tx.contract_address]);
    distinct(parts.flatten())
}

/// Every address that blocks credit.
fn credited(blocks: &[BlockRow], withdrawals: &[WithdrawalRow]) -> Vec<Vec<u8>> {
    let producers = blocks.iter().map(|block| block.miner);
    distinct(producers.chain(withdrawals.iter().map(|withdrawal| withdrawal.address)))
}

fn distinct(addresses: impl Iterator<Item = Address>) -> Vec<Vec<u8>> {
    let distinct: HashSet<Address> = addresses.collect();
    distinct
        .into_iter()
        .map(|address| address.to_vec())
        .collect()
}

fn decode<R: TableRow>(rows: &[PgRow]) -> Result<Vec<R>, sqlx::Error> {
    rows.iter().map(R::decode).collect()
}
