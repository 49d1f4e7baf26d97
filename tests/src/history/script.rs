//! What happens in one history, drawn from a seed alone: printed when it fails, the same every time.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use simnode::{ANY_METHOD, Fault, Pruned};
use std::{fmt, time::Duration};

const BLOCK_BY_NUMBER: &str = "eth_getBlockByNumber";
const BLOCK_BY_HASH: &str = "eth_getBlockByHash";
const RECEIPTS: &str = "eth_getBlockReceipts";

/// Deepest reorg of a history that has room for one.
const DEEPEST: usize = 200;

/// Blocks on top of a final one where nodes know no finality tags; what the indexer takes for granted.
pub(super) const DEPTH: u64 = 64;

/// One history: what there is at the start, and what happens then.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it was drawn from, and the blocks are.
    pub seed: u64,
    pub(super) setup: Setup,
    pub(super) steps: Vec<(Step, Duration)>,
}

#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// Blocks up to what is final at the start: history to fill in.
    pub history: usize,
    /// Blocks above it.
    pub tail: usize,
    pub most_transactions: usize,
    /// Bytes that a backfill may have on its way: small, so that there are many commits.
    pub budget_bytes: u64,
    /// Whether nodes say what is final; else it is what lies deep enough.
    pub tags: bool,
    pub nodes: Vec<NodeSetup>,
}

#[derive(Clone, Debug)]
pub(super) struct NodeSetup {
    pub kind: Kind,
    pub over_ws: bool,
    pub latency: Duration,
    /// Calls in one request, at most.
    pub batch_limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Has everything, and never lies where there are others.
    Archive,
    Full,
    /// Blocks below this height are gone.
    PrunedBelow(u64, Pruned),
    /// Serves another branch of history below this height, each block of which is valid.
    LiesBelow(u64),
}

/// Something that happens. Nodes are named by their position.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Grow(usize),
    /// The chain goes another way, `depth` blocks below its head or as deep as is not final.
    Reorg {
        depth: usize,
        length: usize,
    },
    /// The branch that was replaced last is canonical again.
    Flip,
    /// The head goes back, which no node announces; what grows next is another branch.
    RollBack(usize),
    /// A node stays where it is.
    Freeze(usize),
    /// A node goes another way than the others.
    Diverge {
        node: usize,
        depth: usize,
        length: usize,
    },
    /// A node has a lower head on the same chain.
    LowerHead {
        node: usize,
        by: u64,
    },
    /// A node is where the others are.
    Rejoin(usize),
    /// All but so many blocks become final.
    Finalize {
        but: u64,
    },
    Misbehave {
        node: usize,
        method: &'static str,
        fault: Fault,
        times: u32,
    },
    CloseSockets(usize),
    MuteSockets(usize),
    /// A node is away until the step is over.
    Outage(usize),
    /// The indexer is stopped in order, and started.
    Stop,
    /// The indexer ends in the middle of whatever it does, and is started.
    Kill,
    /// The database ends every session of the indexer.
    EndSessions,
    /// An operator goes back so many blocks by hand.
    GoBack(u64),
}

impl Script {
    /// The history of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let setup = Setup::draw(&mut random);
        let count = random.random_range(8..=14);
        let mut steps = Vec::with_capacity(count);
        for _ in 0..count {
            let step = Step::draw(&mut random, &setup);
            // What follows at once hits what is under way.
            let pause = match random.random_range(0..3) {
                0 => 0,
                _ => random.random_range(1..80),
            };
            steps.push((step, Duration::from_millis(pause)));
        }
        Self { seed, setup, steps }
    }

    /// The same with an indexer that ends abruptly at every other step.
    #[must_use]
    pub fn with_kills(mut self) -> Self {
        let mut random = StdRng::seed_from_u64(self.seed);
        for index in (0..self.steps.len()).rev().step_by(2) {
            let pause = Duration::from_millis(random.random_range(50..400));
            self.steps.insert(index, (Step::Kill, pause));
        }
        self
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {:?}", self.seed, self.setup)?;
        for (step, pause) in &self.steps {
            writeln!(f, "  {step:?}, then {pause:?}")?;
        }
        Ok(())
    }
}

