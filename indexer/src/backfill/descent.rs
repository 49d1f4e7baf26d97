//! From the top of a gap down: parts are fetched at the same time and handed over in order.

use super::{
    budget::{Budget, Charge},
    limits::LimitsWatch,
    part::{self, Link, Part},
};
use crate::{
    error::IndexError,
    source::{RawBlock, Source},
    status::Status,
};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use chain::{Checks, VerifyLevel};
use futures::{StreamExt as _, stream::FuturesOrdered};
use std::{ops::RangeInclusive, sync::Arc, time::Duration};
use store::rows::EncodedRows;
use tokio_util::task::AbortOnDropHandle;

/// Pauses after a failure: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Failures in a row from which on they are more than a moment's.
const WORTH_SAYING: u32 = 3;

/// Bytes of a block before the first one was seen.
const FIRST_ESTIMATE: u64 = 64 << 10;

/// What every fetch needs.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    pub source: Arc<Source>,
    pub verify: VerifyLevel,
    pub live_from: u64,
    pub status: Arc<Status>,
}

impl Fetcher {
    /// Fetches and proves a run of blocks, for as long as that takes: what one node cannot give,
    /// another may, now or later. Live indexing goes on meanwhile.
    pub(super) async fn fetch(
        &self,
        run: RangeInclusive<u64>,
        mut charge: Charge,
    ) -> Result<Part, IndexError> {
        let numbers: Vec<u64> = run.clone().collect();
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .without_max_times()
            .with_jitter()
            .build();
        let mut failures = 0;
        loop {
            match self.attempt(&numbers, &mut charge).await {
                Ok((links, rows)) => {
                    return Ok(Part {
                        links,
                        rows,
                        charge,
                    });
                }
                Err(error @ (IndexError::Database(_) | IndexError::LostLead)) => return Err(error),
                Err(error) => {
                    if let IndexError::Unproven { node, .. } = &error {
                        self.source.quarantine(node, &error.to_string());
                    }
                    failures += 1;
                    if failures >= WORTH_SAYING {
                        self.status.history_is_held_up(&error.to_string());
                    }
                }
            }
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    async fn attempt(
        &self,
        numbers: &[u64],
        charge: &mut Charge,
    ) -> Result<(Vec<Link>, EncodedRows), IndexError> {
        let raw = self.source.fetch_batch(numbers).await?;
        charge.correct(raw.iter().map(RawBlock::bytes).sum());
        let checks = self.checks(numbers.first().copied().unwrap_or_default());
        part::prove(raw, numbers, checks).await
    }

    fn checks(&self, number: u64) -> Checks {
        self.verify.checks(number >= self.live_from)
    }
}

/// A gap on its way down.
pub(super) struct Descent<'a> {
    fetcher: &'a Fetcher,
    limits: &'a LimitsWatch,
    budget: Arc<Budget>,
    /// What is still to be asked for.
    rest: Option<RangeInclusive<u64>>,
    running: FuturesOrdered<AbortOnDropHandle<Result<Part, IndexError>>>,
    /// One for each fetch that is under way: those that wait for their turn take nothing of a node's.
    fetching: Arc<()>,
    /// Bytes of a block, as of late.
    bytes_per_block: u64,
}

impl<'a> Descent<'a> {
    pub(super) fn new(
        fetcher: &'a Fetcher,
        limits: &'a LimitsWatch,
        gap: RangeInclusive<u64>,
    ) -> Self {
        Self {
            fetcher,
            limits,
            budget: Arc::default(),
            rest: Some(gap),
            running: FuturesOrdered::new(),
            fetching: Arc::default(),
            bytes_per_block: FIRST_ESTIMATE,
        }
    }

    /// The next part down; `None` at the bottom.
    pub(super) async fn next(&mut self) -> Option<Result<Part, IndexError>> {
        loop {
            self.ask_for_more();
            if self.running.is_empty() {
                return None;
            }
            tokio::select! {
                part = self.running.next() => {
                    let part = part?.unwrap_or_else(|error| {
                        Err(IndexError::Transient(format!("a fetch stopped: {error}")))
                    });
                    if let Ok(part) = &part {
                        self.learn(part);
                    }
                    return Some(part);
                }
                // Room for another request.
                () = self.budget.released() => {}
            }
        }
    }

    /// Asks for parts while nodes and budget allow; for one at least, so that there is no standstill.
    fn ask_for_more(&mut self) {
        let limits = self.limits.now();
        while let Some(rest) = self.rest.clone() {
            let blocks = u64::try_from(self.fetcher.source.batch_size())
                .unwrap_or(1)
                .max(1);
            let low = rest.end().saturating_sub(blocks - 1).max(*rest.start());
            let run = low..=*rest.end();
            let estimate = (rest.end() - low + 1) * self.bytes_per_block;
            let fetching = Arc::strong_count(&self.fetching) - 1;
            let busy = fetching >= self.fetcher.source.concurrency().max(1);
            let full = self.budget.used() + estimate > limits.budget_bytes;
            if busy || (full && !self.running.is_empty()) {
                return;
            }
            let charge = self.budget.charge(estimate);
            let fetcher = self.fetcher.clone();
            let (fetching, budget) = (self.fetching.clone(), self.budget.clone());
            let fetch = tokio::spawn(async move {
                let part = fetcher.fetch(run, charge).await;
                drop(fetching);
                budget.release_notice();
                part
            });
            self.running.push_back(AbortOnDropHandle::new(fetch));
            self.rest = (low > *rest.start()).then(|| *rest.start()..=low - 1);
        }
    }

    /// A part that does not link is fetched again, without its turn.
    pub(super) async fn again(&self, part: Part) -> Result<Part, IndexError> {
        let (Some(low), Some(high)) = (part.links.first(), part.links.last()) else {
            return Ok(part);
        };
        let run = low.block.number..=high.block.number;
        self.fetcher.fetch(run, part.charge).await
    }

    fn learn(&mut self, part: &Part) {
        let blocks = u64::try_from(part.links.len()).unwrap_or(1).max(1);
        let latest = part.charge.bytes() / blocks;
        self.bytes_per_block = (self.bytes_per_block * 3 + latest) / 4;
    }
}
