//! Nodes that are replaced by those of another chain under way.

use super::{FINAL, HEAD, Lab, is_half_filled_in};
use simnode::Server;
use tallyscan_tests::{
    Database, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, contents, eventually,
    folder, redis,
};

/// The same chain id with another genesis and another chain on it, as high as the one before.
fn replace(node: &Server) {
    let mut generator = Generator::seeded(99);
    let genesis = generator.other_genesis();
    let branch = generator.branch(&genesis, HEAD + 5);
    node.chain().set_chain_id(GENERATED_CHAIN_ID);
    node.chain().set_genesis(genesis.canned());
    let all = std::iter::once(&genesis)
        .chain(&branch)
        .map(GeneratedBlock::canned);
    node.chain().replace_from(0, all);
    node.chain().forget_orphans();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_replaced_while_it_is_followed_halts_and_changes_nothing() {
    let lab = Lab::new(21);
    let node = lab.node();
    let folder = folder();
    let (database, redis) = tokio::join!(Database::create(), redis(&folder));
    let config = Lab::config(&database, &redis, &[&node]);
    let indexer = RunningIndexer::start(&database, config).await;
    indexer.reaches(lab.blocks[HEAD].hash).await;
    let before = contents(&database.pool).await;
    replace(&node);
    eventually("the one sentence", || async {
        let problem = indexer.status().known().problem.unwrap_or_default();
        ["genesis", "reset", "empty database"]
            .iter()
            .all(|part| problem.contains(part))
    })
    .await;
    indexer.stop().await;
    assert_eq!(contents(&database.pool).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_replaced_while_history_is_filled_in_adds_nothing() {
    let lab = Lab::new(22);
    let node = lab.node();
    let folder = folder();
    let (database, redis) = tokio::join!(Database::create(), redis(&folder));
    let config = Lab::config(&database, &redis, &[&node]);
    let indexer = RunningIndexer::start(&database, config.clone()).await;
    is_half_filled_in(&database).await;
    replace(&node);
    eventually("the one sentence", || async {
        let problem = indexer.status().known().problem.unwrap_or_default();
        ["genesis", "reset", "empty database"]
            .iter()
            .all(|part| problem.contains(part))
    })
    .await;
    let said = super::trouble(&indexer).await;
    assert!(
        said.contains(&node.address().to_string()) && said.contains("block "),
        "{said}"
    );
    // Whatever came before the change is of the right chain, and nothing after it is of the other.
    let wrong = async || {
        let hashes: Vec<(i64, Vec<u8>)> = sqlx::query_as("SELECT number, hash FROM blocks")
            .fetch_all(&database.pool)
            .await
            .expect("the blocks can be read");
        let differs = |(number, hash): &&(i64, Vec<u8>)| {
            let at = usize::try_from(*number).expect("a height");
            lab.blocks[at].hash != hash.as_slice()
        };
        (hashes.len(), hashes.iter().filter(differs).count())
    };
    let (blocks, of_the_other) = wrong().await;
    assert_eq!(of_the_other, 0);
    assert!(
        blocks < HEAD,
        "history was not complete: {blocks} of {FINAL}"
    );
    indexer.stop().await;
    // The right node is back.
    let right = lab.node();
    let config = Lab::config(&database, &redis, &[&right]);
    let indexer = RunningIndexer::start(&database, config).await;
    lab.assert_unharmed(indexer, &database).await;
}
