//! The indexer: follows one chain from its nodes into the database and announces what it committed.
//!
//! `nodes ──► Source ──► Verifier ──► Committer ──► Publisher ──► Redis`. Each stage is a file; the
//! [`Follower`] decides what is fetched next and is the only caller of the committer.

mod backfill;
mod commit;
mod config;
mod enrich;
mod error;
mod finality_watch;
mod follower;
mod heads;
mod identity;
mod leader;
mod legs;
mod metrics;
mod node;
mod nodes;
mod pipeline;
mod precedence;
mod progress;
mod publish;
mod reorg;
mod repair;
mod rollback;
mod source;
mod status;
mod tallier;
mod telemetry;
mod tip;
mod trouble;
mod uncounted;
mod verifier;

pub use backfill::BackfillLimits;
pub use commit::{Commit, Committer, NodeFinality};
pub use config::{ConfigError, IndexerConfig};
pub use error::IndexError;
pub use follower::Follower;
pub use identity::database_name;
pub use nodes::health::{NodeHealth, NodeState};
pub use progress::ProgressStyle;
pub use publish::{PublishError, Publisher};
pub use repair::{Repair, RepairError, Step};
pub use rollback::rollback_to;
pub use source::{Block, RawBlock, Source};
pub use status::{HistoryProgress, Status};

mod run;
pub use run::Indexer;
