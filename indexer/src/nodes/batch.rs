//! Blocks from whichever nodes give them.
//!
//! In: heights. Out: each block whole from one node, in the order asked for. What one node refuses for
//! its size is halved, what it fails at is asked of another, and what it pruned as well; an error
//! means that no node can give the blocks now. When all nodes are at their limits, it waits.

use super::{
    gather::{Manner, Shortfall, gather},
    pool::Permit,
    standing::{Trust, Why},
    trail::Trail,
};
use crate::{
    error::IndexError,
    node::REPLY_TIMEOUT,
    nodes::reply::CallError,
    source::{Block, RawBlock, Source},
};
use alloy::primitives::U64;
use futures::future::{BoxFuture, FutureExt as _, try_join, try_join_all};
use std::time::{Duration, Instant};

/// A request may take so many times what the node usually takes, within bounds.
const PATIENCE_FACTOR: u32 = 20;
const LEAST_PATIENCE: Duration = Duration::from_secs(5);

/// Pause before a node is asked again for what it just did not have.
const AGAIN_PAUSE: Duration = Duration::from_millis(50);

/// A block this far below a node's head is not late, it is gone: nodes that prune keep far more, and
/// no provider's nodes are further apart.
const SETTLED: u64 = 128;

/// What to do about a shortfall.
enum Reaction {
    /// Ask for the two halves on their own.
    Split,
    /// Ask again, elsewhere if there is somewhere else.
    Again,
    /// The same after a moment.
    AgainLater,
}

impl Source {
    /// Fetches blocks with receipts and uncle headers in as few requests as the chosen nodes take.
    ///
    /// Any node that was verified, is not quarantined and has a free place may be chosen; each block
    /// comes whole from one node. The result is in the order of `numbers`. Waits when all nodes are at
    /// their limits; errs when no node can give the blocks now.
    pub async fn fetch_batch(&self, numbers: &[u64]) -> Result<Vec<RawBlock>, IndexError> {
        self.introduce_strangers();
        let pieces = numbers.chunks(self.batch_size());
        let pieces = pieces.map(|piece| self.fetch_piece(piece, Trail::default(), None));
        Ok(try_join_all(pieces).await?.concat_parts())
    }

