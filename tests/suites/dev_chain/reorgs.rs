//! Reorgs of every shape that a dev chain can make.

use super::{assert_sound, grow, settle};
use alloy::primitives::{Address, B256, Bytes};
use indexer::IndexerConfig;
use std::collections::BTreeSet;
use tallyscan_tests::{DevChain, RunningIndexer, Scene};

/// Another branch for these transactions: every other one is in it again, a block later where there
/// is one; the rest lose their nonces to others and are gone for good.
async fn other_branch(chain: &DevChain, old: &[(B256, Bytes)], salt: u8) -> Vec<(Bytes, u64)> {
    let first_nonce = chain.mined_nonce().await - u64::try_from(old.len()).expect("few");
    let last = u64::try_from(old.len()).expect("few") - 1;
    let mut branch = Vec::new();
    for (at, (_, raw)) in (0..).zip(old) {
        let block = (at + 1).min(last);
        if at % 2 == 0 {
            branch.push((raw.clone(), block));
        } else {
            let request = DevChain::transfer(Address::repeat_byte(salt), 1);
            branch.push((chain.sign(request, first_nonce + at).await.1, block));
        }
    }
    branch
}

async fn follows_a_reorg_of(depth: u64, config: impl Fn(&Scene) -> IndexerConfig) {
    let scene = Scene::start().await;
    let events = scene.events().await;
    let sent = grow(&scene.chain, depth + 2).await;
    let indexer = RunningIndexer::start(&scene.database, config(&scene)).await;
    settle(&scene, &indexer, &events).await;
    let before = scene.chain.hashes().await;

    let dropped = &sent[2..];
    let branch = other_branch(&scene.chain, dropped, 9).await;
    scene.chain.reorg_signed(depth, &branch).await;
    settle(&scene, &indexer, &events).await;
    grow(&scene.chain, 2).await;
    settle(&scene, &indexer, &events).await;

    assert_sound(&scene, 1).await;
    let pool = &scene.database.pool;
    let hashes = async |sql: &'static str| -> BTreeSet<B256> {
        let rows = sqlx::query_scalar(sql).fetch_all(pool).await;
        let rows: Vec<Vec<u8>> = rows.expect("hashes");
        rows.iter().map(|row| B256::from_slice(row)).collect()
    };
    let expected: BTreeSet<B256> = dropped.iter().map(|(hash, _)| *hash).collect();
    assert_eq!(
        hashes("SELECT hash FROM orphaned_transactions").await,
        expected
    );
    let expected: BTreeSet<B256> = before[3..].iter().map(|(_, hash)| *hash).collect();
    assert_eq!(hashes("SELECT hash FROM orphaned_blocks").await, expected);
    let reorgs = events.of("reorgs");
    assert_eq!(reorgs.len(), 1);
    assert_eq!(reorgs[0]["ancestor"]["number"], 2);
    assert_eq!(reorgs[0]["ancestor"]["hash"], before[2].1.to_string());
    assert_eq!(
        reorgs[0]["old_head"]["hash"],
        before[before.len() - 1].1.to_string()
    );
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_of_one_block_is_followed() {
    follows_a_reorg_of(1, Scene::over_ws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_of_five_blocks_is_followed_over_http() {
    follows_a_reorg_of(5, Scene::over_http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_of_thirty_blocks_is_followed() {
    follows_a_reorg_of(30, Scene::over_ws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_only_lower_drops_nothing() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    grow(&scene.chain, 8).await;
    let indexer = RunningIndexer::start(&scene.database, scene.over_http()).await;
    settle(&scene, &indexer, &events).await;
    let before = tallyscan_tests::contents(&scene.database.pool).await;
    scene.chain.roll_back(4).await;
    tallyscan_tests::eventually("the lower head to be seen", || async {
        indexer.status().known().node_head == Some(4)
    })
    .await;
    assert_eq!(
        tallyscan_tests::contents(&scene.database.pool).await,
        before
    );
    assert_eq!(indexer.status().known().problem, None);
    assert_eq!(events.of("reorgs").len(), 0);
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_with_other_blocks_is_followed_to_a_lower_and_to_a_higher_head() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 10).await;
    settle(&scene, &indexer, &events).await;
    // Lower: 10 → 7 on another branch.
    scene.chain.roll_back(5).await;
    scene.chain.mine(2).await;
    settle(&scene, &indexer, &events).await;
    assert_eq!(scene.state().await.head.map(|head| head.number), Some(7));
    // Higher: 7 → 11 on yet another one.
    scene.chain.roll_back(4).await;
    grow(&scene.chain, 8).await;
    settle(&scene, &indexer, &events).await;
    assert_eq!(scene.state().await.head.map(|head| head.number), Some(11));
    assert_sound(&scene, 2).await;
    assert_eq!(scene.count("SELECT count(*) FROM orphaned_blocks").await, 9);
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_flip_between_two_branches_end_where_the_chain_ends() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    let indexer = scene.index().await;
    let one = grow(&scene.chain, 4).await;
    settle(&scene, &indexer, &events).await;
    let other = other_branch(&scene.chain, &one, 9).await;
    let one: Vec<(Bytes, u64)> = (0..).zip(one).map(|(at, (_, raw))| (raw, at)).collect();
    for _ in 0..3 {
        for branch in [&other, &one] {
            scene.chain.reorg_signed(4, branch).await;
            settle(&scene, &indexer, &events).await;
        }
    }
    assert_sound(&scene, 6).await;
    let orphaned = "SELECT count(*) FROM orphaned_transactions";
    assert_eq!(scene.count(orphaned).await, 24);
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_while_the_indexer_is_stopped_is_found_at_its_next_start() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    let indexer = scene.index().await;
    let sent = grow(&scene.chain, 9).await;
    settle(&scene, &indexer, &events).await;
    indexer.stop().await;
    let branch = other_branch(&scene.chain, &sent[2..], 9).await;
    scene.chain.reorg_signed(7, &branch).await;
    let indexer = scene.index().await;
    settle(&scene, &indexer, &events).await;
    indexer.stop().await;
    // And once more with a head that is higher by far.
    let nonce = scene.chain.mined_nonce().await;
    scene.chain.roll_back(3).await;
    assert!(scene.chain.mined_nonce().await < nonce);
    grow(&scene.chain, 20).await;
    let indexer = RunningIndexer::start(&scene.database, scene.over_http()).await;
    settle(&scene, &indexer, &events).await;
    assert_sound(&scene, 2).await;
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_during_a_catch_up_from_far_behind_leaves_one_chain() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    grow(&scene.chain, 3).await;
    let indexer = scene.index().await;
    settle(&scene, &indexer, &events).await;
    indexer.stop().await;
    scene.chain.mine(400).await;
    grow(&scene.chain, 10).await;
    let indexer = scene.index().await;
    tallyscan_tests::eventually("the catch-up to begin", || async {
        scene.state().await.head.is_some_and(|head| head.number > 3)
    })
    .await;
    for _ in 0..3 {
        scene.chain.roll_back(20).await;
        grow(&scene.chain, 22).await;
    }
    settle(&scene, &indexer, &events).await;
    let epoch = scene.count("SELECT fork_epoch FROM chain_state").await;
    assert_sound(&scene, epoch).await;
    indexer.stop().await;
    scene.assert_twin().await;
}
