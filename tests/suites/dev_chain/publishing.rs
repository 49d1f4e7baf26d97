//! Redis comes and goes; no event is lost, doubled or out of order.

use super::{grow, settle};
use store::cache::Keys;
use tallyscan_tests::{Gate, RunningIndexer, Scene, eventually, indexer_config};

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_in_the_outbox_while_redis_is_away() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    let gate = Gate::new(scene.redis.port(), false).await;
    let redis_url = gate.url(&scene.redis.url());
    let config = indexer_config(&scene.database, &redis_url, &[scene.chain.ws_url()]);
    let indexer = RunningIndexer::start(&scene.database, config).await;
    // Away from the start.
    grow(&scene.chain, 5).await;
    indexer.reaches(scene.chain.head().await).await;
    scene.chain.roll_back(3).await;
    grow(&scene.chain, 4).await;
    indexer.reaches(scene.chain.head().await).await;
    assert!(scene.count("SELECT count(*) FROM outbox").await >= 3);
    assert!(events.all().is_empty());
    gate.open();
    settle(&scene, &indexer, &events).await;
    assert_eq!(events.of("reorgs").len(), 1);
    // Away in between, with a reorg of what was announced.
    gate.close();
    grow(&scene.chain, 2).await;
    indexer.reaches(scene.chain.head().await).await;
    scene.chain.roll_back(4).await;
    grow(&scene.chain, 5).await;
    indexer.reaches(scene.chain.head().await).await;
    assert_eq!(events.of("reorgs").len(), 1);
    gate.open();
    settle(&scene, &indexer, &events).await;
    assert_eq!(events.of("reorgs").len(), 2);
    let transactions = events.of("transactions").len();
    let announced: u64 = events
        .of("blocks")
        .iter()
        .filter_map(|block| block["transaction_count"].as_u64())
        .sum();
    assert_eq!(u64::try_from(transactions).ok(), Some(announced));
    let sequence: Vec<i64> = events
        .all()
        .iter()
        .filter_map(|event| event.message["seq"].as_i64())
        .collect();
    assert!(sequence.is_sorted(), "{sequence:?}");
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_emptied_shows_the_head_again() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 4).await;
    settle(&scene, &indexer, &events).await;
    let connection = connect(&scene).await;
    let flushed = redis::cmd("FLUSHALL")
        .exec_async(&mut connection.clone())
        .await;
    flushed.expect("Redis is emptied");
    let key = keys(&scene).await.head();
    let head = scene.chain.head().await.to_string();
    eventually("the head in Redis", || async {
        let shown: Option<String> = redis::cmd("GET")
            .arg(&key)
            .query_async(&mut connection.clone())
            .await
            .expect("Redis answers");
        shown.is_some_and(|shown| shown.contains(&head))
    })
    .await;
    // And it goes on from there.
    grow(&scene.chain, 2).await;
    settle(&scene, &indexer, &events).await;
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_from_a_backup_is_announced_from_there_on() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 3).await;
    indexer.reaches(scene.chain.head().await).await;
    indexer.publishes_everything().await;
    indexer.stop().await;
    // What Redis remembers of a future that the backup does not know.
    let remembered = redis::cmd("SET")
        .arg(keys(&scene).await.announced())
        .arg(1_000_000)
        .exec_async(&mut connect(&scene).await)
        .await;
    remembered.expect("Redis answers");
    let events = scene.events().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 2).await;
    indexer.reaches(scene.chain.head().await).await;
    indexer.publishes_everything().await;
    eventually("both blocks", || async { events.of("blocks").len() == 2 }).await;
    indexer.stop().await;
}

async fn connect(scene: &Scene) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(scene.redis.url()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("Redis answers")
}

async fn keys(scene: &Scene) -> Keys {
    let chain = store::state::find_chain(&scene.database.pool).await;
    let chain = chain.expect("the database answers").expect("a chain");
    Keys::new(chain.chain_id, &chain.instance)
}