    /// How many blocks one batch should ask for now (1 where nodes refuse batches).
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.pool
            .over_limits(|most, limits| most.max(limits.blocks()))
    }

    /// How many batches are worth having in flight at once now, over all nodes.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.pool
            .over_limits(|sum, limits| sum + limits.concurrency())
    }

    /// A node served something that failed its proof: it is not chosen for a while.
    ///
    /// The while grows with repetition; the reason is logged once, counted, and shown in health.
    pub fn quarantine(&self, node: &str, reason: &str) {
        if let Some(index) = self.pool.index_of(node)
            && self.pool.quarantine(index, reason)
        {
            self.fail_over(node);
        }
    }

    fn fetch_piece<'a>(
        &'a self,
        numbers: &'a [u64],
        trail: Trail,
        error: Option<IndexError>,
    ) -> BoxFuture<'a, Result<Vec<RawBlock>, IndexError>> {
        async move {
            let lowest = numbers.iter().copied().min().unwrap_or(0);
            let Some(permit) = self.pool.acquire(lowest, &trail).await else {
                return Err(error.unwrap_or_else(|| self.nobody(lowest)));
            };
            let size = self.pool.standing(permit.index).limits.blocks();
            if numbers.len() <= size {
                return self.try_at(permit, numbers, trail).await;
            }
            let (mine, rest) = numbers.split_at(size);
            let rest = self.fetch_piece(rest, trail.clone(), None);
            let (mine, rest) = try_join(self.try_at(permit, mine, trail), rest).await?;
            Ok([mine, rest].concat_parts())
        }
        .boxed()
    }

    async fn try_at(
        &self,
        permit: Permit<'_>,
        numbers: &[u64],
        mut trail: Trail,
    ) -> Result<Vec<RawBlock>, IndexError> {
        let wanted: Vec<Block> = numbers.iter().copied().map(Block::Number).collect();
        let started = Instant::now();
        let shortfall = match gather(permit.node(), &wanted, self.manner(&permit)).await {
            Ok(blocks) => {
                let bytes = blocks.iter().map(RawBlock::bytes).sum();
                let mut standing = self.pool.standing(permit.index);
                standing.answered();
                let wanted_more = permit.last || standing.in_flight >= standing.concurrency();
                standing
                    .limits
                    .replied(blocks.len(), bytes, started.elapsed(), wanted_more);
                return Ok(blocks);
            }
            Err(shortfall) => shortfall,
        };
        let (reaction, error) = self.judge(&permit, shortfall, &mut trail).await;
        let failures = trail.failures(permit.index);
        drop(permit);
        match reaction {
            Reaction::Split if numbers.len() > 1 => {
                let (low, high) = numbers.split_at(numbers.len() / 2);
                let low = self.fetch_piece(low, trail.clone(), None);
                let high = self.fetch_piece(high, trail, None);
                let (low, high) = try_join(low, high).await?;
                return Ok([low, high].concat_parts());
            }
            Reaction::AgainLater => tokio::time::sleep(AGAIN_PAUSE * failures).await,
            Reaction::Split | Reaction::Again => {}
        }
        self.fetch_piece(numbers, trail, Some(error)).await
    }

    /// How a node is asked for a batch.
    fn manner(&self, permit: &Permit<'_>) -> Manner {
        let standing = self.pool.standing(permit.index);
        let usual = standing.limits.reply();
        Manner {
            receipts_by_block: standing.receipts_by_block,
            calls: standing.limits.calls(),
            patience: usual.map_or(REPLY_TIMEOUT, |usual| {
                (usual * PATIENCE_FACTOR).clamp(LEAST_PATIENCE, REPLY_TIMEOUT)
            }),
        }
    }

    /// Draws the consequences of a shortfall for the node, and says what to do and what it was.
    async fn judge(
        &self,
        permit: &Permit<'_>,
        shortfall: Shortfall,
        trail: &mut Trail,
    ) -> (Reaction, IndexError) {
        let index = permit.index;
        match shortfall {
            Shortfall::Call {
                method,
                calls,
                block,
                error,
            } => self.judge_call(permit, (method, calls, block), error, trail),
            Shortfall::Missing { block, what } => {
                if let Block::Number(number) = block
                    && self.is_long_past(index, number).await
                {
                    return (Reaction::Split, self.pruned(index, number));
                }
                trail.failed(index);
                let node = permit.node().label().to_owned();
                (Reaction::AgainLater, IndexError::NotYet { node, what })
            }
            Shortfall::Malformed(error) => {
                trail.failed(index);
                self.quarantine(permit.node().label(), &error.to_string());
                (Reaction::Again, error)
            }
        }
    }

    fn judge_call(
        &self,
        permit: &Permit<'_>,
        (method, calls, block): (&'static str, usize, Option<Block>),
        error: CallError,
        trail: &mut Trail,
    ) -> (Reaction, IndexError) {
        let (index, now) = (permit.index, Instant::now());
        let mut standing = self.pool.standing(index);
        let reaction = match &error {
            CallError::Unsupported if method == "eth_getBlockReceipts" => {
                if std::mem::replace(&mut standing.receipts_by_block, false) {
                    let node = permit.node().label();
                    tracing::info!(node, "no {method}: receipts are fetched one by one");
                }
                Reaction::Again
            }
            CallError::Busy(pause) => {
                standing.busy(now, *pause, permit.epoch);
                trail.busy(index);
                Reaction::Again
            }
            CallError::TooLarge(_) if calls > 1 => {
                standing.limits.too_large(calls);
                Reaction::Split
            }
            // One call was too large, or the message means something else.
            CallError::TooLarge(_) => {
                standing.busy(now, None, permit.epoch);
                trail.failed(index);
                Reaction::Again
            }
            CallError::TimedOut(reason) | CallError::Garbled(reason) => {
                standing.limits.too_slow(calls);
                standing.failed(now, reason.clone(), permit.epoch);
                trail.failed(index);
                Reaction::Split
            }
            CallError::Unreachable(reason) => {
                standing.failed(now, reason.clone(), permit.epoch);
                trail.failed(index);
                Reaction::Split
            }
            CallError::Pruned(_) => {
                drop(standing);
                if let Some(Block::Number(number)) = block {
                    return (Reaction::Split, self.pruned(index, number));
                }
                trail.failed(index);
                Reaction::AgainLater
            }
            CallError::Unsupported | CallError::Refused { .. } => {
                trail.failed(index);
                Reaction::AgainLater
            }
        };
        let error = permit.node().failure(method, error);
        let error = match (error, block) {
            (IndexError::Transient(what), Some(block)) => {
                IndexError::Transient(format!("block {block}: {what}"))
            }
            (other, _) => other,
        };
        (reaction, error)
    }

    /// Whether a node's head is far above a height.
    async fn is_long_past(&self, index: usize, number: u64) -> bool {
        let node = &self.pool.nodes[index];
        let Ok(raw) = node.call("eth_blockNumber", ()).await else {
            return false;
        };
        let head: Option<U64> = serde_json::from_str(raw.get()).ok();
        head.is_some_and(|head| head.saturating_to::<u64>() >= number + SETTLED)
    }

    fn pruned(&self, index: usize, number: u64) -> IndexError {
        self.pool.has_pruned(index, number);
        self.pool.pruned_everywhere(number).unwrap_or_else(|| {
            let node = self.pool.nodes[index].label();
            IndexError::Transient(format!("node {node} has pruned block {number}"))
        })
    }

    /// Why no node is asked for a block.
    fn nobody(&self, number: u64) -> IndexError {
        if let Some(error) = self.pool.pruned_everywhere(number) {
            return error;
        }
        let now = Instant::now();
        let mut reasons = Vec::new();
        for (index, node) in self.pool.nodes.iter().enumerate() {
            let standing = self.pool.standing(index);
            let reason = match (&standing.trust, standing.resting(now)) {
                (Trust::Unknown, _) => "has not answered yet".to_owned(),
                (_, Some((_, Why::Busy))) => "is busy".to_owned(),
                (Trust::Foreign(reason), _) | (_, Some((_, Why::Unreachable(reason)))) => {
                    reason.clone()
                }
                (_, Some((left, Why::Quarantined(reason)))) => {
                    format!("is not asked for {} s: {reason}", left.as_secs() + 1)
                }
                (_, None) if standing.pruned_below(now).is_some_and(|h| number < h) => {
                    "has pruned it".to_owned()
                }
                (_, None) => "failed at it".to_owned(),
            };
            reasons.push(format!("node {}: {reason}", node.label()));
        }
        IndexError::Transient(format!(
            "no node gives block {number} now: {}",
            reasons.join("; ")
        ))
    }

    /// Fetches a block with its receipts and uncle headers from the current node.
    pub async fn fetch(&self, block: Block) -> Result<RawBlock, IndexError> {
        let permit = self.pool.squeeze_in(self.current().0);
        loop {
            let by_block = self.pool.standing(permit.index).receipts_by_block;
            let manner = Manner {
                receipts_by_block: by_block,
                calls: 1,
                patience: REPLY_TIMEOUT,
            };
            let shortfall = match gather(permit.node(), &[block], manner).await {
                Ok(mut blocks) => {
                    self.pool.standing(permit.index).answered();
                    return Ok(blocks.swap_remove(0));
                }
                Err(shortfall) => shortfall,
            };
            let (_, error) = self.judge(&permit, shortfall, &mut Trail::default()).await;
            if self.pool.standing(permit.index).receipts_by_block == by_block {
                return Err(error);
            }
        }
    }
}

/// Lists in their order as one.
trait ConcatParts {
    fn concat_parts(self) -> Vec<RawBlock>;
}

impl<I: IntoIterator<Item = Vec<RawBlock>>> ConcatParts for I {
    fn concat_parts(self) -> Vec<RawBlock> {
        self.into_iter().flatten().collect()
    }
}
