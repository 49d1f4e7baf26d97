//! History below the live head, filled in from the top down while the head goes on.
//!
//! In: the gaps of the coverage. Out: commits of neighbouring blocks, highest first, each of which
//! links to what is covered already. So the covered blocks are at any moment one run that ends at the
//! head, every hash in it named by the block above; a node that lies about history is found out before
//! anything of it is committed, and a kill loses nothing but what was on its way. Fetching, proving
//! and writing overlap; what is on the way is bounded in bytes. When the budget is full, fetching
//! waits. Ends when there is no gap, or when dropped. Never moves the head.

mod budget;
mod descent;
mod limits;
mod part;
mod write;

pub use limits::BackfillLimits;

use crate::{
    config::IndexerConfig, error::IndexError, progress::Progress, source::Source, status::Status,
    uncounted::Uncounted,
};
use alloy::primitives::B256;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use descent::{Descent, Fetcher};
use limits::LimitsWatch;
use part::Part;
use sqlx::PgPool;
use std::{ops::RangeInclusive, sync::Arc, time::Duration};
use store::{
    chunks, coverage,
    rows::CopyBatch,
    state::{self, Chain},
    tally::deltas::Deltas,
};
use write::{Batch, Writers, Written};

/// Rows of one commit: enough that the fixed costs of eight tables do not count, few enough that a
/// handful of them fit into memory and a kill repeats seconds.
const ROWS_PER_COMMIT: usize = 60_000;

/// A batch that has waited so long for its next part is written as it is.
const STALLED: Duration = Duration::from_secs(2);

/// Pauses before beginning again after an error: the first, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Conflicts in a row from which on nobody else is likely to be the cause.
const CONFLICTS: u32 = 3;

/// Pause while there is no head yet.
const HEAD_POLL: Duration = Duration::from_millis(50);

/// Fills in the history of one chain.
#[derive(Debug)]
pub(crate) struct Backfill {
    pool: PgPool,
    leader_token: i64,
    chain: Chain,
    fetcher: Fetcher,
    limits: Arc<LimitsWatch>,
    uncounted: Arc<Uncounted>,
    status: Arc<Status>,
    progress: Progress,
    /// The gap whose progress is shown.
    shown: Option<RangeInclusive<u64>>,
    /// Blocks committed so far.
    filled: u64,
}

/// Parts that will be one commit.
#[derive(Debug, Default)]
struct Assembly {
    parts: Vec<Part>,
    rows: usize,
    bytes: u64,
}

impl Backfill {
    /// A backfill for the holder of a leader token.
    pub(crate) fn new(
        config: &IndexerConfig,
        leader_token: i64,
        chain: Chain,
        source: Arc<Source>,
        (status, progress): (Arc<Status>, Progress),
        uncounted: Arc<Uncounted>,
    ) -> Self {
        let pool = config.database.clone();
        Self {
            fetcher: Fetcher {
                source,
                verify: config.verify,
                live_from: chain.live_from,
                status: status.clone(),
            },
            limits: Arc::new(LimitsWatch::start(pool.clone(), config.backfill)),
            uncounted,
            pool,
            leader_token,
            chain,
            status,
            progress,
            shown: None,
            filled: 0,
        }
    }