impl Setup {
    fn draw(random: &mut StdRng) -> Self {
        let (history, tail, most_transactions) = match random.random_range(0..40) {
            0 => (30, DEEPEST + 30, 1),
            1..=3 => (random.random_range(120..=300), 10, 1),
            4..=25 => (random.random_range(30..=90), random.random_range(3..20), 2),
            _ => (0, random.random_range(3..20), 4),
        };
        let tags = history > 0 || random.random_bool(0.8);
        let count = random.random_range(1..=3);
        let archive = random.random_range(0..count);
        let nodes = (0..count).map(|index| NodeSetup::draw(random, history, index == archive));
        Self {
            nodes: nodes.collect(),
            history,
            tail,
            most_transactions,
            budget_bytes: 1 << random.random_range(14..20),
            tags,
        }
    }

    /// The node that may lie: its place, when it is not the only one, is never the archive's, so that
    /// what one is left alone for is had from another.
    fn liar(&self) -> usize {
        let full = self
            .nodes
            .iter()
            .position(|node| node.kind != Kind::Archive);
        full.unwrap_or(0)
    }

    /// Whether a node's history is another one.
    fn has_false_history(&self) -> bool {
        let lies = |node: &NodeSetup| matches!(node.kind, Kind::LiesBelow(_));
        self.nodes.iter().any(lies)
    }
}

impl NodeSetup {
    fn draw(random: &mut StdRng, history: usize, archive: bool) -> Self {
        let history = u64::try_from(history).unwrap_or(u64::MAX);
        let kind = match random.random_range(0..4) {
            _ if archive => Kind::Archive,
            0 if history > 3 => {
                let how = if random.random() {
                    Pruned::Error
                } else {
                    Pruned::Null
                };
                Kind::PrunedBelow(random.random_range(2..history), how)
            }
            1 if history > 3 => Kind::LiesBelow(random.random_range(2..history)),
            _ => Kind::Full,
        };
        let batch_limit = random
            .random_bool(0.4)
            .then(|| 2 * random.random_range(1..10));
        Self {
            kind,
            over_ws: random.random_bool(0.7),
            latency: Duration::from_millis(random.random_range(0..8)),
            batch_limit,
        }
    }
}

impl Step {
    fn draw(random: &mut StdRng, setup: &Setup) -> Self {
        let node = random.random_range(0..setup.nodes.len());
        let depth = if setup.tail > DEEPEST && random.random_bool(0.3) {
            random.random_range(64..=DEEPEST)
        } else {
            random.random_range(1..=9)
        };
        let length = random.random_range(1..=9);
        match random.random_range(0..100) {
            0..=17 => Self::Grow(length.min(5)),
            18..=37 => Self::Reorg {
                depth,
                length: depth.max(64) - 64 + length,
            },
            38..=43 => Self::Flip,
            44..=48 => Self::RollBack(depth),
            49..=52 => Self::Freeze(node),
            53..=57 => Self::Diverge {
                node,
                depth: depth.min(9),
                length,
            },
            58..=60 => Self::LowerHead {
                node,
                by: random.random_range(1..20),
            },
            61..=64 => Self::Rejoin(node),
            65..=69 => Self::Finalize {
                but: random.random_range(0..20),
            },
            70..=84 => Self::misbehave(random, setup, node),
            85..=86 => Self::CloseSockets(node),
            87 => Self::Outage(node),
            88..=90 => Self::Stop,
            91..=95 => Self::Kill,
            96..=97 => Self::EndSessions,
            // From a node with another history, an operator who goes back below it gets just that.
            98 if !setup.has_false_history() => Self::GoBack(random.random_range(1..60)),
            // Both wait for time limits of many seconds: rare.
            99 if random.random_ratio(1, 4) => Self::MuteSockets(node),
            _ => Self::Grow(1),
        }
    }

