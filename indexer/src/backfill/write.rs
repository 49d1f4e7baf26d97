//! Batches of history into the database: written at the same time, committed in one order.
//!
//! In: batches, highest first, each linked to the one above. Out: commits in that order, so that what
//! is covered is at any moment one run that ends at the head and is linked block by block. A batch is
//! written while those before it are; only the last few milliseconds are taken in turns. When one
//! fails, those after it are given up, and whoever drives this begins again from what is covered.

use super::budget::Charge;
use crate::{
    error::IndexError,
    metrics,
    uncounted::{Run, Uncounted},
};
use alloy::primitives::B256;
use sqlx::{PgConnection, PgPool};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    rows::CopyBatch,
    state::{self, BlockRef, height},
    tally::{
        deltas::{Deltas, Overflow},
        history::Piece,
    },
    transaction::WriteConnection,
};
use tokio::{sync::oneshot, task::JoinSet};

/// Longest wait for a lock: whoever holds one longer waits for us. Failing and beginning again ends it.
const LOCK_PATIENCE: &str = "SET LOCAL lock_timeout = '20s'";

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Batch {
    pub rows: CopyBatch,
    /// What the rows add to the counters.
    pub deltas: Result<Deltas, Overflow>,
    pub lowest: BlockRef,
    /// Parent of the lowest block.
    pub parent: B256,
    pub highest: BlockRef,
    /// What it counts in the budget until it is written.
    pub _charges: Vec<Charge>,
}

/// What was committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub lowest: u64,
    pub blocks: u64,
}

/// Writers that take turns to commit.
#[derive(Debug)]
pub(super) struct Writers {
    pool: PgPool,
    leader_token: i64,
    genesis: B256,
    /// Where what is written waits to be counted.
    uncounted: Arc<Uncounted>,
    running: JoinSet<Result<Written, IndexError>>,
    last: Option<oneshot::Receiver<()>>,
}

impl Writers {
    /// Writers for the holder of a token.
    pub(super) fn new(
        pool: PgPool,
        leader_token: i64,
        genesis: B256,
        uncounted: Arc<Uncounted>,
    ) -> Self {
        Self {
            pool,
            leader_token,
            genesis,
            uncounted,
            running: JoinSet::new(),
            last: None,
        }
    }

    /// How many batches are being written.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Begins to write a batch, which is committed after all that were begun before.
    pub(super) fn begin(&mut self, batch: Batch) {
        let (done, after) = oneshot::channel();
        let turn = self.last.replace(after);
        let (pool, token) = (self.pool.clone(), self.leader_token);
        let (genesis, uncounted) = (self.genesis, self.uncounted.clone());
        self.running.spawn(async move {
            if batch.lowest.number == 0 && batch.lowest.hash != genesis {
                return Err(other_genesis(&batch, genesis));
            }
            let written = write(&pool, token, batch, (turn, &uncounted)).await?;
            // Nobody waits behind the last one.
            let _ = done.send(());
            Ok(written)
        });
    }

    /// Waits for a batch to be committed; `None` when none is being written. An error ends all others,
    /// and is the one that they followed from.
    pub(super) async fn next(&mut self) -> Option<Result<Written, IndexError>> {
        let mut joined = flatten(self.running.join_next().await?);
        while matches!(joined, Err(IndexError::Conflict)) {
            match self.running.join_next().await.map(flatten) {
                Some(Err(error)) => joined = Err(error),
                Some(Ok(_)) => {}
                None => break,
            }
        }
        Some(joined)
    }
}

/// The chain links down to another block 0 than the one that the database holds: two chains of one id,
/// behind one address.
fn other_genesis(batch: &Batch, genesis: B256) -> IndexError {
    IndexError::Halt(format!(
        "the chain's history ends at genesis {}, and the database holds a chain with genesis \
         {genesis}: use a node of that chain, or another database",
        batch.lowest.hash
    ))
}

