//! What only a node can tell: internal transfers, native balances, code, what tokens say of themselves.
//!
//! In: canonical blocks, newest first, each kind with a progress of its own in `enrichment`. Out: rows,
//! written in short transactions that take turns with the commits; a block that is no longer canonical
//! when its turn comes is read again. What a reorg drops, the reorg's transaction takes away
//! (`reorg.rs`). Never holds the head back: a node is asked only while the follower does not
//! need it (`precedence.rs`), a failure is said in `/health` and tried again; a node without the method
//! makes the kind unavailable.

mod balances;
mod contracts;
mod metadata;
mod pace;
mod patient;
mod state;
mod traces;

use crate::{error::IndexError, source::Source};
use balances::{Asked, Balances};
use contracts::Contracts;
use metadata::Metadata;
use pace::keep_reading;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use std::sync::Arc;
use store::{
    internal,
    state::{BlockRef, Chain, ChainState},
    transaction,
};
use tokio::sync::Notify;

/// What every kind needs.
#[derive(Clone, Debug)]
pub(crate) struct Enricher {
    pub database: PgPool,
    pub source: Arc<Source>,
    pub chain: Chain,
    pub leader_token: i64,
    /// Wakes all who wait for it after every commit at the head.
    pub new_blocks: Arc<Notify>,
    pub redis_url: String,
}

impl Enricher {
    /// Reads all kinds until dropped.
    pub(crate) async fn run(self) {
        let (sender, asked) = Asked::new();
        tokio::join!(
            traces::TraceReader::new(self.clone()).run(),
            balances::take_from_redis(&self.redis_url, &self.chain, sender),
            keep_reading(&self, Balances::new(self.clone(), asked)),
            keep_reading(&self, Contracts::new(self.clone())),
            keep_reading(&self, Metadata::new(self.clone())),
        );
    }
}

/// A transaction that takes a turn among the commits; dropped without a commit, it changes nothing.
pub(crate) struct Turn {
    transaction: Transaction<'static, Postgres>,
    state: ChainState,
}

impl Turn {
    /// Waits for the turn; refused once another indexer leads.
    pub(crate) async fn begin(enricher: &Enricher) -> Result<Self, IndexError> {
        let mut transaction = transaction::begin(&enricher.database, "BEGIN").await?;
        let state = store::state::lock_state(&mut *transaction).await?;
        if state.leader_token != enricher.leader_token {
            return Err(IndexError::LostLead);
        }
        Ok(Self { transaction, state })
    }

    /// The state, which nobody else changes until this ends.
    pub(crate) fn state(&self) -> &ChainState {
        &self.state
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Whether a block is still canonical; it then stays so until this ends.
    pub(crate) async fn is_canonical(&mut self, block: BlockRef) -> Result<bool, IndexError> {
        Ok(internal::is_canonical(self.connection(), block).await?)
    }

    /// Commits; answers that were cached before are then no longer used.
    pub(crate) async fn commit(mut self) -> Result<(), IndexError> {
        self.state.history_epoch += 1;
        store::state::update_state(&mut *self.transaction, &self.state).await?;
        Ok(self.transaction.commit().await?)
    }
}
