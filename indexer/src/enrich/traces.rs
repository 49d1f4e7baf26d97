//! Internal transfers, read from a node's traces.
//!
//! In: canonical blocks that are not read yet, newest first; those at the head as soon as they are
//! committed. Out: rows, some blocks in each [`Turn`]. Asks the node that is followed, one request at a
//! time and only while it does not rest; what goes wrong here never counts against the node. A block
//! that cannot be read is put off and does not hold up the others. A node that has neither method makes
//! the reading unavailable; one that has pruned its state ends it at a floor. Both are looked at again
//! after a fail-over, and from time to time.

mod ask;
mod backlog;
mod gather;

use super::{Enricher, Turn, patient::PatientNode};
use crate::{error::IndexError, metrics};
use ask::{Asker, Failure};
use backlog::Backlog;
use gather::Gathered;
use std::time::{Duration, Instant};
use store::{
    balances,
    enrichment::{self, Reading, ReadingStatus},
    internal::{self, UntracedBlock},
    legs, tally,
};

/// How often new blocks are looked for without a word from the committer: history comes without one.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Heights that are looked at together: long runs of empty blocks are read in one turn.
const LOOK_AHEAD: u64 = 2_000;

/// How long a node is believed to have no traces.
const UNAVAILABLE_FOR: Duration = Duration::from_mins(3);

/// How long a node is believed to have pruned its state: at first, and at most. It doubles each time that
/// this is found again: one such answer may be a mistake, and nodes are replaced.
const FIRST_PRUNED: Duration = Duration::from_secs(5);
const LONGEST_PRUNED: Duration = Duration::from_mins(10);

/// Blocks below the head from which on a state that is missing was pruned: nodes keep that of the
/// newest hundred at least. A node that lags does not have the newest ones yet.
const NEAR_THE_HEAD: u64 = 64;

/// Pauses after failures in a row: the first, and the longest. They double in between.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often the gauge of what is missing is set.
const MEASURED_EVERY: Duration = Duration::from_secs(5);

/// What is to be done after a step.
enum Next {
    /// The next one, at once.
    GoOn,
    /// Wait for new blocks.
    Idle,
    /// Leave the node alone for so long.
    Pause(Duration),
}

/// Reads internal transfers.
pub(super) struct TraceReader {
    enricher: Enricher,
    asker: Asker,
    backlog: Backlog,
    /// Failures in a row.
    failures: u32,
    unavailable_until: Option<Instant>,
    /// Until when the floor is believed, and how often it was found in a row.
    floor: Option<(Instant, u32)>,
    /// What `enrichment` was told last.
    told: Option<(ReadingStatus, Option<String>)>,
    measured: Option<Instant>,
}

impl TraceReader {
    pub(super) fn new(enricher: Enricher) -> Self {
        Self {
            enricher,
            asker: Asker::default(),
            backlog: Backlog::default(),
            failures: 0,
            unavailable_until: None,
            floor: None,
            told: None,
            measured: None,
        }
    }

