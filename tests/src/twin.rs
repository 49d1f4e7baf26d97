//! The oracle: a database that lived through anything must equal, row for row, one that indexed the
//! final chain directly.

use crate::{Database, GENERATED_CHAIN_ID, GeneratedBlock, RunningIndexer, indexer_config};
use chain::FinalityProfile;
use simnode::{CannedChain, Server};
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeMap;

/// Nothing listens there.
const NO_REDIS: &str = "redis://127.0.0.1:1/";

/// Everything that follows from the canonical chain alone. What tells of the way there (reorgs,
/// orphans, outbox, epoch) is left out.
const SUBJECTS: &[(&str, &str)] = &[
    ("blocks", "SELECT t::text FROM blocks t"),
    ("withdrawals", "SELECT t::text FROM withdrawals t"),
    ("transactions", "SELECT t::text FROM transactions t"),
    ("logs", "SELECT t::text FROM logs t"),
    ("tx_lookup", "SELECT t::text FROM tx_lookup t"),
    ("block_lookup", "SELECT t::text FROM block_lookup t"),
    ("address_activity", "SELECT t::text FROM address_activity t"),
    ("token_transfers", "SELECT t::text FROM token_transfers t"),
    (
        "internal_transfers",
        "SELECT t::text FROM internal_transfers t",
    ),
    ("block_credits", "SELECT t::text FROM block_credits t"),
    ("native_balances", "SELECT t::text FROM native_balances t"),
    ("block_stats", "SELECT t::text FROM block_stats t"),
    ("coverage", "SELECT t::text FROM coverage t"),
    (
        "tally_state",
        "SELECT (blocks, pending)::text FROM tally_state",
    ),
    // Two databases may have buckets of other sizes: sums are what counts.
    (
        "address_totals",
        "SELECT (address, sum(tx_count), sum(sent_count), sum(received_count), sum(created_count),
                 sum(transfer_count), sum(emitted_count), sum(internal_count))::text
         FROM address_totals GROUP BY address",
    ),
    ("token_totals", "SELECT t::text FROM token_totals t"),
    ("token_balances", "SELECT t::text FROM token_balances t"),
    ("nft_balances", "SELECT t::text FROM nft_balances t"),
    ("token_instances", "SELECT t::text FROM token_instances t"),
    (
        "ledger.transfers",
        "SELECT (kind, ordinal, item, tx_hash, content_hash, from_address, to_address, token, token_id,
                 amount, block_number, block_hash, tx_index, log_index)::text
         FROM ledger.transfers WHERE block_hash IS NOT NULL",
    ),
    (
        "chain_state",
        "SELECT (head_number, head_hash, head_timestamp, tx_count)::text FROM chain_state",
    ),
];

/// The rows of every table as sorted text.
pub async fn contents(pool: &PgPool) -> BTreeMap<&'static str, Vec<String>> {
    let mut tables = BTreeMap::new();
    for &(table, sql) in SUBJECTS {
        let sql = format!("SELECT r FROM ({sql}) AS s(r) ORDER BY r COLLATE \"C\"");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(pool)
            .await
            .expect("the table can be read");
        tables.insert(table, rows);
    }
    tables
}

/// Indexes a chain from block 0 on into an empty database, without any history to fill in.
pub async fn index_directly(blocks: &[GeneratedBlock], database: &Database) {
    let canned = blocks.iter().map(GeneratedBlock::canned);
    let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, canned);
    let node = Server::start(chain).expect("a node");
    let mut config = indexer_config(database, NO_REDIS, &[node.http_url()]);
    config.finality = Some(FinalityProfile::Depth(1_000_000));
    let indexer = RunningIndexer::start(database, config).await;
    indexer.reaches(blocks.last().expect("a head").hash).await;
    indexer.stop().await;
}

/// Compares two databases table by table; a difference shows its first rows.
pub async fn assert_twins(lived: &PgPool, fresh: &PgPool) {
    let (lived, fresh) = (contents(lived).await, contents(fresh).await);
    for (table, rows) in &lived {
        let expected = &fresh[table];
        if rows == expected {
            continue;
        }
        let only = |these: &[String], those: &[String]| -> Vec<String> {
            let those: std::collections::HashSet<&String> = those.iter().collect();
            these
                .iter()
                .filter(|row| !those.contains(row))
                .take(3)
                .cloned()
                .collect()
        };
        panic!(
            "{table} differs: {} rows, {} in the fresh index\nonly here: {:#?}\nonly fresh: {:#?}",
            rows.len(),
            expected.len(),
            only(rows, expected),
            only(expected, rows),
        );
    }
}
