//! History into the ledger's legs, beside everything else.
//!
//! In: heights that are indexed and were not looked through, and wallets that were added after their
//! history was. Out: legs, a piece at a time, each in a turn among the commits. Goes on for as long as the
//! indexer leads, since a wallet may be added at any time; never holds the head back by more than a piece.

use crate::error::IndexError;
use backon::{ExponentialBuilder, Retryable as _};
use sqlx::PgPool;
use std::time::Duration;
use store::{legs, state, transaction};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether there is something to look through.
const POLL: Duration = Duration::from_millis(500);

/// Pauses after failures.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Looks through history for the ledger's wallets.
#[derive(Debug)]
pub(crate) struct LegReader {
    pub pool: PgPool,
    pub leader_token: i64,
}

impl LegReader {
    /// Looks through whatever is missing. `filled` is cancelled when no more history is written; from then on
    /// it may end when nothing is missing.
    pub(crate) async fn run(
        self,
        filled: &CancellationToken,
        may_end: bool,
    ) -> Result<(), IndexError> {
        loop {
            // Asked before the work is looked for: what was filled in by then is found.
            let last = filled.is_cancelled();
            let pauses = ExponentialBuilder::default()
                .with_min_delay(PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .with_jitter();
            let mut said = false;
            let more = (|| self.look_through_piece())
                .retry(pauses)
                .when(|error| !matches!(error, IndexError::LostLead))
                .notify(|error, _| {
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(%error, "history not looked through for the ledger, trying again");
                    }
                })
                .await?;
            if !more && last && may_end {
                return Ok(());
            }
            if !more {
                tokio::time::sleep(POLL).await;
            }
        }
    }

    async fn look_through_piece(&self) -> Result<bool, IndexError> {
        if !legs::is_missing(&self.pool).await? {
            return Ok(false);
        }
        let mut transaction = transaction::begin(&self.pool, "BEGIN").await?;
        let state = state::lock_state(&mut *transaction).await?;
        if state.leader_token != self.leader_token {
            return Err(IndexError::LostLead);
        }
        let more = legs::record_missing(&mut transaction).await?;
        transaction.commit().await?;
        Ok(more)
    }
}
