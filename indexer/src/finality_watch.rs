//! What the node says is final, asked now and then.

use crate::{commit::NodeFinality, error::IndexError, source::Source};
use chain::FinalityProfile;
use std::time::{Duration, Instant};
use store::state::BlockRef;

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
    ///
    /// What is final above our head makes all of ours final that the node has as well: then its block at
    /// our height is what is compared. A head that another node left us on may be of another branch.
    pub(crate) async fn ask(
        &mut self,
        source: &Source,
        head: Option<BlockRef>,
    ) -> Result<bool, IndexError> {
        if self.asked.is_some_and(|at| at.elapsed() < POLL) {
            return Ok(false);
        }
        if self.profile == FinalityProfile::Tags {
            let (safe, finalized) =
                tokio::try_join!(source.get_tag("safe"), source.get_tag("finalized"))?;
            let (mut safe, mut finalized) = (safe.block(), finalized.block());
            let above = |tag: Option<BlockRef>| {
                head.filter(|head| tag.is_some_and(|tag| tag.number > head.number))
            };
            if let Some(head) = above(safe).or(above(finalized)) {
                let theirs = source.find_header(&format!("{:#x}", head.number)).await?;
                let theirs = theirs.map(|tip| BlockRef {
                    number: tip.number(),
                    hash: tip.hash,
                });
                for tag in [&mut safe, &mut finalized] {
                    if above(*tag).is_some() {
                        *tag = theirs;
                    }
                }
            }
            self.known = NodeFinality { safe, finalized };
        }
        self.asked = Some(Instant::now());
        Ok(true)
    }

    /// Has the node asked at the next opportunity, however lately it was.
    pub(crate) fn ask_anew(&mut self) {
        self.asked = None;
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
