//! The database proves itself: clean where nothing was touched, every kind of damage is named and, where
//! anything has what is lost, repaired.

mod beside;
mod damages;
mod nodes;
mod scene;

use chain::{Checks, Parts, VerifyLevel};
use indexer::IndexerConfig;
use scene::{assert_clean, jobs, many_blocks};
use simnode::{CannedChain, Fixtures, Server, fixtures};
use std::collections::BTreeSet;
use store::{RowBatch, audit::Scope, rebuild};
use tallyscan_tests::{Database, RunningIndexer, folder, indexer_config, redis};

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
    let scope = Scope {
        from: Some(start + 10),
        to: Some(start + 19),
        jobs: jobs(2),
    };
    let part = store::audit::audit(&database.pool, &scope, |_| {}).await;
    let part = part.expect("an audit").certificate;
    assert!(part.is_clean() && !part.whole);
    assert_eq!(
        (part.blocks, part.first.expect("a block").number),
        (10, start + 10)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_work_on_an_audit_shows_nowhere_but_in_its_duration() {
    let scene = many_blocks(1_200).await;
    scene
        .edit(
            "DELETE FROM blocks WHERE number BETWEEN 250 AND 260;
             UPDATE blocks SET state_root = parent_hash WHERE number IN (255, 511, 512, 513, 1024);
             UPDATE blocks SET size = size + 1 WHERE number % 3 = 0;
             DELETE FROM tx_lookup WHERE block_number BETWEEN 700 AND 800;
             INSERT INTO block_lookup SELECT n, n FROM generate_series(900, 1000) AS n",
        )
        .await;
    let mut certificates = Vec::new();
    for count in [1, 2, 4] {
        let mut heard = Vec::new();
        let (pool, scope) = (&scene.database.pool, Scope::whole(jobs(count)));
        let audit = store::audit::audit(pool, &scope, |at| heard.push(at)).await;
        let audit = audit.expect("an audit");
        let last = heard.last().expect("progress");
        assert_eq!(last.done, last.total);
        assert!(heard.windows(2).all(|pair| pair[0].done < pair[1].done));
        let mut certificate = audit.certificate;
        certificate.elapsed_seconds = 0.0;
        certificate.checked_at.clear();
        certificates.push(serde_json::to_value(certificate).expect("JSON"));
    }
    assert_eq!(
        certificates[0]["differences"]
            .as_array()
            .expect("a list")
            .len(),
        100
    );
    assert!(certificates[0]["difference_count"].as_u64() > Some(400));
    assert!(
        certificates.iter().all(|it| *it == certificates[0]),
        "{certificates:#?}"
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_are_wrong_are_named_forgotten_and_counted_again() {
    const WRONG: [(&str, &str); 8] = [
        (
            "address_totals",
            "UPDATE address_totals SET tx_count = tx_count + 1 WHERE bucket = 0",
        ),
        (
            "address_totals",
            "DELETE FROM address_totals WHERE sent_count > 0",
        ),
        (
            "token_totals",
            "UPDATE token_totals SET holder_count = holder_count - 1",
        ),
        (
            "token_totals",
            "INSERT INTO token_totals VALUES ('\\x01', 1, 0, 0, 0, 0, 0, 0)",
        ),
        (
            "token_balances",
            "UPDATE token_balances SET balance = balance + 1",
        ),
        ("nft_balances", "DELETE FROM nft_balances"),
        (
            "token_instances",
            "UPDATE token_instances SET transfer_count = 9",
        ),
        (
            "token_balances",
            "DELETE FROM token_balances; DELETE FROM address_totals",
        ),
    ];
    let scene = many_blocks(60).await;
    let pool = &scene.database.pool;
    assert_clean(pool, 61).await;
    for (table, sql) in WRONG {
        assert!(scene.edit(sql).await > 0, "{sql} changed nothing");
        let audit = scene::whole(pool).await;
        let differences = &audit.certificate.differences;
        let named = |it: &store::audit::Difference| {
            it.kind == store::audit::Kind::Counters && it.detail.starts_with(table)
        };
        assert!(differences.iter().any(named), "{sql}: {differences:#?}");
        assert!(audit.damage.is_repairable() && !audit.damage.needs_nodes());
        let mut repair = indexer::Repair::new(pool.clone(), Vec::new())
            .await
            .expect("a chain");
        repair.run(&audit.damage, |_| {}).await.expect("a repair");
        assert_clean(pool, 61).await;
        let folder = folder();
        let redis = redis(&folder).await;
        let config = indexer_config(&scene.database, &redis.url(), &[scene.node.http_url()]);
        let indexer = RunningIndexer::start(&scene.database, config).await;
        indexer
            .reaches(scene.blocks.last().expect("a head").hash)
            .await;
        indexer.stop().await;
        assert_clean(pool, 61).await;
        scene.assert_as_before(sql).await;
    }
}
