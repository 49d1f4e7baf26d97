//! A reorg takes no longer than a few times what indexing its blocks takes: what it takes away is looked
//! up by keys, and never by reading tables once for each change.

use alloy::primitives::B256;
use simnode::{CannedChain, LoadChain, LoadProfile, Server, Tag};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tallyscan_tests::{Database, RunningIndexer, folder, indexer_config, redis, say};

/// Blocks that are indexed before.
const BEFORE: u64 = 4;

/// Depth of the reorg.
const DEPTH: u64 = 40;

/// How many times: what it goes wrong by is a hundred.
const AT_MOST: f64 = 4.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_of_full_blocks_takes_no_longer_than_a_few_times_what_indexing_them_takes() {
    let folder = folder();
    let redis = redis(&folder).await;
    let load = Arc::new(
        LoadChain::generate(LoadProfile::default(), BEFORE + DEPTH).expect("a load chain"),
    );
    let chain = CannedChain::with_load(load.clone());
    chain.set_head(BEFORE);
    chain.set_finalized(Tag::At(0));
    chain.set_safe(Tag::At(0));
    let node = Server::start(chain).expect("a node");
    let database = Database::create().await;
    let config = indexer_config(&database, &redis.url(), &[node.http_url()]);
    let indexer = RunningIndexer::start(&database, config).await;
    let hash = |number: u64| load.canned(number).expect("a block").hash;
    indexer.reaches(hash(BEFORE)).await;

    let to = async |hash: B256, change: &dyn Fn()| -> Duration {
        let started = Instant::now();
        change();
        indexer.reaches(hash).await;
        started.elapsed()
    };
    let top = BEFORE + DEPTH;
    let forward = to(hash(top), &|| node.chain().set_head(top)).await;
    let branch = load.branch(BEFORE, 7, DEPTH).expect("a branch");
    let new_head = branch.last().expect("blocks").hash;
    let back = to(new_head, &|| {
        node.chain().replace_from(BEFORE + 1, branch.clone());
    })
    .await;
    say(&format!("indexed in {forward:?}, reorganised in {back:?}"));
    let dropped: i32 = sqlx::query_scalar("SELECT dropped_blocks FROM reorgs")
        .fetch_one(&database.pool)
        .await
        .expect("one reorg");
    assert_eq!(u64::from(dropped.unsigned_abs()), DEPTH);
    assert!(back.as_secs_f64() < AT_MOST * forward.as_secs_f64());
    indexer.stop().await;
}
