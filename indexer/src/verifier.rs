//! Proof of fetched blocks, off the async threads.
//!
//! In: raw replies. Out: a proven block, or the reason why not, counted by node. Parsing and hashing
//! take milliseconds of pure computation each, so they run on the blocking pool.

use crate::{
    error::IndexError,
    metrics,
    source::{Block, RawBlock, Source, parse_uncles},
};
use chain::{Checks, Parts, ProvenBlock, VerifyError};
use std::time::Instant;

/// Fetches a block from the current node and proves it.
pub(crate) async fn fetch_proven(
    source: &Source,
    wanted: Block,
    checks: Checks,
) -> Result<ProvenBlock, IndexError> {
    let raw = source.fetch(wanted).await?;
    let node = raw.node.clone();
    let started = Instant::now();
    let proven = tokio::task::spawn_blocking(move || prove(&raw, wanted, checks))
        .await
        .map_err(|error| IndexError::Transient(format!("the verifier stopped: {error}")))?;
    metrics::verified(started.elapsed());
    proven.map_err(|error| {
        metrics::refused(&node, error.kind());
        IndexError::Unproven {
            node,
            number: wanted.to_string(),
            error: Box::new(error),
        }
    })
}

fn prove(raw: &RawBlock, wanted: Block, checks: Checks) -> Result<ProvenBlock, VerifyError> {
    let mut parts = Parts::parse(raw.block.get(), raw.receipts.get())?;
    parts.uncles = parse_uncles(raw.uncles.as_deref())?;
    let proven = chain::verify(parts, checks)?;
    let asked_for = match wanted {
        Block::Number(number) => proven.number() == number,
        Block::Hash(hash) => proven.hash == hash,
    };
    if asked_for {
        Ok(proven)
    } else {
        Err(VerifyError::Malformed {
            what: "block",
            reason: format!("asked for block {wanted}, got {}", proven.number()),
        })
    }
}
