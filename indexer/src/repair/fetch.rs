//! Blocks that only a node has.
//!
//! A run of damaged blocks is fetched from its top down: the block above it, or the head of the state,
//! names the hash of the topmost one, and each block names the next. So what a node gives either is
//! our chain or is refused before anything is written. When the run ends on a block that is not the
//! named parent, that one is of another chain, and the run goes on below.

use super::{Repair, RepairError, Step, write::Change};
use crate::{
    error::IndexError,
    identity,
    source::{Block, Source},
    verifier::fetch_proven,
};
use alloy::primitives::B256;
use chain::{ProvenBlock, VerifyLevel};
use futures::{Stream, StreamExt as _, stream};
use sqlx::PgConnection;
use std::{pin::pin, time::Duration};
use store::{
    RowBatch,
    audit::{Damage, delete_strays},
    state::{self, BlockRef, ChainState, height},
};

/// Blocks asked for at a time: enough to hide a node's latency, few enough to bother nobody.
const FETCHED_AT_ONCE: usize = 8;

/// Most blocks in one change, and most bytes of their calls and logs: what one transaction writes.
const CHANGE_BLOCKS: usize = 64;
const CHANGE_BYTES: usize = 16 * 1024 * 1024;

/// How often a run is tried with each node before it is given up, and the pause in between.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// How long a node gets to say which chain it follows.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// A run of blocks to fetch: the lowest height and the block it hangs on.
#[derive(Clone, Copy, Debug)]
struct Run {
    low: u64,
    top: BlockRef,
}

impl Repair {
    /// Fetches and writes all blocks that are missing or not proven, the highest first.
    pub(super) async fn refetch(
        &mut self,
        damage: &Damage,
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        let source = match self.source.take() {
            Some(source) => source,
            None => self.connect(damage).await?,
        };
        let mut refused = Ok(());
        for (low, high) in damage.refetch.ranges().rev() {
            // One run that cannot be had does not keep the others from being repaired.
            match self.refetch_run(&source, damage, (low, high), done).await {
                Err(RepairError::Refused(reason)) => refused = Err(RepairError::Refused(reason)),
                other => other?,
            }
        }
        self.source = Some(source);
        refused
    }

    /// Nodes that follow our chain.
    async fn connect(&self, damage: &Damage) -> Result<Source, RepairError> {
        if self.rpc_urls.is_empty() {
            return Err(RepairError::NoNode(damage.refetch.count()));
        }
        let source = Source::new(&self.rpc_urls);
        let mut why = String::new();
        for index in 0..source.nodes().len() {
            let node = &source.nodes()[index];
            let asked = identity::introduce(&source, index);
            match tokio::time::timeout(START_PATIENCE, asked).await {
                Ok(Ok(found)) => match identity::compare(&self.chain, node, found) {
                    Ok(()) => source.set_verified(index),
                    Err(foreign) => return Err(RepairError::Refused(foreign.to_string())),
                },
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = format!("node {} does not answer", node.label()),
            }
        }
        if source.use_first_verified() {
            Ok(source)
        } else {
            Err(RepairError::Refused(format!(
                "RPC_URL: no usable node: {why}"
            )))
        }
    }

