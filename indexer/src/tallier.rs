//! History into the counters, beside everything else.
//!
//! In: heights that are indexed and not counted, bucket by bucket (`store::tally::history`). Out: counters
//! and balances that include them. Goes on for as long as the indexer leads, since a repair may ask for
//! everything to be counted again. Never holds the head back by more than a slice.

use crate::{error::IndexError, metrics};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use sqlx::PgPool;
use std::time::{Duration, Instant};
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
}

impl Tallier {
    /// Adds whatever is missing; with `filled`, ends once that is cancelled and nothing is.
    pub(crate) async fn run(self, filled: Option<CancellationToken>) -> Result<(), IndexError> {
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
            let last = filled.as_ref().is_some_and(CancellationToken::is_cancelled);
            match self.add_piece().await {
                Ok(true) => {
                    pauses = anew();
                    failing = false;
                }
                Ok(false) if last => return Ok(()),
                Ok(false) => tokio::time::sleep(POLL).await,
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
    async fn add_piece(&self) -> Result<bool, IndexError> {
        let mut transaction = transaction::begin(&self.pool, "BEGIN").await?;
        let missing = history::count_missing(&mut transaction).await?;
        metrics::level("indexer_tally_missing_blocks", missing);
        if missing == 0 {
            return Ok(false);
        }
        let piece = history::claim(&mut transaction).await?;
        transaction.commit().await?;
        let Some(piece) = piece else {
            return Ok(false);
        };
        let started = Instant::now();
        let mut staged = Staged::gather(&self.pool, piece).await?;
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
        Ok(true)
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
