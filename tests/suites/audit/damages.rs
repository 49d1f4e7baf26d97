//! Every kind of damage: what it is called, where, and what a repair makes of it.

use super::scene::{Scene, assert_clean, whole, with_reorgs};
use indexer::{Repair, RepairError, Step};
use std::collections::BTreeSet;
use store::audit::{Audit, Kind};
use url::Url;

/// An edit, and what must be said of it and done about it.
struct Damage {
    sql: String,
    kinds: BTreeSet<String>,
    /// Heights that must be named, these and no others; none where any will do.
    heights: Option<BTreeSet<u64>>,
    remedy: String,
    /// A word of the sentence.
    says: String,
}

/// The block that is damaged: in the middle, with four transactions.
const AT: u64 = 20;

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

/// `LOGGED` is the lowest block with logs of the middle.
fn damages(logged: i64) -> Vec<Damage> {
    let lines = include_str!("damages.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    let mut all: Vec<Damage> = lines
        .map(|line| {
            let line = line.replace("LOGGED", &logged.to_string());
            let line = line.replace("AB", "decode(repeat('ab', 32), 'hex')");
            let mut words = line.splitn(4, ' ');
            let mut next = || words.next().expect("kinds, heights, a remedy and an edit");
            let (kinds, heights, remedy, sql) = (next(), next(), next(), next());
            Damage {
                sql: sql.to_owned(),
                kinds: kinds.split('+').map(str::to_owned).collect(),
                heights: match heights {
                    "*" => None,
                    "-" => Some(BTreeSet::new()),
                    list => Some(
                        list.split(',')
                            .map(|n| n.parse().expect("a height"))
                            .collect(),
                    ),
                },
                remedy: remedy.to_owned(),
                says: String::new(),
            }
        })
        .collect();
    for (table, key, value, kind, columns) in COLUMNS {
        all.extend(columns.iter().map(|column| Damage {
            sql: format!(
                "UPDATE {table} SET {column} = {} WHERE {key} = {AT}",
                value.replace("COLUMN", column)
            ),
            kinds: BTreeSet::from([kind.to_owned()]),
            heights: Some(BTreeSet::from([AT])),
            remedy: if kind == "rows" { "local" } else { "node" }.to_owned(),
            says: if kind == "rows" { table } else { "" }.to_owned(),
        }));
    }
    all
}

/// In an order in which rows can be deleted; inserted the other way round.
const TABLES: [&str; 20] = [
    "orphaned_internal_transfers",
    "orphaned_blocks",
    "orphaned_withdrawals",
    "orphaned_transactions",
    "orphaned_logs",
    "reorgs",
    "blocks",
    "withdrawals",
    "transactions",
    "logs",
    "tx_lookup",
    "block_lookup",
    "address_activity",
    "internal_transfers",
    "token_transfers",
    "block_credits",
    "block_stats",
    "coverage",
    "chain_state",
    "chain",
];

async fn keep(scene: &Scene) {
    scene.edit("CREATE SCHEMA kept").await;
    for table in TABLES {
        scene
            .edit(&format!("CREATE TABLE kept.{table} AS TABLE {table}"))
            .await;
    }
}

async fn restore(scene: &Scene) {
    let delete = TABLES.map(|table| format!("DELETE FROM {table}"));
    let mut insert = TABLES.map(|table| format!("INSERT INTO {table} SELECT * FROM kept.{table}"));
    insert.reverse();
    let sql = format!(
        "{}; DELETE FROM outbox; {}",
        delete.join("; "),
        insert.join("; ")
    );
    scene.edit(&sql).await;
}

fn kinds(audit: &Audit) -> BTreeSet<String> {
    let counts = audit.certificate.difference_counts.keys();
    counts.map(Kind::to_string).collect()
}

/// Repairs what an audit found until there is nothing more to do, as the doctor does. Returns what was
/// done, how it ended, and what an audit finds then.
async fn repair(
    scene: &Scene,
    urls: Vec<Url>,
    mut found: Audit,
) -> (Vec<Step>, Result<(), RepairError>, Audit) {
    let pool = scene.database.pool.clone();
    let mut repair = Repair::new(pool.clone(), urls).await.expect("a chain");
    let (mut steps, mut ended) = (Vec::new(), Ok(()));
    for _ in 0..4 {
        if !found.damage.is_repairable() {
            break;
        }
        let before = steps.len();
        ended = repair.run(&found.damage, |step| steps.push(step)).await;
        if steps.len() == before {
            break;
        }
        found = whole(&pool).await;
    }
    (steps, ended, found)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_is_named_and_repaired_where_anything_has_what_is_lost() {
    let scene = with_reorgs().await;
    let pool = &scene.database.pool;
    let certificate = assert_clean(pool, 42).await;
    assert_eq!((certificate.reorgs, certificate.orphaned_blocks), (3, 15));
    keep(&scene).await;
    let logged: i64 = sqlx::query_scalar(
        "SELECT min(block_number) FROM logs WHERE block_number BETWEEN 5 AND 30",
    )
    .fetch_one(pool)
    .await
    .expect("a block with logs");
    for damage in damages(logged) {
        let sql = &damage.sql;
        assert!(scene.edit(sql).await > 0, "{sql} changed nothing");
        let found = whole(pool).await;
        assert_named(&damage, &found);
        let (steps, ended, mut found) = repair(&scene, Vec::new(), found).await;
        match damage.remedy.as_str() {
            "local" | "back" => {
                assert!(ended.is_ok(), "{sql}: {ended:?}");
                assert!(!steps.iter().any(|step| matches!(step, Step::Refetched(..))));
            }
            "node" => {
                assert!(
                    matches!(ended, Err(RepairError::NoNode(_))),
                    "{sql}: {ended:?}"
                );
                let (steps, ended, repaired) = repair(&scene, scene.urls(), found).await;
                found = repaired;
                assert!(ended.is_ok(), "{sql}: {ended:?}");
                assert!(
                    steps.iter().any(|step| matches!(step, Step::Refetched(..))),
                    "{sql}"
                );
            }
            "lost" | "wait" => {
                let (steps, _, _) = repair(&scene, scene.urls(), found).await;
                assert!(steps.is_empty(), "{sql}: {steps:?}");
                let audit = whole(pool).await;
                assert_named(&damage, &audit);
                assert_eq!(
                    audit.damage.beyond_repair > 0,
                    damage.remedy == "lost",
                    "{sql}"
                );
                restore(&scene).await;
                continue;
            }
            other => panic!("{other}: {sql}"),
        }
        let certificate = found.certificate;
        assert!(
            certificate.is_clean(),
            "{sql}: {:#?}",
            certificate.differences
        );
        if damage.remedy != "back" {
            scene.assert_as_before(sql).await;
        }
        restore(&scene).await;
    }
    assert_clean(pool, 42).await;
}

fn assert_named(damage: &Damage, audit: &Audit) {
    let (sql, found) = (&damage.sql, &audit.certificate.differences);
    assert_eq!(kinds(audit), damage.kinds, "{sql}: {found:#?}");
    let named: BTreeSet<u64> = found.iter().filter_map(|it| it.block_number).collect();
    if let Some(heights) = &damage.heights {
        assert_eq!(named, *heights, "{sql}: {found:#?}");
    }
    let says = |it: &store::audit::Difference| it.detail.contains(&damage.says);
    assert!(found.iter().any(says), "{sql}: {found:#?}");
}
