//! Repairs beside a running indexer and a running API.

use super::scene::{assert_clean, many_blocks, whole};
use indexer::{Repair, RepairError};
use simnode::{CannedChain, Server, Tag};
use sqlx::{AssertSqlSafe, PgPool};
use std::time::Duration;
use tallyscan_tests::{
    Api, Database, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, assert_twins,
    eventually, folder, indexer_config, redis,
};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Changes rows; the damage of a moment, of which a reorg may have taken the place.
async fn edit(pool: &PgPool, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool);
    done.await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Repairs until nothing differs; a chain that moves meanwhile is looked at again.
async fn repair(pool: &PgPool, node: &Server) -> usize {
    let url = Url::parse(&node.http_url()).expect("a URL");
    let mut steps = 0;
    for _ in 0..20 {
        let audit = whole(pool).await;
        if audit.certificate.is_clean() {
            break;
        }
        let mut repair = Repair::new(pool.clone(), vec![url.clone()])
            .await
            .expect("a chain");
        match repair.run(&audit.damage, |_| steps += 1).await {
            Ok(()) | Err(RepairError::Conflict | RepairError::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    steps
}

/// Grows and reorganises until told to stop; returns the chain it ends with.
async fn keep_growing(
    chain: CannedChain,
    mut generator: Generator,
    mut blocks: Vec<GeneratedBlock>,
    stop: CancellationToken,
) -> Vec<GeneratedBlock> {
    let mut turn = 0_usize;
    while !stop.is_cancelled() {
        turn += 1;
        let depth = if turn.is_multiple_of(7) { turn % 4 } else { 0 };
        let fork = blocks.len() - 1 - depth;
        let branch = generator.branch(&blocks[fork], depth + 1);
        blocks.truncate(fork + 1);
        let canned = branch.iter().map(GeneratedBlock::canned);
        chain.replace_from(branch[0].number(), canned);
        blocks.extend(branch);
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    blocks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_and_an_indexer_do_each_other_no_harm() {
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let mut generator = Generator::seeded(21);
    let mut blocks = vec![generator.genesis()];
    let branch = generator.branch(&blocks[0], 60);
    blocks.extend(branch);
    let canned = blocks.iter().map(GeneratedBlock::canned);
    let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, canned);
    let node = Server::start(chain.clone()).expect("a node");
    let config = indexer_config(&database, &redis.url(), &[node.ws_url()]);
    let indexer = RunningIndexer::start(&database, config).await;
    indexer.reaches(blocks[60].hash).await;
    let stop = CancellationToken::new();
    let growing = tokio::spawn(keep_growing(chain, generator, blocks, stop.clone()));
    let mut steps = 0;
    for round in 0..12 {
        let at = 5 + 4 * round;
        edit(
            &database.pool,
            &format!(
                "UPDATE blocks SET state_root = parent_hash WHERE number = {at};
                 DELETE FROM blocks WHERE number BETWEEN {at} + 2 AND {at} + 3;
                 DELETE FROM tx_lookup WHERE block_number = {at} + 1;
                 INSERT INTO block_lookup VALUES (5, {at})"
            ),
        )
        .await;
        steps += repair(&database.pool, &node).await;
    }
    stop.cancel();
    let blocks = growing.await.expect("a chain");
    let head = blocks.last().expect("a block").hash;
    indexer.reaches(head).await;
    indexer.publishes_everything().await;
    assert!(indexer.status().known().problem.is_none());
    indexer.stop().await;
    repair(&database.pool, &node).await;
    assert!(steps >= 24, "{steps} steps");
    let reorgs: i64 = sqlx::query_scalar("SELECT count(*) FROM reorgs")
        .fetch_one(&database.pool)
        .await
        .expect("a count");
    assert!(reorgs > 0, "there were reorgs to live through");
    let count = u64::try_from(blocks.len()).expect("a count");
    assert_clean(&database.pool, count).await;
    let twin = Database::create().await;
    let config = indexer_config(&twin, &redis.url(), &[node.http_url()]);
    let fresh = RunningIndexer::start(&twin, config).await;
    fresh.reaches(head).await;
    fresh.stop().await;
    assert_twins(&database.pool, &twin.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_that_was_cached_before_a_repair_is_given_after_it() {
    let scene = many_blocks(120).await;
    scene.chain.set_safe(Tag::Behind(2));
    scene.chain.set_finalized(Tag::Behind(4));
    let folder = folder();
    let redis = redis(&folder).await;
    let pool = &scene.database.pool;
    let config = indexer_config(&scene.database, &redis.url(), &[scene.node.ws_url()]);
    let indexer = RunningIndexer::start(&scene.database, config).await;
    let api = Api::start(&scene.database, &redis.url()).await;
    let size = async |number: u64| {
        let answer = api.ok(&format!("/api/v1/blocks/{number}")).await;
        (
            answer["data"]["size"].as_u64(),
            answer["finality"]["status"].clone(),
        )
    };
    eventually("a final block and one that is not", || async {
        size(20).await.1 == "finalized" && size(120).await.1 != "finalized"
    })
    .await;
    for number in [20, 120] {
        let right: i64 = sqlx::query_scalar("SELECT size FROM blocks WHERE number = $1")
            .bind(number)
            .fetch_one(pool)
            .await
            .expect("a size");
        let right = right.unsigned_abs();
        let number = u64::try_from(number).expect("a height");
        edit(
            pool,
            &format!("UPDATE blocks SET size = 7 WHERE number = {number}"),
        )
        .await;
        // Another epoch, so that the wrong answer is what the cache gets.
        edit(
            pool,
            "UPDATE chain_state SET fork_epoch = fork_epoch + 1, final_epoch = fork_epoch + 1;
             DELETE FROM outbox",
        )
        .await;
        eventually("the wrong answer", || async {
            size(number).await.0 == Some(7)
        })
        .await;
        edit(
            pool,
            &format!("UPDATE blocks SET size = {right} WHERE number = {number}"),
        )
        .await;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(size(number).await.0, Some(7), "it is cached");
        edit(
            pool,
            &format!("UPDATE blocks SET size = 7 WHERE number = {number}"),
        )
        .await;
        assert!(repair(pool, &scene.node).await > 0);
        indexer.publishes_everything().await;
        assert_eq!(size(number).await.0, Some(right));
    }
    indexer.stop().await;
}
