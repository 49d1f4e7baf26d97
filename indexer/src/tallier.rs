//! History into the counters, beside everything else.
//!
//! In: what was just written, with what it adds ([`Uncounted`]); and heights that are indexed and not
//! counted, bucket by bucket (`store::tally::history`). Out: counters and balances that include them. Goes
//! on for as long as the indexer leads, since a repair may ask for everything to be counted again. Never
//! holds the head back by more than a slice.

use crate::{
    error::IndexError,
    metrics,
    uncounted::{Run, Uncounted},
};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use sqlx::PgPool;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    state,
    tally::history::{self, Piece, Staged},
    transaction,
};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether there is something to add.
const POLL: Duration = Duration::from_millis(250);

/// Pauses after failures.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Adds history to the counters.
#[derive(Debug)]
pub(crate) struct Tallier {
    pub pool: PgPool,
    pub leader_token: i64,
    pub uncounted: Arc<Uncounted>,
}

impl Tallier {
    /// Adds whatever is missing. `filled` is cancelled when no more history is written; from then on it
    /// may end when nothing is missing.
    pub(crate) async fn run(
        self,
        filled: &CancellationToken,
        may_end: bool,
    ) -> Result<(), IndexError> {
        let anew = || {
            ExponentialBuilder::default()
                .with_min_delay(PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .with_jitter()
                .build()
        };
        let mut pauses = anew();
        let mut failing = false;
        loop {
            // Asked before the work is looked for: what was filled in by then is found.
            let last = filled.is_cancelled();
            match self.add_piece(last).await {
                Ok(true) => {
                    pauses = anew();
                    failing = false;
                }
                Ok(false) if last && may_end => return Ok(()),
                Ok(false) => self.uncounted.grown(POLL).await,
                Err(IndexError::LostLead) => return Err(IndexError::LostLead),
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "counters of history: not added, trying again");
                    }
                    tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
                }
            }
        }
    }

    /// Adds one piece; false when there is none.
    async fn add_piece(&self, filled: bool) -> Result<bool, IndexError> {
        let mut transaction = transaction::begin(&self.pool, "BEGIN").await?;
        let missing = history::count_missing(&mut transaction).await?;
        metrics::level("indexer_tally_missing_blocks", missing);
        let begun = history::is_pending(&mut transaction).await?;
        if !begun && let Some(run) = self.uncounted.take(filled) {
            transaction.rollback().await?;
            return self.add_run(run).await.map(|()| true);
        }
        if missing == 0 || !(begun || self.uncounted.is_empty()) {
            return Ok(false);
        }
        let piece = history::claim(&mut transaction).await?;
        transaction.commit().await?;
        let Some(piece) = piece else {
            return Ok(false);
        };
        let started = Instant::now();
        let staged = Staged::gather(&self.pool, piece).await?;
        self.merge(piece, staged, started).await?;
        Ok(true)
    }

    /// Adds what was just written. What cannot be added this way is found missing, and added from the rows.
    async fn add_run(&self, run: Run) -> Result<(), IndexError> {
        let Ok(deltas) = run.deltas else {
            return Ok(());
        };
        let started = Instant::now();
        let mut transaction = transaction::begin(&self.pool, "BEGIN").await?;
        let state = state::lock_state(&mut *transaction).await?;
        if state.leader_token != self.leader_token {
            return Err(IndexError::LostLead);
        }
        // Another branch, perhaps, and other rows.
        let same = state.fork_epoch == run.fork_epoch;
        let claimed = same && history::claim_piece(&mut transaction, run.piece).await?;
        transaction.commit().await?;
        if claimed {
            let staged = Staged::at_hand(&self.pool, run.piece, deltas).await?;
            self.merge(run.piece, staged, started).await?;
        }
        Ok(())
    }

    async fn merge(
        &self,
        piece: Piece,
        mut staged: Staged,
        started: Instant,
    ) -> Result<(), IndexError> {
        let gathered = started.elapsed();
        while staged.merge_slice().await? {}
        if self.finish(piece).await? {
            tracing::debug!(
                block.from = piece.low,
                block.to = piece.high,
                gather_ms = gathered.as_millis(),
                elapsed_ms = started.elapsed().as_millis(),
                "history counted"
            );
        }
        Ok(())
    }

    /// Records a piece as included; counts and lists that were cached without it are then not used.
    async fn finish(&self, piece: Piece) -> Result<bool, IndexError> {
        let mut transaction = transaction::begin(&self.pool, "BEGIN").await?;
        let mut state = state::lock_state(&mut *transaction).await?;
        if state.leader_token != self.leader_token {
            return Err(IndexError::LostLead);
        }
        let done = history::finish(&mut transaction, piece).await?;
        if done {
            state.history_epoch += 1;
            state::update_state(&mut *transaction, &state).await?;
        }
        transaction.commit().await?;
        Ok(done)
    }
}
