//! The node that is followed: left when it fails, returned to when it is well.

use crate::recorded_faults::Lab;
use simnode::{ANY_METHOD, CannedChain, Fault, Server, When};
use std::time::Duration;
use tallyscan_tests::{Generator, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_node_is_returned_to_when_it_is_well_and_not_before() {
    let mut lab = Lab::with_blocks(10).await;
    let (mut first, second) = (lab.node(), lab.node());
    let indexer = lab.index(&[first.http_url(), second.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    first.stop().await;
    lab.grow(1, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    assert!(second.calls("eth_getBlockReceipts") > 0);
    // It comes back on an old branch first: it is behind, and stays unused.
    first
        .faults()
        .on(ANY_METHOD, Fault::StaleHead(3), When::Always);
    first.restart().expect("the node comes back");
    first.reset_counts();
    eventually("the first node to be looked at", || async {
        first.calls("eth_blockNumber") > 3
    })
    .await;
    assert_eq!(first.calls("eth_getBlockByHash"), 0, "it is behind");
    first.faults().clear();
    // Blocks keep coming: the one that follows is asked for them.
    let mut turned = false;
    for _ in 0..30 {
        lab.grow(1, Duration::from_secs(1)).await;
        indexer.reaches(lab.head.hash).await;
        turned = first.calls("eth_getBlockByHash") > 0;
        if turned {
            break;
        }
    }
    assert!(turned, "the first node is followed again");
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_chain_turns_to_a_foreign_node_once_at_most() {
    let mut lab = Lab::with_blocks(10).await;
    let other_chain = [Generator::seeded(9).genesis().canned()];
    let mut foreign = Server::start(CannedChain::with_blocks(77, other_chain)).expect("a node");
    foreign.stop().await;
    let good = lab.node();
    let indexer = lab.index(&[good.http_url(), foreign.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    foreign.restart().expect("the node comes up");
    eventually("it to be introduced", || async {
        foreign.calls("eth_chainId") > 0
    })
    .await;
    // The good one fails for a while: there is nobody to turn to.
    let away = good
        .faults()
        .on(ANY_METHOD, Fault::Status(503), When::Always);
    tokio::time::sleep(Duration::from_secs(4)).await;
    good.faults().remove(away);
    lab.grow(2, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    assert_eq!(foreign.calls("eth_chainId"), 1, "it was seen through");
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_how_each_node_stands() {
    let mut lab = Lab::with_blocks(5).await;
    let (liar, honest) = (lab.node(), lab.node());
    let urls = [liar.http_url() + "a-key", honest.http_url()];
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("an address");
    drop(port);
    let indexer = lab.index_and_listen(&urls, address).await;
    indexer.reaches(lab.head.hash).await;
    let lie = Fault::set("/0/cumulativeGasUsed", "0x5209");
    liar.faults().on("eth_getBlockReceipts", lie, When::Always);
    lab.grow(1, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    let reply = reqwest::get(format!("http://{address}/health")).await;
    let text = reply.expect("a reply").text().await.expect("a body");
    assert!(!text.contains("a-key"), "{text}");
    let health: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let nodes = &health["nodes"];
    assert_eq!(nodes[0]["label"], liar.address().to_string());
    let reason = nodes[0]["state"]["quarantined"].as_str().unwrap_or("");
    assert!(
        reason.starts_with("block ") && reason.contains("proof"),
        "{text}"
    );
    assert_eq!(nodes[1]["state"], "usable", "{text}");
    assert_eq!(nodes[1]["followed"], true, "{text}");
    lab.assert_unharmed(indexer).await;
}
