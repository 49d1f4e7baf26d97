//! COMMITs whose outcome nobody knows: cut off on the way there or on the way back, while the indexer
//! goes on or ends. Nothing is lost and nothing is doubled.

use simnode::{CannedChain, Server, Tag};
use sqlx::postgres::PgPoolOptions;
use std::time::Duration;
use store::coverage::{BackfillSettings, set_backfill_settings};
use tallyscan_tests::{
    CommitGate, Commits, Database, Events, GENERATED_CHAIN_ID, GeneratedBlock, Generator, Moment,
    RunningIndexer, assert_twins, folder, history::assert_told, index_directly, indexer_config,
    redis,
};

/// What is final at the start, and history.
const FINAL: usize = 60;

/// COMMITs that are met.
const ROUNDS: usize = 3;

/// What becomes of the indexer while its COMMIT is held.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Its connection breaks.
    IsCutOff,
    /// It is dropped in the middle of it.
    Ends,
    /// It hears nothing for a while, then its connection breaks.
    Waits,
}

async fn lives_through(commits: Commits, moment: Moment, fate: Fate) {
    let mut generator = Generator::seeded(5);
    let genesis = generator.genesis();
    let branch = generator.branch(&genesis, FINAL + 3);
    let mut blocks: Vec<_> = std::iter::once(genesis).chain(branch).collect();
    let canned = blocks.iter().map(GeneratedBlock::canned);
    let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, canned);
    chain.set_finalized(Tag::At(u64::try_from(FINAL).expect("a height")));
    let node = Server::start(chain.clone()).expect("a node");
    // Two calls make a block: commits of a few blocks each.
    node.set_batch_limit(Some(8));

    let folder = folder();
    let (database, twin) = tokio::join!(Database::create(), Database::create());
    let redis = redis(&folder).await;
    let events = Events::subscribe(&redis.url()).await;
    let small = BackfillSettings {
        workers: Some(2),
        budget_bytes: Some(1 << 14),
    };
    set_backfill_settings(&database.pool, small)
        .await
        .expect("settings");
    let gate = CommitGate::before(&database.url).await;
    let url = gate.url(&database.url);
    let pool = PgPoolOptions::new().max_connections(8).connect(&url).await;
    let behind = Database {
        pool: pool.expect("the database answers"),
        url,
    };
    let config = indexer_config(&behind, &redis.url(), &[node.ws_url()]);

    gate.hold(commits, moment);
    let mut indexer = RunningIndexer::start(&behind, config.clone()).await;
    for round in 1..=ROUNDS {
        gate.held().await;
        if commits == Commits::Live {
            // News to commit, on another branch every time.
            let fork = blocks.len() - 2;
            let branch = generator.branch(&blocks[fork], 3);
            chain.replace_from(
                branch[0].number(),
                branch.iter().map(GeneratedBlock::canned),
            );
            blocks.truncate(fork + 1);
            blocks.extend(branch);
        }
        if matches!(fate, Fate::Waits) {
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        let next = || {
            gate.cut();
            if round < ROUNDS {
                gate.hold(commits, moment);
            }
        };
        if matches!(fate, Fate::Ends) {
            indexer.abort().await;
            next();
            indexer = RunningIndexer::start(&behind, config.clone()).await;
        } else {
            next();
        }
    }
    indexer.reaches(blocks.last().expect("a head").hash).await;
    indexer.publishes_everything().await;
    assert_told(&database, &events, &blocks).await;
    indexer.stop().await;
    index_directly(&blocks, &twin).await;
    assert_twins(&database.pool, &twin.pool).await;
}

async fn lives_through_all(commits: Commits) {
    let fates = [Fate::IsCutOff, Fate::Ends, Fate::Waits];
    let moments = [Moment::Before, Moment::After];
    let cases = fates
        .into_iter()
        .flat_map(|fate| moments.map(|moment| (fate, moment)));
    let lives = cases.map(|(fate, moment)| Box::pin(lives_through(commits, moment, fate)));
    futures::future::join_all(lives).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_commit_of_unknown_outcome_is_neither_lost_nor_doubled() {
    lives_through_all(Commits::Live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_history_of_unknown_outcome_is_neither_lost_nor_doubled() {
    lives_through_all(Commits::History).await;
}
