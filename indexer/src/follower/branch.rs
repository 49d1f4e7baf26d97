//! Following the node to another branch.

use super::{Follower, Step};
use crate::{error::IndexError, identity, reorg::find_branch};
use chain::ProvenBlock;
use store::state::ChainState;

impl Follower {
    /// Swaps in the branch that a block is on.
    pub(super) async fn reorg(
        &mut self,
        state: &ChainState,
        top: ProvenBlock,
    ) -> Result<Step, IndexError> {
        // Below this lies history that is not there yet, or nothing.
        let head = state.head.map_or(0, |head| head.number);
        let start = self.committer.find_floor(head).await?;
        let checks = self.checks(top.number());
        let found = find_branch(&self.source, &self.committer, state, start, top, checks).await;
        let branch = match found {
            // A chain that was replaced has another genesis: then that is the thing to say.
            Err(halt @ IndexError::Halt(_)) => {
                let node = self.source.node();
                identity::compare(&self.chain, node, identity::ask(node).await?)?;
                return Err(halt);
            }
            other => other?,
        };
        if state.head == Some(branch.ancestor) {
            // The node changed its mind above our head: nothing of ours is dropped.
            self.state = Some(self.commit(state, None, &branch.blocks).await?);
            return Ok(Step::Advanced);
        }
        let after = self
            .commit(state, Some(branch.ancestor), &branch.blocks)
            .await?;
        let depth = state
            .head
            .map_or(0, |head| head.number - branch.ancestor.number);
        tracing::info!(
            reorg.id = after.fork_epoch,
            reorg.depth = depth,
            ancestor.number = branch.ancestor.number,
            block.number = after.head.map(|head| head.number),
            block.hash = after.head.map(|head| tracing::field::display(head.hash)),
            "followed a reorg"
        );
        self.state = Some(after);
        Ok(Step::Advanced)
    }
}
