//! Going back by hand: the operator's way out of a halt.

use crate::{
    commit::{Commit, Committer, NodeFinality},
    error::IndexError,
};
use sqlx::PgPool;
use std::sync::Arc;
use store::state::{self, BlockRef};
use tokio::sync::Notify;

/// Drops every block above `number` into the orphan tables, as a reorg with an empty branch would,
/// even below what is final. Returns the reorg's number and how many blocks were dropped.
pub async fn rollback_to(pool: &PgPool, number: u64) -> Result<(u64, u64), IndexError> {
    let chain = state::find_chain(pool).await?.ok_or_else(|| {
        IndexError::Halt(
            "the database holds no chain yet: there is nothing to roll back".to_owned(),
        )
    })?;
    let committer = Committer::new(
        pool.clone(),
        chain.finality_profile,
        chain.live_from,
        Arc::new(Notify::new()),
    );
    let before = committer.state().await?;
    let head = before.head.map_or(0, |head| head.number);
    if number < chain.start_block || number >= head {
        return Err(IndexError::Halt(format!(
            "--to {number} is outside of what can be rolled back: accepted is a height from {} \
             (the first indexed block) to {} (below the head)",
            chain.start_block,
            head.saturating_sub(1),
        )));
    }
    let hash = committer.find_hash(number).await?.ok_or_else(|| {
        IndexError::Halt(format!(
            "--to {number} is a block that is not indexed yet: history is still being filled in"
        ))
    })?;
    let after = committer
        .commit(Commit {
            expected: &before,
            ancestor: Some(BlockRef { number, hash }),
            blocks: &[],
            finality: NodeFinality::default(),
        })
        .await?;
    Ok((after.fork_epoch, head - number))
}
