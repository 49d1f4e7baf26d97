//! Processes that end: killed at any moment, or asked to.

use crate::program::{Program, free_address, json, node};
use alloy::primitives::Address;
use nix::sys::signal::Signal;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::{collections::HashSet, time::Duration};
use tallyscan_tests::{
    Database, DevChain, Events, RunningIndexer, assert_twins, eventually, folder, indexer_config,
    redis,
};

const KILLS: u64 = 50;

/// Mines, sends and reorganises until told to stop.
async fn keep_mining(chain: &DevChain, seed: u64, stop: &tokio_util::sync::CancellationToken) {
    let mut random = StdRng::seed_from_u64(seed);
    while !stop.is_cancelled() {
        for _ in 0..random.random_range(0..3) {
            chain
                .send(DevChain::transfer(
                    Address::repeat_byte(7),
                    random.random_range(1..1000),
                ))
                .await;
        }
        chain.mine(random.random_range(1..3)).await;
        if random.random_bool(0.12) && chain.height().await > 12 {
            chain.reorg(random.random_range(1..6), &[]).await;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(5..60))).await;
    }
}

async fn count_reorgs(database: &Database) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM reorgs")
        .fetch_one(&database.pool)
        .await
        .expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_and_double_nothing() {
    let folder = folder();
    let (database, redis, chain) = (
        Database::create().await,
        redis(&folder).await,
        DevChain::start().await,
    );
    let events = Events::subscribe(&redis.url()).await;
    chain.mine(3).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().expect("SEED is a number"));
    tallyscan_tests::say(&format!("SEED={seed}"));
    let redis_url = redis.url();
    let ws_url = chain.ws_url();
    let settings = [
        ("DATABASE_URL", &*database.url),
        ("REDIS_URL", &redis_url),
        ("RPC_URL", &ws_url),
        ("METRICS_ADDR", "127.0.0.1:0"),
    ];
    let killing = async {
        let mut random = StdRng::seed_from_u64(seed);
        let mut kills = 0;
        // On a busy machine few starts come so far that a reorg finds something to drop: then some more.
        while kills < KILLS || (kills < 5 * KILLS && count_reorgs(&database).await == 0) {
            kills += 1;
            let program = Program::start(&folder, "index", &settings);
            tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
            drop(program);
        }
        stop.cancel();
    };
    tokio::join!(killing, keep_mining(&chain, seed + 1, &stop));
    let head = chain.mine(1).await;

    let config = indexer_config(&database, &redis_url, std::slice::from_ref(&ws_url));
    let survivor = RunningIndexer::start(&database, config).await;
    survivor.reaches(head).await;
    survivor.publishes_everything().await;
    survivor.stop().await;
    let twin = Database::create().await;
    let told = {
        // What the subscriber has not read yet comes within moments.
        let height = chain.height().await;
        eventually("the last announcement", || async {
            events
                .of("blocks")
                .last()
                .is_some_and(|block| block["number"] == height)
        })
        .await;
        let all = events.all();
        let mut announced = HashSet::new();
        for event in &all {
            let message = format!("{} {}", event.channel, event.message);
            assert!(announced.insert(message), "announced twice: {event:?}");
        }
        events.replayed_chain()
    };
    drop(events);
    let config = indexer_config(&twin, &redis_url, &[chain.http_url()]);
    let fresh = RunningIndexer::start(&twin, config).await;
    fresh.reaches(head).await;
    fresh.stop().await;
    assert_twins(&database.pool, &twin.pool).await;
    let final_chain: Vec<(i64, String)> =
        sqlx::query_as("SELECT number, '0x' || encode(hash, 'hex') FROM blocks ORDER BY number")
            .fetch_all(&database.pool)
            .await
            .expect("the chain");
    let first = usize::try_from(told[0].0).expect("a height");
    let told: Vec<(i64, String)> = told
        .into_iter()
        .map(|(number, hash)| (i64::try_from(number).expect("a height"), hash))
        .collect();
    assert_eq!(
        told,
        final_chain[first..],
        "who listened knows the final chain"
    );
    let reorgs = count_reorgs(&database).await;
    tallyscan_tests::say(&format!(
        "{} blocks, {reorgs} reorgs, {KILLS} kills",
        final_chain.len()
    ));
    assert!(reorgs > 0, "there were reorgs to live through");
}

#[tokio::test(flavor = "multi_thread")]
async fn index_and_serve_end_soon_when_they_are_asked_to() {
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let (node, _) = node(1, 20);
    let redis_url = redis.url();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (metrics, listen) = (free_address(), free_address());
        let settings = [
            ("DATABASE_URL", &*database.url),
            ("REDIS_URL", &redis_url),
            ("RPC_URL", &node.ws_url()),
            ("METRICS_ADDR", &metrics),
            ("LISTEN_ADDR", &listen),
        ];
        let mut index = Program::start(&folder, "index", &settings);
        let mut serve = Program::start(&folder, "serve", &settings);
        for address in [&metrics, &listen] {
            eventually("health", || async {
                let health = json(&format!("http://{address}/health"))
                    .await
                    .unwrap_or_default();
                health["head"]["number"] == 20
            })
            .await;
        }
        for program in [&mut index, &mut serve] {
            program.signal(signal);
            let status = program.ends_within(Duration::from_secs(2)).await;
            assert!(status.success(), "{signal}: {status}: {}", program.stderr());
        }
    }
}
