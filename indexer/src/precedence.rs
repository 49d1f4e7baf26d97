//! The head goes first: a node that does one thing at a time is not kept busy with readings while the
//! follower needs it.
//!
//! In: the follower at work, and requests of readings that want a turn. Out: turns. While the follower
//! rests, every reading has one at once. While it is at work none begins, until it has rested or been at it
//! for long: a follower that never catches up, or waits for a node that never answers, leaves readings a
//! tenth of the node's time, one request after the other. Turns come in the order in which they were asked
//! for. Never ends what has begun: a head waits for one request at most of each reading.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// A reading waits so long at least for a follower that is at work: longer than a block takes to arrive.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// And so many times as long as the last request took, which leaves it a tenth of the time.
const SHARE: u32 = 9;

/// Who goes first at the node that is followed.
#[derive(Debug, Default)]
pub(crate) struct Precedence {
    state: Mutex<State>,
    changed: Notify,
    /// Held by the reading whose turn is next.
    next: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the follower is at work.
    following: bool,
    /// Requests of readings in flight.
    in_flight: u32,
    /// Until when readings leave the node to a follower that is at work.
    yields_until: Option<Instant>,
    /// How often the follower or a request began.
    begun: u64,
}

impl State {
    /// How long a turn that was asked for at a time must still be waited for; `None` when it has come.
    fn left(&self, asked: Instant, now: Instant) -> Option<Duration> {
        if !self.following {
            return None;
        }
        let mut until = asked + LEAST_WAIT;
        if let Some(yields_until) = self.yields_until {
            until = until.max(yields_until);
        }
        let left = until.saturating_duration_since(now);
        let left = if self.in_flight > 0 {
            // Until that has ended, nobody knows.
            left.max(LEAST_WAIT)
        } else {
            left
        };
        (!left.is_zero()).then_some(left)
    }

    fn ends(&mut self, began: Instant, now: Instant) {
        self.in_flight -= 1;
        let until = now + SHARE * now.duration_since(began);
        self.yields_until = self.yields_until.max(Some(until));
    }
}

/// The follower at work, until it is dropped.
#[derive(Debug)]
pub(crate) struct Following<'a>(&'a Precedence);

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.state().following = false;
        self.0.changed.notify_waiters();
    }
}

/// A request of a reading in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct ReadingTurn<'a> {
    precedence: &'a Precedence,
    began: Instant,
    /// What had begun by then, when nothing else was under way.
    alone: Option<u64>,
}

impl ReadingTurn<'_> {
    /// How long the request took the node; `None` where that was busy with something else, too.
    pub(crate) fn took(&self) -> Option<Duration> {
        (self.alone == Some(self.precedence.state().begun)).then(|| self.began.elapsed())
    }
}

impl Drop for ReadingTurn<'_> {
    fn drop(&mut self) {
        self.precedence.state().ends(self.began, Instant::now());
        self.precedence.changed.notify_waiters();
    }
}

impl Precedence {
    /// The follower goes to work.
    pub(crate) fn follow(&self) -> Following<'_> {
        let mut state = self.state();
        state.following = true;
        state.begun += 1;
        Following(self)
    }

    /// Waits until a request of a reading may be sent.
    pub(crate) async fn turn(&self) -> ReadingTurn<'_> {
        let _next = self.next.lock().await;
        let asked = Instant::now();
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From before the look on: what changes after it is not missed.
            changed.as_mut().enable();
            let left = {
                let (mut state, now) = (self.state(), Instant::now());
                let Some(left) = state.left(asked, now) else {
                    let idle = !state.following && state.in_flight == 0;
                    state.in_flight += 1;
                    state.begun += 1;
                    return ReadingTurn {
                        precedence: self,
                        began: now,
                        alone: idle.then_some(state.begun),
                    };
                };
                left
            };
            let _ = tokio::time::timeout(left, changed).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a few assignments: a panic cannot leave it half made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_follower_that_never_rests_leaves_a_tenth_of_the_time() {
        let (mut state, start) = (State::default(), Instant::now());
        assert_eq!(state.left(start, start), None, "it rests");
        state.following = true;
        let (mut now, mut busy) = (start, Duration::ZERO);
        for took in [2 * SECOND, SECOND / 1000, 30 * SECOND, SECOND].repeat(3) {
            let asked = now;
            while let Some(left) = state.left(asked, now) {
                now += left;
            }
            assert!(now >= asked + LEAST_WAIT);
            state.in_flight += 1;
            assert!(state.left(now, now + took).is_some(), "one after the other");
            let began = now;
            now += took;
            busy += took;
            state.ends(began, now);
        }
        let all = now.duration_since(start) + SHARE * SECOND;
        assert!(busy * 10 <= all, "{busy:?} of {all:?}");
        assert!(busy * 12 >= all, "{busy:?} of {all:?}");
        state.following = false;
        assert_eq!(state.left(now, now), None);
    }

    #[tokio::test]
    async fn readings_wait_for_the_follower_and_for_nobody_else() {
        let precedence = Precedence::default();
        let first = precedence.turn().await;
        let second = precedence.turn().now_or_never().expect("beside the first");
        let following = precedence.follow();
        assert!(precedence.turn().now_or_never().is_none());
        drop((first, second));
        assert!(precedence.turn().now_or_never().is_none());
        drop(following);
        assert!(precedence.turn().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_waiting_reading_goes_on_as_soon_as_the_follower_rests() {
        let precedence = Precedence::default();
        let following = precedence.follow();
        let mut turn = std::pin::pin!(precedence.turn());
        assert!(turn.as_mut().now_or_never().is_none());
        drop(following);
        assert!(turn.now_or_never().is_some());
    }

    #[tokio::test]
    async fn only_what_had_the_node_for_itself_is_measured() {
        let precedence = Precedence::default();
        assert!(precedence.turn().await.took().is_some());
        let first = precedence.turn().await;
        let second = precedence.turn().await;
        assert_eq!((first.took(), second.took()), (None, None));
        drop((first, second));
        let turn = precedence.turn().await;
        drop(precedence.follow());
        assert_eq!(turn.took(), None);
    }
}
