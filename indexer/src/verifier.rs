//! Proof of fetched blocks, off the async threads.
//!
//! In: raw replies. Out: a proven block, or the reason why not, counted by node. Parsing and hashing
//! take milliseconds of pure computation each, so they run on the blocking pool.

use crate::{
    error::IndexError,
    metrics,
    source::{Block, RawBlock, Source, parse_uncles},
};
use alloy::primitives::{B256, U64};
use chain::{Checks, Parts, ProvenBlock, VerifyError};
use serde::Deserialize;
use std::time::Instant;

/// Fetches a block from the current node and proves it.
pub(crate) async fn fetch_proven(
    source: &Source,
    wanted: Block,
    checks: Checks,
) -> Result<ProvenBlock, IndexError> {
    let raw = source.fetch(wanted).await?;
    let node = raw.node.clone();
    let proving = move || {
        let proven = prove_raw(&raw, wanted, checks);
        // Near the head a node may change its branch between two requests. That is no lie.
        let moved = proven.is_err() && moved(&raw);
        (proven, moved)
    };
    let (proven, moved) = tokio::task::spawn_blocking(proving)
        .await
        .map_err(|error| IndexError::Transient(format!("the verifier stopped: {error}")))?;
    match proven {
        Err(IndexError::Unproven { node, .. }) if moved => Err(IndexError::NotYet {
            node,
            what: format!("block {wanted} with its receipts"),
        }),
        Err(error @ IndexError::Unproven { .. }) => {
            source.quarantine(&node, &error.to_string());
            Err(error)
        }
        other => other,
    }
}

/// Proves what a node sent about a block. Pure computation: not for an async thread.
pub(crate) fn prove_raw(
    raw: &RawBlock,
    wanted: Block,
    checks: Checks,
) -> Result<ProvenBlock, IndexError> {
    let started = Instant::now();
    let proven = prove(raw, wanted, checks);
    metrics::verified(started.elapsed());
    proven.map_err(|error| {
        metrics::refused(&raw.node, error.kind());
        IndexError::Unproven {
            node: raw.node.clone(),
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

#[derive(Deserialize)]
struct BlockAt {
    number: U64,
    hash: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptAt {
    block_number: U64,
    block_hash: B256,
}

/// Whether the node changed its branch between two requests: the receipts are of another block at the
/// same height. That is no lie.
fn moved(raw: &RawBlock) -> bool {
    let block: Option<BlockAt> = serde_json::from_str(raw.block.get()).ok();
    let receipts: Option<Vec<ReceiptAt>> = serde_json::from_str(raw.receipts.get()).ok();
    let first = receipts.and_then(|receipts| receipts.into_iter().next());
    block.zip(first).is_some_and(|(block, receipt)| {
        receipt.block_number == block.number && receipt.block_hash != block.hash
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, value::to_raw_value};

    fn raw(number: u8, hash: u8) -> RawBlock {
        let text = |value| to_raw_value(&value).expect("JSON");
        let block = json!({ "number": "0x7", "hash": B256::with_last_byte(1) });
        let receipt = json!({
            "blockNumber": U64::from(number),
            "blockHash": B256::with_last_byte(hash),
        });
        RawBlock {
            node: "n".to_owned(),
            block: text(block),
            receipts: text(json!([receipt])),
            uncles: None,
        }
    }

    #[test]
    fn receipts_of_a_sibling_are_a_branch_that_changed_and_those_of_another_height_a_lie() {
        assert!(moved(&raw(7, 2)));
        assert!(!moved(&raw(7, 1)), "the block's own");
        assert!(!moved(&raw(8, 2)), "another block's");
    }
}
