//! Fetching and proving ahead of the commit.
//!
//! In: a range. Out: its proven blocks in order, through a bounded channel: when it is full, fetching
//! waits. Ends at the first error, which is the last thing it gives; ends at once when dropped.

use crate::{
    error::IndexError,
    source::{Block, Source},
    verifier::fetch_proven,
};
use backon::{ExponentialBuilder, Retryable as _};
use chain::{Checks, ProvenBlock, VerifyLevel};
use futures::{StreamExt as _, stream};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::state::BlockRef;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// Blocks fetched and proven ahead of the commit: two requests each, well below what public nodes
/// allow at once, and a few tens of megabytes of the largest blocks.
const FETCH_AHEAD: usize = 16;

/// How often one block is asked for again before its failure is the follower's business, which may
/// turn to another node.
const RETRIES: usize = 3;

/// Pause before the first of those.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A node that takes longer than this to fail is not asked again here: a time-out is no passing fault.
const RETRY_WITHIN: Duration = Duration::from_secs(2);

/// A range that is being fetched.
pub(crate) struct FetchAhead {
    blocks: mpsc::Receiver<Result<ProvenBlock, IndexError>>,
    failed: Option<IndexError>,
    _task: AbortOnDropHandle<()>,
}

impl FetchAhead {
    /// Begins to fetch a range; blocks from `live_from` on are proven as those at the head are.
    pub(crate) fn start(
        source: &Arc<Source>,
        verify: VerifyLevel,
        live_from: u64,
        from: u64,
        to: u64,
    ) -> Self {
        let (sender, blocks) = mpsc::channel(FETCH_AHEAD);
        let source = source.clone();
        let task = tokio::spawn(async move {
            let mut blocks = stream::iter(from..=to)
                .map(|number| fetch_patiently(&source, number, verify.checks(number >= live_from)))
                .buffered(FETCH_AHEAD);
            while let Some(block) = blocks.next().await {
                let failed = block.is_err();
                if sender.send(block).await.is_err() || failed {
                    break;
                }
            }
        });
        Self {
            blocks,
            failed: None,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// The next blocks, as many as are ready, at most `limit`; none at the end of the range. An error
    /// comes after all blocks before it.
    pub(crate) async fn next(&mut self, limit: usize) -> Result<Vec<ProvenBlock>, IndexError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut ready = Vec::new();
        self.blocks.recv_many(&mut ready, limit).await;
        let mut proven = Vec::with_capacity(ready.len());
        for block in ready {
            match block {
                Ok(block) => proven.push(block),
                Err(error) if proven.is_empty() => return Err(error),
                Err(error) => self.failed = Some(error),
            }
        }
        Ok(proven)
    }
}

/// Fetches one block, and again when a passing fault hits it: what is being fetched beside it would be
/// lost with it otherwise.
async fn fetch_patiently(
    source: &Source,
    number: u64,
    checks: Checks,
) -> Result<ProvenBlock, IndexError> {
    let started = Instant::now();
    let pauses = ExponentialBuilder::default()
        .with_min_delay(RETRY_PAUSE)
        .with_max_times(RETRIES)
        .with_jitter();
    (|| fetch_proven(source, Block::Number(number), checks))
        .retry(pauses)
        .when(|error| {
            let passing = matches!(error, IndexError::Transient(_) | IndexError::NotYet { .. });
            passing && started.elapsed() < RETRY_WITHIN
        })
        .await
}

/// How many of the blocks link to the head and to each other.
pub(crate) fn linked_run(head: Option<BlockRef>, blocks: &[ProvenBlock]) -> usize {
    let mut parent = head.map(|head| head.hash);
    let linked = blocks.iter().take_while(|block| {
        let links = parent.is_none_or(|parent| block.header.parent_hash == parent);
        parent = Some(block.hash);
        links
    });
    linked.count()
}
