//! The chain of a history, and nodes that disagree about it.

use super::script::{DEPTH, Kind, NodeSetup, Setup, Step};
use crate::{GENERATED_CHAIN_ID, GeneratedBlock, Generator};
use alloy::primitives::B256;
use rand::Rng as _;
use simnode::{CannedChain, Fault, Server, Tag, When};

/// The chain as it is now, and its nodes.
pub(super) struct World {
    generator: Generator,
    most_transactions: usize,
    tags: bool,
    /// The canonical chain from block 0 on.
    pub(super) blocks: Vec<GeneratedBlock>,
    /// The branch that was replaced last.
    former: Vec<GeneratedBlock>,
    /// What is final: no reorg reaches below.
    finalized: u64,
    /// The highest block that any node ever had.
    highest: u64,
    nodes: Vec<Node>,
}

struct Node {
    server: Server,
    setup: NodeSetup,
    /// What it takes for canonical, from block 0 on.
    hashes: Vec<B256>,
    /// Whether it goes its own way.
    apart: bool,
}

impl World {
    /// The chain and the nodes of a start.
    pub(super) fn begin(seed: u64, setup: &Setup) -> Self {
        let mut generator = Generator::seeded(seed);
        let genesis = generator.genesis();
        let lies = setup
            .nodes
            .iter()
            .any(|n| matches!(n.kind, Kind::LiesBelow(_)));
        let mut world = Self {
            generator,
            most_transactions: setup.most_transactions,
            tags: setup.tags,
            blocks: vec![genesis.clone()],
            former: Vec::new(),
            finalized: u64::try_from(setup.history).expect("a height"),
            highest: 0,
            nodes: Vec::new(),
        };
        let lie = if lies {
            world.branch(&genesis, setup.history)
        } else {
            Vec::new()
        };
        let branch = world.branch(&genesis, setup.history + setup.tail);
        world.blocks.extend(branch);
        world.nodes = setup
            .nodes
            .iter()
            .map(|setup| Node::start(setup, &world.blocks, &lie))
            .collect();
        world.settle();
        world
    }

    /// The URL of every node, over the transport that it is asked by.
    pub(super) fn urls(&self) -> Vec<String> {
        let url = |node: &Node| {
            if node.setup.over_ws {
                node.server.ws_url()
            } else {
                node.server.http_url()
            }
        };
        self.nodes.iter().map(url).collect()
    }

    /// What a step does to the chain or its nodes.
    pub(super) async fn live_through(&mut self, step: &Step) {
        match *step {
            Step::Grow(length) => self.grow(length),
            Step::Reorg { depth, length } => {
                if let Some(kept) = self.fork(depth) {
                    let branch = self.branch(&kept, length);
                    self.replace(branch);
                }
            }
            Step::Flip => {
                let first = self.former.first().map(|block| block.header.parent_hash);
                if self.blocks.iter().any(|block| Some(block.hash) == first) {
                    let branch = self.former.clone();
                    self.replace(branch);
                }
            }
            Step::RollBack(depth) => {
                if let Some(kept) = self.fork(depth) {
                    self.former = self.blocks.split_off(at(kept.number()) + 1);
                }
            }
            Step::Freeze(node) => self.nodes[node].apart = true,
            Step::Diverge {
                node,
                depth,
                length,
            } => {
                if let Some(kept) = self.fork(depth) {
                    let branch = self.branch(&kept, length);
                    let blocks = &self.blocks[..=at(kept.number())];
                    let blocks: Vec<_> = blocks.iter().cloned().chain(branch).collect();
                    self.nodes[node].follow(&blocks);
                    self.nodes[node].apart = true;
                    self.note_height(blocks.len());
                }
            }
            Step::LowerHead { node, by } => {
                let node = &mut self.nodes[node];
                let head = u64::try_from(node.hashes.len()).expect("a height") - 1;
                node.server.chain().set_head(head.saturating_sub(by));
            }
            Step::Rejoin(node) => self.nodes[node].rejoin(&self.blocks),
            Step::Finalize { but } if self.tags => {
                let head = self.blocks.last().expect("a block").number();
                self.finalized = self.finalized.max(head.saturating_sub(but));
            }
            Step::Misbehave {
                node,
                method,
                ref fault,
                times,
            } => {
                let server = &self.nodes[node].server;
                server
                    .faults()
                    .on(method, fault.clone(), When::Times(times));
            }
            Step::CloseSockets(node) => self.nodes[node].server.close_sockets(),
            Step::MuteSockets(node) => self.nodes[node].server.mute_sockets(),
            Step::Outage(node) => self.nodes[node].server.stop().await,
            // None of theirs.
            Step::Finalize { .. }
            | Step::Stop
            | Step::Kill
            | Step::EndSessions
            | Step::GoBack(_) => {}
        }
        self.settle();
    }

    /// A node that was away is back.
    pub(super) fn come_back(&mut self, node: usize) {
        self.nodes[node]
            .server
            .restart()
            .expect("the node comes back");
    }

    /// Nodes answer as they should: one that fails while it is asked for its chain is refused at start.
    pub(super) fn behave(&self) {
        for node in &self.nodes {
            node.server.faults().clear();
            node.slow_down();
        }
    }

