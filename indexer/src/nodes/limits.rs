//! How much a node takes at once.
//!
//! Additive increase, multiplicative decrease, as TCP does it (RFC 5681): in a bad moment everybody
//! halves, in a good one everybody creeps up, and nobody has to be told the capacity. By Little's law
//! the requests in flight must be rate × latency, so a distant node is only used well if its limit
//! grows for as long as replies do not get slower by it.

use std::time::Duration;

/// Requests in flight to a node of which nothing is known: what one browser opens to one host.
const FIRST_CONCURRENCY: usize = 4;

/// Most requests in flight to one node: what a public node's proxy takes from one address.
const MOST_CONCURRENCY: usize = 64;

/// Blocks in the first request: 16 calls, below what providers that take batches at all refuse.
const FIRST_BLOCKS: usize = 8;

/// Most blocks in a request: 64 calls, below the smallest default limit of a client (Erigon's 100).
const MOST_BLOCKS: usize = 32;

/// A request's parts: the block and its receipts.
pub(crate) const CALLS_PER_BLOCK: usize = 2;

/// Requests grow until their reply is so large: more saves no time, and replies wait in memory.
const ENOUGH_BYTES: u64 = 1 << 20;

/// Requests grow until their reply takes so long: what is lost when one fails stays small.
const ENOUGH_TIME: Duration = Duration::from_secs(1);

/// Good replies in a row before a request asks for one block more.
const BATCH_RUN: usize = 4;

/// Good replies before a size that was once refused is tried again.
const CEILING_RUN: usize = 1_000;

/// How much slower than at its best a node may be for its limit still to grow: by then as many
/// requests wait at the node as it works on.
const SLOWER: f64 = 2.0;

/// Weight of the newest reply in the latency.
const WEIGHT: f64 = 0.2;

/// How fast the best latency is forgotten, per reply: blocks grow along a chain's history, and a
/// node that takes longer for larger ones is not slower.
const FORGET: f64 = 0.005;

/// What one node takes at once.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    concurrency: usize,
    /// Blocks in a request; 0 where each call goes alone.
    size: usize,
    /// Largest size that was not refused.
    ceiling: usize,
    /// Good replies since the concurrency, the size and the ceiling moved.
    good: usize,
    good_of_size: usize,
    good_of_ceiling: usize,
    /// Grows with each decrease: one bad moment hits every request in flight, and counts once.
    epoch: u64,
    /// Seconds per block: smoothed, and the best of late.
    per_block: Option<f64>,
    best: Option<f64>,
    /// Smoothed time of a reply.
    reply: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: FIRST_CONCURRENCY,
            size: FIRST_BLOCKS,
            ceiling: MOST_BLOCKS,
            good: 0,
            good_of_size: 0,
            good_of_ceiling: 0,
            epoch: 0,
            per_block: None,
            best: None,
            reply: None,
        }
    }
}

impl Limits {
    /// Requests in flight.
    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Blocks in a request.
    pub(crate) fn blocks(&self) -> usize {
        self.size.max(1)
    }

    /// Calls in a request; 1 where batches are refused.
    pub(crate) fn calls(&self) -> usize {
        (self.size * CALLS_PER_BLOCK).max(1)
    }

    /// What a decrease refers to.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Seconds that a block takes; `None` before the first.
    pub(crate) fn per_block(&self) -> Option<f64> {
        self.per_block
    }

    /// How long a reply takes; `None` before the first.
    pub(crate) fn reply(&self) -> Option<Duration> {
        self.reply
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }

    /// A reply came. `wanted`: more would have been asked for if the limit allowed it.
    pub(crate) fn replied(&mut self, blocks: usize, bytes: u64, took: Duration, wanted: bool) {
        let full = blocks >= self.blocks();
        let seconds = took.as_secs_f64();
        self.reply = Some(smooth(self.reply, seconds));
        // A remainder of a range says little about the time that a block takes.
        if 2 * blocks >= self.blocks() {
            let count = u32::try_from(blocks.max(1)).map_or(f64::MAX, f64::from);
            let now = smooth(self.per_block, seconds / count);
            self.per_block = Some(now);
            self.best = Some(match self.best {
                Some(best) if best < now => best + (now - best) * FORGET,
                _ => now,
            });
        }
        self.grow_concurrency(wanted);
        if full {
            self.grow_size(bytes, took);
        }
    }

    fn grow_concurrency(&mut self, wanted: bool) {
        self.good += 1;
        let slower = match (self.per_block, self.best) {
            (Some(now), Some(best)) => now > best * SLOWER,
            _ => false,
        };
        if wanted && !slower && self.good >= self.concurrency {
            self.concurrency = (self.concurrency + 1).min(MOST_CONCURRENCY);
            self.good = 0;
        }
    }

    fn grow_size(&mut self, bytes: u64, took: Duration) {
        self.good_of_size += 1;
        self.good_of_ceiling += 1;
        if self.good_of_ceiling >= CEILING_RUN {
            self.ceiling = (self.ceiling + 1).min(MOST_BLOCKS);
            self.good_of_ceiling = 0;
        }
        if bytes > 2 * ENOUGH_BYTES {
            self.size = self.size.div_ceil(2);
            self.good_of_size = 0;
        } else if self.good_of_size >= BATCH_RUN && bytes < ENOUGH_BYTES && took < ENOUGH_TIME {
            self.size = (self.size + 1).min(self.ceiling);
            self.good_of_size = 0;
        }
    }

