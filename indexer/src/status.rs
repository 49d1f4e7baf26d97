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
    /// What is missing below the head; `None` while nobody has looked.
    pub history: Option<HistoryProgress>,
}

/// How far the history below the head is.
#[derive(Clone, Debug)]
pub struct HistoryProgress {
    /// Blocks that are not there yet.
    pub missing_blocks: u64,
    /// Blocks that were filled in since the start.
    pub filled_blocks: u64,
    /// When filling in began.
    pub since: Instant,
    /// What holds it up, in one sentence.
    pub problem: Option<String>,
}

impl Default for HistoryProgress {
    fn default() -> Self {
        Self {
            missing_blocks: 0,
            filled_blocks: 0,
            since: Instant::now(),
            problem: None,
        }
    }
}

impl HistoryProgress {
    /// Blocks filled in a second, on average.
    #[must_use]
    pub fn blocks_per_second(&self) -> u64 {
        let elapsed = self.since.elapsed().as_millis().max(1);
        u64::try_from(u128::from(self.filled_blocks) * 1000 / elapsed).unwrap_or(u64::MAX)
    }

    /// Seconds until it is complete at that pace.
    #[must_use]
    pub fn eta_seconds(&self) -> Option<u64> {
        match self.missing_blocks {
            0 => Some(0),
            missing => missing.checked_div(self.blocks_per_second()),
        }
    }
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

    /// Whether this process leads; what was known of work under the last lead is forgotten.
    pub(crate) fn set_leads(&self, leads: bool) {
        let mut known = self.lock();
        known.leads = leads;
        known.problem = None;
        known.history = None;
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

    /// So many blocks are missing below the head.
    pub(crate) fn history_lacks(&self, missing_blocks: u64) {
        let mut known = self.lock();
        let history = known.history.get_or_insert_default();
        history.missing_blocks = missing_blocks;
        if missing_blocks == 0 {
            history.problem = None;
        }
        metrics::level("indexer_backfill_missing_blocks", missing_blocks);
    }

    /// So many of them were committed.
    pub(crate) fn history_filled(&self, blocks: u64) {
        let mut known = self.lock();
        let history = known.history.get_or_insert_default();
        history.missing_blocks = history.missing_blocks.saturating_sub(blocks);
        history.filled_blocks += blocks;
        metrics::level("indexer_backfill_missing_blocks", history.missing_blocks);
        if history.problem.take().is_some() {
            tracing::info!("history: going on");
        }
    }

    /// What holds the history up is said once, until something of it is committed; live indexing goes on.
    pub(crate) fn history_is_held_up(&self, problem: &str) {
        let mut known = self.lock();
        let history = known.history.get_or_insert_default();
        // Blocks and seconds change from one try to the next; what is wrong does not.
        let words = |text: &str| text.replace(|c: char| c.is_ascii_hexdigit(), "");
        let said = history.problem.as_deref().map(words);
        if said != Some(words(problem)) {
            tracing::warn!("history: {problem}");
        }
        history.problem = Some(problem.to_owned());
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
