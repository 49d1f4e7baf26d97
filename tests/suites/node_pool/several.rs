//! Several nodes: a liar, a slow one, a dead one, one that forgets, one of another chain.

use super::{Lab, RECEIPTS, fetch, heights, label, proven};
use futures::{StreamExt as _, stream::FuturesUnordered};
use indexer::{IndexError, NodeState, RawBlock, Source};
use simnode::{ANY_METHOD, CannedChain, Fault, RpcError, Server, When};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tallyscan_tests::{Generator, eventually, say};

/// Fetches heights as a backfill does: as many batches at once as are worth having.
async fn backfill(source: &Source, numbers: &[u64]) -> Vec<RawBlock> {
    let mut left = numbers;
    let mut flying = FuturesUnordered::new();
    let mut fetched = Vec::new();
    loop {
        while !left.is_empty() && flying.len() < source.concurrency() {
            let (part, rest) = left.split_at(source.batch_size().min(left.len()));
            let place = numbers.len() - left.len();
            left = rest;
            flying.push(async move { (place, source.fetch_batch(part).await) });
        }
        let Some((place, blocks)) = flying.next().await else {
            fetched.sort_by_key(|(place, _)| *place);
            return fetched.into_iter().flat_map(|(_, blocks)| blocks).collect();
        };
        fetched.push((place, blocks.expect("blocks")));
    }
}

