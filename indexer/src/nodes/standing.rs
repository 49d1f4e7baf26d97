//! What is known of one node: its chain, its limits, why it is left alone and for how long.

use super::limits::Limits;
use std::time::{Duration, Instant};

/// Pauses of a node that cannot be reached: the first, and the longest. They double in between.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Pauses of a node that is busy and does not say for how long.
const FIRST_BUSY_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause that a node can ask for.
pub(crate) const LONGEST_REQUESTED_PAUSE: Duration = Duration::from_mins(1);

/// How long a node that lied is not asked: at first, and at most. It doubles with each lie.
const FIRST_QUARANTINE: Duration = Duration::from_secs(30);
const LONGEST_QUARANTINE: Duration = Duration::from_hours(1);

/// The same where there is no other node to ask: long enough to do it no harm.
const FIRST_QUARANTINE_ALONE: Duration = Duration::from_secs(1);
const LONGEST_QUARANTINE_ALONE: Duration = Duration::from_mins(1);

/// How long a lie is held against a node.
const FORGIVEN_AFTER: Duration = Duration::from_hours(2);

/// How long a node is believed to have pruned what it did not have: at first, and at most. It doubles
/// each time that this is found again: one empty answer may be a mistake, and nodes are replaced.
const FIRST_PRUNED: Duration = Duration::from_secs(5);
const LONGEST_PRUNED: Duration = Duration::from_mins(10);

/// Time between two introductions to a node that did not answer, and to one of another chain.
const STRANGER_PAUSE: Duration = Duration::from_secs(5);
const FOREIGN_PAUSE: Duration = Duration::from_mins(10);

/// How long a measured latency is believed of a node that is not asked any more.
const MEASURED_FOR: Duration = Duration::from_secs(30);

/// Seconds within which a block is hoped for from a node that is to be measured.
const TRIED_FIRST: f64 = 1e-6;

/// Whether a node follows our chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It was not asked, or did not answer.
    Unknown,
    /// It does.
    Verified,
    /// It does not; the reason.
    Foreign(String),
}

/// Why a node is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It asked for it.
    Busy,
    /// It gave no usable answer.
    Unreachable(String),
    /// It lied.
    Quarantined(String),
}

/// How a node stands with us.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) trust: Trust,
    pub(crate) limits: Limits,
    pub(crate) in_flight: usize,
    asked_at: Option<Instant>,
    /// Whether it gives all receipts of a block in one call.
    pub(crate) receipts_by_block: bool,
    rest: Option<(Instant, Why)>,
    /// Failures in a row.
    failures: u32,
    lies: u32,
    lied_at: Option<Instant>,
    /// It has no blocks below this height; believed until then.
    pruned: Option<(u64, Instant)>,
    /// How often that was found.
    prunings: u32,
    said_pruned: bool,
    introduce_at: Option<Instant>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            trust: Trust::Unknown,
            limits: Limits::default(),
            in_flight: 0,
            asked_at: None,
            receipts_by_block: true,
            rest: None,
            failures: 0,
            lies: 0,
            lied_at: None,
            pruned: None,
            prunings: 0,
            said_pruned: false,
            introduce_at: None,
        }
    }
}

impl Standing {
    /// How long it is left alone from now on, and why; `None` when it may be asked.
    pub(crate) fn resting(&self, now: Instant) -> Option<(Duration, &Why)> {
        let (until, why) = self.rest.as_ref()?;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then_some((left, why))
    }

