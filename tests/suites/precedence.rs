//! A node that does one thing at a time: what only it tells is read while the head does not need it.

use alloy::primitives::Address;
use std::time::Duration;
use store::enrichment::{Reading, get_progress};
use tallyscan_tests::{
    DevChain, NodeProxy, Passed, RunningIndexer, Scene, eventually, indexer_config,
};

/// How long the node is busy with a trace, and with an account's proof.
const TRACE: Duration = Duration::from_millis(100);
const PROOF: Duration = Duration::from_millis(10);

/// Blocks to be traced when the reorg comes, and how many it replaces: each is asked for when the one above
/// it is there.
const BACKLOG: u64 = 60;
const DEPTH: u64 = 16;

fn is_reading(method: &str) -> bool {
    ["debug_traceBlockByHash", "trace_block", "eth_getProof"].contains(&method)
}

/// Readings that were sent between the first question for a block of the new branch and the answer to the
/// last, and how many such blocks there were.
fn sent_meanwhile(passed: &[Passed]) -> (usize, usize) {
    let is_block = |method: &str| method == "eth_getBlockByHash";
    let came = |one: &Passed| matches!(one, Passed::Came(method, _) if is_block(method));
    let left = |one: &Passed| matches!(one, Passed::Left(method, _) if is_block(method));
    let first = passed.iter().position(came).expect("a block was asked for");
    let last = passed.iter().rposition(left).expect("a block was given");
    let between = passed[first..=last].iter();
    let readings = between
        .clone()
        .filter(|one| matches!(one, Passed::Came(method, _) if is_reading(method)));
    (readings.count(), between.filter(|one| left(one)).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_branch_waits_for_no_reading_that_was_not_under_way() {
    let scene = Scene::start().await;
    for _ in 0..BACKLOG {
        let transfer = DevChain::transfer(Address::repeat_byte(7), 1);
        scene.chain.send(transfer).await;
        scene.chain.mine(1).await;
    }
    let node = NodeProxy::before(&scene.chain.http_url()).await;
    node.do_one_thing_at_a_time(|method| match method {
        "debug_traceBlockByHash" | "trace_block" => TRACE,
        "eth_getProof" => PROOF,
        _ => Duration::ZERO,
    });
    let config = indexer_config(&scene.database, &scene.redis.url(), &[node.url()]);
    let indexer = RunningIndexer::start(&scene.database, config).await;
    indexer.shows(scene.chain.head().await).await;
    let missing = || async {
        let progress = get_progress(&scene.database.pool, Reading::Traces).await;
        progress.expect("the progress").missing_blocks
    };
    // Readings go from the newest block down: none of what is being read goes with the old branch.
    let below = || async { missing().await < BACKLOG - DEPTH };
    eventually("traces of blocks below", below).await;

    node.take_passed();
    let transfers = (0..DEPTH).map(|block| (DevChain::transfer(Address::repeat_byte(8), 2), block));
    let head = scene
        .chain
        .reorg(DEPTH, &transfers.collect::<Vec<_>>())
        .await;
    indexer.shows(head).await;
    let (sent, fetched) = sent_meanwhile(&node.take_passed());
    let left = missing().await;
    assert!(left > 0, "there was something to read all the time");
    let depth = usize::try_from(DEPTH).expect("a small depth");
    assert!(fetched >= depth, "{fetched} blocks were fetched");
    // A machine that stands still for seconds may let one pass: the follower is waited for no longer.
    assert!(
        4 * sent < fetched,
        "{sent} readings were sent among {fetched} blocks"
    );
    eventually("traces to be read again", || async {
        missing().await < left
    })
    .await;
    indexer.stop().await;
}
