//! JSON-RPC methods as functions from a view of the chain and parameters to a result.

use alloy::primitives::B256;
use serde_json::Value;

use crate::block::CannedTransaction;
use crate::chain::Pruned;
use crate::found::Found;
use crate::json::{Json, parse_quantity};
use crate::view::{Pointer, UnknownTag, View};

/// A JSON-RPC error, as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RpcError {
    /// The code, such as -32601.
    pub code: i64,
    /// The message.
    pub message: String,
}

impl RpcError {
    /// An error with this code and message.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn method_not_found(method: &str) -> Self {
        let message = format!("the method {method} does not exist/is not available");
        Self::new(-32601, message)
    }

    pub(crate) fn invalid_params(what: &str) -> Self {
        Self::new(-32602, format!("Invalid params: {what}"))
    }
}

impl From<UnknownTag> for RpcError {
    fn from(_: UnknownTag) -> Self {
        Self::new(-39001, "Unknown block")
    }
}

pub(crate) type Answer = Result<Json, RpcError>;

/// Whether receipts are told truthfully.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipts {
    True,
    OfAnotherBlock,
}

/// Answers every method that is about the chain; subscriptions belong to the socket.
pub(crate) fn answer(
    view: &View<'_>,
    method: &str,
    params: &[Value],
    receipts: Receipts,
) -> Answer {
    match method {
        "eth_chainId" => Ok(Json::quantity(view.chain_id())),
        "net_version" => Ok(Json::quoted(&view.chain_id().to_string())),
        "web3_clientVersion" => Ok(Json::from(&Value::from(view.client_version()))),
        "eth_blockNumber" => Ok(Json::quantity(view.head())),
        "eth_syncing" => Ok(Json::from("false")),
        "eth_getBlockByNumber" | "eth_getBlockByHash" => {
            let whole = params.get(1).and_then(Value::as_bool);
            let whole =
                whole.ok_or_else(|| RpcError::invalid_params("want a full-transactions flag"))?;
            let block = find_block(view, method, params)?;
            Ok(or_null(block.and_then(|block| {
                if whole {
                    block.block()
                } else {
                    block.with_hashes()
                }
            })))
        }
        "eth_getBlockReceipts" => {
            let block = unless_pruned(view, view.block(pointer(params.first())?)?)?;
            let block = match receipts {
                Receipts::True => block,
                Receipts::OfAnotherBlock => {
                    block.and_then(|block| view.neighbour_with_other_receipts(&block))
                }
            };
            Ok(or_null(block.and_then(|block| block.receipts())))
        }
        "eth_getTransactionByHash" => {
            let found = transaction(view, hash(params.first())?)?;
            Ok(or_null(found.map(|transaction| transaction.body.clone())))
        }
        "eth_getTransactionReceipt" => {
            let hash = hash(params.first())?;
            let found = transaction(view, hash)?;
            Ok(or_null(match receipts {
                Receipts::True => found.and_then(|found| found.receipt.clone()),
                Receipts::OfAnotherBlock => receipt_of_another(view, hash),
            }))
        }
        "eth_getUncleCountByBlockHash" | "eth_getUncleCountByBlockNumber" => {
            let count = find_block(view, method, params)?.map(|block| block.uncle_count());
            let count = count.and_then(|count| u64::try_from(count).ok());
            Ok(or_null(count.map(Json::quantity)))
        }
        "eth_getUncleByBlockHashAndIndex" | "eth_getUncleByBlockNumberAndIndex" => {
            let index = params
                .get(1)
                .and_then(Value::as_str)
                .and_then(parse_quantity);
            let index = index.ok_or_else(|| RpcError::invalid_params("want an uncle index"))?;
            let block = find_block(view, method, params)?;
            let uncle = usize::try_from(index)
                .ok()
                .and_then(|index| block?.uncle(index));
            Ok(or_null(uncle))
        }
        "debug_traceBlockByHash" | "debug_traceBlockByNumber" | "trace_block" => {
            traces(view, method, params)
        }
        _ => Err(RpcError::method_not_found(method)),
    }
}

