//! One node that refuses, breaks off or falls silent: it is asked for less, later, and never for ever.

use super::{Lab, RECEIPTS, fetch, label};
use indexer::{RawBlock, Source};
use serde_json::value::RawValue;
use simnode::{Fault, Server, When};
use std::time::Duration;
use tallyscan_tests::{eventually, say};

#[tokio::test(flavor = "multi_thread")]
async fn blocks_come_in_few_requests_over_both_transports() {
    let lab = Lab::with_blocks(64);
    let node = lab.node();
    for url in [node.http_url(), node.ws_url()] {
        let source = lab.source(&[url]).await;
        node.reset_counts();
        let blocks = fetch(&source, 0..65).await.expect("blocks");
        lab.assert_true(&blocks, 0..65);
        assert_eq!(node.calls(RECEIPTS), 65);
        assert!(node.counts().http_requests <= 9, "{:?}", node.counts());
    }
}

/// The node misbehaves for a while in the middle of a range; the blocks come all the same.
async fn lives_through(method: &str, fault: Fault, times: u32) -> (Server, Source) {
    let lab = Lab::with_blocks(120);
    let node = lab.node();
    let source = lab.source(&[node.http_url()]).await;
    // So that the node's usual time is known.
    fetch(&source, 0..40).await.expect("blocks");
    node.faults().on(method, fault, When::Times(times));
    let blocks = fetch(&source, 10..121).await.expect("blocks");
    lab.assert_true(&blocks, 10..121);
    assert_eq!(node.faults().pending(), 0, "the fault was met");
    (node, source)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_enough_is_asked_for_less() {
    let lab = Lab::with_blocks(120);
    let node = lab.node();
    let source = lab.source(&[node.http_url()]).await;
    let before = source.concurrency();
    let fault = Fault::TooManyRequests {
        retry_after_secs: None,
    };
    node.faults().on(RECEIPTS, fault, When::Always);
    let fetching = tokio::spawn({
        let source = source.clone();
        async move { fetch(&source, 0..121).await }
    });
    eventually("fewer requests", || async { source.concurrency() < before }).await;
    node.faults().clear();
    let blocks = fetching.await.expect("no panic").expect("blocks");
    lab.assert_true(&blocks, 0..121);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_names_a_pause_gets_it() {
    let lab = Lab::with_blocks(20);
    let node = lab.node();
    let source = lab.source(&[node.http_url()]).await;
    let fault = Fault::TooManyRequests {
        retry_after_secs: Some(2),
    };
    node.faults().on(RECEIPTS, fault, When::Times(1));
    let fetching = tokio::spawn(async move {
        let blocks = fetch(&source, 0..8).await;
        (blocks, source)
    });
    eventually("the refusal", || async { node.faults().pending() == 0 }).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    node.reset_counts();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.counts().http_requests, 0, "it is left alone");
    let (blocks, _source) = fetching.await.expect("no panic");
    lab.assert_true(&blocks.expect("blocks"), 0..8);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_all_kinds_pass() {
    let each = [
        ("a reply cut short", Fault::TruncatedBody, 2),
        ("a cut connection", Fault::CutConnection, 2),
        ("a 503", Fault::Status(503), 2),
        ("a 413", Fault::Status(413), 3),
        (
            "a reply too large",
            Fault::error(-32003, "response too large"),
            5,
        ),
        ("a rate", Fault::error(-32005, "rate limit exceeded"), 3),
        ("a strange error", Fault::error(-32603, "Internal error"), 2),
        ("a null", Fault::Null, 2),
    ];
    for (what, fault, times) in each {
        say(what);
        Box::pin(lives_through(RECEIPTS, fault, times)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_never_answered_is_made_anew_in_parts() {
    let (node, source) = lives_through(RECEIPTS, Fault::NeverAnswer, 1).await;
    assert!(source.batch_size() < node.counts().largest_batch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_dies_silently_or_loudly_is_made_again() {
    let lab = Lab::with_blocks(60);
    let node = lab.node();
    let source = lab.source(&[node.ws_url()]).await;
    lab.assert_true(&fetch(&source, 0..61).await.expect("blocks"), 0..61);
    node.mute_sockets();
    lab.assert_true(&fetch(&source, 0..61).await.expect("blocks"), 0..61);
    node.close_sockets();
    lab.assert_true(&fetch(&source, 0..61).await.expect("blocks"), 0..61);
    node.faults()
        .on(RECEIPTS, Fault::CutConnection, When::Times(2));
    lab.assert_true(&fetch(&source, 0..61).await.expect("blocks"), 0..61);
    assert!(node.counts().sockets >= 4, "{:?}", node.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_batches_is_found_and_kept() {
    let lab = Lab::with_blocks(120);
    for (limit, largest) in [(1, 0), (3, 2), (7, 6)] {
        let node = lab.node();
        node.set_batch_limit(Some(limit));
        let source = lab.source(&[node.http_url()]).await;
        lab.assert_true(&fetch(&source, 0..60).await.expect("blocks"), 0..60);
        node.reset_counts();
        lab.assert_true(&fetch(&source, 60..121).await.expect("blocks"), 60..121);
        let counts = node.counts();
        assert!(counts.largest_batch <= largest, "{limit}: {counts:?}");
        assert_eq!(node.calls(RECEIPTS), 61, "{limit}: nothing is asked twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_refused_for_its_size_ends_in_an_error_that_names_it() {
    let lab = Lab::with_blocks(20);
    let node = lab.node();
    let source = lab.source(&[node.http_url()]).await;
    let fault = Fault::error(-32003, "response too large");
    node.faults().on(RECEIPTS, fault, When::Always);
    let error = fetch(&source, 7..9)
        .await
        .expect_err("no blocks")
        .to_string();
    let block = error.contains("block 7") || error.contains("block 8");
    assert!(block && error.contains(&label(&node)), "{error}");
    assert!(error.contains("limits"), "what to do: {error}");
    assert!(node.calls(RECEIPTS) < 40, "{}", node.calls(RECEIPTS));
    node.faults().clear();
    lab.assert_true(&fetch(&source, 7..9).await.expect("blocks"), 7..9);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_one_by_one_share_requests_too() {
    let lab = Lab::with_blocks(60);
    let node = lab.node();
    let source = lab.source(&[node.http_url()]).await;
    node.faults().on(RECEIPTS, Fault::Unsupported, When::Always);
    node.reset_counts();
    for raw in fetch(&source, 0..60).await.expect("blocks") {
        assert_eq!(transactions(&raw), length(&raw.receipts));
    }
    let (counts, receipts) = (node.counts(), node.calls("eth_getTransactionReceipt"));
    assert!(counts.http_requests < receipts, "{counts:?}");
    node.set_batch_limit(Some(1));
    let blocks = fetch(&source, 0..60).await.expect("blocks");
    assert_eq!(blocks.len(), 60);
}

fn length(list: &RawValue) -> usize {
    let list: Vec<&RawValue> = serde_json::from_str(list.get()).expect("a list");
    list.len()
}

fn transactions(raw: &RawBlock) -> usize {
    let block: serde_json::Value = serde_json::from_str(raw.block.get()).expect("a block");
    block["transactions"].as_array().map_or(0, Vec::len)
}
