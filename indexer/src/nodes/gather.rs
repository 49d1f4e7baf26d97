//! A block's parts from one node: the block, its receipts, its uncle headers.
//!
//! In: which blocks, and what the node takes. Out: the parts unread, or what stands in the way. Never
//! asks again: whether to split, to wait or to ask another node is the caller's decision.

use crate::{
    error::IndexError,
    node::{Call, Node},
    nodes::reply::{CallError, Reply},
    source::{Block, RawBlock},
};
use alloy::primitives::{B256, U64};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::time::Duration;

/// Calls made at once where they cannot share a request.
const SINGLES_AT_ONCE: usize = 16;

/// Requests made at once when the calls of one wish do not fit into one.
const REQUESTS_AT_ONCE: usize = 2;

const RECEIPTS: &str = "eth_getBlockReceipts";
const RECEIPT: &str = "eth_getTransactionReceipt";
const UNCLE: &str = "eth_getUncleByBlockHashAndIndex";

/// How a node is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Whether it gives all receipts of a block in one call.
    pub(crate) receipts_by_block: bool,
    /// Calls in one request.
    pub(crate) calls: usize,
    /// How long one request may take.
    pub(crate) patience: Duration,
}

/// Why a node did not give some blocks.
#[derive(Debug)]
pub(crate) enum Shortfall {
    /// A request of so many calls failed.
    Call {
        method: &'static str,
        calls: usize,
        block: Option<Block>,
        error: CallError,
    },
    /// It says that there is no such thing.
    Missing { block: Block, what: String },
    /// What it says makes no sense.
    Malformed(IndexError),
}

/// What must be known of a block before its other parts can be asked for.
#[derive(Deserialize)]
struct Outline {
    hash: B256,
    #[serde(default)]
    uncles: Vec<B256>,
}

#[derive(Deserialize)]
struct Hashes {
    #[serde(default)]
    transactions: Vec<TransactionHash>,
}

#[derive(Deserialize)]
struct TransactionHash {
    hash: B256,
}

/// All parts of some blocks from one node.
pub(crate) async fn gather(
    node: &Node,
    wanted: &[Block],
    manner: Manner,
) -> Result<Vec<RawBlock>, Shortfall> {
    let calls = wanted.iter().flat_map(|block| {
        let receipts = manner.receipts_by_block.then(|| receipts_call(*block));
        [Some(block_call(*block)), receipts].into_iter().flatten()
    });
    let calls: Vec<Call> = calls.collect();
    let mut results = Results::ask(node, &calls, manner).await?;
    let mut blocks = Vec::with_capacity(wanted.len());
    for block in wanted {
        let body = results.next_of(*block, || format!("block {block}"))?;
        let receipts = if manner.receipts_by_block {
            Some(results.next_of(*block, || format!("receipts of block {block}"))?)
        } else {
            None
        };
        blocks.push((*block, body, receipts));
    }
    let mut whole = Vec::with_capacity(blocks.len());
    for (block, body, receipts) in blocks {
        let outline: Outline = parse(node, "block", &body).map_err(Shortfall::Malformed)?;
        let receipts = match receipts {
            Some(receipts) => receipts,
            None => receipts_one_by_one(node, block, &body, manner).await?,
        };
        whole.push(RawBlock {
            node: node.label().to_owned(),
            uncles: uncles(node, &outline, manner).await?,
            block: body,
            receipts,
        });
    }
    Ok(whole)
}

fn block_call(block: Block) -> Call {
    match block {
        Block::Number(number) => Call {
            method: "eth_getBlockByNumber",
            params: json!([U64::from(number), true]),
        },
        Block::Hash(hash) => Call {
            method: "eth_getBlockByHash",
            params: json!([hash, true]),
        },
    }
}

fn receipts_call(block: Block) -> Call {
    let id = match block {
        Block::Number(number) => json!(U64::from(number)),
        Block::Hash(hash) => json!(hash),
    };
    Call {
        method: RECEIPTS,
        params: json!([id]),
    }
}