    async fn refetch_run(
        &self,
        source: &Source,
        damage: &Damage,
        (low, high): (u64, u64),
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        let Some(top) = self.find_anchor(high).await? else {
            return Err(RepairError::Refused(format!(
                "blocks {low} to {high}: the block above is not there yet, so nothing says which \
                 blocks these must be; let the indexer fill the gap first"
            )));
        };
        let mut run = Run { low, top };
        let mut attempts = ATTEMPTS * source.nodes().len();
        loop {
            match self.advance(source, damage, run, done).await {
                Ok(Some(rest)) => {
                    run = rest;
                    attempts = ATTEMPTS * source.nodes().len();
                }
                Ok(None) => return Ok(()),
                Err(error @ (RepairError::Database(_) | RepairError::Conflict)) => {
                    return Err(error);
                }
                Err(error) if attempts == 1 => {
                    return Err(RepairError::Refused(format!(
                        "blocks {} to {}: {error}; nothing of them was changed",
                        run.low, run.top.number
                    )));
                }
                Err(_) => {
                    attempts -= 1;
                    source.fail_over(source.node().label());
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Fetches and writes the upper part of a run; returns what is left of it.
    async fn advance(
        &self,
        source: &Source,
        damage: &Damage,
        run: Run,
        done: &mut impl FnMut(Step),
    ) -> Result<Option<Run>, RepairError> {
        let blocks = fetch_down(source, run).await?;
        let Some((low, parent)) = blocks.last().map(|b| (b.number(), b.header.parent_hash)) else {
            return Ok(None);
        };
        let genesis = blocks.last().filter(|block| block.number() == 0);
        if genesis.is_some_and(|block| block.hash != self.chain.genesis_hash) {
            return Err(RepairError::Refused(
                "the chain above does not lead to our genesis".to_owned(),
            ));
        }
        let mut batch = RowBatch::default();
        for block in blocks.iter().rev() {
            batch.push(block);
        }
        drop(blocks);
        self.write_fetched(damage, run.top, low, batch).await?;
        done(Step::Refetched(low, run.top.number));
        let Some(below) = low.checked_sub(1).filter(|n| *n >= self.chain.start_block) else {
            return Ok(None);
        };
        let rest = Run {
            low: run.low.min(below),
            top: BlockRef {
                number: below,
                hash: parent,
            },
        };
        // Below the run: the next block belongs to it, too, when it is not the parent.
        let ends = low <= run.low && {
            let ours = find_hash(&mut *self.pool.acquire().await?, below).await?;
            ours.is_none_or(|ours| ours == parent) || damage.refetch.contains(below)
        };
        Ok((!ends).then_some(rest))
    }

    /// Replaces what is stored at the heights of some blocks, unless the chain above has changed.
    async fn write_fetched(
        &self,
        damage: &Damage,
        top: BlockRef,
        low: u64,
        mut batch: RowBatch,
    ) -> Result<(), RepairError> {
        let mut change = Change::begin(&self.pool).await?;
        let state = change.state().clone();
        if anchor(change.connection(), &state, top.number).await? != Some(top) {
            return Err(RepairError::Conflict);
        }
        change.replace(low, top.number, &mut batch).await?;
        sqlx::query(
            "UPDATE coverage SET blocks = blocks + int8multirange(int8range($1, $2, '[]'))",
        )
        .bind(height(low)?)
        .bind(height(top.number)?)
        .execute(change.connection())
        .await?;
        let mut strays = damage.strays.clone();
        strays.retain(|stray| (low..=top.number).contains(&stray.block_number));
        delete_strays(change.connection(), self.chain.start_block, &state, &strays).await?;
        change.commit().await?;
        Ok(())
    }

    /// Which block must be at a height, by what stands on it.
    async fn find_anchor(&self, number: u64) -> Result<Option<BlockRef>, RepairError> {
        let mut connection = self.pool.acquire().await?;
        let state = state::get_state(&mut *connection).await?;
        anchor(&mut connection, &state, number).await
    }
}

async fn anchor(
    connection: &mut PgConnection,
    state: &ChainState,
    number: u64,
) -> Result<Option<BlockRef>, RepairError> {
    if let Some(head) = state.head.filter(|head| head.number <= number) {
        return Ok((head.number == number).then_some(head));
    }
    let parent: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT parent_hash FROM blocks WHERE number = $1")
            .bind(height(number + 1)?)
            .fetch_optional(connection)
            .await?;
    let parent = parent.and_then(|hash| B256::try_from(hash.as_slice()).ok());
    Ok(parent.map(|hash| BlockRef { number, hash }))
}

async fn find_hash(
    connection: &mut PgConnection,
    number: u64,
) -> Result<Option<B256>, sqlx::Error> {
    let hash: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM blocks WHERE number = $1")
        .bind(height(number)?)
        .fetch_optional(connection)
        .await?;
    // A hash of another length is not the one that anything names.
    Ok(hash.map(|hash| B256::try_from(hash.as_slice()).unwrap_or_default()))
}

/// The upper part of a run, highest first: as many blocks as one change may have, each the one that
/// the block above it names.
async fn fetch_down(source: &Source, run: Run) -> Result<Vec<ProvenBlock>, RepairError> {
    let mut fetched = pin!(fetch_ahead(source, run));
    let (mut blocks, mut bytes, mut due) = (Vec::new(), 0, run.top.hash);
    while let Some(block) = fetched.next().await {
        let block = block?;
        if block.hash != due {
            let node = source.node().label();
            return Err(RepairError::Refused(format!(
                "node {node} has another chain: its block {} is {}, and {due} must be there",
                block.number(),
                block.hash
            )));
        }
        due = block.header.parent_hash;
        bytes += weight(&block);
        blocks.push(block);
        if blocks.len() == CHANGE_BLOCKS || bytes >= CHANGE_BYTES {
            break;
        }
    }
    Ok(blocks)
}

fn fetch_ahead(
    source: &Source,
    run: Run,
) -> impl Stream<Item = Result<ProvenBlock, IndexError>> + '_ {
    let checks = VerifyLevel::Full.checks(true);
    stream::iter((run.low..=run.top.number).rev())
        .map(move |number| {
            // The topmost is asked for by the hash that it must have.
            let wanted = if number == run.top.number {
                Block::Hash(run.top.hash)
            } else {
                Block::Number(number)
            };
            fetch_proven(source, wanted, checks)
        })
        .buffered(FETCHED_AT_ONCE)
}

/// About how many bytes a block takes, by what varies.
fn weight(block: &ProvenBlock) -> usize {
    use alloy::consensus::Transaction as _;
    let transactions = block.transactions.iter().map(|tx| {
        let logs = tx.receipt.logs.iter();
        let logs: usize = logs.map(|log| 300 + log.data.data.len()).sum();
        1500 + tx.envelope.input().len() + logs
    });
    transactions.sum()
}
