//! Nodes that prove nothing, lie, forget, or have no state at all.

use super::{assert_explained, busy_block};
use alloy::primitives::U64;
use serde_json::{Value, json};
use store::enrichment::{Reading, ReadingProgress, ReadingStatus, get_progress};
use tallyscan_tests::{NodeProxy, RunningIndexer, Scene, eventually, indexer_config};

async fn progress(scene: &Scene) -> ReadingProgress {
    let progress = get_progress(&scene.database.pool, Reading::Balances).await;
    progress.expect("progress can be read")
}

async fn index_through(scene: &Scene, proxy: &NodeProxy) -> RunningIndexer {
    let config = indexer_config(&scene.database, &scene.redis.url(), &[proxy.url()]);
    RunningIndexer::start(&scene.database, config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_proofs_is_believed_and_that_is_said() {
    let scene = Scene::start().await;
    let proxy = NodeProxy::before(&scene.chain.http_url()).await;
    proxy.lack(&["eth_getProof"]);
    let indexer = index_through(&scene, &proxy).await;
    busy_block(&scene.chain, 1).await;
    indexer.reaches(scene.chain.mine(2).await).await;
    assert_explained(&scene).await;
    assert_eq!(
        scene
            .count("SELECT count(*) FROM native_balances WHERE proven")
            .await,
        0
    );
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_state_is_no_problem() {
    let scene = Scene::start().await;
    let proxy = NodeProxy::before(&scene.chain.http_url()).await;
    proxy.lack(&["eth_getProof", "eth_getBalance", "eth_getCode", "eth_call"]);
    let indexer = index_through(&scene, &proxy).await;
    busy_block(&scene.chain, 1).await;
    indexer.reaches(scene.chain.mine(2).await).await;
    for reading in [Reading::Balances, Reading::Contracts, Reading::Tokens] {
        eventually("no reading", || async {
            let progress = get_progress(&scene.database.pool, reading)
                .await
                .expect("progress");
            progress.status == ReadingStatus::Unavailable && progress.problem.is_none()
        })
        .await;
    }
    assert_eq!(scene.count("SELECT count(*) FROM native_balances").await, 0);
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_fails_after_others_held_is_a_problem_and_nothing_is_written() {
    let scene = Scene::start().await;
    let proxy = NodeProxy::before(&scene.chain.http_url()).await;
    let indexer = index_through(&scene, &proxy).await;
    busy_block(&scene.chain, 1).await;
    indexer.reaches(scene.chain.mine(1).await).await;
    let rows = "SELECT count(*) FROM native_balances";
    let before = scene.count(rows).await;
    proxy.set_rule(|method, _, mut reply| {
        if method == "eth_getProof" {
            reply["result"]["balance"] = json!("0x7");
        }
        reply
    });
    busy_block(&scene.chain, 2).await;
    let head = scene.chain.mine(1).await;
    indexer.shows(head).await;
    eventually("the problem to be said", || async {
        let problem = progress(&scene).await.problem;
        problem.is_some_and(|problem| problem.contains("an account proof of node"))
    })
    .await;
    assert_eq!(scene.count(rows).await, before);
    assert_eq!(
        indexer.status().known().problem,
        None,
        "the head is not held up"
    );
    proxy.be_honest();
    indexer.reaches(head).await;
    // Said right after what was read is there.
    eventually("the problem to be over", || async {
        progress(&scene).await.problem.is_none()
    })
    .await;
    assert_explained(&scene).await;
    indexer.stop().await;
    scene.assert_twin().await;
}

/// What a node that keeps the states of few blocks says of an older one.
fn forget_below(lowest: u64) -> impl Fn(&str, &Value, Value) -> Value + Send + Sync {
    move |method, params, reply| {
        let at = match method {
            "eth_getBalance" | "eth_getCode" => &params[1],
            "eth_getProof" => &params[2],
            _ => return reply,
        };
        let number: Option<U64> = serde_json::from_value(at.clone()).ok();
        if number.is_some_and(|number| number.to::<u64>() < lowest) {
            json!({ "error": { "code": -32000, "message": "missing trie node 1234 (path )" } })
        } else {
            reply
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_whose_state_is_gone_are_left_out_and_the_rest_is_explained() {
    let scene = Scene::start().await;
    let proxy = NodeProxy::before(&scene.chain.http_url()).await;
    // By number only, so that the proxy knows which block is meant.
    let forgets = forget_below(4);
    proxy.set_rule(move |method, params, reply| {
        let by_hash = |at: usize| params[at].get("blockHash").is_some();
        if (method == "eth_getBalance" && by_hash(1)) || (method == "eth_getProof" && by_hash(2)) {
            return json!({ "error": { "code": -32602, "message": "invalid argument 1" } });
        }
        forgets(method, params, reply)
    });
    for salt in 1..8 {
        busy_block(&scene.chain, salt).await;
        scene.chain.mine(1).await;
    }
    let indexer = index_through(&scene, &proxy).await;
    indexer.reaches(scene.chain.head().await).await;
    let read = progress(&scene).await;
    assert_eq!((read.floor, read.complete_from), (Some(5), Some(5)));
    assert_eq!(
        scene
            .count("SELECT min(block_number) FROM native_balances")
            .await,
        4
    );
    for address in super::everybody(&scene).await {
        let answer = super::balance_of(&scene, address, Some((None, None))).await;
        if answer.get("balance").is_some() {
            assert_eq!(
                answer["explanation"]["residual"], "0",
                "{address}: {answer:#}"
            );
            assert_eq!(answer["explanation"]["from_block"], 5);
            let before = super::balance_of(&scene, address, Some((Some(2), None))).await;
            assert_eq!(before["explanation"]["residual"], Value::Null);
            assert_eq!(before["explanation"]["opening_balance"], Value::Null);
        }
    }
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_are_read_while_redis_is_away() {
    let scene = Scene::start().await;
    let config = indexer_config(
        &scene.database,
        "redis://127.0.0.1:1/",
        &[scene.chain.ws_url()],
    );
    let indexer = RunningIndexer::start(&scene.database, config).await;
    busy_block(&scene.chain, 1).await;
    indexer.reaches(scene.chain.mine(2).await).await;
    assert_explained(&scene).await;
    indexer.stop().await;
}
