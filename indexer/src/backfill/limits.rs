//! How much a backfill may take: as the indexer was started, or as an operator asks while it runs.

use sqlx::PgPool;
use std::time::Duration;
use store::coverage::{BackfillSettings, get_backfill_settings};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How soon a change is noticed.
const POLL: Duration = Duration::from_secs(2);

/// How much a backfill may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillLimits {
    /// Connections that write at the same time; 0 pauses it.
    pub workers: u32,
    /// Bytes of replies that are fetched and not yet written, at most.
    pub budget_bytes: u64,
}

impl Default for BackfillLimits {
    /// Four writers keep two to four cores of a database busy; 128 MiB of replies become as much again
    /// in rows, and hold some three hundred full blocks.
    fn default() -> Self {
        Self {
            workers: 4,
            budget_bytes: 128 << 20,
        }
    }
}

impl BackfillLimits {
    fn with(self, asked: BackfillSettings) -> Self {
        Self {
            workers: asked.workers.unwrap_or(self.workers),
            budget_bytes: asked.budget_bytes.unwrap_or(self.budget_bytes),
        }
    }
}

/// The limits as they are now.
#[derive(Debug)]
pub(super) struct LimitsWatch {
    now: watch::Receiver<BackfillLimits>,
    _task: AbortOnDropHandle<()>,
}

impl LimitsWatch {
    /// Follows what an operator asks.
    pub(super) fn start(pool: PgPool, given: BackfillLimits) -> Self {
        let (sender, now) = watch::channel(given);
        let task = tokio::spawn(async move {
            loop {
                // A database that is away is everybody's business but this one's.
                if let Ok(asked) = get_backfill_settings(&pool).await {
                    let limits = given.with(asked);
                    if sender.send_replace(limits) != limits {
                        tracing::info!(
                            backfill.workers = limits.workers,
                            backfill.budget_bytes = limits.budget_bytes,
                            "backfill limits changed"
                        );
                    }
                }
                tokio::time::sleep(POLL).await;
            }
        });
        Self {
            now,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The limits now.
    pub(super) fn now(&self) -> BackfillLimits {
        *self.now.borrow()
    }

    /// Waits while the backfill is paused.
    pub(super) async fn unpaused(&self) {
        // The sender lives as long as this does.
        let _ = self.now.clone().wait_for(|limits| limits.workers > 0).await;
    }
}
