//! What can be wrong with traces.

use alloy::primitives::B256;

/// The first thing about a block's traces that cannot be right.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TraceError {
    /// It is not what the method answers with.
    #[error("the traces are malformed: {0}")]
    Malformed(String),
    /// The tracer's name was ignored: the answer lists steps of the machine (older Besu).
    #[error("the node ignores which tracer was asked for")]
    OtherTracer,
    /// The node could not trace a transaction.
    #[error("the node could not trace transaction {index}: {reason}")]
    Failed {
        /// Position in the block.
        index: usize,
        /// The node's words.
        reason: String,
    },
    /// The traces are of another block: usually of another branch.
    #[error("the traces are of block {0}")]
    OtherBlock(B256),
    /// Not one trace for each transaction.
    #[error("{traces} traces for {transactions} transactions")]
    Count {
        /// How many came.
        traces: usize,
        /// How many were due.
        transactions: usize,
    },
    /// The transaction itself is told otherwise than it is proven to be.
    #[error("trace {index} has {what} {traced}, the transaction has {proven}")]
    Differs {
        /// Position in the block.
        index: usize,
        /// What differs.
        what: &'static str,
        /// What the trace says.
        traced: String,
        /// What the proven block says.
        proven: String,
    },
}

impl TraceError {
    /// A short stable word for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::OtherTracer => "other_tracer",
            Self::Failed { .. } => "failed",
            Self::OtherBlock(_) => "other_block",
            Self::Count { .. } => "count",
            Self::Differs { .. } => "differs",
        }
    }
}
