//! Errors of the indexer, named by the reaction they ask for.

use chain::VerifyError;
use std::time::Duration;

/// Why a step could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Worth trying again, perhaps at another node: a dead connection, a timeout, a refusal.
    #[error("{0}")]
    Transient(String),
    /// The node wants to be left alone for a while.
    #[error("node {node} is busy and asks to be left alone for {} s", pause.as_secs())]
    Busy {
        /// Which node.
        node: String,
        /// For how long.
        pause: Duration,
    },
    /// The node does not have it yet; it is asked again soon.
    #[error("node {node} does not have {what} yet")]
    NotYet {
        /// Which node.
        node: String,
        /// What it was asked for.
        what: String,
    },
    /// What a node served fails its proof; it is fetched again, elsewhere first.
    #[error("block {number} from node {node} fails its proof: {error}")]
    Unproven {
        /// Which node.
        node: String,
        /// The block that was asked for.
        number: String,
        /// What did not match.
        error: Box<VerifyError>,
    },
    /// Nothing can be done without an operator; said once, loudly, and tried again slowly.
    #[error("{0}")]
    Halt(String),
    /// Another indexer leads now.
    #[error("another indexer has taken the lead of this database")]
    LostLead,
    /// The state is not the one this step began from; it is read again.
    #[error("the chain state changed under way")]
    Conflict,
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}
