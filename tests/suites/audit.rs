//! The database proves itself: clean where nothing was touched, and every kind of damage is named.

use chain::{Checks, Parts, VerifyLevel};
use indexer::IndexerConfig;
use simnode::{CannedChain, Fixtures, Server, fixtures};
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeSet;
use store::{RowBatch, audit::Certificate, rebuild};
use tallyscan_tests::{
    Database, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, folder,
    indexer_config, redis,
};

async fn audit(pool: &PgPool) -> Certificate {
    store::audit::audit(pool, None, None, |_, _| {})
        .await
        .expect("an audit")
}

async fn assert_clean(pool: &PgPool, blocks: u64) {
    let certificate = audit(pool).await;
    assert!(certificate.is_clean(), "{:#?}", certificate.differences);
    assert_eq!(certificate.blocks, blocks);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_recorded_blocks_is_clean() {
    let Some(recordings) = Fixtures::find_or_say("an_index_of_recorded_blocks_is_clean") else {
        return;
    };
    let start = 175_750;
    let skip = usize::try_from(start - crate::recorded::SEPOLIA_START).expect("a count");
    let run = recordings.sepolia_run_json().expect("the recording");
    let blocks = fixtures::canned(&run[skip..skip + 300]).expect("blocks");
    let head = blocks.last().expect("a block").hash;
    let node =
        Server::start(CannedChain::with_blocks(crate::recorded::SEPOLIA, blocks)).expect("a node");
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let config = IndexerConfig {
        start_block: Some(start),
        ..indexer_config(&database, &redis.url(), &[node.http_url()])
    };
    let indexer = RunningIndexer::start(&database, config).await;
    indexer.reaches(head).await;
    indexer.stop().await;
    assert_clean(&database.pool, 300).await;
    let part = store::audit::audit(
        &database.pool,
        Some(start + 10),
        Some(start + 19),
        |_, _| {},
    )
    .await;
    let part = part.expect("an audit");
    assert!(part.is_clean());
    assert_eq!(
        (part.blocks, part.first.expect("a block").number),
        (10, start + 10)
    );
}

/// An index of 40 generated blocks that lived through three reorgs.
async fn index_with_reorgs() -> Database {
    let mut generator = Generator::seeded(5);
    let genesis = generator.genesis();
    let mut blocks = vec![genesis.clone()];
    for _ in 0..40 {
        let block = generator.child_with(blocks.last().expect("a block"), 4);
        blocks.push(block);
    }
    let chain = CannedChain::with_blocks(
        GENERATED_CHAIN_ID,
        blocks.iter().map(GeneratedBlock::canned),
    );
    let node = Server::start(chain.clone()).expect("a node");
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let config = indexer_config(&database, &redis.url(), &[node.ws_url()]);
    let indexer = RunningIndexer::start(&database, config).await;
    indexer.reaches(blocks[40].hash).await;
    for depth in [1, 3, 9] {
        let fork = 40 - depth;
        let branch = generator.branch(&blocks[fork], depth + 1);
        chain.replace_from(
            branch[0].number(),
            branch.iter().map(GeneratedBlock::canned),
        );
        indexer.reaches(branch[depth].hash).await;
        // The longer branch goes again, for the next one to end at the same height.
        blocks.truncate(fork + 1);
        blocks.extend(branch.into_iter().take(depth));
    }
    indexer.stop().await;
    database
}

/// An edit, and what the audit must say of it: a kind, and words of the sentence.
struct Damage {
    sql: String,
    kind: &'static str,
    says: &'static str,
}

/// The block that is damaged: in the middle, with four transactions.
const AT: u64 = 20;

/// A block with logs.
const LOGGED: &str = "(SELECT min(block_number) FROM logs WHERE block_number BETWEEN 5 AND 30)";

/// Columns, what is done to each of them in one block, and what the audit must say of it.
const COLUMNS: [(&str, &str, &str, &str, &[&str]); 12] = [
    (
        "blocks",
        "number",
        "decode(repeat('ab', 32), 'hex')",
        "proof",
        &[
            "parent_hash",
            "sha3_uncles",
            "state_root",
            "transactions_root",
            "receipts_root",
            "mix_hash",
            "hash",
        ],
    ),
    (
        "blocks",
        "number",
        "COLUMN + 1",
        "proof",
        &[
            "\"timestamp\"",
            "gas_limit",
            "gas_used",
            "difficulty",
            "base_fee_per_gas",
        ],
    ),
    (
        "blocks",
        "number",
        "decode(repeat('ab', 20), 'hex')",
        "proof",
        &["miner"],
    ),
    (
        "blocks",
        "number",
        "decode(repeat('ab', 8), 'hex')",
        "proof",
        &["nonce"],
    ),
    (
        "blocks",
        "number",
        "decode(repeat('ab', 256), 'hex')",
        "proof",
        &["logs_bloom"],
    ),
    (
        "blocks",
        "number",
        "COLUMN + 1",
        "rows",
        &["size", "tx_count", "log_count"],
    ),
    (
        "transactions",
        "block_number",
        "COLUMN + 1",
        "proof",
        &["nonce", "gas_limit", "value", "cumulative_gas_used"],
    ),
    (
        "transactions",
        "block_number",
        "decode(repeat('1b', 32), 'hex')",
        "proof",
        &["r", "s", "hash"],
    ),
    (
        "transactions",
        "block_number",
        "NOT COLUMN",
        "proof",
        &["y_parity", "status"],
    ),
    (
        "transactions",
        "block_number",
        "'\\x00'",
        "proof",
        &["input"],
    ),
    (
        "transactions",
        "block_number",
        "COLUMN + 1",
        "rows",
        &["gas_used", "effective_gas_price", "first_log_index"],
    ),
    (
        "block_stats",
        "number",
        "COLUMN + 1",
        "rows",
        &[
            "gas_used",
            "gas_limit",
            "size",
            "tx_count",
            "failed_tx_count",
            "log_count",
            "native_transfers",
            "token_transfers",
            "contracts_created",
            "active_addresses",
            "base_fee_per_gas",
            "burnt_fees",
            "fees",
        ],
    ),
];

fn damages() -> Vec<Damage> {
    let lines = include_str!("audit_damages.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    let mut all: Vec<Damage> = lines
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let mut next = || words.next().expect("a kind, a word and an edit");
            let (kind, says) = (next(), next().trim_matches('-'));
            Damage {
                sql: next().replace("LOGGED", LOGGED),
                kind,
                says,
            }
        })
        .collect();
    for (table, key, value, kind, columns) in COLUMNS {
        all.extend(columns.iter().map(|column| Damage {
            sql: format!(
                "UPDATE {table} SET {column} = {} WHERE {key} = {AT}",
                value.replace("COLUMN", column)
            ),
            kind,
            says: if kind == "rows" { table } else { "" },
        }));
    }
    all
}