    /// Whether it may be asked for a block on behalf of one that follows the chain.
    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        self.trust == Trust::Verified && self.resting(now).is_none()
    }

    pub(crate) fn is_quarantined(&self, now: Instant) -> bool {
        matches!(self.resting(now), Some((_, Why::Quarantined(_))))
    }

    /// Requests that it may have in flight: one, as a probe, after a failure.
    pub(crate) fn concurrency(&self) -> usize {
        if self.failures > 0 {
            1
        } else {
            self.limits.concurrency()
        }
    }

    /// Seconds within which a block is expected from it: from one time to twice its latency as its
    /// limit fills. A node that was never asked, or not for long, is tried first, but not waited for.
    pub(crate) fn expected(&self, now: Instant) -> f64 {
        let load = ratio(self.in_flight, self.concurrency());
        let forgotten = self.in_flight == 0
            && self
                .asked_at
                .is_none_or(|at| now.duration_since(at) > MEASURED_FOR);
        match self.limits.per_block() {
            Some(seconds) if !forgotten => seconds * (1.0 + load),
            _ if load < 1.0 => TRIED_FIRST * (1.0 + load),
            _ => f64::MAX,
        }
    }

    /// A request goes to it.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.in_flight += 1;
        self.asked_at = Some(now);
    }

    /// An answer came. What was in flight when it asked for a pause does not end that.
    pub(crate) fn answered(&mut self) {
        self.failures = 0;
        if matches!(self.rest, Some((_, Why::Unreachable(_)))) {
            self.rest = None;
        }
    }

    /// It has too much to do.
    pub(crate) fn busy(&mut self, now: Instant, asked: Option<Duration>, epoch: u64) {
        // What was in flight when it had too much is one bad moment, unless it asks for a pause.
        if asked.is_none() && self.limits.epoch() != epoch && self.resting(now).is_some() {
            return;
        }
        self.limits.congested(epoch);
        let pause = asked.unwrap_or_else(|| doubled(FIRST_BUSY_PAUSE, self.failures));
        self.failures += 1;
        self.rests(now, pause.min(LONGEST_REQUESTED_PAUSE), Why::Busy);
    }

    /// It gave no usable answer.
    pub(crate) fn failed(&mut self, now: Instant, reason: String, epoch: u64) {
        // What was in flight when it broke is one failure.
        if self.limits.epoch() != epoch && self.resting(now).is_some() {
            return;
        }
        self.limits.congested(epoch);
        let pause = doubled(FIRST_PAUSE, self.failures).min(LONGEST_PAUSE);
        self.failures += 1;
        self.rests(now, pause, Why::Unreachable(reason));
    }

    /// It lied. False when that is known: what it said beside its first lie is no second one.
    pub(crate) fn lied(&mut self, now: Instant, reason: &str, alone: bool) -> bool {
        if self.is_quarantined(now) {
            return false;
        }
        if self
            .lied_at
            .is_some_and(|at| now.duration_since(at) > FORGIVEN_AFTER)
        {
            self.lies = 0;
        }
        let (first, longest) = if alone {
            (FIRST_QUARANTINE_ALONE, LONGEST_QUARANTINE_ALONE)
        } else {
            (FIRST_QUARANTINE, LONGEST_QUARANTINE)
        };
        let pause = doubled(first, self.lies).min(longest);
        self.lies += 1;
        self.lied_at = Some(now);
        self.rest = Some((now + pause, Why::Quarantined(reason.to_owned())));
        true
    }

    /// The longer of two pauses holds.
    fn rests(&mut self, now: Instant, pause: Duration, why: Why) {
        if self.resting(now).is_none_or(|(left, _)| left < pause) {
            self.rest = Some((now + pause, why));
        }
    }

    /// It has no block at this height any more. True when that is to be said.
    pub(crate) fn has_pruned(&mut self, now: Instant, number: u64) -> bool {
        // What is found while it is believed is the same.
        let (below, until) = self
            .pruned
            .filter(|(_, until)| now < *until)
            .unwrap_or_else(|| {
                let believed = doubled(FIRST_PRUNED, self.prunings).min(LONGEST_PRUNED);
                self.prunings += 1;
                (0, now + believed)
            });
        self.pruned = Some((below.max(number + 1), until));
        !std::mem::replace(&mut self.said_pruned, true)
    }

    /// The height below which it has no blocks.
    pub(crate) fn pruned_below(&self, now: Instant) -> Option<u64> {
        let (below, until) = self.pruned?;
        (now < until).then_some(below)
    }

    /// Whether it is time to ask which chain it follows; true once, then not for a while.
    pub(crate) fn is_to_be_introduced(&mut self, now: Instant) -> bool {
        if self.trust == Trust::Verified || self.introduce_at.is_some_and(|at| at > now) {
            return false;
        }
        let pause = match self.trust {
            Trust::Foreign(_) => FOREIGN_PAUSE,
            _ => STRANGER_PAUSE,
        };
        self.introduce_at = Some(now + pause);
        true
    }

    /// Whether it may be answering that just now.
    pub(crate) fn is_being_introduced(&self, now: Instant) -> bool {
        self.trust == Trust::Unknown && self.introduce_at.is_some_and(|at| at > now)
    }

    /// It follows another chain. True when that is news.
    pub(crate) fn is_foreign(&mut self, now: Instant, reason: &str) -> bool {
        let foreign = Trust::Foreign(reason.to_owned());
        self.introduce_at = Some(now + FOREIGN_PAUSE);
        std::mem::replace(&mut self.trust, foreign.clone()) != foreign
    }
}

