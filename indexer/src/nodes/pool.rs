//! The nodes with their standings, and who is asked next.
//!
//! In: wishes for a node. Out: permits, each for one request. When all nodes are at their limits, the
//! wish waits for the node that is expected to be through first. A permit is given back when dropped.

use super::{
    current::Absence,
    limits::Limits,
    standing::{Standing, Trust, Why},
    trail::Trail,
};
use crate::{error::IndexError, metrics, node::Node, precedence::Precedence};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use store::state::Chain;
use tokio::sync::Notify;

/// How long a wish waits for a node that is left alone; for a busy one as long as that asks for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a wish that waits looks again: pauses end without a word.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a failure adds to the seconds within which a block is expected, for the same blocks.
const SECONDS_PER_FAILURE: f64 = 0.25;

/// The nodes.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) nodes: Vec<Arc<Node>>,
    standings: Vec<Mutex<Standing>>,
    /// The node that is followed.
    pub(crate) current: AtomicUsize,
    pub(crate) absence: Mutex<Absence>,
    /// Who goes first there.
    pub(crate) precedence: Precedence,
    /// The chain that the nodes must follow, once that is known.
    pub(crate) chain: OnceLock<Chain>,
    freed: Notify,
}

/// A place among a node's requests in flight.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    pool: &'a Pool,
    pub(crate) index: usize,
    pub(crate) epoch: u64,
    /// Whether it took the node's last place.
    pub(crate) last: bool,
}

impl Permit<'_> {
    pub(crate) fn node(&self) -> &Node {
        &self.pool.nodes[self.index]
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.pool.standing(self.index).in_flight -= 1;
        self.pool.freed.notify_waiters();
        self.pool.report(self.index);
    }
}

enum Choice<'a> {
    Now(Permit<'a>),
    Later,
    Never,
}

impl Pool {
    pub(crate) fn new(nodes: Vec<Arc<Node>>) -> Self {
        Self {
            standings: nodes.iter().map(|_| Mutex::default()).collect(),
            nodes,
            current: AtomicUsize::new(0),
            absence: Mutex::default(),
            precedence: Precedence::default(),
            chain: OnceLock::new(),
            freed: Notify::new(),
        }
    }

    pub(crate) fn standing(&self, index: usize) -> MutexGuard<'_, Standing> {
        // Every change leaves a standing whole: a panic elsewhere cannot have torn it.
        self.standings[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_of(&self, label: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.label() == label)
    }