/// What a block's transactions did within; a chain that was never traced has no such method. Bodies that
/// were pruned (EIP-4444) are one thing, state that is gone another: only the latter is looked at.
fn traces(view: &View<'_>, method: &str, params: &[Value]) -> Answer {
    let tracer = params.get(1).and_then(|options| options.get("tracer"));
    if method != "trace_block" && tracer.and_then(Value::as_str) != Some("callTracer") {
        return Err(RpcError::invalid_params("only callTracer is known"));
    }
    let wanted = pointer(params.first())?;
    let Some(found) = view.block(wanted)? else {
        return Err(RpcError::new(-32000, "block not found"));
    };
    let told = match &found {
        Found::Canned(block) if method == "trace_block" => block.flat_traces(),
        Found::Canned(block) => block.call_tracer(),
        Found::Load { .. } => None,
    };
    let told = told.ok_or_else(|| RpcError::method_not_found(method))?;
    if found.number() > 0 && !view.has_state(found.number()) {
        return Err(RpcError::new(-32000, "missing trie node (path )"));
    }
    Ok(told)
}

/// `…ByHash…` methods take a hash and nothing else; the others a number or a tag.
fn find_block<'a>(
    view: &View<'a>,
    method: &str,
    params: &[Value],
) -> Result<Option<Found<'a>>, RpcError> {
    let by_hash = method.contains("Hash");
    let pointer = if by_hash {
        Pointer::Hash(hash(params.first())?)
    } else {
        pointer(params.first())?
    };
    unless_pruned(view, view.block(pointer)?)
}

/// A block whose body is still there.
fn unless_pruned<'a>(
    view: &View<'a>,
    block: Option<Found<'a>>,
) -> Result<Option<Found<'a>>, RpcError> {
    let gone = block.and_then(|block| view.pruned(block.number()));
    match gone {
        None => Ok(block),
        Some(Pruned::Null) => Ok(None),
        Some(Pruned::Error) => Err(RpcError::new(4444, "pruned history unavailable")),
    }
}

/// A transaction by hash. The index of transactions goes with the bodies, so pruned ones are unknown.
fn transaction<'a>(view: &View<'a>, hash: B256) -> Result<Option<&'a CannedTransaction>, RpcError> {
    let inclusion = view.inclusion(hash);
    let kept = inclusion.filter(|(block, _)| view.pruned(block.number).is_none());
    match kept {
        Some((block, position)) => Ok(block.transactions.get(position)),
        None if view.knows_all_transactions() => Ok(None),
        None => Err(RpcError::new(-32000, "transaction indexing is in progress")),
    }
}

fn receipt_of_another(view: &View<'_>, hash: B256) -> Option<Json> {
    let (block, position) = view.inclusion(hash)?;
    let beside = block
        .transactions
        .iter()
        .enumerate()
        .find(|(other, _)| *other != position);
    let beside = beside.map(|(_, transaction)| transaction);
    let elsewhere = || {
        view.neighbour_with_other_receipts(&Found::Canned(block))?
            .first_transaction()
    };
    beside.cloned().or_else(elsewhere)?.receipt
}

/// A number, a tag, a hash, or the object of EIP-1898 (`{"blockHash": …}` or `{"blockNumber": …}`).
fn pointer(param: Option<&Value>) -> Result<Pointer, RpcError> {
    let wrong = || RpcError::invalid_params("want a block number, tag or hash");
    match param {
        Some(Value::String(text)) => match text.as_str() {
            "latest" | "pending" => Ok(Pointer::Latest),
            "earliest" => Ok(Pointer::Earliest),
            "safe" => Ok(Pointer::Safe),
            "finalized" => Ok(Pointer::Finalized),
            text if text.len() == 66 => text.parse().map(Pointer::Hash).map_err(|_| wrong()),
            text => parse_quantity(text).map(Pointer::Number).ok_or_else(wrong),
        },
        Some(Value::Object(fields)) => match (fields.get("blockHash"), fields.get("blockNumber")) {
            (Some(found), None) => Ok(Pointer::Hash(hash(Some(found))?)),
            (None, Some(number @ Value::String(_))) => pointer(Some(number)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn hash(param: Option<&Value>) -> Result<B256, RpcError> {
    let text = param.and_then(Value::as_str);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| RpcError::invalid_params("want a 32-byte hash"))
}

fn or_null(body: Option<Json>) -> Json {
    body.unwrap_or_else(Json::null)
}
