//! Failures in a row: what is said of them, how long to pause, when to ask another node.

use crate::{error::IndexError, status::Status};
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// Pauses after errors: the first, and the longest. The first is about what a node needs to have the
/// receipts of the block that it just announced.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Failures in a row before the next node is asked.
const FAILURES_BEFORE_FAIL_OVER: u32 = 3;

/// Failures in a row.
#[derive(Debug)]
pub(crate) struct Trouble {
    failures: u32,
    /// What was logged last, so that the same is not said again and again.
    said: Option<String>,
    pauses: ExponentialBackoff,
}

impl Default for Trouble {
    fn default() -> Self {
        Self {
            failures: 0,
            said: None,
            // Jitter, so that several indexers do not come back at the same moment.
            pauses: ExponentialBuilder::default()
                .with_min_delay(FIRST_PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .with_jitter()
                .build(),
        }
    }
}

impl Trouble {
    /// A step went well.
    pub(crate) fn is_over(&mut self, status: &Status) {
        if std::mem::take(self).said.is_some() {
            status.set_problem(None);
            tracing::info!("going on");
        }
    }

    /// There was progress before the next failure: what was said stays said, pauses begin anew.
    pub(crate) fn begins_anew(&mut self) {
        let said = self.said.take();
        *self = Self {
            said,
            ..Self::default()
        };
    }

    /// Counts a failure, and says it unless it was just said.
    pub(crate) fn note(&mut self, error: &IndexError, status: &Status) {
        self.failures += 1;
        let message = error.to_string();
        // A node that does not have its own new head yet is no news before it stays that way.
        let routine = matches!(error, IndexError::NotYet { .. } | IndexError::Conflict)
            && self.failures <= FAILURES_BEFORE_FAIL_OVER;
        if routine || self.said.as_deref() == Some(&message) {
            return;
        }
        if matches!(error, IndexError::Halt(_)) {
            tracing::error!("halted: {message}");
        } else {
            tracing::warn!("{message}; trying again");
        }
        status.set_problem(Some(message.clone()));
        self.said = Some(message);
    }

    /// Whether the next node should be asked: at once when this one is busy, else when failures repeat.
    /// After a lie the node was left already.
    pub(crate) fn asks_for_another_node(&self, error: &IndexError) -> bool {
        matches!(error, IndexError::Busy { .. })
            || (self.failures.is_multiple_of(FAILURES_BEFORE_FAIL_OVER)
                && !matches!(error, IndexError::Conflict))
    }

    /// How long to pause before the next try: when the only node is busy, at least as long as it asks
    /// for.
    pub(crate) fn pause(&mut self, error: &IndexError, only_node: bool) -> Duration {
        let pause = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        match error {
            IndexError::Busy { pause: asked, .. } if only_node => pause.max(*asked),
            _ => pause,
        }
    }
}
