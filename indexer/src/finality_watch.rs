//! What the node says is final, asked now and then.

use crate::{commit::NodeFinality, error::IndexError, source::Source};
use chain::FinalityProfile;
use std::time::{Duration, Instant};

/// How often the node is asked: finality moves by epochs, not by blocks.
const POLL: Duration = Duration::from_secs(2);

/// What the node says is final, and whether that has been written.
#[derive(Debug)]
pub(crate) struct FinalityWatch {
    profile: FinalityProfile,
    asked: Option<Instant>,
    known: NodeFinality,
    written: NodeFinality,
}

impl FinalityWatch {
    pub(crate) fn new(profile: FinalityProfile) -> Self {
        Self {
            profile,
            asked: None,
            known: NodeFinality::default(),
            written: NodeFinality::default(),
        }
    }

    /// Asks the node, where the profile leaves it to say; false when that was done a moment ago.
    pub(crate) async fn ask(&mut self, source: &Source) -> Result<bool, IndexError> {
        if self.asked.is_some_and(|at| at.elapsed() < POLL) {
            return Ok(false);
        }
        if self.profile == FinalityProfile::Tags {
            let (safe, finalized) =
                tokio::try_join!(source.get_tag("safe"), source.get_tag("finalized"))?;
            self.known = NodeFinality {
                safe: safe.block(),
                finalized: finalized.block(),
            };
        }
        self.asked = Some(Instant::now());
        Ok(true)
    }

    /// What the node said last.
    pub(crate) fn known(&self) -> NodeFinality {
        self.known
    }

    /// Whether it said something that no commit has carried yet.
    pub(crate) fn is_news(&self) -> bool {
        self.known != self.written
    }

    /// A commit carried what is known.
    pub(crate) fn written(&mut self) {
        self.written = self.known;
    }
}
