//! The frames of a transaction in the order of execution: checked, counted, and those that count picked.

use super::{InternalKind, InternalTransfer, TraceError, TracedTransaction};
use alloy::primitives::{Address, U256};

/// Frames that can lie within each other: the EVM's 1,024 calls below the top one, and a self-destruct.
pub(super) const DEEPEST: usize = 1_025;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// One that can move value.
    Moves(InternalKind),
    /// A call in the caller's own name (DELEGATECALL, CALLCODE), or one that may change nothing
    /// (STATICCALL).
    Other,
}

/// A call, a creation or a self-destruct.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// 0 for the transaction itself.
    pub depth: usize,
    pub kind: FrameKind,
    pub from: Address,
    /// None for creations that failed.
    pub to: Option<Address>,
    pub value: U256,
    pub gas: Option<u64>,
    pub gas_used: Option<u64>,
    /// What it did was undone, with all that lies within.
    pub failed: bool,
}

impl Frame {
    /// Whether it may be a call of a precompiled contract, which some nodes tell of and some do not.
    fn may_be_precompiled(&self) -> bool {
        let moves_nothing = match self.kind {
            FrameKind::Other => true,
            FrameKind::Moves(kind) => kind == InternalKind::Call && self.value.is_zero(),
        };
        moves_nothing && self.to.is_some_and(is_reserved)
    }

    /// The kind, where it is an internal transfer.
    fn transfers(&self) -> Option<InternalKind> {
        match self.kind {
            FrameKind::Moves(InternalKind::Call) if self.value.is_zero() => None,
            FrameKind::Moves(kind) => Some(kind),
            FrameKind::Other => None,
        }
    }
}

/// Addresses up to 0xffff are reserved for precompiled contracts (EIP-1352).
fn is_reserved(address: Address) -> bool {
    address[..18].iter().all(|byte| *byte == 0)
}

/// Checks the top frame, and appends the internal transfers of a transaction.
///
/// `frames` begins with the top one, and each of the others is at most one deeper than the one before.
pub(super) fn collect(
    tx_index: usize,
    transaction: &TracedTransaction,
    frames: &[Frame],
    transfers: &mut Vec<InternalTransfer>,
) -> Result<(), TraceError> {
    let Some(top) = frames.first() else {
        return Err(TraceError::Malformed(format!("trace {tx_index} is empty")));
    };
    check(tx_index, transaction, top)?;
    // Positions of the counted frames that lead to the current one, and how many calls each had.
    let (mut path, mut calls): (Vec<usize>, Vec<usize>) = (vec![0], vec![0]);
    let mut undone_at = top.failed.then_some(0);
    let mut trace_index: u32 = 0;
    for (position, frame) in frames.iter().enumerate().skip(1) {
        let within = frames.get(position + 1);
        let is_leaf = within.is_none_or(|next| next.depth <= frame.depth);
        if is_leaf && frame.may_be_precompiled() {
            continue;
        }
        trace_index = trace_index.saturating_add(1);
        path.truncate(frame.depth);
        calls.truncate(frame.depth);
        let siblings = calls.last_mut().map_or(0, |calls| {
            *calls += 1;
            *calls - 1
        });
        path.push(siblings);
        calls.push(0);
        if undone_at.is_some_and(|depth| frame.depth > depth) {
            continue;
        }
        undone_at = frame.failed.then_some(frame.depth);
        let Some(kind) = frame.transfers().filter(|_| !frame.failed) else {
            continue;
        };
        let to = frame.to.ok_or_else(|| {
            TraceError::Malformed(format!("a {} of trace {tx_index} has no to", kind.name()))
        })?;
        let told = kind != InternalKind::SelfDestruct;
        transfers.push(InternalTransfer {
            tx_index,
            trace_index,
            trace_id: join(&path),
            kind,
            from: frame.from,
            to,
            value: frame.value,
            gas: frame.gas.filter(|_| told),
            gas_used: frame.gas_used.filter(|_| told),
        });
    }
    Ok(())
}

fn join(path: &[usize]) -> String {
    let positions: Vec<String> = path.iter().map(usize::to_string).collect();
    positions.join("_")
}

/// Holds the top frame against the transaction.
fn check(index: usize, proven: &TracedTransaction, top: &Frame) -> Result<(), TraceError> {
    let differs = |what, traced: String, proven: String| {
        Err(TraceError::Differs {
            index,
            what,
            traced,
            proven,
        })
    };
    let address = |address: Option<Address>| match address {
        Some(address) => address.to_string(),
        None => "none".to_owned(),
    };
    let outcome = |succeeded: bool| if succeeded { "success" } else { "failure" }.to_owned();
    let creates = top.kind == FrameKind::Moves(InternalKind::Create);
    if creates != proven.to.is_none() || !(creates || top.kind == calls()) {
        let what = |creates| if creates { "a creation" } else { "a call" }.to_owned();
        return differs("the kind", what(creates), what(proven.to.is_none()));
    }
    if top.from != proven.from {
        return differs("from", top.from.to_string(), proven.from.to_string());
    }
    if proven.to.is_some() && top.to != proven.to {
        return differs("to", address(top.to), address(proven.to));
    }
    if top.value != proven.value {
        return differs("value", top.value.to_string(), proven.value.to_string());
    }
    if let Some(status) = proven.status.filter(|status| *status == top.failed) {
        return differs("the outcome", outcome(!top.failed), outcome(status));
    }
    let contract = top.to.filter(|_| creates && !top.failed);
    if proven.created.is_some() && contract != proven.created {
        let (traced, proven) = (address(contract), address(proven.created));
        return differs("the created contract", traced, proven);
    }
    Ok(())
}

const fn calls() -> FrameKind {
    FrameKind::Moves(InternalKind::Call)
}