    /// All nodes are of one mind and behave, and the head is above all there was: one below ours on the
    /// same chain is a node that lags.
    pub(super) fn end(&mut self) {
        self.behave();
        for node in &mut self.nodes {
            node.rejoin(&self.blocks);
        }
        let missing = at(self.highest + 2).saturating_sub(self.blocks.len());
        self.grow(missing.max(1));
        self.settle();
    }

    fn grow(&mut self, length: usize) {
        let head = self.blocks.last().expect("a block").clone();
        let branch = self.branch(&head, length);
        self.blocks.extend(branch);
    }

    fn branch(&mut self, parent: &GeneratedBlock, length: usize) -> Vec<GeneratedBlock> {
        let mut blocks: Vec<GeneratedBlock> = Vec::with_capacity(length);
        for _ in 0..length {
            let count = self
                .generator
                .random()
                .random_range(0..=self.most_transactions);
            let block = self
                .generator
                .child_with(blocks.last().unwrap_or(parent), count);
            blocks.push(block);
        }
        blocks
    }

    /// The block to go another way from, or none when the head is final.
    fn fork(&self, depth: usize) -> Option<GeneratedBlock> {
        let lowest = at(self.finalized);
        let at = (self.blocks.len() - 1).saturating_sub(depth).max(lowest);
        self.blocks
            .get(at)
            .filter(|_| at + 1 < self.blocks.len())
            .cloned()
    }

    fn replace(&mut self, branch: Vec<GeneratedBlock>) {
        let first = branch.first().expect("a block").number();
        // A flip may bring back a branch that begins below what became final since.
        if first > self.finalized {
            self.former = self.blocks.split_off(at(first));
            self.blocks.extend(branch);
        }
    }

    fn note_height(&mut self, length: usize) {
        let head = u64::try_from(length).expect("a height") - 1;
        self.highest = self.highest.max(head);
        if !self.tags {
            self.finalized = self.finalized.max(self.highest.saturating_sub(DEPTH));
        }
    }

    /// Nodes follow, but for those that are apart, as long as what these have is not ruled out.
    fn settle(&mut self) {
        self.note_height(self.blocks.len());
        for node in &mut self.nodes {
            let ruled_out = node.shared(&self.blocks) <= at(self.finalized);
            if node.apart && ruled_out {
                node.rejoin(&self.blocks);
            } else if !node.apart {
                node.follow(&self.blocks);
            }
        }
        for node in &self.nodes {
            node.tag(self.tags, self.finalized);
        }
    }
}

impl Node {
    fn start(setup: &NodeSetup, blocks: &[GeneratedBlock], lie: &[GeneratedBlock]) -> Self {
        let chain = CannedChain::new(GENERATED_CHAIN_ID);
        let server = Server::start(chain).expect("a node");
        server.set_batch_limit(setup.batch_limit);
        let mut node = Self {
            server,
            setup: setup.clone(),
            hashes: Vec::new(),
            apart: false,
        };
        match setup.kind {
            Kind::PrunedBelow(height, how) => {
                node.follow(blocks);
                node.server.chain().set_pruned(Some((height, how)));
            }
            Kind::LiesBelow(height) => {
                let height = at(height);
                let told = blocks[..1].iter().chain(&lie[..height - 1]);
                let told: Vec<_> = told.chain(&blocks[height..]).cloned().collect();
                node.follow(&told);
                // From here on it is as good as the others, since none looks down there.
                node.hashes = blocks.iter().map(|block| block.hash).collect();
            }
            Kind::Archive | Kind::Full => node.follow(blocks),
        }
        node.slow_down();
        node
    }

    fn slow_down(&self) {
        let latency = Fault::Latency(self.setup.latency);
        if !self.setup.latency.is_zero() {
            self.server
                .faults()
                .on("eth_getBlockReceipts", latency, When::Always);
        }
    }

    /// How many blocks it has in common with a chain.
    fn shared(&self, blocks: &[GeneratedBlock]) -> usize {
        let pairs = self.hashes.iter().zip(blocks);
        pairs
            .take_while(|(hash, block)| **hash == block.hash)
            .count()
    }

    fn follow(&mut self, blocks: &[GeneratedBlock]) {
        let shared = self.shared(blocks);
        if shared == blocks.len() && shared == self.hashes.len() {
            return;
        }
        let fresh = &blocks[shared..];
        self.hashes.truncate(shared);
        self.hashes.extend(fresh.iter().map(|block| block.hash));
        let number = u64::try_from(shared).expect("a height");
        let fresh = fresh.iter().map(GeneratedBlock::canned);
        self.server.chain().replace_from(number, fresh);
    }

    fn rejoin(&mut self, blocks: &[GeneratedBlock]) {
        self.apart = false;
        self.follow(blocks);
        self.server.chain().release_head();
    }

    fn tag(&self, tags: bool, finalized: u64) {
        let tag = if tags {
            Tag::At(finalized)
        } else {
            Tag::Unsupported
        };
        self.server.chain().set_finalized(tag);
        self.server.chain().set_safe(tag);
    }
}

fn at(height: u64) -> usize {
    usize::try_from(height).expect("a height")
}