async fn receipts_one_by_one(
    node: &Node,
    block: Block,
    body: &RawValue,
    manner: Manner,
) -> Result<Box<RawValue>, Shortfall> {
    let hashes: Hashes = parse(node, "block", body).map_err(Shortfall::Malformed)?;
    let calls = hashes.transactions.iter().map(|transaction| Call {
        method: RECEIPT,
        params: json!([transaction.hash]),
    });
    let calls: Vec<Call> = calls.collect();
    let mut results = Results::ask(node, &calls, manner).await?;
    let mut receipts = Vec::with_capacity(calls.len());
    for transaction in &hashes.transactions {
        let what = || format!("the receipt of transaction {}", transaction.hash);
        receipts.push(results.next_of(block, what)?);
    }
    let list: Vec<&str> = receipts.iter().map(|receipt| receipt.get()).collect();
    RawValue::from_string(format!("[{}]", list.join(",")))
        .map_err(|error| Shortfall::Malformed(IndexError::Transient(error.to_string())))
}

/// The uncle headers of a block; `None` where it has none or the node does not serve them.
async fn uncles(
    node: &Node,
    outline: &Outline,
    manner: Manner,
) -> Result<Option<Vec<Box<RawValue>>>, Shortfall> {
    if outline.uncles.is_empty() {
        return Ok(None);
    }
    let calls = (0..outline.uncles.len()).map(|index| Call {
        method: UNCLE,
        params: json!([outline.hash, U64::from(index)]),
    });
    let calls: Vec<Call> = calls.collect();
    let results = Results::ask(node, &calls, manner).await?;
    let mut headers = Vec::with_capacity(calls.len());
    for reply in results.replies {
        match reply {
            Ok(raw) if raw.get() != "null" => headers.push(raw),
            // Null or refused: pruned, or never served.
            Ok(_) => return Ok(None),
            Err(error) if error.is_an_answer() => return Ok(None),
            Err(error) => {
                return Err(Shortfall::Call {
                    method: UNCLE,
                    calls: results.together,
                    block: Some(Block::Hash(outline.hash)),
                    error,
                });
            }
        }
    }
    Ok(Some(headers))
}

/// What some calls came to.
struct Results {
    replies: std::vec::IntoIter<Reply>,
    methods: std::vec::IntoIter<&'static str>,
    /// Calls that shared a request.
    together: usize,
}

impl Results {
    async fn ask(node: &Node, calls: &[Call], manner: Manner) -> Result<Self, Shortfall> {
        let together = manner.calls.min(calls.len()).max(1);
        let patience = manner.patience;
        let replies: Vec<Reply> = if together == 1 {
            let single = |call: &Call| {
                let (method, params) = (call.method, call.params.clone());
                node.call_within(patience, method, params)
            };
            // Collected, or the closure's lifetimes are too much for the compiler.
            let asked: Vec<_> = calls.iter().map(single).collect();
            let replies = stream::iter(asked).buffered(SINGLES_AT_ONCE);
            replies.collect().await
        } else {
            let asked: Vec<_> = calls
                .chunks(together)
                .map(|calls| batch(node, patience, calls))
                .collect();
            let replies = stream::iter(asked).buffered(REQUESTS_AT_ONCE);
            replies.try_concat().await?
        };
        let methods: Vec<&'static str> = calls.iter().map(|call| call.method).collect();
        Ok(Self {
            replies: replies.into_iter(),
            methods: methods.into_iter(),
            together,
        })
    }

    /// The next result, which belongs to a block.
    fn next_of(
        &mut self,
        block: Block,
        what: impl FnOnce() -> String,
    ) -> Result<Box<RawValue>, Shortfall> {
        let method = self.methods.next().unwrap_or("a call");
        match self.replies.next() {
            Some(Ok(raw)) if raw.get() != "null" => Ok(raw),
            Some(Ok(_)) | None => Err(Shortfall::Missing {
                block,
                what: what(),
            }),
            Some(Err(error)) => Err(Shortfall::Call {
                method,
                calls: self.together,
                block: Some(block),
                error,
            }),
        }
    }
}

async fn batch(node: &Node, patience: Duration, calls: &[Call]) -> Result<Vec<Reply>, Shortfall> {
    let replies = node.batch(patience, calls).await;
    replies.map_err(|error| Shortfall::Call {
        method: "a batch",
        calls: calls.len(),
        block: None,
        error,
    })
}

/// Parses what a node said; what is no such thing is a lie.
pub(crate) fn parse<'a, T: Deserialize<'a>>(
    node: &Node,
    what: &'static str,
    raw: &'a RawValue,
) -> Result<T, IndexError> {
    serde_json::from_str(raw.get()).map_err(|error| IndexError::Unproven {
        node: node.label().to_owned(),
        number: what.to_owned(),
        error: Box::new(chain::VerifyError::Malformed {
            what,
            reason: error.to_string(),
        }),
    })
}
