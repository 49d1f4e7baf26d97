//! Traces in Parity's form: one list for the whole block, each frame with its place in its transaction.

use super::{
    InternalKind, InternalTransfer, TraceError, TracedTransaction,
    call_tracer::{gas, read, unknown},
    frames::{DEEPEST, Frame, FrameKind, collect},
};
use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, de::IgnoredAny};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FlatTrace {
    #[serde(rename = "type")]
    kind: String,
    action: Action,
    #[serde(default)]
    result: Option<Outcome>,
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    trace_address: Vec<u64>,
    #[serde(default)]
    transaction_position: Option<usize>,
    #[serde(default)]
    transaction_hash: Option<B256>,
    #[serde(default)]
    block_hash: Option<B256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    #[serde(default)]
    call_type: Option<String>,
    #[serde(default)]
    creation_method: Option<String>,
    #[serde(default)]
    from: Option<Address>,
    #[serde(default)]
    to: Option<Address>,
    #[serde(default)]
    value: Option<U256>,
    #[serde(default)]
    gas: Option<U256>,
    /// Of a self-destruct: the contract.
    #[serde(default)]
    address: Option<Address>,
    #[serde(default)]
    refund_address: Option<Address>,
    #[serde(default)]
    balance: Option<U256>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    #[serde(default)]
    address: Option<Address>,
    #[serde(default)]
    gas_used: Option<U256>,
}

/// The internal transfers of a block, in order, from what `trace_block` answered.
///
/// `block` is the hash of the block that the transactions are of: the method asks by height.
pub fn read_flat_traces(
    json: &str,
    block: B256,
    transactions: &[TracedTransaction],
) -> Result<Vec<InternalTransfer>, TraceError> {
    let traces: Vec<FlatTrace> = read(json)?;
    let mut by_transaction: Vec<Vec<(Vec<u64>, Frame)>> = Vec::new();
    by_transaction.resize_with(transactions.len(), Vec::new);
    for trace in traces {
        if let Some(other) = trace.block_hash.filter(|hash| *hash != block) {
            return Err(TraceError::OtherBlock(other));
        }
        // Of the block, not of a transaction.
        if trace.kind == "reward" {
            continue;
        }
        let Some(index) = trace.transaction_position else {
            return Err(malformed("a trace has no transactionPosition"));
        };
        let Some(transaction) = transactions.get(index) else {
            return Err(TraceError::Count {
                traces: index.saturating_add(1),
                transactions: transactions.len(),
            });
        };
        if let Some(hash) = trace.transaction_hash.filter(|h| *h != transaction.hash) {
            return Err(TraceError::Differs {
                index,
                what: "hash",
                traced: hash.to_string(),
                proven: transaction.hash.to_string(),
            });
        }
        by_transaction[index].push(trace.placed()?);
    }
    if by_transaction.iter().any(Vec::is_empty) {
        let told = by_transaction.iter().filter(|frames| !frames.is_empty());
        return Err(TraceError::Count {
            traces: told.count(),
            transactions: transactions.len(),
        });
    }
    let mut transfers = Vec::new();
    for (index, (frames, transaction)) in by_transaction.into_iter().zip(transactions).enumerate() {
        collect(index, transaction, &in_order(frames)?, &mut transfers)?;
    }
    Ok(transfers)
}

impl FlatTrace {
    /// The frame, and what it is to be sorted by.
    fn placed(self) -> Result<(Vec<u64>, Frame), TraceError> {
        let Action {
            from, to, value, ..
        } = self.action;
        let mut place = self.trace_address;
        let depth = place.len();
        if depth > DEEPEST {
            return Err(malformed("calls lie too deep"));
        }
        let result = self.result.unwrap_or_default();
        let method = self.action.creation_method.as_deref();
        let (kind, from, to, value) = match self.kind.as_str() {
            "call" => match self.action.call_type.as_deref() {
                None | Some("call") => (FrameKind::Moves(InternalKind::Call), from, to, value),
                Some("delegatecall" | "callcode" | "staticcall") => {
                    (FrameKind::Other, from, to, value)
                }
                Some(other) => return Err(unknown(other)),
            },
            "create" if method == Some("create2") => {
                let kind = FrameKind::Moves(InternalKind::Create2);
                (kind, from, result.address, value)
            }
            // Which of the two it is, older nodes do not tell.
            "create" => {
                let kind = FrameKind::Moves(InternalKind::Create);
                (kind, from, result.address, value)
            }
            "suicide" | "selfdestruct" => {
                // It ends its caller, so it is the last there, whatever place some nodes give it: they
                // do not count calls of precompiled contracts.
                if let Some(last) = place.last_mut() {
                    *last = u64::MAX;
                }
                let Action {
                    address,
                    refund_address,
                    balance,
                    ..
                } = self.action;
                let kind = FrameKind::Moves(InternalKind::SelfDestruct);
                (kind, address, refund_address, balance)
            }
            other => return Err(unknown(other)),
        };
        let frame = Frame {
            depth,
            kind,
            from: from.ok_or_else(|| malformed("a trace has no from"))?,
            to,
            value: value.unwrap_or_default(),
            gas: gas(self.action.gas)?,
            gas_used: gas(result.gas_used)?,
            failed: self.error.is_some(),
        };
        Ok((place, frame))
    }
}

/// The frames of a transaction in the order of execution: every caller before its calls.
fn in_order(mut frames: Vec<(Vec<u64>, Frame)>) -> Result<Vec<Frame>, TraceError> {
    frames.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut before: Option<&[u64]> = None;
    for (place, _) in &frames {
        let fits = match (before, place.split_last()) {
            (None, None) => true,
            (Some(before), Some((_, caller))) => before.starts_with(caller) && before != &**place,
            _ => false,
        };
        if !fits {
            return Err(malformed("a trace has no place in its transaction"));
        }
        before = Some(place);
    }
    Ok(frames.into_iter().map(|(_, frame)| frame).collect())
}

fn malformed(reason: &str) -> TraceError {
    TraceError::Malformed(reason.to_owned())
}
