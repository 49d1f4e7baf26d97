//! Blocks that real networks made, served by a canned node, indexed, and read back through the API
//! field by field.

use crate::recorded_fields::{Recorded, assert_same};
use indexer::IndexerConfig;
use simnode::{CannedChain, Fault, Fixtures, Server, Tag, When, fixtures};
use std::time::{Duration, Instant};
use tallyscan_tests::{Api, Database, RunningIndexer, folder, indexer_config, redis};

pub const SEPOLIA: u64 = 11_155_111;
pub const SEPOLIA_START: u64 = 172_032;

/// Every so many blocks of the long run one is compared in full.
const SAMPLE: usize = 41;

/// Indexes everything a node has from a block on and returns how long that took.
pub async fn index_all(
    database: &Database,
    redis_url: &str,
    url: String,
    start: u64,
    until: u64,
) -> Duration {
    let config = IndexerConfig {
        start_block: Some(start),
        until: Some(until),
        ..indexer_config(database, redis_url, &[url])
    };
    let started = Instant::now();
    let indexer = RunningIndexer::start(database, config).await;
    let patience = Duration::from_mins(2);
    let is_there = || async {
        let gaps = store::coverage::find_gaps(&database.pool, start..=until).await;
        gaps.expect("the coverage").is_empty()
    };
    while !is_there().await {
        assert!(
            started.elapsed() < patience,
            "indexing took longer than {patience:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = started.elapsed();
    indexer.publishes_everything().await;
    indexer.stop().await;
    took
}

/// All items of a list, page by page.
async fn all_pages(api: &Api, path: &str) -> Vec<serde_json::Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.ok(&format!("{path}?limit=100{cursor}")).await;
        items.extend(page["data"].as_array().expect("a list").iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

async fn sepolia_comes_back_as_it_was(name: &str, over_websocket: bool) {
    let Some(recordings) = Fixtures::find_or_say(name) else {
        return;
    };
    let blocks = recordings.sepolia_run_json().expect("the recording");
    let canned = fixtures::canned(&blocks).expect("blocks");
    let node = Server::start(CannedChain::with_blocks(SEPOLIA, canned)).expect("a node");
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let url = if over_websocket {
        node.ws_url()
    } else {
        node.http_url()
    };
    let last = SEPOLIA_START + u64::try_from(blocks.len()).expect("a count") - 1;
    let took = index_all(&database, &redis.url(), url, SEPOLIA_START, last).await;
    let rate = u128::try_from(blocks.len()).expect("a count") * 1000 / took.as_millis().max(1);
    tallyscan_tests::say(&format!(
        "{name}: {} blocks in {took:.1?}, {rate} blocks/s",
        blocks.len()
    ));

    let api = Api::start(&database, &redis.url()).await;
    let recorded: Vec<Recorded> = blocks.iter().map(Recorded::parse).collect();
    let listed = all_pages(&api, "/api/v1/blocks").await;
    assert_eq!(listed.len(), recorded.len());
    for (found, block) in listed.iter().rev().zip(&recorded) {
        assert_same(
            &format!("block {} in the list", block.number()),
            found,
            &block.expected_summary(),
        );
    }
    let listed = all_pages(&api, "/api/v1/transactions").await;
    let expected: Vec<_> = recorded
        .iter()
        .flat_map(|block| (0..block.transactions().len()).map(move |index| (block, index)))
        .collect();
    assert_eq!((listed.len(), expected.len()), (93, 93));
    for (found, (block, index)) in listed.iter().rev().zip(expected) {
        assert_same(
            "a transaction in the list",
            found,
            &block.expected_transaction_summary(index),
        );
    }
    for (index, block) in recorded.iter().enumerate() {
        if index % SAMPLE == 0 || !block.transactions().is_empty() {
            block.assert_served(&api).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sepolia_run_comes_back_field_by_field_over_http() {
    sepolia_comes_back_as_it_was("the_sepolia_run_comes_back_field_by_field_over_http", false)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sepolia_run_comes_back_field_by_field_over_websocket() {
    sepolia_comes_back_as_it_was(
        "the_sepolia_run_comes_back_field_by_field_over_websocket",
        true,
    )
    .await;
}

/// Consecutive blocks, since a database has no gaps.
pub fn runs(blocks: Vec<fixtures::BlockJson>) -> Vec<Vec<fixtures::BlockJson>> {
    let mut runs: Vec<Vec<fixtures::BlockJson>> = Vec::new();
    let mut due = None;
    for block in blocks.into_iter().filter(|block| block.receipts.is_some()) {
        let number = Recorded::parse(&block).number();
        match (runs.last_mut(), due == Some(number)) {
            (Some(run), true) => run.push(block),
            _ => runs.push(vec![block]),
        }
        due = Some(number + 1);
    }
    runs
}

#[tokio::test(flavor = "multi_thread")]
async fn mainnet_blocks_of_every_age_come_back_field_by_field() {
    let name = "mainnet_blocks_of_every_age_come_back_field_by_field";
    let Some(recordings) = Fixtures::find_or_say(name) else {
        return;
    };
    let folder = folder();
    let redis = redis(&folder).await;
    let mut all = recordings.mainnet_run().expect("the recording");
    all.extend(recordings.mainnet_blocks().expect("the recordings"));
    let mut compared = 0;
    for run in runs(all) {
        let recorded: Vec<Recorded> = run.iter().map(Recorded::parse).collect();
        let (Some(first), Some(last)) = (recorded.first(), recorded.last()) else {
            continue;
        };
        let chain = CannedChain::with_blocks(1, fixtures::canned(&run).expect("blocks"));
        let node = Server::start(chain).expect("a node");
        let database = Database::create().await;
        let (start, until) = (first.number(), last.number());
        index_all(&database, &redis.url(), node.http_url(), start, until).await;
        let api = Api::start(&database, &redis.url()).await;
        for block in &recorded {
            block.assert_served(&api).await;
            compared += 1;
        }
        let certificate = store::audit::audit(
            &database.pool,
            &store::audit::Scope::whole(std::num::NonZeroUsize::MIN),
            |_| {},
        )
        .await
        .map(|audit| audit.certificate);
        let certificate = certificate.expect("an audit");
        assert!(
            certificate.is_clean(),
            "block {start}: {:#?}",
            certificate.differences
        );
    }
    assert_eq!(
        compared,
        41 + 7,
        "every mainnet block with receipts was compared"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_fetched_one_by_one_where_a_node_cannot_do_better() {
    let name = "receipts_are_fetched_one_by_one_where_a_node_cannot_do_better";
    let Some(recordings) = Fixtures::find_or_say(name) else {
        return;
    };
    let block = recordings.mainnet_block(22_431_084).expect("the recording");
    let recorded = Recorded::parse(&block);
    let chain = CannedChain::with_blocks(1, [block.canned().expect("a block")]);
    let node = Server::start(chain).expect("a node");
    node.faults()
        .on("eth_getBlockReceipts", Fault::Unsupported, When::Always);
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let number = recorded.number();
    index_all(&database, &redis.url(), node.http_url(), number, number).await;
    recorded
        .assert_served(&Api::start(&database, &redis.url()).await)
        .await;
    let calls = node.calls("eth_getTransactionReceipt");
    let transactions = u64::try_from(recorded.transactions().len()).expect("a count");
    assert_eq!(calls, transactions, "one request for each transaction");
    assert_eq!(
        node.calls("eth_getBlockReceipts"),
        1,
        "the node is not asked again for what it cannot"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_finality_tags_has_final_blocks_by_depth() {
    let mut generator = tallyscan_tests::Generator::seeded(1);
    let genesis = generator.genesis();
    let branch = generator.branch(&genesis, 80);
    let chain = CannedChain::with_blocks(
        tallyscan_tests::GENERATED_CHAIN_ID,
        [&genesis]
            .into_iter()
            .chain(&branch)
            .map(tallyscan_tests::GeneratedBlock::canned),
    );
    chain.set_safe(Tag::Unsupported);
    chain.set_finalized(Tag::Unsupported);
    let node = Server::start(chain).expect("a node");
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    index_all(&database, &redis.url(), node.http_url(), 0, 80).await;
    let profile: String = sqlx::query_scalar("SELECT finality_profile FROM chain")
        .fetch_one(&database.pool)
        .await
        .expect("a chain");
    assert_eq!(profile, "depth:64");
    let state = store::state::get_state(&database.pool)
        .await
        .expect("a state");
    assert_eq!((state.safe, state.finalized), (Some(16), Some(16)));
    let api = Api::start(&database, &redis.url()).await;
    for (number, status) in [(16, "finalized"), (17, "latest")] {
        let answer = api.ok(&format!("/api/v1/blocks/{number}")).await;
        assert_eq!(answer["finality"]["status"], status, "block {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_a_bft_chain_are_final_at_once() {
    let mut generator = tallyscan_tests::Generator::qbft(2);
    let genesis = generator.genesis();
    let branch = generator.branch(&genesis, 10);
    let chain = CannedChain::with_blocks(
        tallyscan_tests::GENERATED_CHAIN_ID,
        [&genesis]
            .into_iter()
            .chain(&branch)
            .map(tallyscan_tests::GeneratedBlock::canned),
    );
    chain.set_safe(Tag::Unsupported);
    chain.set_finalized(Tag::Unsupported);
    let node = Server::start(chain).expect("a node");
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    index_all(&database, &redis.url(), node.http_url(), 0, 10).await;
    let api = Api::start(&database, &redis.url()).await;
    let head = api.ok("/api/v1/blocks/latest").await;
    assert_eq!(head["data"]["number"], 10);
    assert_eq!(head["finality"]["status"], "finalized");
    let network = api.ok("/api/v1/network/stats").await;
    assert_eq!(network["data"]["finality_profile"], "instant");
    let certificate = store::audit::audit(
        &database.pool,
        &store::audit::Scope::whole(std::num::NonZeroUsize::MIN),
        |_| {},
    )
    .await
    .map(|audit| audit.certificate);
    assert!(certificate.expect("an audit").is_clean());
}
