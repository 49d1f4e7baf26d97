//! Internal transfers from a node's traces: calls within transactions that moved native coin, created a
//! contract or destroyed one.
//!
//! In: what `debug_traceBlockByHash` with geth's `callTracer`, or `trace_block` in Parity's form,
//! answered, and the block's proven transactions. Out: the same internal transfers from either form, or
//! a [`TraceError`] that names what differs. Nothing of a trace is proven by the header; what can be
//! held against the proven block is: there is one trace for each transaction, and its top frame has the
//! transaction's sender, recipient (or created contract), value and outcome.
//!
//! Both forms are brought into one: the frames of a transaction in the order of execution, each with
//! its depth. Calls of precompiled contracts are in one form and not in the other, so that calls
//! without value into the range that is reserved for them (EIP-1352) are not counted in either.

mod call_tracer;
mod error;
mod flat;
mod frames;

pub use call_tracer::read_call_tracer;
pub use error::TraceError;
pub use flat::read_flat_traces;

use alloy::primitives::{Address, B256, U256};

/// What a frame did that makes it an internal transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InternalKind {
    /// A call that moved value.
    Call,
    /// A creation by CREATE.
    Create,
    /// A creation by CREATE2 (EIP-1014).
    Create2,
    /// A contract that destroyed itself.
    SelfDestruct,
}

impl InternalKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Call, Self::Create, Self::Create2, Self::SelfDestruct];

    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Call => 1,
            Self::Create => 2,
            Self::Create2 => 3,
            Self::SelfDestruct => 4,
        }
    }

    /// Its name in answers and parameters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Create => "create",
            Self::Create2 => "create2",
            Self::SelfDestruct => "selfdestruct",
        }
    }

    /// The kind with a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether it made a contract.
    #[must_use]
    pub const fn creates(self) -> bool {
        matches!(self, Self::Create | Self::Create2)
    }
}

/// An internal transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTransfer {
    /// Position of its transaction in the block.
    pub tx_index: usize,
    /// Position in the order of execution, the transaction itself being 0.
    pub trace_index: u32,
    /// Positions of the calls that lead here, each within its caller and from the top, which is 0,
    /// joined by `_`.
    pub trace_id: String,
    /// What it did.
    pub kind: InternalKind,
    /// Who called or created, or was destroyed.
    pub from: Address,
    /// Who was called or created, or got what the destroyed one had.
    pub to: Address,
    /// Wei moved.
    pub value: U256,
    /// Gas it was given; `None` for self-destructs.
    pub gas: Option<u64>,
    /// Gas it used; `None` for self-destructs.
    pub gas_used: Option<u64>,
}

/// What is proven of a transaction, for its trace to be held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedTransaction {
    /// Hash.
    pub hash: B256,
    /// Who signed it.
    pub from: Address,
    /// Whom it calls; `None` for a creation.
    pub to: Option<Address>,
    /// The contract that it created; `None` when it created none.
    pub created: Option<Address>,
    /// Wei sent along.
    pub value: U256,
    /// Whether it succeeded; `None` before Byzantium (EIP-658).
    pub status: Option<bool>,
}

#[cfg(test)]
mod tests;
