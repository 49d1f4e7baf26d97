//! History below the live head: filled in from the top down, linked block by block, whatever happens.

use chain::FinalityProfile;
use simnode::{CannedChain, Fault, Server, Tag, When};
use std::time::Duration;
use store::{
    coverage::{self, BackfillSettings},
    enrichment::Reading,
};
use tallyscan_tests::{
    Api, Database, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, assert_twins,
    eventually, folder, indexer_config, redis,
};

/// Height of the chain that is indexed here.
const HEAD: usize = 400;

/// What its node calls final.
const FINAL: u64 = 360;

fn chain_of(blocks: &[GeneratedBlock]) -> CannedChain {
    let chain = CannedChain::with_blocks(
        GENERATED_CHAIN_ID,
        blocks.iter().map(GeneratedBlock::canned),
    );
    chain.set_finalized(Tag::At(FINAL));
    chain.set_safe(Tag::At(FINAL));
    chain
}

fn blocks(seed: u64) -> Vec<GeneratedBlock> {
    let mut generator = Generator::seeded(seed);
    let genesis = generator.genesis();
    let branch = generator.branch(&genesis, HEAD);
    std::iter::once(genesis).chain(branch).collect()
}

async fn history(database: &Database) -> coverage::History {
    coverage::get_history(&database.pool)
        .await
        .expect("the coverage can be read")
        .unwrap_or(coverage::History {
            first_block: 0,
            complete_from: u64::MAX,
            missing_blocks: u64::MAX,
        })
}

async fn is_complete(database: &Database) {
    eventually("a complete history", || async {
        let history = history(database).await;
        history.complete_from == 0 && history.missing_blocks == 0
    })
    .await;
}

