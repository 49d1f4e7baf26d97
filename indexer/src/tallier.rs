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
use sqlx::{PgPool, Postgres, Transaction};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    state::{self, ChainState},
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
            let added = self.add_piece(last).await;
            if added.is_ok() {
                self.uncounted.set_failing(false);
            }
            match added {
                Ok(true) => {
                    pauses = anew();
                    failing = false;
                }
                Ok(false) if last && may_end => return Ok(()),
                Ok(false) => self.uncounted.grown(POLL).await,
                Err(IndexError::LostLead) => return Err(IndexError::LostLead),
                Err(error) => {
                    self.uncounted.set_failing(true);
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
        let top = self.uncounted.top().filter(|_| !begun);
        let behind = match top {
            Some(top) => history::find_left_behind(&mut transaction, top).await?,
            None => None,
        };
        transaction.rollback().await?;
        if let Some(piece) = behind {
            return self.gather(Some(piece)).await;
        }
        if top.is_some() {
            return match self.uncounted.take(filled) {
                Some(run) => self.add_run(run).await.map(|()| true),
                None => Ok(false),
            };
        }
        if missing == 0 {
            return Ok(false);
        }
        self.gather(None).await
    }

    /// Adds a piece from its rows: a given one, the one that was begun, or the next.
    async fn gather(&self, piece: Option<Piece>) -> Result<bool, IndexError> {
        let (mut transaction, _) = self.begin().await?;
        let piece = match piece {
            None => history::claim(&mut transaction).await?,
            Some(piece) => history::claim_piece(&mut transaction, piece)
                .await?
                .then_some(piece),
        };
        transaction.commit().await?;
        let Some(piece) = piece else {
            return Ok(false);
        };
        let started = Instant::now();
        let staged = Staged::gather(&self.pool, piece).await?;
        self.merge(piece, staged, started).await?;
        Ok(true)
    }

    /// Adds what was just written. What cannot be added this way is found left behind, and gathered.
    async fn add_run(&self, run: Run) -> Result<(), IndexError> {
        let Ok(deltas) = run.deltas else {
            return Ok(());
        };
        let started = Instant::now();
        // Off the threads that the head needs.
        let sorted = tokio::task::spawn_blocking(move || deltas.sorted())
            .await
            .map_err(|error| IndexError::Transient(format!("sorting stopped: {error}")))?;
        let (mut transaction, state) = self.begin().await?;
        // Another branch, perhaps, and other rows.
        let same = state.fork_epoch == run.fork_epoch;
        let claimed = same && history::claim_piece(&mut transaction, run.piece).await?;
        transaction.commit().await?;
        if claimed {
            let staged = Staged::at_hand(&self.pool, run.piece, sorted).await?;
            self.merge(run.piece, staged, started).await?;
        }
        Ok(())
    }

    /// Takes a turn among the commits; refused once another indexer leads.
    async fn begin(&self) -> Result<(Transaction<'static, Postgres>, ChainState), IndexError> {
        let mut transaction = transaction::begin(&self.pool, "BEGIN").await?;
        let state = state::lock_state(&mut *transaction).await?;
        if state.leader_token != self.leader_token {
            return Err(IndexError::LostLead);
        }
        Ok((transaction, state))
    }

    async fn merge(
        &self,
        piece: Piece,
        mut staged: Staged,
        started: Instant,
    ) -> Result<(), IndexError> {
        let gathered = started.elapsed();
        while staged.merge_slice(self.leader_token).await? {}
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
        let (mut transaction, mut state) = self.begin().await?;
        let done = history::finish(&mut transaction, piece).await?;
        if done {
            state.history_epoch += 1;
            state::update_state(&mut *transaction, &state).await?;
        }
        transaction.commit().await?;
        Ok(done)
    }
}
