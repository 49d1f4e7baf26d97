//! Days on which something that everybody relies on goes away or lies: it is said once, what is there
//! stays right, and it goes on by itself as soon as it can.

mod chain_gone;
mod database;

mod history;

use embedded::Redis;
use indexer::IndexerConfig;
use simnode::{CannedChain, Fault, Server, Tag, When};
use std::time::Duration;
use store::coverage;
use tallyscan_tests::{
    Database, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, assert_twins,
    eventually, index_directly, indexer_config,
};

/// What is final at the start, and history.
const FINAL: u64 = 300;

/// Height of the chain at the start.
const HEAD: usize = 310;

/// A chain that grows, of which most is history.
struct Lab {
    generator: Generator,
    blocks: Vec<GeneratedBlock>,
}

impl Lab {
    fn new(seed: u64) -> Self {
        let mut generator = Generator::seeded(seed);
        let mut blocks = vec![generator.genesis()];
        for height in 0..HEAD {
            let block = generator.child_with(&blocks[height], 1);
            blocks.push(block);
        }
        Self { generator, blocks }
    }

    /// A node with all of it, slow enough that filling in takes seconds.
    fn node(&self) -> Server {
        let canned = self.blocks.iter().map(GeneratedBlock::canned);
        let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, canned);
        chain.set_finalized(Tag::At(FINAL));
        chain.set_safe(Tag::At(FINAL));
        let node = Server::start(chain).expect("a node");
        node.set_batch_limit(Some(8));
        let late = Fault::Latency(Duration::from_millis(100));
        node.faults().on("eth_getBlockReceipts", late, When::Always);
        node
    }

    /// What an indexer is told, with small commits of history.
    fn config(database: &Database, redis: &Redis, nodes: &[&Server]) -> IndexerConfig {
        let urls: Vec<String> = nodes.iter().map(|node| node.http_url()).collect();
        let mut config = indexer_config(database, &redis.url(), &urls);
        config.backfill.budget_bytes = 1 << 14;
        config
    }

    fn grow(&mut self, nodes: &[&Server]) {
        let block = self
            .generator
            .child_with(self.blocks.last().expect("a head"), 2);
        for node in nodes {
            node.chain().push(block.canned());
        }
        self.blocks.push(block);
    }

    /// The head comes, all below it, and it equals what a fresh index has.
    async fn assert_unharmed(&self, indexer: RunningIndexer, database: &Database) {
        indexer
            .reaches(self.blocks.last().expect("a head").hash)
            .await;
        eventually("nothing to be wrong any more", || async {
            let known = indexer.status().known();
            known.problem.is_none()
                && known
                    .history
                    .is_none_or(|history| history.problem.is_none())
        })
        .await;
        indexer.stop().await;
        let twin = Database::create().await;
        index_directly(&self.blocks, &twin).await;
        assert_twins(&database.pool, &twin.pool).await;
    }
}

/// Blocks of history that are missing; none when it is not known.
async fn missing(database: &Database) -> Option<u64> {
    let history = coverage::get_history(&database.pool).await.ok()??;
    Some(history.missing_blocks)
}

/// Filling in is under way: some of it is there and some is not.
async fn is_half_filled_in(database: &Database) {
    eventually("half a history", || async {
        missing(database)
            .await
            .is_some_and(|missing| (1..FINAL - 20).contains(&missing))
    })
    .await;
}

/// Waits until something is said to hold the history up, and returns that.
async fn trouble(indexer: &RunningIndexer) -> String {
    let problem = || {
        indexer
            .status()
            .known()
            .history
            .and_then(|history| history.problem)
    };
    eventually("a word on the history", || async { problem().is_some() }).await;
    problem().unwrap_or_default()
}
