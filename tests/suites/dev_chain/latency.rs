//! How long a block takes from the node to a reader.

use alloy::primitives::Address;
use std::time::{Duration, Instant};
use tallyscan_tests::{DevChain, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_block_is_readable_soon_after_the_node_made_it() {
    const BLOCKS: u64 = 40;
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    let api = scene.api().await;
    indexer.reaches(scene.chain.mine(3).await).await;
    indexer.publishes_everything().await;
    let mut taken = Vec::new();
    for number in 4..4 + BLOCKS {
        for value in 0..5 {
            scene
                .chain
                .send(DevChain::transfer(Address::repeat_byte(7), value))
                .await;
        }
        let path = format!("/api/v1/blocks/{number}");
        let started = Instant::now();
        scene.chain.mine(1).await;
        while api.get(&path).await.0 != 200 {
            assert!(started.elapsed() < Duration::from_secs(5), "block {number}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        taken.push(started.elapsed().as_millis());
    }
    taken.sort_unstable();
    let (p50, p99) = (taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
    tallyscan_tests::say(&format!("head latency: p50 {p50} ms, p99 {p99} ms"));
    indexer.stop().await;
}