fn flatten(
    joined: Result<Result<Written, IndexError>, tokio::task::JoinError>,
) -> Result<Written, IndexError> {
    joined.unwrap_or_else(|error| Err(IndexError::Transient(format!("a writer stopped: {error}"))))
}

async fn write(
    pool: &PgPool,
    leader_token: i64,
    batch: Batch,
    (turn, uncounted): (Option<oneshot::Receiver<()>>, &Uncounted),
) -> Result<Written, IndexError> {
    let started = Instant::now();
    let mut writing = WriteConnection::acquire(pool).await?;
    let mut transaction = writing.begin().await?;
    let connection = &mut *transaction;
    sqlx::query(LOCK_PATIENCE).execute(&mut *connection).await?;
    batch.rows.write(connection).await?;
    let written = Instant::now();
    if let Some(turn) = turn {
        // The batch above failed: this one would link to nothing.
        turn.await.map_err(|_| IndexError::Conflict)?;
    }
    let waited = written.elapsed();

    let mut state = state::lock_state(&mut *connection).await?;
    if state.leader_token != leader_token {
        return Err(IndexError::LostLead);
    }
    check_place(connection, &batch).await?;
    batch.rows.write_rest(connection).await?;
    sqlx::query("UPDATE coverage SET blocks = blocks + int8multirange(int8range($1, $2, '[]'))")
        .bind(height(batch.lowest.number)?)
        .bind(height(batch.highest.number)?)
        .execute(&mut *connection)
        .await?;
    state.tx_count += u64::try_from(batch.rows.transaction_count).unwrap_or(u64::MAX);
    state.history_epoch += 1;
    state::update_state(&mut *connection, &state).await?;
    transaction.commit().await?;
    writing.release();

    let blocks = batch.highest.number - batch.lowest.number + 1;
    report(&batch, blocks, started.elapsed(), waited);
    let piece = Piece {
        low: batch.lowest.number,
        high: batch.highest.number,
    };
    uncounted.add(Run::new(piece, state.fork_epoch, batch.deltas));
    Ok(Written {
        lowest: piece.low,
        blocks,
    })
}

fn report(batch: &Batch, blocks: u64, took: Duration, waited: Duration) {
    metrics::committed(
        usize::try_from(blocks).unwrap_or(usize::MAX),
        batch.rows.rows,
        took,
    );
    tracing::debug!(
        block.from = batch.lowest.number,
        block.to = batch.highest.number,
        rows = batch.rows.rows,
        elapsed_ms = took.as_millis(),
        turn_ms = waited.as_millis(),
        "history committed"
    );
}

/// Parent that the block above names, hash of the block below, whether any of it is there already.
type Place = (Option<Vec<u8>>, Option<Vec<u8>>, bool);

/// The last word on where a batch belongs: it is not there yet, its highest block is the parent of the
/// one above, and the block below it, where there is one already, is the parent of its lowest.
async fn check_place(connection: &mut PgConnection, batch: &Batch) -> Result<(), IndexError> {
    let (low, high) = (batch.lowest.number, batch.highest.number);
    let row: Option<Place> = sqlx::query_as(
        "SELECT (SELECT parent_hash FROM blocks WHERE number = $2 + 1),
                (SELECT hash FROM blocks WHERE number = $1 - 1),
                blocks && int8range($1, $2, '[]')
         FROM coverage WHERE blocks @> $2 + 1",
    )
    .bind(height(low)?)
    .bind(height(high)?)
    .fetch_optional(&mut *connection)
    .await?;
    // Somebody went back by hand, or wrote here: what is covered is read again.
    let Some((Some(above), below, false)) = row else {
        return Err(IndexError::Conflict);
    };
    if above != batch.highest.hash.as_slice() {
        return Err(IndexError::Conflict);
    }
    if below.is_some_and(|below| below != batch.parent.as_slice()) {
        return Err(IndexError::Halt(format!(
            "block {} of the database is not the parent of block {low} that the chain has: go back \
             by hand with `tallyscan rollback`, or begin a new database",
            low - 1,
        )));
    }
    Ok(())
}
