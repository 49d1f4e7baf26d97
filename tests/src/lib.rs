//! The harness: private servers, databases made from a template, an indexer and an API to run in a
//! test, a dev chain to drive, a subscriber that writes down every event, and the twin comparison.
//!
//! Tests run in parallel and in any order: each has its own database, Redis and node.

#![allow(
    clippy::missing_panics_doc,
    reason = "a harness panics where a test fails"
)]

mod commit_gate;
mod compare;
pub mod contracts;
mod events;
mod gate;
pub mod history;
mod node;
mod parts;
mod proxy;
mod scene;
mod servers;
mod twin;

pub use commit_gate::{CommitGate, Commits, Moment};
pub use compare::{amount, assert_agrees, assert_block, assert_transaction, quantity};
pub use events::{Events, Received};
pub use gate::Gate;
pub use node::{DevChain, TOKEN_BYTECODE};
pub use parts::{
    Api, ApiOptions, RunningIndexer, indexer_config, metrics_handle, readings_complete,
};
pub use proxy::{NodeProxy, Passed};
pub use scene::Scene;
pub use servers::{Database, folder, redis};
pub use simnode::{GENERATED_CHAIN_ID, GeneratedBlock, Generator};
pub use twin::{assert_twins, contents, index_directly};

use std::{future::Future, time::Duration};

/// How long a test waits for something that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Prints a measured figure past the test runner, which keeps what passing tests print to itself.
pub fn say(line: &str) {
    use std::io::Write as _;
    // Nobody to read it is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Polls until a condition holds, or panics with what was waited for.
pub async fn eventually<F, Fut>(what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    eventually_within(PATIENCE, || what.to_owned(), &mut condition).await;
}

/// The same with another patience; what was waited for is said as it is then.
pub async fn eventually_within<F, Fut>(
    patience: Duration,
    what: impl Fn() -> String,
    mut condition: F,
) where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + patience;
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited {patience:?} for {}",
            what()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