const TABLES: [&str; 10] = [
    "blocks",
    "withdrawals",
    "transactions",
    "logs",
    "tx_lookup",
    "block_lookup",
    "address_activity",
    "block_stats",
    "coverage",
    "chain_state",
];

async fn run(pool: &PgPool, sql: &str) -> u64 {
    let done = sqlx::query(AssertSqlSafe(sql)).execute(pool).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"))
        .rows_affected()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_lived_through_reorgs_is_clean_and_every_damage_to_it_is_named() {
    let pool = index_with_reorgs().await.pool;
    assert_clean(&pool, 42).await;
    run(&pool, "CREATE SCHEMA kept").await;
    for table in TABLES {
        run(
            &pool,
            &format!("CREATE TABLE kept.{table} AS TABLE {table}"),
        )
        .await;
    }
    for Damage { sql, kind, says } in damages() {
        assert!(run(&pool, &sql).await > 0, "{sql} changed nothing");
        let certificate = audit(&pool).await;
        let named = certificate
            .differences
            .iter()
            .any(|difference| difference.kind == kind && difference.detail.contains(says));
        assert!(
            named,
            "{sql}: expected {kind} {says:?}, found {:#?}",
            certificate.differences
        );
        let elsewhere = certificate.differences.iter().filter(|it| {
            sql.ends_with(&format!("= {AT}")) && it.block_number.is_some_and(|at| at != AT)
        });
        // A wrong parent or hash is seen from the neighbour, too.
        assert!(
            elsewhere.clone().all(|it| it.kind == "link"),
            "{sql}: {:#?}",
            elsewhere.collect::<Vec<_>>()
        );
        for table in TABLES {
            run(&pool, &format!("DELETE FROM {table}")).await;
            run(
                &pool,
                &format!("INSERT INTO {table} SELECT * FROM kept.{table}"),
            )
            .await;
        }
    }
    assert_clean(&pool, 42).await;
}

#[test]
fn rows_of_every_recorded_block_lead_back_to_the_block() {
    let name = "rows_of_every_recorded_block_lead_back_to_the_block";
    let Some(recordings) = Fixtures::find_or_say(name) else {
        return;
    };
    let mut blocks = recordings.mainnet_run().expect("the recording");
    blocks.extend(recordings.mainnet_blocks().expect("the recordings"));
    let sepolia = recordings.sepolia_run_json().expect("the recording");
    blocks.extend(
        sepolia
            .into_iter()
            .filter(|block| !block.block.get().contains("\"transactions\":[]")),
    );
    let checks: Checks = VerifyLevel::Full.checks(true);
    let mut types = BTreeSet::new();
    let mut rebuilt = 0;
    for block in &blocks {
        let Some(receipts) = &block.receipts else {
            types.extend(assert_body_leads_back(block));
            continue;
        };
        let parts = Parts::parse(block.block.get(), receipts.get()).expect("a block");
        let mut stored = RowBatch::default();
        stored.push(&chain::verify(parts, checks).expect("a proof"));
        types.extend(stored.transactions.iter().map(|tx| tx.tx_type));
        let row = &stored.blocks[0];
        let (body, receipts) =
            rebuild::block(row, &stored.withdrawals, &stored.transactions, &stored.logs)
                .expect("a block");
        let mut again = RowBatch::default();
        again.push(&chain::prove(body, receipts, checks).expect("a proof"));
        assert_eq!(again.blocks, stored.blocks);
        assert_eq!(again.withdrawals, stored.withdrawals);
        assert_eq!(again.transactions, stored.transactions);
        assert_eq!(again.logs, stored.logs);
        assert_eq!(again.activity, stored.activity);
        assert_eq!(again.stats, stored.stats);
        assert_eq!(again.block_lookup, stored.block_lookup);
        assert_eq!(again.tx_lookup, stored.tx_lookup);
        rebuilt += 1;
    }
    assert_eq!(rebuilt, 41 + 7 + 74);
    assert_eq!(
        types,
        BTreeSet::from([0, 1, 2, 3, 4]),
        "every type of transaction was among them"
    );
}

/// A block whose receipts were not recorded: its header, transactions and withdrawals prove themselves
/// from their rows. Returns the types of its transactions.
fn assert_body_leads_back(block: &fixtures::BlockJson) -> Vec<u8> {
    let json: serde_json::Value = serde_json::from_str(block.block.get()).expect("a block");
    let receipt = |tx: &serde_json::Value| {
        serde_json::json!({
            "blockHash": json["hash"], "transactionHash": tx["hash"], "status": "0x1",
            "cumulativeGasUsed": "0x5208", "logs": [],
        })
    };
    let transactions = json["transactions"].as_array().expect("a list");
    let receipts: serde_json::Value = transactions.iter().map(receipt).collect();
    let parts = Parts::parse(block.block.get(), &receipts.to_string()).expect("a block");
    let all = VerifyLevel::Full.checks(true);
    let mut stored = RowBatch::default();
    stored.push(
        &chain::verify(
            parts,
            Checks {
                roots: false,
                ..all
            },
        )
        .expect("a block"),
    );
    let (body, _) = rebuild::block(
        &stored.blocks[0],
        &stored.withdrawals,
        &stored.transactions,
        &stored.logs,
    )
    .expect("a block");
    chain::prove_body(&body, all).expect("a proof");
    stored.transactions.iter().map(|tx| tx.tx_type).collect()
}
