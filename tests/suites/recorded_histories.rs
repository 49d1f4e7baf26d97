//! Random histories: growth, reorgs of any depth, flip-flops, faults and restarts. Whatever happened,
//! the index equals one of the final chain, and who listened knows the same chain.

use futures::{FutureExt as _, StreamExt as _, stream};
use rand::Rng as _;
use simnode::{ANY_METHOD, CannedChain, Fault, Server, When};
use std::{panic::AssertUnwindSafe, time::Duration};
use tallyscan_tests::{
    Database, Events, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, assert_twins,
    folder, indexer_config, redis,
};

const SEEDS: u64 = 25;

/// Steps of one history.
const STEPS: usize = 14;

/// Histories lived at once.
const AT_ONCE: usize = 8;

/// Heights stay below what counts as final at 64 blocks.
const DEEPEST: usize = 9;

struct History {
    generator: Generator,
    blocks: Vec<GeneratedBlock>,
    /// The branch that was replaced last.
    former: Vec<GeneratedBlock>,
    chain: CannedChain,
}

impl History {
    fn begin(seed: u64) -> Self {
        let mut generator = Generator::seeded(seed);
        let genesis = generator.genesis();
        let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, [genesis.canned()]);
        Self {
            generator,
            blocks: vec![genesis],
            former: Vec::new(),
            chain,
        }
    }

    fn grow(&mut self, length: usize) {
        let head = self.blocks.last().expect("a block").clone();
        let branch = self.generator.branch(&head, length);
        self.chain.extend(branch.iter().map(GeneratedBlock::canned));
        self.blocks.extend(branch);
    }

    /// Another branch from so deep, or the one before it again.
    fn reorg(&mut self) {
        let deepest = DEEPEST.min(self.blocks.len() - 1);
        if deepest == 0 {
            return;
        }
        let fork = self.blocks.len() - self.generator.random().random_range(1..=deepest);
        let (kept, _) = self.blocks.split_at(fork);
        let ancestor = kept.last().expect("a block").clone();
        let length = self.generator.random().random_range(1..=DEEPEST);
        let branch = self.generator.branch(&ancestor, length);
        self.replace(branch);
    }

    fn flip(&mut self) {
        let Some(first) = self.former.first() else {
            return;
        };
        let canonical = self
            .blocks
            .iter()
            .any(|block| block.hash == first.header.parent_hash);
        if canonical {
            let branch = self.former.clone();
            self.replace(branch);
        }
    }

    fn replace(&mut self, branch: Vec<GeneratedBlock>) {
        let from = branch.first().expect("a block").number();
        self.chain
            .replace_from(from, branch.iter().map(GeneratedBlock::canned));
        let at = usize::try_from(from).expect("a height");
        self.former = self.blocks.split_off(at);
        self.blocks.extend(branch);
    }
}

fn a_fault(history: &mut History) -> Fault {
    match history.generator.random().random_range(0..8) {
        0 => Fault::Null,
        1 => Fault::ReceiptsOfAnotherBlock,
        2 => Fault::TruncatedBody,
        3 => Fault::CutConnection,
        4 => Fault::Status(500),
        5 => Fault::TooManyRequests {
            retry_after_secs: Some(1),
        },
        6 => Fault::StaleHead(3),
        _ => Fault::Latency(Duration::from_millis(40)),
    }
}

async fn live(seed: u64) {
    let mut history = History::begin(seed);
    history.grow(4);
    let node = Server::start(history.chain.clone()).expect("a node");
    let url = if seed.is_multiple_of(2) {
        node.http_url()
    } else {
        node.ws_url()
    };
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let events = Events::subscribe(&redis.url()).await;
    let start = || async {
        let config = indexer_config(&database, &redis.url(), std::slice::from_ref(&url));
        RunningIndexer::start(&database, config).await
    };
    let mut indexer = start().await;
    let mut highest = 0;
    for _ in 0..STEPS {
        match history.generator.random().random_range(0..10) {
            0..=2 => {
                let length = history.generator.random().random_range(1..5);
                history.grow(length);
            }
            3..=5 => history.reorg(),
            6 => history.flip(),
            7 | 8 if url.starts_with("http") => {
                let fault = a_fault(&mut history);
                let times = history.generator.random().random_range(1..5);
                node.faults().on(ANY_METHOD, fault, When::Times(times));
            }
            7 | 8 => node.close_sockets(),
            _ => {
                // A node that fails while it is asked for its chain is refused at start.
                node.faults().clear();
                indexer.stop().await;
                indexer = start().await;
            }
        }
        highest = highest.max(history.blocks.len());
        let pause = history.generator.random().random_range(0..120);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    node.faults().clear();
    // A head below ours on the same chain is a node that lags: the end is above all there was.
    history.grow(highest + 1 - history.blocks.len().min(highest));
    let head = history.blocks.last().expect("a block").hash;
    indexer.reaches(head).await;
    indexer.publishes_everything().await;
    indexer.stop().await;

    let twin = Database::create().await;
    let config = indexer_config(&twin, &redis.url(), &[node.http_url()]);
    let told = events.replayed_chain();
    drop(events);
    let fresh = RunningIndexer::start(&twin, config).await;
    fresh.reaches(head).await;
    fresh.stop().await;
    assert_twins(&database.pool, &twin.pool).await;
    let chain: Vec<(u64, String)> = history
        .blocks
        .iter()
        .map(|block| (block.number(), format!("{:?}", block.hash)))
        .collect();
    let first = usize::try_from(told.first().expect("an announcement").0).expect("a height");
    assert!(first <= 1, "everything above the final block is announced");
    assert_eq!(told, chain[first..], "who listened knows the final chain");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_that_ends_at_a_head_leaves_the_index_of_that_head() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (1..=SEEDS).collect(),
    };
    // A panic is caught, so that all seeds that fail are named.
    let lives = stream::iter(seeds)
        .map(|seed| async move { (seed, AssertUnwindSafe(live(seed)).catch_unwind().await) });
    let ends: Vec<_> = lives.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<u64> = ends
        .iter()
        .filter(|(_, end)| end.is_err())
        .map(|(seed, _)| *seed)
        .collect();
    assert!(
        failed.is_empty(),
        "seeds {failed:?} failed: SEED={} repeats the first",
        failed[0]
    );
}
