//! Two indexers, one database, one writer.

use super::{grow, settle};
use chain::FinalityProfile;
use indexer::{Commit, Committer, IndexError, NodeFinality};
use std::sync::Arc;
use store::state::BlockRef;
use tallyscan_tests::{Gate, RunningIndexer, Scene, eventually, indexer_config};
use tokio::sync::Notify;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_indexer_stands_by_and_takes_over() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    let first = scene.index().await;
    grow(&scene.chain, 3).await;
    settle(&scene, &first, &events).await;
    let second = RunningIndexer::start(&scene.database, scene.over_http()).await;
    grow(&scene.chain, 3).await;
    settle(&scene, &first, &events).await;
    assert!(first.status().known().leads);
    assert!(!second.status().known().leads);
    first.stop().await;
    grow(&scene.chain, 3).await;
    settle(&scene, &second, &events).await;
    assert!(second.status().known().leads);
    second.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committer_whose_token_was_taken_changes_nothing() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    indexer.reaches(scene.chain.mine(3).await).await;
    indexer.publishes_everything().await;
    indexer.stop().await;
    let committer = || {
        let pool = scene.database.pool.clone();
        Committer::new(pool, FinalityProfile::Tags, 0, Arc::new(Notify::new()))
    };
    let expected = scene.state().await;
    let committer = committer().led_by(expected.leader_token);
    sqlx::query("UPDATE chain_state SET leader_token = leader_token + 1")
        .execute(&scene.database.pool)
        .await
        .expect("another leader");
    let ancestor = BlockRef {
        number: 1,
        hash: scene.chain.block_hash(1.into()).await,
    };
    let refused = committer
        .commit(Commit {
            expected: &expected,
            ancestor: Some(ancestor),
            blocks: &[],
            finality: NodeFinality::default(),
        })
        .await;
    assert!(matches!(refused, Err(IndexError::LostLead)), "{refused:?}");
    let read = committer.state().await;
    assert!(matches!(read, Err(IndexError::LostLead)), "{read:?}");
    assert_eq!(scene.count("SELECT count(*) FROM blocks").await, 4);
}

/// The lock's session dies while the leader has trouble with its node: when that is over it must not
/// take the new leader's token for its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_lost_its_session_unnoticed_stands_by() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    let port = scene.chain.http_url().rsplit(':').next().map(str::parse);
    let gate = Gate::new(port.expect("a port").expect("a number"), true).await;
    let node = gate.url(&scene.chain.http_url());
    let config = indexer_config(&scene.database, &scene.redis.url(), &[node]);
    let first = RunningIndexer::start(&scene.database, config).await;
    first.reaches(scene.chain.mine(2).await).await;
    let second = scene.index().await;
    gate.close();
    first.halts().await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .execute(&scene.database.pool)
    .await
    .expect("the session ends");
    eventually("the second to lead", || async {
        second.status().known().leads
    })
    .await;
    gate.open();
    grow(&scene.chain, 3).await;
    settle(&scene, &second, &events).await;
    eventually("the first to stand by", || async {
        !first.status().known().leads
    })
    .await;
    second.stop().await;
    grow(&scene.chain, 2).await;
    settle(&scene, &first, &events).await;
    first.stop().await;
}
