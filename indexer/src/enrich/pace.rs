//! When what is read is read: at once while there is something, now and then while there is nothing,
//! ever more rarely while it fails. A failure is told once and stays in `enrichment` until it is over.

use super::{Enricher, state::StateError};
use crate::error::IndexError;
use std::time::Duration;
use store::enrichment::{Reading, ReadingStatus, set_status};
use tokio::time::sleep;

/// How often is looked for something to read.
const IDLE_PAUSE: Duration = Duration::from_millis(200);

/// Pause after a failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// So many failures in a row are told: one or two are a reorg, or a node that is behind for a moment.
const FAILURES_TOLD: u32 = 3;

/// A node without the method may be another version the next time; another node is asked at once.
const UNAVAILABLE_PAUSE: Duration = Duration::from_mins(5);
const OTHER_NODE_PAUSE: Duration = Duration::from_secs(2);

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was read; there may be more.
    More,
    /// There is nothing to read.
    Idle,
    /// It cannot be said yet: nothing is indexed.
    Early,
}

/// Something that is read from nodes step by step.
pub(crate) trait Reader {
    const READING: Reading;

    /// Reads as much as makes one short transaction.
    fn step(&mut self) -> impl Future<Output = Result<Step, StateError>> + Send;
}

/// What stands in `enrichment`.
type Told = (ReadingStatus, Option<String>);

/// Reads until dropped.
pub(crate) async fn keep_reading<R: Reader>(enricher: &Enricher, mut reader: R) {
    let mut told: Option<Told> = None;
    let mut failures = 0;
    loop {
        match reader.step().await {
            Ok(Step::Early) => sleep(IDLE_PAUSE).await,
            Ok(step) => {
                failures = 0;
                tell::<R>(enricher, &mut told, (ReadingStatus::Working, None)).await;
                if step == Step::Idle {
                    sleep(IDLE_PAUSE).await;
                }
            }
            Err(StateError::Unavailable) => {
                tell::<R>(enricher, &mut told, (ReadingStatus::Unavailable, None)).await;
                wait_for_another_node(enricher).await;
            }
            Err(StateError::Failed(IndexError::Busy { pause, .. })) => sleep(pause).await,
            Err(error) => {
                failures += 1;
                if failures >= FAILURES_TOLD {
                    let problem = Some(error.to_string());
                    tell::<R>(enricher, &mut told, (ReadingStatus::Working, problem)).await;
                }
                let pause = FIRST_PAUSE * (1 << (failures - 1).min(6));
                sleep(pause.min(LONGEST_PAUSE)).await;
            }
        }
    }
}

async fn tell<R: Reader>(enricher: &Enricher, told: &mut Option<Told>, now: Told) {
    if told.as_ref() == Some(&now) {
        return;
    }
    let reading = R::READING.name();
    match (&now.1, told.as_ref().and_then(|before| before.1.as_ref())) {
        (Some(problem), None) => tracing::warn!(reading, problem, "cannot be read; trying again"),
        (None, Some(_)) => tracing::info!(reading, "is read again"),
        _ => {}
    }
    let written = set_status(&enricher.database, R::READING, now.0, now.1.as_deref()).await;
    if written.is_ok() {
        *told = Some(now);
    }
}

async fn wait_for_another_node(enricher: &Enricher) {
    let node = enricher.source.node().label().to_owned();
    let mut left = UNAVAILABLE_PAUSE;
    while !left.is_zero() && enricher.source.node().label() == node {
        sleep(OTHER_NODE_PAUSE).await;
        left = left.saturating_sub(OTHER_NODE_PAUSE);
    }
}