/// `first × 2^times`, without overflow.
fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |n: usize| u32::try_from(n).map_or(f64::MAX, f64::from);
    number(part) / number(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_fails_again_and_again_is_asked_ever_more_rarely() {
        let (mut standing, mut now) = (Standing::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..20 {
            standing.failed(now, "gone".into(), standing.limits.epoch());
            let pause = standing.resting(now).expect("a pause").0;
            pauses.push(pause);
            now += pause;
            assert!(standing.resting(now).is_none(), "it is asked again");
            assert_eq!(standing.concurrency(), 1, "by one request");
        }
        assert!(pauses.is_sorted() && pauses[19] == LONGEST_PAUSE);
        standing.answered();
        standing.failed(now, "gone".into(), standing.limits.epoch());
        assert_eq!(standing.resting(now).expect("a pause").0, FIRST_PAUSE);
    }

    #[test]
    fn what_was_in_flight_when_a_node_broke_is_one_failure() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        let epoch = standing.limits.epoch();
        for _ in 0..8 {
            standing.failed(now, "gone".into(), epoch);
        }
        assert_eq!(standing.resting(now).expect("a pause").0, FIRST_PAUSE);
        assert_eq!(standing.failures, 1);
    }

    #[test]
    fn a_pause_that_was_asked_for_is_kept_within_reason() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        standing.busy(now, Some(Duration::from_secs(7)), 0);
        standing.busy(now, None, 0);
        standing.answered();
        assert_eq!(
            standing.resting(now).expect("a pause").0,
            Duration::from_secs(7)
        );
        standing.busy(now, Some(Duration::from_hours(5)), 1);
        assert_eq!(
            standing.resting(now).expect("a pause").0,
            LONGEST_REQUESTED_PAUSE
        );
    }

    #[test]
    fn lies_are_counted_once_each_and_quarantines_grow() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        assert!(standing.lied(now, "wrong root", false));
        assert!(!standing.lied(now, "wrong root too", false));
        standing.answered();
        assert!(standing.is_quarantined(now), "an answer does not end it");
        let later = now + FIRST_QUARANTINE;
        assert!(!standing.is_quarantined(later));
        assert!(standing.lied(later, "again", false));
        assert!(standing.is_quarantined(later + FIRST_QUARANTINE));
        assert!(!standing.is_quarantined(later + 2 * FIRST_QUARANTINE));
        let mut alone = Standing::default();
        alone.lied(now, "wrong root", true);
        assert!(!alone.is_quarantined(now + FIRST_QUARANTINE_ALONE));
    }

    #[test]
    fn a_stranger_is_introduced_now_and_then_and_a_foreign_node_rarely() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        assert!(standing.is_to_be_introduced(now));
        assert!(!standing.is_to_be_introduced(now));
        assert!(standing.is_to_be_introduced(now + STRANGER_PAUSE));
        assert!(standing.is_foreign(now, "another chain"));
        assert!(!standing.is_foreign(now, "another chain"), "said once");
        assert!(!standing.is_to_be_introduced(now + STRANGER_PAUSE));
        assert!(standing.is_to_be_introduced(now + FOREIGN_PAUSE));
        standing.trust = Trust::Verified;
        assert!(!standing.is_to_be_introduced(now + 2 * FOREIGN_PAUSE));
    }

    #[test]
    fn pruned_history_is_remembered_for_a_while_and_said_once() {
        let (mut standing, now) = (Standing::default(), Instant::now());
        assert!(standing.has_pruned(now, 41));
        assert!(!standing.has_pruned(now, 12));
        assert_eq!(standing.pruned_below(now), Some(42));
        let later = now + FIRST_PRUNED;
        assert_eq!(standing.pruned_below(later), None);
        assert!(!standing.has_pruned(later, 30));
        assert_eq!(standing.pruned_below(later + FIRST_PRUNED), Some(31));
        assert_eq!(standing.pruned_below(later + 2 * FIRST_PRUNED), None);
    }
}