    /// Fills every gap; ends when there is none, or when the lead is lost.
    pub(crate) async fn run(mut self) -> Result<(), IndexError> {
        let anew = || {
            ExponentialBuilder::default()
                .with_min_delay(PAUSE)
                .with_max_delay(LONGEST_PAUSE)
                .without_max_times()
                .with_jitter()
                .build()
        };
        let (mut pauses, mut failures) = (anew(), 0);
        loop {
            let before = self.filled;
            let error = match self.fill_highest_gap().await {
                Ok(true) => continue,
                Ok(false) => {
                    self.status.history_lacks(0);
                    return Ok(());
                }
                Err(IndexError::LostLead) => return Err(IndexError::LostLead),
                Err(error) => error,
            };
            // Whatever was committed is progress: pauses begin anew.
            if self.filled != before {
                (pauses, failures) = (anew(), 0);
            }
            failures += 1;
            // A conflict alone says that somebody changed what is covered: it is read again.
            if failures >= CONFLICTS || !matches!(error, IndexError::Conflict) {
                self.status.history_is_held_up(&error.to_string());
            }
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// Fills the gap next to what is covered at the top; false when there is none.
    async fn fill_highest_gap(&mut self) -> Result<bool, IndexError> {
        let head = loop {
            match state::get_state(&self.pool).await?.head {
                Some(head) => break head.number,
                None => tokio::time::sleep(HEAD_POLL).await,
            }
        };
        let bounds = self.chain.start_block..=head;
        let gaps = coverage::find_gaps(&self.pool, bounds).await?;
        let Some(gap) = gaps.first().cloned() else {
            return Ok(false);
        };
        let missing = gaps.iter().map(|gap| gap.end() - gap.start() + 1).sum();
        self.status.history_lacks(missing);
        // The rest of a gap whose filling failed is no new one.
        if self
            .shown
            .as_ref()
            .is_none_or(|shown| !shown.contains(gap.end()))
        {
            self.progress.start("filling in", *gap.start(), *gap.end());
            self.shown = Some(gap.clone());
        }
        self.fill(gap).await?;
        self.progress.finish();
        self.shown = None;
        Ok(true)
    }

    async fn fill(&mut self, gap: RangeInclusive<u64>) -> Result<(), IndexError> {
        let (top, bottom) = (*gap.end(), *gap.start());
        let mut due = parent_of(&self.pool, top + 1).await?;
        let span = chunks::find_span(&self.pool).await?;
        let mut prepared = None;
        let mut writers = Writers::new(
            self.pool.clone(),
            self.leader_token,
            self.chain.genesis_hash,
            self.uncounted.clone(),
        );
        let (fetcher, limits) = (self.fetcher.clone(), self.limits.clone());
        let mut descent = Descent::new(&fetcher, &limits, gap);
        let mut assembly = Assembly::default();
        loop {
            match tokio::time::timeout(STALLED, descent.next()).await {
                Ok(None) => break,
                Ok(Some(part)) => {
                    let part = link(&fetcher, &descent, part?, &mut due).await?;
                    assembly.push(part);
                    if !assembly.is_worth_a_commit(limits.now(), bottom) {
                        continue;
                    }
                }
                // What lies below is slow to come, or never does: what is there is not held back.
                Err(_) if assembly.parts.is_empty() => continue,
                Err(_) => {}
            }
            let batch = std::mem::take(&mut assembly)
                .seal(self.chain.bucket_blocks)
                .await?;
            if limits.now().workers == 0 {
                self.status
                    .history_is_held_up("paused; `tallyscan tune --reset` lets it go on");
                limits.unpaused().await;
            }
            while writers.running() >= workers(&limits) {
                self.note(writers.next().await)?;
            }
            self.uncounted.room().await;
            prepare_chunks(&self.pool, span, &batch, &mut prepared).await?;
            writers.begin(batch);
        }
        while writers.running() > 0 {
            self.note(writers.next().await)?;
        }
        Ok(())
    }

    fn note(&mut self, written: Option<Result<Written, IndexError>>) -> Result<(), IndexError> {
        let Some(written) = written else {
            return Ok(());
        };
        let written = written?;
        self.filled += written.blocks;
        self.status.history_filled(written.blocks);
        let top = self
            .shown
            .as_ref()
            .map_or(written.lowest, |shown| *shown.end());
        self.progress.done(top - written.lowest + 1);
        Ok(())
    }
}

fn workers(limits: &LimitsWatch) -> usize {
    usize::try_from(limits.now().workers).unwrap_or(1).max(1)
}

impl Assembly {
    /// Whether it has enough rows, is its share of the budget, or ends with the last block.
    fn is_worth_a_commit(&self, limits: BackfillLimits, bottom: u64) -> bool {
        let lowest = self.parts.last().and_then(|part| part.links.first());
        let share = limits.budget_bytes / u64::from(2 * limits.workers.max(1));
        lowest.is_some_and(|lowest| lowest.block.number == bottom)
            || self.rows >= ROWS_PER_COMMIT
            || self.bytes >= share
    }

    fn push(&mut self, part: Part) {
        self.rows += part.rows.len();
        self.bytes += part.charge.bytes();
        self.parts.push(part);
    }

    /// Makes it a batch, with what it adds to the counters of buckets of so many blocks; off the async
    /// threads: sorting takes milliseconds.
    async fn seal(self, bucket_blocks: u64) -> Result<Batch, IndexError> {
        let work = move || -> Result<Batch, IndexError> {
            let lowest = self.parts.last().and_then(|part| part.links.first());
            let highest = self.parts.first().and_then(|part| part.links.last());
            let (Some(lowest), Some(highest)) = (lowest.cloned(), highest.cloned()) else {
                return Err(IndexError::Conflict);
            };
            let (rows, charges) = self
                .parts
                .into_iter()
                .map(|part| (part.rows, part.charge))
                .unzip();
            let mut deltas = Ok(Deltas::default());
            let rows = CopyBatch::of(rows, |activity, transfers| {
                deltas = Deltas::of(activity, transfers, bucket_blocks);
            });
            Ok(Batch {
                rows: rows.map_err(sqlx::Error::from)?,
                deltas,
                lowest: lowest.block,
                parent: lowest.parent,
                highest: highest.block,
                _charges: charges,
            })
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| IndexError::Transient(format!("a batch stopped: {error}")))?
    }
}

/// Links a part to what is above it; blocks that do not belong there are fetched again, elsewhere.
async fn link(
    fetcher: &Fetcher,
    descent: &Descent<'_>,
    mut part: Part,
    due: &mut B256,
) -> Result<Part, IndexError> {
    loop {
        match part.check_links(*due) {
            Ok(parent) => {
                *due = parent;
                return Ok(part);
            }
            Err(unlinked) => {
                let reason = format!(
                    "its block {} is {}, and the block above it names {} as its parent",
                    unlinked.number, unlinked.found, unlinked.due
                );
                fetcher.source.quarantine(&unlinked.node, &reason);
                fetcher
                    .status
                    .history_is_held_up(&format!("node {}: {reason}", unlinked.node));
                tokio::time::sleep(PAUSE).await;
                part = descent.again(part).await?;
            }
        }
    }
}

/// The parent that a covered block names.
async fn parent_of(pool: &PgPool, number: u64) -> Result<B256, IndexError> {
    let parent: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT parent_hash FROM blocks WHERE number = $1")
            .bind(state::height(number)?)
            .fetch_optional(pool)
            .await?;
    parent
        .and_then(|parent| B256::try_from(parent.as_slice()).ok())
        .ok_or(IndexError::Conflict)
}

/// Makes the chunks that a batch falls into, unless the batch before it did.
async fn prepare_chunks(
    pool: &PgPool,
    span: Option<u64>,
    batch: &Batch,
    prepared: &mut Option<u64>,
) -> Result<(), IndexError> {
    let Some(span) = span else { return Ok(()) };
    let (lowest, highest) = (batch.lowest.number, batch.highest.number);
    for chunk in (lowest / span..=highest / span).rev() {
        if *prepared != Some(chunk) {
            chunks::prepare(pool, highest.min(chunk * span + span - 1)).await?;
            *prepared = Some(chunk);
        }
    }
    Ok(())
}
