//! Blocks that could not be read, put off so that they do not hold up the others.

use super::ask::Failure;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long a block is put off: at first, and at most. It doubles with each failure.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_mins(5);

/// The same while the cause may pass by itself.
const LONGEST_PASSING: Duration = Duration::from_secs(5);

/// Blocks that are put off at most: a node that fails so many of them will fail the next one too.
const MOST: usize = 64;

/// Failures of one block that are no news while the cause may pass by itself: a node that was just
/// restarted, or that follows a reorg more slowly.
const ROUTINE: u32 = 2;

#[derive(Debug)]
struct PutOff {
    failures: u32,
    until: Instant,
    /// Whether it is worth being told.
    news: bool,
    said: String,
}

/// The blocks, by height.
#[derive(Debug, Default)]
pub(super) struct Backlog(BTreeMap<u64, PutOff>);

impl Backlog {
    /// A block could not be read.
    pub(super) fn failed(&mut self, number: u64, said: String, failure: &Failure) {
        let before = self.0.get(&number).map_or(0, |before| before.failures);
        let failures = before.saturating_add(1);
        let delay = FIRST_DELAY * 2_u32.saturating_pow(before.min(16));
        // As long as it may be the node's fault and not the block's, its turn is not lost.
        let delay = if failure.is_the_nodes() && failures <= ROUTINE {
            Duration::ZERO
        } else if failure.may_pass() {
            delay.min(LONGEST_PASSING)
        } else {
            delay.min(LONGEST_DELAY)
        };
        let put_off = PutOff {
            failures,
            until: Instant::now() + delay,
            news: failures > ROUTINE || !failure.may_pass(),
            said,
        };
        self.0.insert(number, put_off);
    }

    /// A block was read, or is gone.
    pub(super) fn done(&mut self, number: u64) {
        self.0.remove(&number);
    }

    /// What lies below a height is not read any more.
    pub(super) fn drop_below(&mut self, floor: u64) {
        self.0 = self.0.split_off(&floor);
    }

    /// Blocks whose time has not come.
    pub(super) fn put_off(&self, now: Instant) -> Vec<u64> {
        let waiting = self.0.iter().filter(|(_, block)| now < block.until);
        waiting.map(|(number, _)| *number).collect()
    }

    /// Whether a block may be read; when too many are put off, none below them.
    pub(super) fn allows(&self, number: u64) -> bool {
        let lowest = self.0.keys().next();
        self.0.len() < MOST || lowest.is_none_or(|lowest| number >= *lowest)
    }

    /// What holds up the highest of them.
    pub(super) fn problem(&self) -> Option<&str> {
        let news = self.0.values().rev().find(|block| block.news);
        news.map(|block| block.said.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lie() -> Failure {
        Failure::Lie(chain::TraceError::OtherTracer)
    }

    #[test]
    fn a_block_is_put_off_for_longer_each_time_and_said_until_it_is_read() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.failed(7, "seven".to_owned(), &lie());
        backlog.failed(5, "five".to_owned(), &lie());
        assert_eq!(backlog.put_off(now), [5, 7]);
        assert_eq!(backlog.put_off(now + Duration::from_secs(1)), [0; 0]);
        assert_eq!(backlog.problem(), Some("seven"));
        for _ in 0..40 {
            backlog.failed(7, "seven".to_owned(), &lie());
        }
        assert_eq!(backlog.put_off(now + Duration::from_secs(200)), [7]);
        assert_eq!(backlog.put_off(now + Duration::from_secs(400)), [0; 0]);
        backlog.done(7);
        assert_eq!(backlog.problem(), Some("five"));
        backlog.done(5);
        assert_eq!(backlog.problem(), None);
    }

    #[test]
    fn a_block_that_the_node_does_not_have_yet_is_no_news_at_first() {
        let mut backlog = Backlog::default();
        for expected in [None, None, Some("gone")] {
            backlog.failed(7, "gone".to_owned(), &Failure::Gone("gone".to_owned()));
            assert_eq!(backlog.problem(), expected);
        }
    }

    #[test]
    fn when_too_many_are_put_off_none_below_them_is_tried() {
        let mut backlog = Backlog::default();
        for number in 100..164 {
            assert!(backlog.allows(50));
            backlog.failed(number, "no".to_owned(), &lie());
        }
        assert!(!backlog.allows(50));
        assert!(backlog.allows(120) && backlog.allows(200));
    }
}
