//! The one place where the chain in the database changes.
//!
//! In: blocks that link to the head (or, for a reorg, to an ancestor of it), in order. Out: the new
//! state. Everything moves in one transaction: compare-and-swap on the state row, what a reorg drops
//! into the orphan tables, rows, coverage, head, finality, events. Never fetches, never retries: a
//! state that is not the expected one is a [`IndexError::Conflict`], and after any error the caller
//! reads the state again before anything else, since the outcome of a COMMIT may be unknown.

use crate::{error::IndexError, metrics};
use alloy::primitives::B256;
use chain::{FinalityProfile, ProvenBlock};
use sqlx::{PgConnection, PgPool};
use std::{sync::Arc, time::Instant};
use store::{
    RowBatch,
    cache::Head,
    coverage,
    event::{BlockEvent, Event, ReorgEvent},
    legs,
    state::{self, BlockRef, ChainState, height},
    tally,
    transaction::WriteConnection,
};
use tokio::sync::Notify;

/// What the node says is final; only believed where its hash is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeFinality {
    /// The node's `safe` block.
    pub safe: Option<BlockRef>,
    /// The node's `finalized` block.
    pub finalized: Option<BlockRef>,
}

/// A change of the chain.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The state it was made for.
    pub expected: &'a ChainState,
    /// The block to go back to first, when the head's branch was abandoned.
    pub ancestor: Option<BlockRef>,
    /// Blocks to append, in order.
    pub blocks: &'a [ProvenBlock],
    /// What the node says is final.
    pub finality: NodeFinality,
}

/// Writes changes of the chain.
#[derive(Clone, Debug)]
pub struct Committer {
    pool: PgPool,
    profile: FinalityProfile,
    live_from: u64,
    committed: Arc<Notify>,
    readers: Option<Arc<Notify>>,
    leader_token: Option<i64>,
}

impl Committer {
    /// A committer; `committed` is notified after every commit that wrote an event.
    #[must_use]
    pub fn new(
        pool: PgPool,
        profile: FinalityProfile,
        live_from: u64,
        committed: Arc<Notify>,
    ) -> Self {
        Self {
            pool,
            profile,
            live_from,
            committed,
            readers: None,
            leader_token: None,
        }
    }

    /// The same for a leader: once another has drawn a token, it commits nothing more.
    #[must_use]
    pub fn led_by(self, token: i64) -> Self {
        Self {
            leader_token: Some(token),
            ..self
        }
    }

    /// The same, waking all who wait for blocks to read more about.
    #[must_use]
    pub fn read_behind_by(self, readers: Arc<Notify>) -> Self {
        Self {
            readers: Some(readers),
            ..self
        }
    }

    /// The state as it is now, unless another indexer leads.
    pub async fn state(&self) -> Result<ChainState, IndexError> {
        let state = state::get_state(&self.pool).await?;
        match self.leader_token {
            Some(token) if token != state.leader_token => Err(IndexError::LostLead),
            _ => Ok(state),
        }
    }

    /// The hash of the canonical block at a height.
    pub async fn find_hash(&self, number: u64) -> Result<Option<B256>, IndexError> {
        let mut connection = self.pool.acquire().await?;
        Ok(find_hash(&mut connection, number).await?)
    }

    /// The lowest height from which everything up to `number` is there.
    pub async fn find_floor(&self, number: u64) -> Result<u64, IndexError> {
        let floor = coverage::find_floor(&self.pool, number).await?;
        floor.ok_or(IndexError::Conflict)
    }

    /// Makes one change, whole or not at all.
    pub async fn commit(&self, commit: Commit<'_>) -> Result<ChainState, IndexError> {
        let started = Instant::now();
        let mut batch = RowBatch::default();
        for block in commit.blocks {
            batch.push(block);
        }
        let rows = batch.len();

        let mut writing = WriteConnection::acquire(&self.pool).await?;
        let mut transaction = writing.begin().await?;
        let connection = &mut *transaction;
        let before = state::lock_state(&mut *connection).await?;
        check(&before, commit.expected)?;
        let mut after = before.clone();
        let mut reorg = None;
        if let Some(ancestor) = commit.ancestor {
            reorg = Some(
                self.roll_back(connection, &mut after, ancestor, commit.blocks)
                    .await?,
            );
        }
        batch.write(connection).await?;
        tally::add(connection, &batch).await?;
        if let (Some(first), Some(last)) = (batch.blocks.first(), batch.blocks.last()) {
            legs::record(connection, first.number..=last.number).await?;
        }
        append(connection, &mut after, commit.blocks).await?;
        self.advance_finality(connection, &mut after, commit.finality)
            .await?;
        if after == before {
            return Ok(after);
        }
        state::update_state(&mut *connection, &after).await?;
        let event = self.event(&after, reorg, &batch);
        insert_event(connection, event.as_ref()).await?;
        transaction.commit().await?;
        writing.release();

        metrics::committed(commit.blocks.len(), rows, started.elapsed());
        self.committed.notify_one();
        if let Some(readers) = &self.readers {
            readers.notify_waiters();
        }
        Ok(after)
    }

