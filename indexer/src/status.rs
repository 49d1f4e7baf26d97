//! What the indexer knows about itself, shared with health, progress and the heartbeat.

use crate::metrics;
use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};
use store::state::{BlockRef, ChainState};

/// A snapshot of [`Status`].
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The newest committed block.
    pub head: Option<BlockRef>,
    /// Its time, seconds since 1970.
    pub head_timestamp: Option<u64>,
    /// The node's head.
    pub node_head: Option<u64>,
    /// When the node last answered.
    pub node_seen: Option<Instant>,
    /// Why it cannot go on.
    pub problem: Option<String>,
    /// Whether this process leads.
    pub leads: bool,
}

/// What the indexer knows about itself.
#[derive(Debug, Default)]
pub struct Status(Mutex<Known>);

impl Status {
    /// What is known now.
    #[must_use]
    pub fn known(&self) -> Known {
        self.lock().clone()
    }

    pub(crate) fn set_leads(&self, leads: bool) {
        self.lock().leads = leads;
    }

    pub(crate) fn set_problem(&self, problem: Option<String>) {
        self.lock().problem = problem;
    }

    pub(crate) fn node_answered(&self, head: u64) {
        let mut known = self.lock();
        known.node_head = Some(head);
        known.node_seen = Some(Instant::now());
        metrics::level("indexer_node_head_number", head);
        set_lag(&known);
    }

    pub(crate) fn committed(&self, state: &ChainState) {
        let mut known = self.lock();
        known.head = state.head;
        known.head_timestamp = state.head_timestamp;
        if let Some(head) = state.head {
            metrics::level("indexer_head_number", head.number);
        }
        if let Some(finalized) = state.finalized {
            metrics::level("indexer_finalized_number", finalized);
        }
        set_lag(&known);
    }

    /// Brings the gauges up to now: the head grows older whether anything happens or not.
    pub(crate) fn refresh(&self) {
        set_lag(&self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // Every change is a few assignments: a panic cannot leave it half made.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Blocks between the node's head and ours.
    #[must_use]
    pub fn lag_blocks(&self) -> Option<u64> {
        let ours = self.head.map_or(0, |head| head.number);
        Some(self.node_head?.saturating_sub(ours))
    }
}

fn set_lag(known: &Known) {
    if let Some(lag) = known.lag_blocks() {
        metrics::level("indexer_head_lag_blocks", lag);
    }
    if let Some(timestamp) = known.head_timestamp {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs());
        metrics::level("indexer_head_lag_seconds", now.saturating_sub(timestamp));
    }
}
