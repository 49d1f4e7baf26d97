//! What a block is and how it is proven: domain types, JSON-RPC wire types and verification.
//!
//! Everything here is pure: functions from values to values, no I/O and no clock. Bytes that a node
//! sent go in ([`wire`]), values that were recomputed from the block's own header come out
//! ([`ProvenBlock`]), or a [`VerifyError`] that names what did not match.

mod account;
mod amount;
mod body;
mod convert;
mod error;
mod finality;
mod header_hash;
mod proven;
pub mod proxy;
mod reward;
mod token;
pub mod token_text;
mod trace;
mod verify;
pub mod wire;

pub use account::{AccountClaim, AccountError, ProvenAccount, prove_account};
pub use amount::Wei;
pub use body::{Body, ProvenBody, Uncles, prove_body};
pub use convert::convert_block;
pub use error::VerifyError;
pub use finality::{Finality, FinalityProfile, ParseFinalityProfileError};
pub use header_hash::{BFT_MIX_HASH, HashRule};
pub use proven::{ProvenBlock, ProvenReceipt, ProvenTransaction, Transaction};
pub use reward::static_reward;
pub use token::{TokenTransfer, TransferKind, token_transfers};
pub use trace::{
    InternalKind, InternalTransfer, TraceError, TracedTransaction, read_call_tracer,
    read_flat_traces,
};
pub use verify::{
    Checks, ClaimedReceipt, ParseVerifyLevelError, Parts, VerifyLevel, parse, prove, verify,
};
