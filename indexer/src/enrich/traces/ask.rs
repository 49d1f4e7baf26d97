//! Which method a node has, and what came of asking it for a block.

use crate::{
    enrich::patient::PatientNode,
    nodes::{reply::CallError, standing::LONGEST_REQUESTED_PAUSE},
};
use alloy::primitives::B256;
use chain::{InternalTransfer, TraceError, TracedTransaction, read_call_tracer, read_flat_traces};
use serde_json::{json, value::RawValue};
use std::{fmt, time::Duration};
use store::state::BlockRef;

/// How long a node may take to execute a block again; many need seconds, a few need most of this.
const PATIENCE: Duration = Duration::from_mins(1);

/// What geth is told of it: by itself it gives each transaction five seconds.
const TOLD_PATIENCE: &str = "50s";

/// What nodes say when they cannot execute a block for want of its state, or do not know the block.
/// geth and its like, Nethermind, Besu, reth.
const GONE: [&str; 11] = [
    "missing trie node",
    "historical state",
    "state unavailable",
    "state is not available",
    "state not available",
    "no state",
    "world_state_unavailable",
    "world state unavailable",
    "block not found",
    "unknown block",
    "header not found",
];

/// How a node tells of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// `debug_traceBlockByHash` with geth's `callTracer`.
    CallTracer,
    /// `trace_block`, of Parity's making.
    TraceBlock,
}

/// Why a block's internal transfers were not read.
#[derive(Debug)]
pub(super) enum Failure {
    /// The node has neither method.
    Unavailable,
    /// It has not the state that the block was executed on, or not the block.
    Gone(String),
    /// What it told cannot be right.
    Lie(TraceError),
    /// It refused, too slow or too large included.
    Refused(String),
    /// It gave no usable answer.
    Unreachable(String),
    /// It asked to be left alone.
    Busy(Option<Duration>),
}

impl Failure {
    /// A short stable word for metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Gone(_) => "gone",
            Self::Lie(error) => error.kind(),
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::Busy(_) => "busy",
        }
    }

    /// Whether another block would have failed as well.
    pub(super) fn is_the_nodes(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy(_))
    }

    /// Whether it may pass by itself, soon.
    pub(super) fn may_pass(&self) -> bool {
        let elsewhere = matches!(self, Self::Lie(TraceError::OtherBlock(_)));
        elsewhere || self.is_the_nodes() || matches!(self, Self::Gone(_))
    }

    /// How long the node asked to be left alone.
    pub(super) fn asked_pause(&self) -> Option<Duration> {
        match self {
            Self::Busy(pause) => pause.map(|pause| pause.min(LONGEST_REQUESTED_PAUSE)),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable => f.write_str("it has no traces"),
            Self::Gone(reason) => write!(f, "it cannot execute the block: {reason}"),
            Self::Lie(error) => write!(f, "{error}"),
            Self::Refused(reason) => write!(f, "it refused: {reason}"),
            Self::Unreachable(reason) => write!(f, "it cannot be reached: {reason}"),
            Self::Busy(_) => f.write_str("it is busy"),
        }
    }
}

/// A reply that cannot be used.
enum Unusable {
    /// The node does not have this method: another one may do.
    Method,
    Failure(Failure),
}

/// Asks one node.
#[derive(Debug, Default)]
pub(super) struct Asker {
    node: Option<usize>,
    /// Methods that it was found not to have.
    lacking: Vec<Method>,
    answered: bool,
}

impl Asker {
    /// Begins anew when another node is asked; true when it did.
    pub(super) fn begins_with(&mut self, node: usize) -> bool {
        let begins = self.node != Some(node);
        if begins {
            *self = Self {
                node: Some(node),
                ..Self::default()
            };
        }
        begins
    }

    /// Forgets what the node does not have.
    pub(super) fn asks_again(&mut self) {
        self.lacking.clear();
        self.answered = false;
    }

