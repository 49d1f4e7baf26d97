//! Random histories of the program as it is run, which `kill -9` ends again and again, also while it
//! waits for the answer to a COMMIT.

use crate::program::{Program, node};
use simnode::Tag;
use std::path::PathBuf;
use tallyscan_tests::{
    CommitGate, Commits, Database, Events, Moment, RunningIndexer, assert_twins, folder,
    history::{Host, Script, assert_told, live_all, seeds},
    index_directly, indexer_config, redis,
};

/// Seeds of a usual run; `SEED` or `SEEDS` ask for others.
const SEEDS: u64 = 12;

/// Histories lived at once.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn any_history_with_kills_leaves_the_index_of_its_head() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tallyscan"));
    let script = |seed| Script::of(seed).with_kills();
    live_all(seeds(SEEDS), AT_ONCE, script, Host::Process(program)).await;
}

async fn is_killed_at_its_commits(commits: Commits, moment: Moment) {
    let (node, blocks) = node(3, 60);
    node.chain().set_finalized(Tag::At(50));
    // Two calls make a block: commits of a few blocks each.
    node.set_batch_limit(Some(8));
    let folder = folder();
    let (database, twin) = tokio::join!(Database::create(), Database::create());
    let redis = redis(&folder).await;
    let events = Events::subscribe(&redis.url()).await;
    let small = store::coverage::BackfillSettings {
        workers: Some(2),
        budget_bytes: Some(1 << 14),
    };
    let set = store::coverage::set_backfill_settings(&database.pool, small).await;
    set.expect("the settings can be written");
    let gate = CommitGate::before(&database.url).await;
    let (database_url, redis_url) = (gate.url(&database.url), redis.url());
    let settings = [
        ("DATABASE_URL", &*database_url),
        ("REDIS_URL", &redis_url),
        ("RPC_URL", &node.http_url()),
        ("METRICS_ADDR", "127.0.0.1:0"),
    ];
    // Each start finds blocks that the one before could not have committed.
    for head in [55, 60] {
        node.chain().set_head(head);
        gate.hold(commits, moment);
        let program = Program::start(&folder, "index", &settings);
        gate.held().await;
        drop(program);
        gate.cut();
    }
    let config = indexer_config(&database, &redis_url, &[node.http_url()]);
    let survivor = RunningIndexer::start(&database, config).await;
    survivor.reaches(blocks.last().expect("a head").hash).await;
    survivor.publishes_everything().await;
    assert_told(&database, &events, &blocks).await;
    survivor.stop().await;
    index_directly(&blocks, &twin).await;
    assert_twins(&database.pool, &twin.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_a_commit_loses_nothing_and_doubles_nothing() {
    tokio::join!(
        is_killed_at_its_commits(Commits::Live, Moment::Before),
        is_killed_at_its_commits(Commits::Live, Moment::After),
        is_killed_at_its_commits(Commits::History, Moment::Before),
        is_killed_at_its_commits(Commits::History, Moment::After),
    );
}
