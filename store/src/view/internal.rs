//! Internal transfers, and the calls of a transaction.

use super::{TransactionContext, checksum, checksum_opt, rfc3339};
use crate::rows::{InternalTransferRow, TransactionRow};
use alloy::primitives::{Address, B256};
use chain::{InternalKind, Wei};
use serde::{Deserialize, Serialize};

/// How complete internal transfers are: only a node can tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Completeness {
    /// All are there.
    Complete,
    /// Some blocks are not read yet.
    Partial,
    /// The node has no traces, or does not keep them as long.
    Unavailable,
}

/// How complete internal transfers are, beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternalHistory {
    /// Whether all of them are there.
    pub internal: Completeness,
    /// Lowest height from which all are there, up to the head; none while the head's are not.
    pub complete_from: Option<u64>,
}

/// An internal transfer.
#[derive(Clone, Debug, Serialize)]
pub struct InternalTransferView {
    transaction_hash: B256,
    transaction_index: u32,
    block_number: u64,
    block_hash: B256,
    timestamp: u64,
    time: String,
    #[serde(flatten)]
    frame: FrameView,
}

impl InternalTransferView {
    /// An internal transfer of a transaction; none for a kind that does not exist.
    #[must_use]
    pub fn new(row: &InternalTransferRow, transaction: TransactionContext) -> Option<Self> {
        Some(Self {
            transaction_hash: transaction.hash,
            transaction_index: row.tx_index,
            block_number: row.block_number,
            block_hash: transaction.block.hash,
            timestamp: transaction.block.timestamp,
            time: rfc3339(transaction.block.timestamp),
            frame: FrameView::new(row)?,
        })
    }
}

/// A call within a transaction.
#[derive(Clone, Debug, Serialize)]
struct FrameView {
    /// Position in the order of execution; the transaction's own call is 0.
    trace_index: u32,
    /// Positions of the calls that lead here, each within its caller, joined by `_`.
    trace_id: String,
    kind: &'static str,
    #[serde(with = "checksum")]
    from: Address,
    #[serde(with = "checksum")]
    to: Address,
    value: Wei,
    gas: Option<u64>,
    gas_used: Option<u64>,
}

impl FrameView {
    fn new(row: &InternalTransferRow) -> Option<Self> {
        Some(Self {
            trace_index: row.trace_index,
            trace_id: row.trace_id.clone(),
            kind: InternalKind::from_number(row.kind)?.name(),
            from: row.from_address,
            to: row.to_address,
            value: row.value,
            gas: row.gas,
            gas_used: row.gas_used,
        })
    }
}

/// What the tree of calls leaves out.
const OMITTED: &str = "Calls that moved no value and neither created nor destroyed a contract are not stored: what they called stands under the nearest call that is.";

/// The calls of a transaction as a tree.
#[derive(Clone, Debug, Serialize)]
pub struct TraceView {
    #[serde(flatten)]
    history: InternalHistory,
    omitted: &'static str,
    call: TopCallView,
}

/// The transaction's own call.
#[derive(Clone, Debug, Serialize)]
struct TopCallView {
    kind: &'static str,
    #[serde(with = "checksum")]
    from: Address,
    /// Who was called or created.
    #[serde(with = "checksum_opt")]
    to: Option<Address>,
    value: Wei,
    gas: u64,
    gas_used: u64,
    calls: Vec<CallView>,
}

/// A call and the calls that it made.
#[derive(Clone, Debug, Serialize)]
struct CallView {
    #[serde(flatten)]
    frame: FrameView,
    calls: Vec<CallView>,
}

impl TraceView {
    /// The tree of stored calls in the order of execution; none for a kind that does not exist.
    #[must_use]
    pub fn new(
        row: &TransactionRow,
        frames: &[InternalTransferRow],
        history: InternalHistory,
    ) -> Option<Self> {
        let kind = if row.to_address.is_some() {
            InternalKind::Call
        } else {
            InternalKind::Create
        };
        Some(Self {
            history,
            omitted: OMITTED,
            call: TopCallView {
                kind: kind.name(),
                from: row.from_address,
                to: row.to_address.or(row.contract_address),
                value: row.value,
                gas: row.gas_limit,
                gas_used: row.gas_used,
                calls: tree(frames)?,
            },
        })
    }
}

/// Nests calls by their paths: each under the nearest one whose path begins its own.
fn tree(frames: &[InternalTransferRow]) -> Option<Vec<CallView>> {
    // The calls from the top to the one added last, each still without its last child.
    let mut open: Vec<CallView> = Vec::new();
    let mut top = Vec::new();
    for frame in frames {
        let call = CallView {
            frame: FrameView::new(frame)?,
            calls: Vec::new(),
        };
        while let Some(last) = open.pop_if(|last| !leads_to(&last.frame.trace_id, &frame.trace_id))
        {
            close(last, &mut open, &mut top);
        }
        open.push(call);
    }
    while let Some(last) = open.pop() {
        close(last, &mut open, &mut top);
    }
    Some(top)
}

fn close(call: CallView, open: &mut [CallView], top: &mut Vec<CallView>) {
    match open.last_mut() {
        Some(caller) => caller.calls.push(call),
        None => top.push(call),
    }
}

/// Whether a call is within another, by their paths.
fn leads_to(outer: &str, inner: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(trace_index: u32, trace_id: &str) -> InternalTransferRow {
        InternalTransferRow {
            block_number: 1,
            gas: None,
            gas_used: None,
            tx_index: 0,
            trace_index,
            kind: 1,
            from_address: Address::ZERO,
            to_address: Address::ZERO,
            trace_id: trace_id.to_owned(),
            value: Wei::from(1_u64),
        }
    }

    /// The tree as its paths, with what is below each in brackets.
    fn shape(calls: &[CallView]) -> String {
        let of = |call: &CallView| match shape(&call.calls) {
            below if below.is_empty() => call.frame.trace_id.clone(),
            below => format!("{}[{below}]", call.frame.trace_id),
        };
        calls.iter().map(of).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn calls_stand_under_the_nearest_stored_caller() {
        let frames = ["0", "0_0_3", "0_1", "0_1_0_2", "0_10", "1_0", "1_1", "10"];
        let frames: Vec<_> = (1..).zip(frames).map(|(at, id)| frame(at, id)).collect();
        let tree = tree(&frames).unwrap();
        assert_eq!(shape(&tree), "0[0_0_3 0_1[0_1_0_2] 0_10] 1_0 1_1 10");
    }
}