    /// Whether it is known that the node has traces.
    pub(super) fn has_answered(&self) -> bool {
        self.answered
    }

    /// Finds out whether the node has a method, by a block that need not be read.
    pub(super) async fn find_method(
        &mut self,
        node: &PatientNode<'_>,
        block: BlockRef,
    ) -> Result<(), Failure> {
        self.ask(node, block, Vec::new()).await.map(drop)
    }

    /// The internal transfers of a block; none of an empty block, which only shows whether the node has
    /// a method.
    pub(super) async fn ask(
        &mut self,
        node: &PatientNode<'_>,
        block: BlockRef,
        transactions: Vec<TracedTransaction>,
    ) -> Result<Vec<InternalTransfer>, Failure> {
        for method in [Method::CallTracer, Method::TraceBlock] {
            if self.lacking.contains(&method) {
                continue;
            }
            match request(node, method, block, transactions.clone()).await {
                Err(Unusable::Method) => self.lacking.push(method),
                // It has the method, whatever it says to a block in which there is nothing to trace.
                Err(Unusable::Failure(failure))
                    if transactions.is_empty() && !failure.is_the_nodes() =>
                {
                    self.answered = true;
                    return Ok(Vec::new());
                }
                Err(Unusable::Failure(failure)) => return Err(failure),
                Ok(transfers) => {
                    self.answered = true;
                    return Ok(transfers);
                }
            }
        }
        Err(Failure::Unavailable)
    }
}

async fn request(
    node: &PatientNode<'_>,
    method: Method,
    block: BlockRef,
    transactions: Vec<TracedTransaction>,
) -> Result<Vec<InternalTransfer>, Unusable> {
    let reply = match method {
        Method::CallTracer => {
            let options = json!({"tracer": "callTracer", "timeout": TOLD_PATIENCE});
            let params = (block.hash, options);
            node.call_within(PATIENCE, "debug_traceBlockByHash", params)
                .await
        }
        Method::TraceBlock => {
            let params = (format!("{:#x}", block.number),);
            node.call_within(PATIENCE, "trace_block", params).await
        }
    };
    let raw = reply.map_err(sort)?;
    // Large answers take a while: others go on meanwhile.
    let read = tokio::task::spawn_blocking(move || read(method, &raw, block.hash, &transactions));
    match read.await {
        Ok(Ok(transfers)) => Ok(transfers),
        Ok(Err(TraceError::OtherTracer)) => Err(Unusable::Method),
        Ok(Err(error)) => Err(Unusable::Failure(Failure::Lie(error))),
        Err(error) => Err(Unusable::Failure(Failure::Refused(error.to_string()))),
    }
}

fn read(
    method: Method,
    raw: &RawValue,
    block: B256,
    transactions: &[TracedTransaction],
) -> Result<Vec<InternalTransfer>, TraceError> {
    match method {
        Method::CallTracer => read_call_tracer(raw.get(), transactions),
        Method::TraceBlock => read_flat_traces(raw.get(), block, transactions),
    }
}

fn sort(error: CallError) -> Unusable {
    Unusable::Failure(match error {
        CallError::Unsupported => return Unusable::Method,
        CallError::Pruned(message) => Failure::Gone(message),
        CallError::Refused { message, .. } | CallError::TooLarge(message) => {
            let text = message.to_lowercase();
            let gone = GONE.iter().any(|words| text.contains(words))
                || (text.contains("block") && text.contains("not found"));
            if gone {
                Failure::Gone(message)
            // The method is there, and this tracer is not.
            } else if text.contains("tracer") {
                return Unusable::Method;
            } else {
                Failure::Refused(message)
            }
        }
        CallError::TimedOut(message) => Failure::Refused(message),
        CallError::Unreachable(message) | CallError::Garbled(message) => {
            Failure::Unreachable(message)
        }
        CallError::Busy(pause) => Failure::Busy(pause),
    })
}