    /// The node has too much to do, or broke: half as many requests from now on, once per epoch.
    pub(crate) fn congested(&mut self, epoch: u64) {
        if epoch == self.epoch {
            self.concurrency = (self.concurrency / 2).max(1);
            self.good = 0;
            self.epoch += 1;
        }
    }

    /// A request of so many calls was refused for its size: that size is not tried again soon.
    pub(crate) fn too_large(&mut self, calls: usize) {
        let allowed = calls / CALLS_PER_BLOCK / 2;
        self.ceiling = self.ceiling.min((calls - 1) / CALLS_PER_BLOCK);
        self.shrink(allowed);
        self.good_of_ceiling = 0;
    }

    /// A request of so many calls took too long, or its reply was cut short.
    pub(crate) fn too_slow(&mut self, calls: usize) {
        // One block's calls still go together: there is nothing to win by sending them alone.
        self.shrink((calls / CALLS_PER_BLOCK / 2).max(1));
    }

    fn shrink(&mut self, size: usize) {
        self.size = self.size.min(size);
        self.good_of_size = 0;
        // Smaller requests take longer per block; what was best before says nothing any more.
        self.best = None;
    }
}

fn smooth(before: Option<f64>, now: f64) -> f64 {
    before.map_or(now, |before| before + (now - before) * WEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(10);

    fn after(limits: &mut Limits, replies: usize, took: Duration, wanted: bool) {
        for _ in 0..replies {
            let blocks = limits.blocks();
            limits.replied(blocks, 1_000, took, wanted);
        }
    }

    #[test]
    fn a_node_that_keeps_up_is_asked_for_more_up_to_a_bound() {
        let mut limits = Limits::default();
        after(&mut limits, FIRST_CONCURRENCY, QUICK, true);
        assert_eq!(limits.concurrency(), FIRST_CONCURRENCY + 1);
        after(&mut limits, 5_000, QUICK, true);
        assert_eq!(
            (limits.concurrency(), limits.blocks()),
            (MOST_CONCURRENCY, MOST_BLOCKS)
        );
    }

    #[test]
    fn without_demand_the_limit_stays() {
        let mut limits = Limits::default();
        after(&mut limits, 1_000, QUICK, false);
        assert_eq!(limits.concurrency(), FIRST_CONCURRENCY);
    }

    #[test]
    fn a_node_that_gets_slower_by_it_is_not_asked_for_more() {
        let mut limits = Limits::default();
        after(&mut limits, 100, QUICK, true);
        let reached = limits.concurrency();
        after(&mut limits, 100, 10 * QUICK, true);
        assert!(
            limits.concurrency() <= reached + 1,
            "{}",
            limits.concurrency()
        );
        after(&mut limits, 5_000, 10 * QUICK, true);
        assert!(
            limits.concurrency() > reached + 1,
            "slower for long is how it is"
        );
    }

    #[test]
    fn one_bad_moment_halves_once() {
        let mut limits = Limits::default();
        after(&mut limits, 1_000, QUICK, true);
        let (before, epoch) = (limits.concurrency(), limits.epoch());
        limits.congested(epoch);
        limits.congested(epoch);
        assert_eq!(limits.concurrency(), before / 2);
        for _ in 0..20 {
            limits.congested(limits.epoch());
        }
        assert_eq!(limits.concurrency(), 1);
    }

    #[test]
    fn a_size_that_was_refused_is_halved_down_to_single_calls_and_not_tried_soon() {
        let mut limits = Limits::default();
        for calls in [16, 8, 4, 2] {
            assert_eq!(limits.calls(), calls);
            limits.too_large(calls);
            limits.too_large(calls);
        }
        assert_eq!((limits.calls(), limits.blocks()), (1, 1));
        after(&mut limits, CEILING_RUN - 1, QUICK, true);
        assert_eq!(limits.calls(), 1);
        after(&mut limits, 1 + BATCH_RUN, QUICK, true);
        assert_eq!(limits.calls(), 2, "a limit may be lifted one day");
    }

    #[test]
    fn a_limit_of_three_calls_leaves_one_block_a_request() {
        let mut limits = Limits::default();
        while limits.calls() > 3 {
            limits.too_large(limits.calls());
        }
        assert_eq!((limits.blocks(), limits.calls()), (1, 2));
        after(&mut limits, 900, QUICK, true);
        assert_eq!(limits.calls(), 2);
    }

    #[test]
    fn slow_replies_shrink_requests_that_grow_again() {
        let mut limits = Limits::default();
        limits.too_slow(16);
        assert_eq!(limits.blocks(), 4);
        limits.too_slow(2);
        assert_eq!((limits.blocks(), limits.calls()), (1, 2));
        after(&mut limits, 100, QUICK, true);
        assert!(limits.blocks() > 4);
    }

    #[test]
    fn large_replies_keep_requests_small() {
        let mut limits = Limits::default();
        for _ in 0..10 {
            limits.replied(limits.blocks(), 3 * ENOUGH_BYTES, QUICK, true);
        }
        assert_eq!(limits.blocks(), 1);
    }
}
