//! Puts right what an audit found.
//!
//! In: the damage. Out: the rows as they must be, change by change, each in one transaction. A block that
//! still proves itself is computed again from its own rows; one that does not comes from a node, is
//! proven in full, and must have the very hash that the chain above it (in the end the head) names, so
//! that no node can give another chain. Every change holds the lock on `chain_state` that commits take
//! turns on and begins a new fork epoch and a new final epoch: an indexer that works on an older state
//! finds a conflict and reads it again, and no answer that was cached before is used after (ADR 0011).
//! The lead stays where it is. Interrupted, it leaves whole changes, and the next run does the rest.

mod fetch;
mod write;

use crate::{error::IndexError, source::Source};
use sqlx::PgPool;
use store::{
    audit::Damage,
    state::{self, Chain},
};
use url::Url;

/// Why a repair ended early.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// There is nothing to repair from: no node was given.
    #[error("{0} blocks can only be had from a node: give RPC_URL")]
    NoNode(u64),
    /// The nodes cannot be used, or what they gave is not our chain.
    #[error("{0}")]
    Refused(String),
    /// The chain changed under way; a new audit tells what is left to do.
    #[error("the chain changed under way: run it again")]
    Conflict,
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Something that was done, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Blocks were fetched, proven and written, first and last height.
    Refetched(u64, u64),
    /// Blocks were computed again from their own rows.
    Recomputed(u64, u64),
    /// So many rows that nothing leads to were deleted.
    Removed(u64),
    /// The state, coverage, or the queue of events was put right; what it was.
    Corrected(&'static str),
    /// Rows of a dropped block were computed again: reorg and height.
    RecomputedOrphan(u64, u64),
    /// The row of a reorg was computed again from the blocks it dropped.
    CorrectedReorg(u64),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refetched(low, high) => {
                write!(f, "blocks {low} to {high}: fetched, proven and written")
            }
            Self::Recomputed(low, high) => {
                write!(
                    f,
                    "blocks {low} to {high}: computed again from their own rows"
                )
            }
            Self::Removed(rows) => write!(f, "{rows} rows that nothing led to: removed"),
            Self::Corrected(what) => write!(f, "{what}: corrected"),
            Self::RecomputedOrphan(reorg, height) => write!(
                f,
                "block {height}, dropped by reorg {reorg}: computed again from its own rows"
            ),
            Self::CorrectedReorg(reorg) => {
                write!(
                    f,
                    "reorg {reorg}: computed again from the blocks it dropped"
                )
            }
        }
    }
}

/// Repairs one database.
#[derive(Debug)]
pub struct Repair {
    pool: PgPool,
    chain: Chain,
    /// The nodes, once they were needed and found to be of our chain.
    source: Option<Source>,
    rpc_urls: Vec<Url>,
}

impl Repair {
    /// A repair with the nodes that may be asked; with none, only what needs no node is done.
    pub async fn new(pool: PgPool, rpc_urls: Vec<Url>) -> Result<Self, RepairError> {
        let chain = state::find_chain(&pool).await?;
        Ok(Self {
            chain: chain.ok_or(RepairError::Conflict)?,
            pool,
            source: None,
            rpc_urls,
        })
    }

    /// The chain that is repaired.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Does what can be done about the damage; `done` hears of every change after it is committed. What
    /// a node refuses is returned at the end, when all else is done.
    pub async fn run(
        &mut self,
        damage: &Damage,
        mut done: impl FnMut(Step),
    ) -> Result<(), RepairError> {
        // The head first: every block that is fetched hangs on it in the end.
        if damage.head {
            self.correct_head(&mut done).await?;
        }
        let refetched = if damage.needs_nodes() {
            self.refetch(damage, &mut done).await
        } else {
            Ok(())
        };
        self.recompute(damage, &mut done).await?;
        self.remove_strays(damage, &mut done).await?;
        self.correct_coverage(damage, &mut done).await?;
        self.correct_count(damage, &mut done).await?;
        self.correct_orphans(damage, &mut done).await?;
        self.empty_outbox(damage, &mut done).await?;
        self.forget_derived(damage, &mut done).await?;
        refetched
    }
}

impl From<IndexError> for RepairError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Database(error) => Self::Database(error),
            IndexError::Conflict | IndexError::LostLead => Self::Conflict,
            other => Self::Refused(other.to_string()),
        }
    }
}