    fn misbehave(random: &mut StdRng, setup: &Setup, node: usize) -> Self {
        let times = random.random_range(1..5);
        let method =
            [ANY_METHOD, BLOCK_BY_NUMBER, BLOCK_BY_HASH, RECEIPTS][random.random_range(0..4)];
        let blocks = [BLOCK_BY_NUMBER, BLOCK_BY_HASH][random.random_range(0..2)];
        let retry_after_secs = random.random::<bool>().then_some(1);
        let is_slow = random.random_ratio(1, 8);
        let over_ws = setup.nodes[node].over_ws;
        let (node, method, fault, times) = match random.random_range(0..16) {
            0 => (node, RECEIPTS, Fault::Null, times),
            1 => (node, method, Fault::CutConnection, times),
            2 => (node, method, Fault::Status(500), times),
            3 => (node, method, Fault::Status(503), times),
            4 => (
                node,
                method,
                Fault::TooManyRequests { retry_after_secs },
                times,
            ),
            5 => (node, method, Fault::rate_limited(), times),
            6 => (node, method, Fault::response_too_large(), times),
            7 => (node, method, Fault::error(-32_000, "internal error"), times),
            8 => (
                node,
                ANY_METHOD,
                Fault::StaleHead(u64::from(times) * 2),
                times * 3,
            ),
            9 => (node, RECEIPTS, Fault::Unsupported, times),
            10 => (node, "eth_subscribe", Fault::SilentSubscription, times),
            11 => (setup.liar(), RECEIPTS, Fault::ReceiptsOfAnotherBlock, 1),
            12 => (setup.liar(), blocks, Fault::wrong_root("/receiptsRoot"), 1),
            13 => (
                setup.liar(),
                blocks,
                Fault::wrong_root("/transactionsRoot"),
                1,
            ),
            // Half a message on a socket has said nothing, as a node that never answers: time limits
            // of many seconds.
            14 if is_slow || !over_ws => (node, method, Fault::TruncatedBody, times),
            15 if is_slow => (node, method, Fault::NeverAnswer, 1),
            _ => {
                let late = Fault::Latency(Duration::from_millis(40));
                (node, method, late, times)
            }
        };
        Self::Misbehave {
            node,
            method,
            fault,
            times,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_script_every_time_and_another_seed_another_one() {
        assert_eq!(Script::of(7).to_string(), Script::of(7).to_string());
        assert_ne!(Script::of(7).to_string(), Script::of(8).to_string());
    }

    #[test]
    fn two_hundred_seeds_have_everything_that_there_is() {
        let all: String = (1..=200).map(|seed| Script::of(seed).to_string()).collect();
        for word in [
            "Grow",
            "Reorg",
            "Flip",
            "RollBack",
            "Freeze",
            "Diverge",
            "LowerHead",
            "Rejoin",
            "Finalize",
            "CloseSockets",
            "Outage",
            "Stop",
            "Kill",
            "EndSessions",
            "GoBack",
            "PrunedBelow",
            "LiesBelow",
            "tags: false",
            "Null",
            "CutConnection",
            "Status(500)",
            "TooManyRequests(Some(1))",
            "TooManyRequests(None)",
            "-32005",
            "StaleHead",
            "Unsupported",
            "SilentSubscription",
            "ReceiptsOfAnotherBlock",
            "Edit",
            "TruncatedBody",
            "NeverAnswer",
            "Latency",
        ] {
            assert!(all.contains(word), "no {word}");
        }
        let histories = (1..=200).filter(|seed| Script::of(*seed).setup.history >= 30);
        assert!(
            histories.count() >= 100,
            "half of them have history to fill in"
        );
    }
}
