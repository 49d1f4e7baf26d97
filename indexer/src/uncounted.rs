//! History that is written and not counted yet, with what it adds to the counters.
//!
//! In: batches of history, as they are committed, each with the deltas that were put together while its
//! rows were at hand. Out: runs of neighbouring blocks, for the tallier, which need not read those rows
//! again. Bounded: when so much waits, writers of history wait, too. Never the only copy of anything: what
//! is lost with the process is put together from the tables.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use store::tally::{
    deltas::{Deltas, Overflow, sum},
    history::Piece,
};
use tokio::sync::Notify;

/// Counters of a run that is worth a merge: some 50 MB: fewer merges touch fewer rows twice.
const FULL: usize = 300_000;

/// A run that has not grown for so long is merged as it is.
const RESTED: Duration = Duration::from_secs(1);

/// Neighbouring blocks that were written one after the other, downwards.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its blocks.
    pub piece: Piece,
    /// What they add; an error when it cannot be told here.
    pub deltas: Result<Deltas, Overflow>,
    /// The fork epoch in which all of them were written.
    pub fork_epoch: u64,
    grown: Instant,
}

impl Run {
    /// A run that goes on with whatever is written below.
    pub(crate) fn new(piece: Piece, fork_epoch: u64, deltas: Result<Deltas, Overflow>) -> Self {
        Self {
            piece,
            deltas,
            fork_epoch,
            grown: Instant::now(),
        }
    }

    fn is_full(&self) -> bool {
        self.deltas
            .as_ref()
            .map_or(true, |deltas| deltas.len() >= FULL)
    }

    /// Whether another one lies right below and can be one with it.
    fn continues_with(&self, below: &Self) -> bool {
        below.piece.high + 1 == self.piece.low
            && below.fork_epoch == self.fork_epoch
            && below.deltas.is_ok()
            && !self.is_full()
    }

    fn absorb(&mut self, below: Self) {
        self.piece.low = below.piece.low;
        self.grown = below.grown;
        let deltas = std::mem::replace(&mut self.deltas, Err(Overflow));
        self.deltas = sum(deltas, below.deltas);
    }
}

/// What waits to be counted.
#[derive(Debug, Default)]
pub(crate) struct Uncounted {
    runs: Mutex<VecDeque<Run>>,
    /// Whether nothing can be counted now.
    failing: AtomicBool,
    /// Told whenever a run is taken.
    room: Notify,
    /// Told whenever there may be one to take.
    grown: Notify,
}

impl Uncounted {
    fn runs(&self) -> MutexGuard<'_, VecDeque<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was committed.
    pub(crate) fn add(&self, written: Run) {
        if self.failing.load(Ordering::Relaxed) {
            return;
        }
        let mut runs = self.runs();
        match runs.back_mut() {
            Some(run) if run.continues_with(&written) => run.absorb(written),
            _ => runs.push_back(written),
        }
        if is_waiting(&runs) {
            self.grown.notify_one();
        }
    }

    /// Waits while as much waits to be counted as is merged at once.
    pub(crate) async fn room(&self) {
        loop {
            let taken = self.room.notified();
            if !is_waiting(&self.runs()) {
                return;
            }
            taken.await;
        }
    }

    /// Waits until there may be something to take, or for so long.
    pub(crate) async fn grown(&self, patience: Duration) {
        drop(tokio::time::timeout(patience, self.grown.notified()).await);
    }

    /// The oldest run, once it does not grow any more.
    pub(crate) fn take(&self, filled: bool) -> Option<Run> {
        let mut runs = self.runs();
        let grows = !filled
            && !is_waiting(&runs)
            && runs.front().is_some_and(|run| run.grown.elapsed() < RESTED);
        if grows {
            return None;
        }
        let run = runs.pop_front();
        self.room.notify_one();
        run
    }

    /// Says whether anything can be counted. While nothing can, nothing is kept, and history is written
    /// all the same: it is counted from its rows later.
    pub(crate) fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
        if failing {
            self.runs().clear();
            self.room.notify_one();
        }
    }

    /// The height below which everything waits or is not written yet; `None` while nothing waits.
    pub(crate) fn top(&self) -> Option<u64> {
        self.runs().front().map(|run| run.piece.high)
    }
}

/// Whether the oldest run does not grow any more.
fn is_waiting(runs: &VecDeque<Run>) -> bool {
    runs.len() > 1 || runs.front().is_some_and(Run::is_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(low: u64, high: u64, fork_epoch: u64) -> Run {
        Run::new(Piece { low, high }, fork_epoch, Ok(Deltas::default()))
    }

    fn taken(uncounted: &Uncounted) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| uncounted.take(true))
            .map(|run| (run.piece.low, run.piece.high))
            .collect()
    }

    #[test]
    fn neighbours_become_one_run_and_others_do_not() {
        let uncounted = Uncounted::default();
        for written in [run(20, 29, 1), run(10, 19, 1), run(5, 9, 2), run(0, 3, 2)] {
            uncounted.add(written);
        }
        assert_eq!(taken(&uncounted), [(10, 29), (5, 9), (0, 3)]);
        assert_eq!(uncounted.top(), None);
    }

    #[test]
    fn a_run_that_grows_is_left_alone_and_one_that_cannot_be_told_is_not() {
        let uncounted = Uncounted::default();
        uncounted.add(run(10, 19, 1));
        assert!(uncounted.take(false).is_none());
        assert_eq!(uncounted.top(), Some(19));
        uncounted.add(Run::new(Piece { low: 0, high: 9 }, 1, Err(Overflow)));
        let taken: Vec<(u64, bool)> = std::iter::from_fn(|| uncounted.take(false))
            .map(|run| (run.piece.low, run.deltas.is_err()))
            .collect();
        assert_eq!(taken, [(10, false), (0, true)]);
    }

    #[tokio::test]
    async fn writers_wait_while_too_much_waits() {
        let uncounted = Uncounted::default();
        uncounted.add(run(100, 101, 1));
        uncounted.room().await;
        uncounted.add(run(90, 91, 1));
        let waits = tokio::time::timeout(Duration::from_millis(20), uncounted.room()).await;
        assert!(waits.is_err());
        assert!(uncounted.take(false).is_some());
        uncounted.room().await;
        uncounted.add(Run::new(Piece { low: 0, high: 89 }, 1, Err(Overflow)));
        let waits = tokio::time::timeout(Duration::from_millis(20), uncounted.room()).await;
        assert!(waits.is_err());
        uncounted.set_failing(true);
        uncounted.add(run(0, 1, 1));
        assert_eq!(uncounted.top(), None);
        uncounted.room().await;
        uncounted.set_failing(false);
        uncounted.add(run(0, 1, 1));
        assert_eq!(uncounted.top(), Some(1));
    }
}