    /// A place at the node that is expected to answer first; `None` when none can be asked now.
    pub(crate) async fn acquire(&self, lowest: u64, trail: &Trail) -> Option<Permit<'_>> {
        loop {
            let freed = self.freed.notified();
            match self.choose(lowest, trail) {
                Choice::Now(permit) => return Some(permit),
                Choice::Later => {
                    let _ = tokio::time::timeout(LOOK_AGAIN, freed).await;
                }
                Choice::Never => return None,
            }
        }
    }

    /// The node with the smallest sum of its pause and its expected time. A full one is waited for
    /// rather than passed over: a slower one that is free would still be later.
    fn choose(&self, lowest: u64, trail: &Trail) -> Choice<'_> {
        let now = Instant::now();
        let mut best: Option<(f64, usize)> = None;
        let mut strangers = false;
        for index in 0..self.nodes.len() {
            let standing = self.standing(index);
            strangers |= standing.is_being_introduced(now);
            let pruned = standing.pruned_below(now).is_some_and(|h| lowest < h);
            if standing.trust != Trust::Verified || pruned || trail.gave_up(index) {
                continue;
            }
            let pause = match standing.resting(now) {
                Some((left, why)) if left > PATIENCE && *why != Why::Busy => continue,
                Some((left, _)) => left.as_secs_f64(),
                None => 0.0,
            };
            let failures = f64::from(trail.failures(index));
            let score = pause + standing.expected(now) + failures * SECONDS_PER_FAILURE;
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, index));
            }
        }
        match best {
            Some((_, index)) => self.enter(index, now).map_or(Choice::Later, Choice::Now),
            // The first nodes are being introduced.
            None if strangers && !self.any_verified() => Choice::Later,
            None => Choice::Never,
        }
    }

    /// Takes a place at a node that may be asked now and is not full.
    fn enter(&self, index: usize, now: Instant) -> Option<Permit<'_>> {
        let mut standing = self.standing(index);
        let limit = standing.concurrency();
        if standing.resting(now).is_some() || standing.in_flight >= limit {
            return None;
        }
        standing.asked(now);
        Some(Permit {
            pool: self,
            index,
            epoch: standing.limits.epoch(),
            last: standing.in_flight == limit,
        })
    }

    /// A place at a node without waiting for one: what is live goes first.
    pub(crate) fn squeeze_in(&self, index: usize) -> Permit<'_> {
        let mut standing = self.standing(index);
        standing.asked(Instant::now());
        Permit {
            pool: self,
            index,
            epoch: standing.limits.epoch(),
            last: false,
        }
    }

    fn any_verified(&self) -> bool {
        (0..self.nodes.len()).any(|index| self.standing(index).trust == Trust::Verified)
    }

    /// Folds over the limits of the nodes that may be asked now, or of all that follow our chain when
    /// none may.
    pub(crate) fn over_limits(&self, fold: impl Fn(usize, &Limits) -> usize) -> usize {
        let now = Instant::now();
        let over = |usable: bool| {
            (0..self.nodes.len()).fold(0, |sum, index| {
                let standing = self.standing(index);
                let counts =
                    standing.trust == Trust::Verified && (!usable || standing.is_usable(now));
                if counts {
                    fold(sum, &standing.limits)
                } else {
                    sum
                }
            })
        };
        match over(true) {
            0 => over(false).max(1),
            some => some,
        }
    }

    /// A node lied: it is left alone, the longer the more often it did. False when that is known.
    pub(crate) fn quarantine(&self, index: usize, reason: &str) -> bool {
        let others = (0..self.nodes.len())
            .filter(|other| *other != index)
            .any(|other| self.standing(other).is_usable(Instant::now()));
        let news = self.standing(index).lied(Instant::now(), reason, !others);
        if news {
            let node = self.nodes[index].label();
            tracing::warn!(node, "node is not asked for a while: {reason}");
            metrics::node_quarantined(node);
        }
        news
    }

    /// A node has no block at a height that its chain is long past.
    pub(crate) fn has_pruned(&self, index: usize, number: u64) {
        if self.standing(index).has_pruned(Instant::now(), number) {
            let node = self.nodes[index].label();
            tracing::warn!(
                node,
                block.number = number,
                "node has pruned its history: older blocks are asked for elsewhere"
            );
        }
    }

    /// No node has a block any more.
    pub(crate) fn pruned_everywhere(&self, number: u64) -> Option<IndexError> {
        let now = Instant::now();
        let ours =
            (0..self.nodes.len()).filter(|index| self.standing(*index).trust == Trust::Verified);
        let ours: Vec<usize> = ours.collect();
        let lost = ours.iter().all(|index| {
            let below = self.standing(*index).pruned_below(now);
            below.is_some_and(|below| number < below)
        });
        if ours.is_empty() || !lost {
            return None;
        }
        let labels: Vec<&str> = ours
            .iter()
            .map(|index| self.nodes[*index].label())
            .collect();
        Some(IndexError::Halt(format!(
            "node {}, block {number}: history is pruned there: add an archive or full node to RPC_URL, \
             or begin a new database with a later CHAIN_START_BLOCK",
            labels.join(", ")
        )))
    }

    /// Wakes those who wait for a node.
    pub(crate) fn notify(&self) {
        self.freed.notify_waiters();
    }

    pub(crate) fn is_current(&self, index: usize) -> bool {
        self.current.load(Ordering::Relaxed) == index
    }

    /// Tells the metrics how a node is used.
    pub(crate) fn report(&self, index: usize) {
        let standing = self.standing(index);
        metrics::node(self.nodes[index].label(), &standing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::trail;

    fn pool(nodes: u16) -> Pool {
        let nodes = (1..=nodes).map(|port| {
            let url = format!("http://127.0.0.1:{port}").parse().expect("a URL");
            Arc::new(Node::new(url))
        });
        let pool = Pool::new(nodes.collect());
        for index in 0..pool.nodes.len() {
            pool.standing(index).trust = Trust::Verified;
        }
        pool
    }

    fn chosen<'a>(pool: &'a Pool, trail: &Trail) -> Option<Permit<'a>> {
        match pool.choose(10, trail) {
            Choice::Now(permit) => Some(permit),
            Choice::Later | Choice::Never => None,
        }
    }

    fn measured(pool: &Pool, index: usize, millis: u64) {
        let took = Duration::from_millis(millis);
        let mut standing = pool.standing(index);
        standing.asked(Instant::now());
        standing.in_flight -= 1;
        let blocks = standing.limits.blocks();
        standing.limits.replied(blocks, 1, took, false);
    }

    #[test]
    fn a_fast_node_is_waited_for_where_a_slow_one_would_be_later() {
        let pool = pool(2);
        measured(&pool, 0, 1_000);
        measured(&pool, 1, 10);
        let mut held = Vec::new();
        while let Some(permit) = chosen(&pool, &Trail::default()) {
            assert_eq!(permit.index, 1);
            held.push(permit);
        }
        assert_eq!(held.len(), pool.standing(1).concurrency());
        assert!(held.last().is_some_and(|permit| permit.last));
        held.pop();
        assert_eq!(chosen(&pool, &Trail::default()).map(|p| p.index), Some(1));
    }

    #[test]
    fn equal_nodes_share_the_work() {
        let pool = pool(2);
        measured(&pool, 0, 10);
        measured(&pool, 1, 10);
        let held: Vec<_> = std::iter::from_fn(|| chosen(&pool, &Trail::default())).collect();
        let first = held.iter().filter(|permit| permit.index == 0).count();
        assert_eq!(2 * first, held.len());
    }

    #[test]
    fn what_a_node_failed_at_is_asked_of_another_and_at_last_of_nobody() {
        let pool = pool(2);
        let mut trail = Trail::default();
        trail.failed(0);
        assert_eq!(chosen(&pool, &trail).map(|p| p.index), Some(1));
        for _ in 0..trail::TRIES {
            trail.failed(1);
        }
        assert_eq!(chosen(&pool, &trail).map(|p| p.index), Some(0));
        trail.failed(0);
        trail.failed(0);
        assert!(matches!(pool.choose(10, &trail), Choice::Never));
    }

    #[test]
    fn a_node_that_lied_is_passed_over_and_a_lonely_one_waited_for() {
        let two = pool(2);
        assert!(two.quarantine(0, "wrong root"));
        assert!(!two.quarantine(0, "wrong root"));
        assert_eq!(chosen(&two, &Trail::default()).map(|p| p.index), Some(1));
        let one = pool(1);
        assert!(one.quarantine(0, "wrong root"));
        assert!(matches!(one.choose(10, &Trail::default()), Choice::Later));
    }

    #[test]
    fn history_that_a_node_pruned_is_asked_of_another() {
        let pool = pool(2);
        pool.has_pruned(0, 50);
        assert_eq!(chosen(&pool, &Trail::default()).map(|p| p.index), Some(1));
        assert!(pool.pruned_everywhere(10).is_none());
        pool.has_pruned(1, 20);
        let error = pool.pruned_everywhere(10).expect("an error").to_string();
        for part in ["127.0.0.1:1", "127.0.0.1:2", "block 10", "pruned"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(pool.pruned_everywhere(30).is_none(), "one has that");
    }

    #[test]
    fn a_permit_that_is_dropped_is_free_again() {
        let pool = pool(1);
        let permit = chosen(&pool, &Trail::default());
        assert_eq!(pool.standing(0).in_flight, 1);
        drop(permit);
        assert_eq!(pool.standing(0).in_flight, 0);
    }
}
