//! Blocks from several nodes at once, of which each refuses, breaks, lies or forgets in its own way.

mod live;
mod refusals;
mod several;

use chain::{FinalityProfile, Parts, VerifyLevel};
use indexer::{IndexError, NodeState, RawBlock, Source};
use simnode::{CannedChain, Server};
use std::ops::Range;
use store::state::Chain;
use tallyscan_tests::{GENERATED_CHAIN_ID, GeneratedBlock, Generator, eventually};

const RECEIPTS: &str = "eth_getBlockReceipts";

/// A chain of generated blocks, and what every node must say its genesis is.
struct Lab {
    blocks: Vec<GeneratedBlock>,
    chain: Chain,
}

impl Lab {
    fn with_blocks(count: usize) -> Self {
        let mut generator = Generator::seeded(3);
        let genesis = generator.genesis();
        let chain = Chain {
            bucket_blocks: 50_000,
            chain_id: GENERATED_CHAIN_ID,
            genesis_hash: genesis.hash,
            finality_profile: FinalityProfile::Tags,
            start_block: 0,
            live_from: 0,
            instance: "pool".to_owned(),
        };
        let mut blocks = vec![genesis.clone()];
        blocks.extend(generator.branch(&genesis, count));
        Self { blocks, chain }
    }

    fn node(&self) -> Server {
        self.node_with(|_| true)
    }

    /// A node that has some of the blocks.
    fn node_with(&self, has: impl Fn(u64) -> bool) -> Server {
        let kept = self.blocks.iter().filter(|block| has(block.number()));
        let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, kept.map(GeneratedBlock::canned));
        Server::start(chain).expect("a node")
    }

    /// Nodes that were all found to follow the chain.
    async fn source(&self, urls: &[String]) -> Source {
        let source = self.unverified(urls);
        source.fetch_batch(&[0]).await.expect("a first block");
        eventually("all nodes to be known", || async {
            let health = source.nodes_health();
            health.iter().all(|node| node.state == NodeState::Usable)
        })
        .await;
        source
    }

    fn unverified(&self, urls: &[String]) -> Source {
        let urls: Vec<_> = urls.iter().map(|url| url.parse().expect("a URL")).collect();
        let source = Source::new(&urls);
        source.expect_chain(&self.chain);
        source
    }

    fn assert_true(&self, blocks: &[RawBlock], numbers: Range<u64>) {
        let expected: Vec<u64> = numbers.collect();
        assert_eq!(blocks.len(), expected.len());
        for (raw, number) in blocks.iter().zip(expected) {
            let index = usize::try_from(number).expect("a height");
            let hash = proven(raw).expect("a true block");
            assert_eq!(hash, self.blocks[index].hash, "block {number}");
        }
    }
}

fn proven(raw: &RawBlock) -> Result<alloy::primitives::B256, chain::VerifyError> {
    let parts = Parts::parse(raw.block.get(), raw.receipts.get())?;
    chain::verify(parts, VerifyLevel::Full.checks(true)).map(|block| block.hash)
}

fn heights(range: Range<u64>) -> Vec<u64> {
    range.collect()
}

async fn fetch(source: &Source, range: Range<u64>) -> Result<Vec<RawBlock>, IndexError> {
    source.fetch_batch(&heights(range)).await
}

fn label(node: &Server) -> String {
    node.address().to_string()
}
