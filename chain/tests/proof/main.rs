//! Verification against blocks that real networks produced, and against the same blocks made wrong.
//!
//! Without the folder of recorded chains, the tests that need it say so and pass.

// The name that the other crates know it by.
extern crate tallyscan_chain as chain;

mod besu;
mod claims;
mod consensus;
mod earlier_forks;
mod execution_apis;
mod levels;
mod recorded;
mod rlp_chain;
mod tampering;
mod tampering_claims;
mod unusual;