/// An index of the same chain that began at block 0, without any history to fill in.
async fn direct(blocks: &[GeneratedBlock], redis_url: &str) -> Database {
    let node = Server::start(chain_of(blocks)).expect("a node");
    let database = Database::create().await;
    let mut config = indexer_config(&database, redis_url, &[node.http_url()]);
    config.finality = Some(FinalityProfile::Depth(1_000_000));
    let indexer = RunningIndexer::start(&database, config).await;
    indexer.reaches(blocks.last().expect("a head").hash).await;
    assert_eq!(history(&database).await.missing_blocks, 0);
    indexer.stop().await;
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_is_there_before_the_history_and_the_history_comes_from_the_top() {
    let blocks = blocks(1);
    let folder = folder();
    let redis = redis(&folder).await;
    let node = Server::start(chain_of(&blocks)).expect("a node");
    let database = Database::create().await;
    // Paused: nothing of the history is written before it is allowed to.
    let paused = BackfillSettings {
        workers: Some(0),
        budget_bytes: None,
    };
    coverage::set_backfill_settings(&database.pool, paused)
        .await
        .expect("settings");
    let config = indexer_config(&database, &redis.url(), &[node.http_url()]);
    let indexer = RunningIndexer::start(&database, config).await;
    let head = blocks.last().expect("a head").hash;
    indexer.shows(head).await;
    let before = history(&database).await;
    assert_eq!(
        before.complete_from, FINAL,
        "live indexing begins at the pivot"
    );
    assert_eq!(before.missing_blocks, FINAL);
    indexer.publishes_everything().await;
    let api = Api::start(&database, &redis.url()).await;
    let (status, answer) = api.get("/api/v1/blocks/7").await;
    assert_eq!(status, 404, "{answer}");
    let told = answer["detail"].as_str().expect("a detail");
    assert!(told.contains("history"), "{told}");
    let (_, health) = api.get("/health").await;
    assert_eq!(health["history"]["missing_blocks"], FINAL, "{health}");

    coverage::set_backfill_settings(&database.pool, BackfillSettings::default())
        .await
        .expect("settings");
    is_complete(&database).await;
    indexer.has_read(Reading::Traces).await;
    let (_, health) = api.get("/health").await;
    assert_eq!(health["history"]["missing_blocks"], 0, "{health}");
    eventually("block 7 through the API", || async {
        api.get("/api/v1/blocks/7").await.0 == 200
    })
    .await;
    indexer.stop().await;
    assert_twins(&database.pool, &direct(&blocks, &redis.url()).await.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_run_ends_when_everything_up_to_its_end_is_there() {
    let blocks = blocks(2);
    let folder = folder();
    let redis = redis(&folder).await;
    let node = Server::start(chain_of(&blocks)).expect("a node");
    let database = Database::create().await;
    let mut config = indexer_config(&database, &redis.url(), &[node.http_url()]);
    config.start_block = Some(20);
    config.until = Some(300);
    let run = || async {
        let config = config.clone();
        let indexer = indexer::Indexer::prepare(
            config,
            tallyscan_tests::metrics_handle(),
            indexer::ProgressStyle::Log,
        )
        .await
        .expect("an indexer");
        tokio::time::timeout(
            Duration::from_mins(1),
            indexer.run(tokio_util::sync::CancellationToken::new()),
        )
        .await
        .expect("it ends")
        .expect("it ends well");
    };
    run().await;
    let gaps = coverage::find_gaps(&database.pool, 0..=400).await;
    assert_eq!(gaps.expect("gaps"), [301..=400, 0..=19]);

    // A lower start is history too; a higher one would leave what is there unexplained.
    config.start_block = Some(5);
    let run = || async {
        let config = config.clone();
        let indexer = indexer::Indexer::prepare(
            config,
            tallyscan_tests::metrics_handle(),
            indexer::ProgressStyle::Log,
        )
        .await?;
        indexer
            .run(tokio_util::sync::CancellationToken::new())
            .await
    };
    run().await.expect("it ends well");
    let gaps = coverage::find_gaps(&database.pool, 0..=400).await;
    assert_eq!(gaps.expect("gaps"), [301..=400, 0..=4]);
    config.start_block = Some(6);
    let run = indexer::Indexer::prepare(
        config,
        tallyscan_tests::metrics_handle(),
        indexer::ProgressStyle::Log,
    )
    .await;
    let error = run.err().expect("a refusal").to_string();
    assert!(error.contains("CHAIN_START_BLOCK is 6"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_about_history_is_found_out_before_anything_is_committed() {
    let blocks = blocks(3);
    // Another chain with the same genesis: valid block by block, and linked to nothing of ours.
    let mut generator = Generator::seeded(3);
    let genesis = generator.genesis();
    generator.branch(&genesis, 1);
    let other = generator.branch(&genesis, 355);
    let mixed: Vec<GeneratedBlock> = std::iter::once(genesis)
        .chain(other)
        .chain(blocks[356..].iter().cloned())
        .collect();
    let folder = folder();
    let redis = redis(&folder).await;
    let liar = Server::start(chain_of(&mixed)).expect("a node");
    let honest = Server::start(chain_of(&blocks)).expect("a node");
    let database = Database::create().await;
    let config = indexer_config(
        &database,
        &redis.url(),
        &[liar.http_url(), honest.http_url()],
    );
    let indexer = RunningIndexer::start(&database, config).await;
    is_complete(&database).await;
    indexer.has_read(Reading::Traces).await;
    indexer.stop().await;
    assert_twins(&database.pool, &direct(&blocks, &redis.url()).await.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_into_the_history_while_it_is_filled_in_leaves_no_seam() {
    let blocks = blocks(4);
    let folder = folder();
    let redis = redis(&folder).await;
    let node = Server::start(chain_of(&blocks)).expect("a node");
    node.faults().on(
        "eth_getBlockReceipts",
        Fault::Latency(Duration::from_millis(20)),
        When::Always,
    );
    let database = Database::create().await;
    let mut config = indexer_config(&database, &redis.url(), &[node.http_url()]);
    // Small batches: many commits, so that the rollback falls between them.
    config.backfill.budget_bytes = 1 << 20;
    let indexer = RunningIndexer::start(&database, config).await;
    eventually("some history", || async {
        let from = history(&database).await.complete_from;
        from < FINAL - 20 || from == 0
    })
    .await;
    let lowest = history(&database).await.complete_from;
    indexer::rollback_to(&database.pool, lowest + 5)
        .await
        .expect("a rollback");
    indexer.reaches(blocks.last().expect("a head").hash).await;
    is_complete(&database).await;
    indexer.has_read(Reading::Traces).await;
    indexer.stop().await;
    assert_twins(&database.pool, &direct(&blocks, &redis.url()).await.pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_is_stopped_anywhere_goes_on_where_it_stopped() {
    let blocks = blocks(5);
    let folder = folder();
    let redis = redis(&folder).await;
    let node = Server::start(chain_of(&blocks)).expect("a node");
    node.faults().on(
        "eth_getBlockReceipts",
        Fault::Latency(Duration::from_millis(100)),
        When::Always,
    );
    let database = Database::create().await;
    let mut config = indexer_config(&database, &redis.url(), &[node.http_url()]);
    config.backfill.budget_bytes = 1 << 20;
    let mut starts = 0;
    let mut before = u64::MAX;
    loop {
        starts += 1;
        let indexer = RunningIndexer::start(&database, config.clone()).await;
        tokio::time::sleep(Duration::from_millis(400 + starts % 5 * 100)).await;
        // Dropped in the middle of everything, not stopped in order.
        indexer.abort().await;
        let missing = history(&database).await.missing_blocks;
        let gaps = coverage::find_gaps(&database.pool, 0..=FINAL).await;
        assert!(gaps.expect("gaps").len() <= 1, "one run, at any moment");
        assert!(missing <= before, "nothing is lost");
        before = missing;
        if missing == 0 && starts > 1 {
            break;
        }
        assert!(starts < 50, "no progress: {missing} blocks are missing");
    }
    let indexer = RunningIndexer::start(&database, config).await;
    indexer.reaches(blocks.last().expect("a head").hash).await;
    indexer.stop().await;
    assert!(starts > 2, "it was done before it could be stopped");
    assert_twins(&database.pool, &direct(&blocks, &redis.url()).await.pool).await;
}