    /// Drops everything above the ancestor into the orphan tables and returns what to announce.
    async fn roll_back(
        &self,
        connection: &mut PgConnection,
        state: &mut ChainState,
        ancestor: BlockRef,
        branch: &[ProvenBlock],
    ) -> Result<ReorgEvent, IndexError> {
        let old_head = state.head.ok_or(IndexError::Conflict)?;
        let new_head = branch.last().map_or(ancestor, |block| BlockRef {
            number: block.number(),
            hash: block.hash,
        });
        let id = state.fork_epoch + 1;
        let dropped =
            crate::reorg::drop_above(connection, id, ancestor, old_head, new_head).await?;
        state.fork_epoch = id;
        if state
            .finalized
            .is_some_and(|finalized| ancestor.number < finalized)
        {
            state.final_epoch = id;
        }
        state.head = Some(ancestor);
        state.head_timestamp = Some(dropped.ancestor_timestamp);
        state.tx_count = state.tx_count.saturating_sub(dropped.transactions);
        state.safe = state.safe.map(|safe| safe.min(ancestor.number));
        state.finalized = state
            .finalized
            .map(|finalized| finalized.min(ancestor.number));
        metrics::reorged(old_head.number - ancestor.number);
        Ok(ReorgEvent {
            id,
            ancestor,
            old_head,
            new_head,
            dropped: dropped.blocks,
        })
    }

    /// Moves the final and safe heights up to what the profile or the node says.
    async fn advance_finality(
        &self,
        connection: &mut PgConnection,
        state: &mut ChainState,
        node: NodeFinality,
    ) -> Result<(), IndexError> {
        let Some(head) = state.head else {
            return Ok(());
        };
        let (safe, finalized) = if let Some((safe, finalized)) = self.profile.heights(head.number) {
            (Some(safe), Some(finalized))
        } else {
            (
                believed(connection, node.safe).await?,
                believed(connection, node.finalized).await?,
            )
        };
        // Final stays final; safe may fall back with a reorg, and is never below final.
        state.finalized = state.finalized.max(finalized);
        state.safe = safe.or(state.safe).max(state.finalized);
        Ok(())
    }

    /// What a commit announces: the head always, blocks only where they are news and not history.
    fn event(
        &self,
        state: &ChainState,
        reorg: Option<ReorgEvent>,
        batch: &RowBatch,
    ) -> Option<Event> {
        let mut transactions = batch.transactions.as_slice();
        let mut blocks = Vec::new();
        for block in &batch.blocks {
            let count = usize::try_from(block.tx_count).unwrap_or(usize::MAX);
            let (own, rest) = transactions.split_at(count.min(transactions.len()));
            transactions = rest;
            if block.number >= self.live_from {
                blocks.push(BlockEvent::new(block, own));
            }
        }
        Some(Event {
            head: Head::of(state)?,
            reorg,
            blocks,
        })
    }
}

/// The compare of compare-and-swap. A hash names its whole past: the same head is the same chain, even
/// where a repair has begun an epoch meanwhile.
fn check(found: &ChainState, expected: &ChainState) -> Result<(), IndexError> {
    if found.leader_token != expected.leader_token {
        Err(IndexError::LostLead)
    } else if found.head != expected.head {
        Err(IndexError::Conflict)
    } else {
        Ok(())
    }
}

async fn append(
    connection: &mut PgConnection,
    state: &mut ChainState,
    blocks: &[ProvenBlock],
) -> Result<(), IndexError> {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
        return Ok(());
    };
    sqlx::query("UPDATE coverage SET blocks = blocks + int8multirange(int8range($1, $2, '[]'))")
        .bind(height(first.number())?)
        .bind(height(last.number())?)
        .execute(connection)
        .await?;
    let transactions: usize = blocks.iter().map(|block| block.transactions.len()).sum();
    state.tx_count += u64::try_from(transactions).unwrap_or(u64::MAX);
    state.head = Some(BlockRef {
        number: last.number(),
        hash: last.hash,
    });
    state.head_timestamp = Some(last.header.timestamp);
    Ok(())
}

/// The height up to which a node's tag can be believed: its own where its hash is ours, and nothing where
/// the node is on another branch, or where we are not that far (see [`crate::finality_watch`]).
async fn believed(
    connection: &mut PgConnection,
    tag: Option<BlockRef>,
) -> Result<Option<u64>, IndexError> {
    let Some(tag) = tag else {
        return Ok(None);
    };
    let ours = find_hash(connection, tag.number).await?;
    Ok((ours == Some(tag.hash)).then_some(tag.number))
}

async fn find_hash(
    connection: &mut PgConnection,
    number: u64,
) -> Result<Option<B256>, sqlx::Error> {
    let hash: Option<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM blocks WHERE number = $1")
        .bind(height(number)?)
        .fetch_optional(connection)
        .await?;
    Ok(hash.and_then(|hash| B256::try_from(hash.as_slice()).ok()))
}

pub(crate) async fn insert_event(
    connection: &mut PgConnection,
    event: Option<&Event>,
) -> Result<(), IndexError> {
    let Some(event) = event else { return Ok(()) };
    sqlx::query("INSERT INTO outbox (kind, payload) VALUES ($1, $2)")
        .bind(event.kind())
        .bind(sqlx::types::Json(event))
        .execute(connection)
        .await?;
    Ok(())
}
