//! One database holds one chain.

use embedded::AnvilOptions;
use indexer::{Indexer, IndexerConfig, ProgressStyle};
use tallyscan_tests::{DevChain, Scene, contents, indexer_config, metrics_handle};

/// A database that has indexed a few blocks of its chain.
async fn indexed() -> Scene {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    indexer.reaches(scene.chain.mine(3).await).await;
    indexer.publishes_everything().await;
    indexer.stop().await;
    scene
}

/// Starts once more, and returns the one sentence that says why not.
async fn refusal(scene: &Scene, config: IndexerConfig) -> String {
    let before = contents(&scene.database.pool).await;
    let chain = "SELECT count(*) FROM chain WHERE start_block = 0 AND chain_id = 31337";
    let refused = Indexer::prepare(config, metrics_handle(), ProgressStyle::Log).await;
    let sentence = refused.err().expect("the start is refused").to_string();
    assert_eq!(contents(&scene.database.pool).await, before);
    assert_eq!(scene.count(chain).await, 1);
    assert!(!sentence.contains('\n'), "{sentence}");
    sentence
}

async fn another_chain(options: AnvilOptions) -> String {
    let scene = indexed().await;
    let other = DevChain::start_with(options).await;
    let config = indexer_config(&scene.database, &scene.redis.url(), &[other.http_url()]);
    refusal(&scene, config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chain_id_is_refused() {
    let options = AnvilOptions {
        chain_id: 31_338,
        ..AnvilOptions::default()
    };
    let sentence = another_chain(options).await;
    for part in ["31338", "31337", "DATABASE_URL"] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dev_chain_that_was_reset_is_refused() {
    // A chain started at another time has another genesis.
    let options = AnvilOptions {
        extra_args: vec!["--timestamp".to_owned(), "1700000000".to_owned()],
        ..AnvilOptions::default()
    };
    let sentence = another_chain(options).await;
    for part in ["genesis", "reset", "empty database"] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_start_block_is_refused_and_the_same_or_none_is_not() {
    let scene = indexed().await;
    let config = IndexerConfig {
        start_block: Some(2),
        ..scene.over_ws()
    };
    let sentence = refusal(&scene, config).await;
    for part in ["CHAIN_START_BLOCK is 2", "block 0"] {
        assert!(sentence.contains(part), "{sentence}");
    }
    for start_block in [None, Some(0)] {
        let config = IndexerConfig {
            start_block,
            ..scene.over_ws()
        };
        let started = Indexer::prepare(config, metrics_handle(), ProgressStyle::Log).await;
        assert!(started.is_ok(), "{:?}", started.err());
    }
}