    /// Reads until another indexer leads.
    pub(super) async fn run(mut self) {
        let new_blocks = self.enricher.new_blocks.clone();
        loop {
            // From before the step on: what is committed during it is not missed.
            let mut news = std::pin::pin!(new_blocks.notified());
            news.as_mut().enable();
            let next = match self.step().await {
                Ok(next) => next,
                Err(IndexError::LostLead) => return,
                Err(error) => {
                    metrics::trace_failed("database");
                    tracing::debug!(%error, "internal transfers were not written; trying again");
                    self.failures += 1;
                    Next::Pause(self.pause())
                }
            };
            match next {
                Next::GoOn => {}
                Next::Idle => drop(tokio::time::timeout(LOOK_AGAIN, news).await),
                Next::Pause(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    async fn step(&mut self) -> Result<Next, IndexError> {
        let source = self.enricher.source.clone();
        let (index, _) = source.current();
        if self.asker.begins_with(index) {
            self.unavailable_until = None;
            self.floor = None;
            self.backlog = Backlog::default();
            enrichment::set_floor(&self.enricher.database, Reading::Traces, None).await?;
            self.tell(ReadingStatus::Starting).await?;
        }
        let now = Instant::now();
        if self.unavailable_until.is_some_and(|until| now < until) {
            return Ok(Next::Pause(LOOK_AGAIN));
        }
        if let Some((left, _)) = source.pool.standing(index).resting(now) {
            return Ok(Next::Pause(left.min(LONGEST_PAUSE)));
        }
        if let Some((until, _)) = &mut self.floor
            && *until <= now
        {
            *until = now + LONGEST_PRUNED;
            enrichment::set_floor(&self.enricher.database, Reading::Traces, None).await?;
        }
        self.measure(now).await?;
        let Some(blocks) = self.find_blocks(now).await? else {
            return self.introduce().await;
        };
        // Gone since the range was found, by a reorg or by damage.
        if blocks.is_empty() {
            return Ok(Next::Idle);
        }
        let (gathered, failure) = self.gather(index, blocks).await?;
        if !gathered.blocks.is_empty() && self.write(&gathered).await? {
            self.failures = 0;
            for block in &gathered.blocks {
                self.backlog.done(block.block.number);
            }
            metrics::traced(gathered.blocks.len());
            if failure.is_none() {
                self.tell(ReadingStatus::Working).await?;
            }
        }
        match failure {
            Some((block, failure)) => self.meet(index, block, failure).await,
            None => Ok(Next::GoOn),
        }
    }

    /// With nothing to read: finds out, once, whether there could be, so that the status tells.
    async fn introduce(&mut self) -> Result<Next, IndexError> {
        let database = &self.enricher.database;
        let head = store::state::get_state(database).await?.head;
        let Some(head) = head.filter(|_| !self.asker.has_answered()) else {
            return Ok(Next::Idle);
        };
        let source = self.enricher.source.clone();
        match self
            .asker
            .find_method(&PatientNode::followed(&source), head)
            .await
        {
            Ok(()) => self.tell(ReadingStatus::Working).await?,
            Err(Failure::Unavailable) => self.is_unavailable().await?,
            Err(_) => {
                self.failures += 1;
                return Ok(Next::Pause(self.pause()));
            }
        }
        Ok(Next::Idle)
    }

    async fn is_unavailable(&mut self) -> Result<(), IndexError> {
        self.asker.asks_again();
        self.unavailable_until = Some(Instant::now() + UNAVAILABLE_FOR);
        self.backlog = Backlog::default();
        self.tell(ReadingStatus::Unavailable).await
    }

    /// The highest blocks that are to be read now.
    async fn find_blocks(&self, now: Instant) -> Result<Option<Vec<UntracedBlock>>, IndexError> {
        let database = &self.enricher.database;
        let without = self.backlog.put_off(now);
        let range = enrichment::find_next(database, Reading::Traces, LOOK_AHEAD, &without).await?;
        let Some(range) = range.filter(|range| self.backlog.allows(*range.end())) else {
            return Ok(None);
        };
        Ok(Some(internal::list_untraced(database, range).await?))
    }

    /// Writes what was read; false when its blocks are no longer canonical.
    async fn write(&self, gathered: &Gathered) -> Result<bool, IndexError> {
        let (Some(highest), Some(lowest)) = (gathered.blocks.first(), gathered.blocks.last())
        else {
            return Ok(false);
        };
        let range = lowest.block.number..=highest.block.number;
        let mut turn = Turn::begin(&self.enricher).await?;
        // The others are its ancestors: they were listed together with it.
        if !turn.is_canonical(highest.block).await? {
            return Ok(false);
        }
        let connection = turn.connection();
        if !gathered.rows.is_empty() {
            // First of all: the tallier has it, too, when it queues contracts.
            tally::lock(connection).await?;
            internal::write_internal(connection, &gathered.rows).await?;
            tally::add_internal(connection, range.clone()).await?;
            balances::forget_if_read(connection, range.clone()).await?;
            legs::record(connection, range.clone()).await?;
        }
        enrichment::record_read(connection, Reading::Traces, range).await?;
        turn.commit().await?;
        Ok(true)
    }

    /// Does what a failure asks for.
    async fn meet(
        &mut self,
        node: usize,
        block: UntracedBlock,
        failure: Failure,
    ) -> Result<Next, IndexError> {
        let database = self.enricher.database.clone();
        let number = block.block.number;
        // After a reorg the node is right to know the block no longer.
        if !internal::is_canonical(&database, block.block).await? {
            self.backlog.done(number);
            return Ok(Next::Pause(FIRST_PAUSE));
        }
        metrics::trace_failed(failure.kind());
        let label = self.enricher.source.nodes()[node].label().to_owned();
        match failure {
            Failure::Unavailable => {
                self.is_unavailable().await?;
                return Ok(Next::GoOn);
            }
            Failure::Gone(reason) if self.is_far_below(number).await? => {
                self.found_floor(number + 1, &label, &reason).await?;
                return Ok(Next::GoOn);
            }
            _ => {}
        }
        self.failures += 1;
        let said = format!("internal transfers of block {number}: node {label}: {failure}");
        self.backlog.failed(number, said, &failure);
        let before = self.told.as_ref().map(|(status, _)| *status);
        let status = if self.asker.has_answered() {
            ReadingStatus::Working
        } else {
            before.unwrap_or(ReadingStatus::Starting)
        };
        self.tell(status).await?;
        let asked = failure.asked_pause().unwrap_or_default();
        Ok(Next::Pause(self.pause().max(asked)))
    }

    /// The node does not tell of what lies below.
    async fn found_floor(
        &mut self,
        floor: u64,
        label: &str,
        reason: &str,
    ) -> Result<(), IndexError> {
        let times = self.floor.map_or(0, |(_, times)| times.saturating_add(1));
        if times == 0 {
            tracing::info!(
                node = label,
                reason,
                "the node cannot execute blocks below {floor}: internal transfers are read from there on"
            );
        }
        let believed = (FIRST_PRUNED * 2_u32.saturating_pow(times.min(10))).min(LONGEST_PRUNED);
        self.floor = Some((Instant::now() + believed, times));
        self.backlog.drop_below(floor);
        let database = &self.enricher.database;
        enrichment::set_floor(database, Reading::Traces, Some(floor)).await?;
        self.tell(ReadingStatus::Working).await
    }

    async fn is_far_below(&self, number: u64) -> Result<bool, IndexError> {
        let state = store::state::get_state(&self.enricher.database).await?;
        let head = state.head.map_or(0, |head| head.number);
        Ok(head.saturating_sub(number) >= NEAR_THE_HEAD)
    }

    /// Records the status and what holds it up, and says it once where it changed.
    async fn tell(&mut self, status: ReadingStatus) -> Result<(), IndexError> {
        let problem = self.backlog.problem().map(str::to_owned);
        let before = self.told.as_ref();
        if before.is_some_and(|before| *before == (status, problem.clone())) {
            return Ok(());
        }
        let database = &self.enricher.database;
        enrichment::set_status(database, Reading::Traces, status, problem.as_deref()).await?;
        let had_problem = before.is_some_and(|(_, problem)| problem.is_some());
        let was_there = before.is_none_or(|(before, _)| *before != ReadingStatus::Unavailable);
        match &problem {
            Some(problem) => tracing::warn!("{problem}; trying again"),
            None if had_problem => tracing::info!("internal transfers are read again"),
            None if status == ReadingStatus::Unavailable && was_there => tracing::info!(
                node = self.enricher.source.node().label(),
                "the node has neither debug_traceBlockByHash with callTracer nor trace_block: there \
                 are no internal transfers"
            ),
            None => {}
        }
        self.told = Some((status, problem));
        Ok(())
    }

    /// The pause after so many failures in a row.
    fn pause(&self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures.saturating_sub(1).min(10));
        (FIRST_PAUSE * doubled).min(LONGEST_PAUSE)
    }

    async fn measure(&mut self, now: Instant) -> Result<(), IndexError> {
        if self
            .measured
            .is_some_and(|at| now.duration_since(at) < MEASURED_EVERY)
        {
            return Ok(());
        }
        self.measured = Some(now);
        let progress = enrichment::get_progress(&self.enricher.database, Reading::Traces).await?;
        metrics::level("indexer_traces_missing_blocks", progress.missing_blocks);
        Ok(())
    }
}
