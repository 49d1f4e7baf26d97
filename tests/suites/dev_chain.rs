//! A real dev chain, indexed live: what is kept of it, what becomes of its reorgs, who may write.

mod finality;
mod identity;
mod latency;
mod leaders;
mod publishing;
mod reorgs;
mod transactions;

use alloy::primitives::{Address, B256, Bytes};
use tallyscan_tests::{DevChain, Events, RunningIndexer, Scene, eventually};

/// Mines blocks of one transfer each, and returns the transfers as they were signed.
async fn grow(chain: &DevChain, blocks: u64) -> Vec<(B256, Bytes)> {
    let mut sent = Vec::new();
    for _ in 0..blocks {
        let nonce = chain.mined_nonce().await;
        let request = DevChain::transfer(Address::repeat_byte(7), nonce + 1);
        let (hash, raw) = chain.sign(request, nonce).await;
        chain.send_raw(&raw).await;
        chain.mine(1).await;
        sent.push((hash, raw));
    }
    sent
}

/// Waits until the node's head is committed and announced, and holds what was announced against the
/// node's chain.
async fn settle(scene: &Scene, indexer: &RunningIndexer, events: &Events) {
    indexer.reaches(scene.chain.head().await).await;
    indexer.publishes_everything().await;
    let live_from = scene.count("SELECT live_from FROM chain").await;
    let live_from = usize::try_from(live_from).expect("a height");
    let expected: Vec<(u64, String)> = scene.chain.hashes().await[live_from..]
        .iter()
        .map(|(number, hash)| (*number, hash.to_string()))
        .collect();
    // The last message may still be on its way to the subscriber.
    eventually("the last block's message", || async {
        events.replayed_chain().last() == expected.last()
    })
    .await;
    assert_eq!(events.replayed_chain(), expected);
}

/// What must hold in the database whatever happened, and cannot be seen by comparing twins.
async fn assert_sound(scene: &Scene, epoch: i64) {
    let pairs = [
        ("SELECT fork_epoch FROM chain_state", epoch),
        ("SELECT count(*) FROM reorgs", epoch),
        (
            "SELECT tx_count - (SELECT count(*) FROM transactions) FROM chain_state",
            0,
        ),
        (
            "SELECT count(*) FROM coverage, chain_state
             WHERE blocks = int8multirange(int8range(0, head_number, '[]'))",
            1,
        ),
        (
            "SELECT count(*) FROM reorgs r WHERE
               dropped_blocks = (SELECT count(*) FROM orphaned_blocks WHERE reorg_id = r.id)
               AND dropped_txs = (SELECT count(*) FROM orphaned_transactions WHERE reorg_id = r.id)
               AND dropped_blocks = old_head_number - ancestor_number
               AND EXISTS (SELECT FROM orphaned_blocks b
                           WHERE b.reorg_id = r.id AND b.hash = r.old_head_hash)",
            epoch,
        ),
    ];
    for (sql, expected) in pairs {
        assert_eq!(scene.count(sql).await, expected, "{sql}");
    }
}
