//! The API over a real dev chain: what it answers, and that it never answers what is no longer so.

mod answers;
mod bad_input;
mod consistency;
mod dropped;
mod pages;

use alloy::primitives::{Address, B256};
use tallyscan_tests::{DevChain, RunningIndexer, Scene};

/// Mines a block of some transfers, and returns their hashes.
async fn block_of(chain: &DevChain, to: Address, transfers: u64) -> Vec<B256> {
    let mut hashes = Vec::new();
    for value in 1..=transfers {
        hashes.push(chain.send(DevChain::transfer(to, value)).await);
    }
    chain.mine(1).await;
    hashes
}

/// Waits until the node's head is committed and published.
async fn settle(scene: &Scene, indexer: &RunningIndexer) {
    indexer.reaches(scene.chain.head().await).await;
    indexer.publishes_everything().await;
}
