//! Balances of a chain that lives.

use super::{assert_explained, balance_of, busy_block, everybody, friend, node_balance};
use alloy::primitives::Address;
use embedded::traffic::{Traffic, TrafficOptions};
use redis::AsyncCommands as _;
use std::time::Duration;
use store::{
    cache::Keys,
    read::{BalanceHeight, Direction, Page, Snapshot, Start},
};
use tallyscan_tests::{Scene, eventually};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn every_balance_is_the_nodes_and_explained_to_the_last_wei() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    for salt in 1..6 {
        busy_block(&scene.chain, salt).await;
        scene.chain.mine(2).await;
    }
    indexer.reaches(scene.chain.head().await).await;
    assert_explained(&scene).await;
    let unproven = "SELECT count(*) FROM native_balances WHERE NOT proven AND block_number > 0";
    assert_eq!(scene.count(unproven).await, 0, "this node proves accounts");
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reorgs_leave_the_balances_of_the_chain_that_is() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    for salt in 1..5 {
        busy_block(&scene.chain, salt).await;
        scene.chain.mine(1).await;
        indexer.reaches(scene.chain.head().await).await;
    }
    // Addresses that only the dropped blocks knew are gone with all their rows.
    for (depth, salt) in [(1, 0x21), (3, 0x22), (2, 0x23)] {
        busy_block(&scene.chain, salt + 0x10).await;
        scene.chain.mine(1).await;
        indexer.reaches(scene.chain.head().await).await;
        scene.chain.roll_back(depth).await;
        busy_block(&scene.chain, salt).await;
        scene.chain.mine(depth + 1).await;
        indexer.reaches(scene.chain.head().await).await;
        assert_explained(&scene).await;
    }
    let gone = friend(0x31);
    assert!(!everybody(&scene).await.contains(&gone));
    assert_eq!(balance_of(&scene, gone, None).await["current"], false);
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_with_reorgs_is_explained_once_it_rests() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    let shutdown = CancellationToken::new();
    let options = TrafficOptions {
        interval: Duration::from_millis(30),
        reorg_every: Some(Duration::from_secs(2)),
        ..TrafficOptions::default()
    };
    let url = scene.chain.http_url();
    let (ended, chain) = (shutdown.clone(), &scene.chain);
    let traffic = tokio::spawn(async move { Traffic::run(&url, options, ended).await });
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        chain.mine(1).await;
    }
    shutdown.cancel();
    traffic.await.expect("traffic ends");
    indexer.reaches(chain.mine(1).await).await;
    assert_explained(&scene).await;
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_that_a_page_asked_for_is_read_at_the_head() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    busy_block(&scene.chain, 1).await;
    indexer.reaches(scene.chain.mine(1).await).await;
    // One of the accounts that the chain began with, and that nobody touched; and a stranger.
    let rich: Address = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
        .parse()
        .expect("an address");
    let poor = friend(0x99);
    for address in [rich, poor] {
        let answer = balance_of(&scene, address, None).await;
        assert_eq!(answer.get("balance"), None, "{answer}");
    }
    let chain = store::state::find_chain(&scene.database.pool)
        .await
        .expect("a chain");
    let chain = chain.expect("a chain");
    let wanted = Keys::new(chain.chain_id, &chain.instance).wanted();
    let client = redis::Client::open(scene.redis.url()).expect("a client");
    let mut redis = client
        .get_multiplexed_async_connection()
        .await
        .expect("Redis");
    let members = [
        format!("{rich:#x}"),
        format!("{poor:#x}"),
        "no address".to_owned(),
    ];
    let _: () = redis.sadd(&wanted, &members).await.expect("Redis");
    for address in [rich, poor] {
        eventually("the balance", || async {
            balance_of(&scene, address, None).await["current"] == true
        })
        .await;
        let answer = balance_of(&scene, address, Some((None, None))).await;
        assert_eq!(answer["balance"], node_balance(&scene, address, 1).await);
        // One reading explains nothing.
        assert!(answer["explanation"]["residual"].is_null(), "{answer:#}");
    }
    eventually("the code", || async {
        let read = "SELECT count(*) FROM contract_code WHERE code_size = 0 AND read_at IS NOT NULL";
        scene.count(read).await == 2
    })
    .await;
    // What is touched later is read as all others are.
    scene
        .chain
        .send(tallyscan_tests::DevChain::transfer(rich, 12))
        .await;
    indexer.reaches(scene.chain.mine(2).await).await;
    let answer = balance_of(&scene, rich, Some((Some(0), None))).await;
    assert_eq!(answer["balance"], node_balance(&scene, rich, 3).await);
    assert_eq!(answer["explanation"]["residual"], "0", "{answer:#}");
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_balance_is_paged_both_ways() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    for _ in 0..5 {
        scene
            .chain
            .send(tallyscan_tests::DevChain::transfer(friend(1), 10))
            .await;
        scene.chain.mine(1).await;
    }
    indexer.reaches(scene.chain.head().await).await;
    let mut snapshot = Snapshot::open(&scene.database.pool)
        .await
        .expect("a snapshot");
    let mut list = async |from: Option<(Direction, u64)>| {
        let from = from.map(|(direction, block_number)| {
            Start::after(direction, BalanceHeight { block_number })
        });
        let page = Page { from, limit: 3 };
        let slice = store::read::list_balance_history(snapshot.connection(), friend(1), page).await;
        let slice = slice.expect("a page");
        let heights: Vec<u64> = slice.items.iter().map(|point| point.block_number).collect();
        (heights, slice.newer.is_some(), slice.older.is_some())
    };
    assert_eq!(list(None).await, (vec![5, 4, 3], false, true));
    assert_eq!(
        list(Some((Direction::Older, 3))).await,
        (vec![2, 1, 0], true, false)
    );
    assert_eq!(
        list(Some((Direction::Newer, 2))).await,
        (vec![5, 4, 3], false, true)
    );
    indexer.stop().await;
}
