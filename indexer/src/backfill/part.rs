//! A run of neighbouring blocks: fetched by one request, proven, turned into rows.

use super::budget::Charge;
use crate::{
    error::IndexError,
    source::{Block, RawBlock},
    verifier::prove_raw,
};
use alloy::primitives::B256;
use chain::Checks;
use std::sync::{Arc, LazyLock};
use store::{RowBatch, rows::EncodedRows, state::BlockRef};
use tokio::sync::Semaphore;

/// Parts that are proven at the same time: as many as there are cores, since it is pure computation.
static CORES: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(2, std::num::NonZero::get))
});

/// What links a block to its neighbours, and who served it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub block: BlockRef,
    pub parent: B256,
    pub node: Arc<str>,
}

/// A run of blocks, proven each by itself and not yet linked to what is above.
#[derive(Debug)]
pub(super) struct Part {
    /// Its blocks, lowest first; never empty.
    pub links: Vec<Link>,
    /// Their rows.
    pub rows: EncodedRows,
    /// What they count in the budget.
    pub charge: Charge,
}

/// A block that is not the parent of the one above it.
#[derive(Debug)]
pub(super) struct Unlinked {
    pub number: u64,
    pub node: Arc<str>,
    pub found: B256,
    pub due: B256,
}

/// Proves and encodes what nodes sent, off the async threads.
pub(super) async fn prove(
    raw: Vec<RawBlock>,
    numbers: &[u64],
    checks: Checks,
) -> Result<(Vec<Link>, EncodedRows), IndexError> {
    // The semaphore is never closed.
    let _permit = CORES.acquire().await.ok();
    let numbers = numbers.to_vec();
    let work = move || {
        let mut batch = RowBatch::default();
        let mut links = Vec::with_capacity(raw.len());
        for (raw, number) in raw.into_iter().zip(numbers) {
            let block = prove_raw(&raw, Block::Number(number), checks)?;
            links.push(Link {
                block: BlockRef {
                    number,
                    hash: block.hash,
                },
                parent: block.header.parent_hash,
                node: raw.node.into(),
            });
            batch.push(&block);
        }
        Ok((links, EncodedRows::of(batch).map_err(sqlx::Error::from)?))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| IndexError::Transient(format!("the verifier stopped: {error}")))?
}

impl Part {
    /// Compares every block with the hash that the one above names, from `due` down. Returns what is
    /// due of the block below.
    pub(super) fn check_links(&self, due: B256) -> Result<B256, Unlinked> {
        self.links.iter().rev().try_fold(due, |due, link| {
            if link.block.hash == due {
                Ok(link.parent)
            } else {
                Err(Unlinked {
                    number: link.block.number,
                    node: link.node.clone(),
                    found: link.block.hash,
                    due,
                })
            }
        })
    }
}