fn by_node(blocks: &[RawBlock]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for block in blocks {
        *counts.entry(block.node.as_str()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_is_left_alone_and_the_other_one_believed() {
    for lie in [
        Fault::set("/0/cumulativeGasUsed", "0x5209"),
        Fault::ReceiptsOfAnotherBlock,
    ] {
        let lab = Lab::with_blocks(60);
        let (liar, honest) = (lab.node(), lab.node());
        let source = lab.source(&[liar.http_url(), honest.http_url()]).await;
        liar.faults().on(RECEIPTS, lie, When::Always);
        let mut lies = 0;
        for raw in fetch(&source, 0..61).await.expect("blocks") {
            if let Err(error) = proven(&raw) {
                assert_eq!(raw.node, label(&liar));
                source.quarantine(&raw.node, &format!("a block fails its proof: {error}"));
                lies += 1;
            }
        }
        assert!(lies > 0, "the first node was asked");
        let health = source.nodes_health();
        let NodeState::Quarantined(reason) = &health[0].state else {
            panic!("{health:?}");
        };
        assert!(reason.contains("fails its proof"), "{reason}");
        let before = liar.counts();
        lab.assert_true(&fetch(&source, 0..61).await.expect("blocks"), 0..61);
        assert_eq!(liar.counts(), before, "it is not asked again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_only_node_that_lied_is_asked_again_after_its_pause() {
    let lab = Lab::with_blocks(20);
    let node = lab.node();
    let source = lab.source(&[node.http_url()]).await;
    source.quarantine(&label(&node), "a wrong root");
    let state = source.nodes_health().remove(0).state;
    assert!(matches!(state, NodeState::Quarantined(_)), "{state:?}");
    lab.assert_true(&fetch(&source, 0..20).await.expect("blocks"), 0..20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_node_does_most_of_the_work() {
    let lab = Lab::with_blocks(300);
    let (slow, fast) = (lab.node(), lab.node());
    let delay = Duration::from_millis(400);
    slow.faults()
        .on(ANY_METHOD, Fault::Latency(delay), When::Always);
    let source = lab.source(&[slow.http_url(), fast.http_url()]).await;
    backfill(&source, &heights(0..301)).await;
    let blocks = backfill(&source, &heights(0..301)).await;
    lab.assert_true(&blocks, 0..301);
    let counts = by_node(&blocks);
    let fast = counts.get(label(&fast).as_str()).copied().unwrap_or(0);
    assert!(fast > 270, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_is_done_without_and_used_again_when_it_is_back() {
    let lab = Lab::with_blocks(100);
    let (mut one, other) = (lab.node(), lab.node());
    let source = lab.source(&[one.http_url(), other.http_url()]).await;
    one.stop().await;
    eventually("its absence to be noticed", || async {
        lab.assert_true(&fetch(&source, 0..100).await.expect("blocks"), 0..100);
        matches!(source.nodes_health()[0].state, NodeState::Unreachable(_))
    })
    .await;
    one.restart().expect("the node comes back");
    one.reset_counts();
    eventually("the node to be used again", || async {
        lab.assert_true(&fetch(&source, 0..100).await.expect("blocks"), 0..100);
        one.calls(RECEIPTS) > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_nodes_are_away_the_error_says_why_and_it_goes_on_later() {
    let lab = Lab::with_blocks(30);
    let (mut one, mut other) = (lab.node(), lab.node());
    let source = lab.source(&[one.http_url(), other.http_url()]).await;
    one.stop().await;
    other.stop().await;
    let error = fetch(&source, 0..8).await.expect_err("nobody there");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    let nobody_known = lab.unverified(&[one.http_url(), other.http_url()]);
    let error = fetch(&nobody_known, 0..8).await.expect_err("nobody there");
    assert!(error.to_string().contains("has not answered"), "{error}");
    one.restart().expect("the node comes back");
    eventually("blocks of a node that was never seen", || async {
        fetch(&nobody_known, 0..8).await.is_ok()
    })
    .await;
    eventually("blocks", || async { fetch(&source, 0..8).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_one_node_pruned_comes_from_another() {
    let lab = Lab::with_blocks(300);
    let (pruned, archive) = (lab.node_with(|n| n == 0 || n >= 100), lab.node());
    let source = lab.source(&[pruned.http_url(), archive.http_url()]).await;
    let blocks = backfill(&source, &heights(0..301)).await;
    lab.assert_true(&blocks, 0..301);
    assert!(
        blocks[1..100]
            .iter()
            .all(|block| block.node == label(&archive))
    );
    let state = source.nodes_health().remove(0).state;
    assert!(
        matches!(state, NodeState::PrunedBelow(below) if (2..=100).contains(&below)),
        "{state:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_every_node_pruned_is_an_error_that_says_what_to_do() {
    let lab = Lab::with_blocks(300);
    let (one, other) = (
        lab.node_with(|n| n == 0 || n >= 100),
        lab.node_with(|n| n == 0 || n >= 90),
    );
    other.serve_method(RECEIPTS, |_| {
        Err(RpcError::new(4444, "pruned history unavailable"))
    });
    let source = lab.source(&[one.http_url()]).await;
    let error = fetch(&source, 40..48).await.expect_err("no blocks");
    assert!(matches!(error, IndexError::Halt(_)), "{error:?}");
    let error = error.to_string();
    for part in [&label(&one), "pruned", "archive", "CHAIN_START_BLOCK"] {
        assert!(error.contains(part), "{error}");
    }
    lab.assert_true(&fetch(&source, 100..120).await.expect("blocks"), 100..120);
    let source = lab.unverified(&[other.http_url()]);
    let error = fetch(&source, 95..99).await.expect_err("no blocks");
    assert!(error.to_string().contains("pruned"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_chain_that_comes_late_is_turned_away_once() {
    let lab = Lab::with_blocks(30);
    let other_chain = [Generator::seeded(9).genesis().canned()];
    let mut foreign = Server::start(CannedChain::with_blocks(77, other_chain)).expect("a node");
    foreign.stop().await;
    let good = lab.node();
    let source = lab.unverified(&[foreign.http_url(), good.http_url()]);
    lab.assert_true(&fetch(&source, 0..20).await.expect("blocks"), 0..20);
    foreign.restart().expect("the node comes up");
    eventually("the node to be seen through", || async {
        lab.assert_true(&fetch(&source, 0..20).await.expect("blocks"), 0..20);
        matches!(source.nodes_health()[0].state, NodeState::Foreign(_))
    })
    .await;
    for _ in 0..20 {
        fetch(&source, 0..20).await.expect("blocks");
    }
    assert_eq!(foreign.calls("eth_chainId"), 1);
    assert_eq!(foreign.calls(RECEIPTS), 1, "its introduction asks for one");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_nothing_of_keys() {
    let lab = Lab::with_blocks(2);
    let node = lab.node();
    let keys = ["one", "two"].map(|key| format!("{}{key}-secret", node.http_url()));
    let source = lab.source(&keys).await;
    let health = source.nodes_health();
    let labels: Vec<&str> = health.iter().map(|node| node.label.as_str()).collect();
    let plain = label(&node);
    assert_eq!(labels, [plain.clone(), format!("{plain}#2")]);
    assert!(!format!("{health:?}").contains("secret"));
}

/// Blocks a second once the limits have grown.
async fn steady_rate(lab: &Lab, delay: Option<Duration>, rounds: usize) -> f64 {
    let node = lab.node();
    if let Some(delay) = delay {
        node.faults()
            .on(ANY_METHOD, Fault::Latency(delay), When::Always);
    }
    let source = lab.source(&[node.http_url()]).await;
    let round = heights(0..601);
    let all = round.repeat(rounds);
    backfill(&source, &all).await;
    let started = Instant::now();
    assert_eq!(backfill(&source, &all).await.len(), all.len());
    let blocks = f64::from(u32::try_from(all.len()).expect("few"));
    let rate = blocks / started.elapsed().as_secs_f64();
    say(&format!(
        "{delay:?}: {rate:.0} blocks/s, {} batches of {}",
        source.concurrency(),
        source.batch_size()
    ));
    rate
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distant_node_is_nearly_as_good_as_a_near_one() {
    let lab = Lab::with_blocks(600);
    let near = steady_rate(&lab, None, 60).await;
    let distant = steady_rate(&lab, Some(Duration::from_millis(50)), 60).await;
    say(&format!("50 ms away: {:.2} of the rate", distant / near));
    // The node itself answers tens of thousands of blocks a second here: far more than any consumer
    // takes. What counts is that the limits grew; at the first ones it would be a twentieth.
    assert!(distant / near > 0.3, "{distant:.0} of {near:.0} blocks/s");
}
