//! Decides what is fetched next, and is the only caller of the committer.
//!
//! In: the node's head, by hint or by poll. Out: commits, in chain order. A block is accepted only if
//! its parent is our head; otherwise the new branch is walked back to, proven whole, and swapped in
//! one commit. A node that shows a lower head is behind, not on another branch, unless the block at
//! that height is not ours. After any error the state is read again from the database.

mod branch;

use crate::{
    commit::{Commit, Committer},
    error::IndexError,
    finality_watch::FinalityWatch,
    heads::Heads,
    identity,
    pipeline::{FetchAhead, linked_run},
    progress::Progress,
    source::{Block, Source},
    status::Status,
    tip::Tip,
    trouble::Trouble,
    verifier::fetch_proven,
};
use chain::{Checks, ProvenBlock, VerifyLevel};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::state::{BlockRef, Chain, ChainState};

/// Most blocks in one commit: a transaction of some ten thousand rows, so that its fixed costs do not
/// count and a restart repeats little.
const BLOCKS_PER_COMMIT: usize = 128;

/// How often the node's head is asked for when it announces none.
const POLL: Duration = Duration::from_secs(1);

/// And when it announces them: the ticker is then only what notices a dead subscription.
const POLL_WITH_HINTS: Duration = Duration::from_secs(3);

/// How often the other nodes are asked for their heads while the current one has nothing new.
const LOOK_ELSEWHERE: Duration = Duration::from_secs(5);

/// How far ahead of us another node must be: a block that is just on its way does not count.
const AHEAD: u64 = 2;

/// Pause after a halt: an operator is needed, but the node may also come back to its senses.
const HALT_PAUSE: Duration = Duration::from_secs(15);

/// A failure that took this long is one too many: a node that never answers costs no second wait.
const SLOW_FAILURE: Duration = Duration::from_secs(10);

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Something was committed.
    Advanced,
    /// The head is the node's.
    Idle,
    /// The last block that was asked for is committed.
    Done,
}

/// Follows the chain.
#[derive(Debug)]
pub struct Follower {
    source: Arc<Source>,
    committer: Committer,
    chain: Chain,
    verify: VerifyLevel,
    until: Option<u64>,
    status: Arc<Status>,
    heads: Heads,
    progress: Progress,
    state: Option<ChainState>,
    finality: FinalityWatch,
    looked: Option<Instant>,
}

impl Follower {
    /// A follower of one chain.
    #[must_use]
    pub fn new(
        source: Arc<Source>,
        committer: Committer,
        chain: Chain,
        verify: VerifyLevel,
        until: Option<u64>,
        status: Arc<Status>,
        progress: Progress,
    ) -> Self {
        Self {
            heads: Heads::listen(source.nodes()),
            finality: FinalityWatch::new(chain.finality_profile),
            source,
            committer,
            chain,
            verify,
            until,
            status,
            progress,
            state: None,
            looked: None,
        }
    }

    /// Follows until the last block asked for is committed, or the lead is lost.
    pub async fn run(&mut self) -> Result<(), IndexError> {
        let mut trouble = Trouble::default();
        loop {
            let (started, before) = (Instant::now(), self.status.known().head);
            match self.step().await {
                Ok(step) => {
                    trouble.is_over(&self.status);
                    match step {
                        Step::Done => return Ok(()),
                        Step::Advanced => {}
                        Step::Idle => self.wait().await,
                    }
                }
                Err(IndexError::LostLead) => return Err(IndexError::LostLead),
                Err(error) => {
                    // Blocks that were committed before it failed are progress: pauses begin anew.
                    if self.status.known().head != before {
                        trouble.begins_anew();
                    } else if started.elapsed() >= SLOW_FAILURE {
                        self.source.fail_over(self.source.node().label());
                    }
                    self.recover(&error, &mut trouble).await;
                }
            }
        }
    }

    /// Says what went wrong once, turns to the next node if need be, and pauses.
    async fn recover(&mut self, error: &IndexError, trouble: &mut Trouble) {
        self.state = None;
        trouble.note(error, &self.status);
        if trouble.asks_for_another_node(error) {
            self.source.fail_over(self.source.node().label());
        }
        if matches!(error, IndexError::Halt(_)) {
            self.wait_for_an_operator().await;
        } else {
            let only_node = self.source.nodes().len() == 1;
            tokio::time::sleep(trouble.pause(error, only_node)).await;
        }
    }

    /// Pauses after a halt; an operator who goes back by hand ends it.
    async fn wait_for_an_operator(&self) {
        let epoch = async || {
            self.committer
                .state()
                .await
                .map(|state| state.fork_epoch)
                .ok()
        };
        let before = epoch().await;
        let halted = Instant::now();
        while halted.elapsed() < HALT_PAUSE && epoch().await == before {
            tokio::time::sleep(POLL).await;
        }
    }

    async fn wait(&mut self) {
        let poll = if self.heads.any() {
            POLL_WITH_HINTS
        } else {
            POLL
        };
        if tokio::time::timeout(poll, self.heads.changed())
            .await
            .is_err()
        {
            // Somebody may have gone back by hand meanwhile; at an announcement there is no time to ask.
            self.state = None;
        }
    }

    async fn step(&mut self) -> Result<Step, IndexError> {
        let source = self.source.clone();
        let _following = source.pool.precedence.follow();
        if let Some(index) = self.source.unverified() {
            let found = identity::introduce(&self.source, index).await?;
            if let Err(foreign) = identity::compare(&self.chain, self.source.node(), found) {
                return Err(self.turn_away(foreign));
            }
            self.source.set_verified(index);
        }
        let state = match self.state.take() {
            Some(state) => state,
            None => self.committer.state().await?,
        };
        self.status.committed(&state);
        if self.is_done(&state) {
            self.finality.ask_anew();
            self.finality.ask(&self.source, state.head).await?;
            if self.finality.is_news() {
                self.commit(&state, None, &[]).await?;
            }
            return Ok(Step::Done);
        }
        let tip = self.tip().await?;
        let last = self.until.unwrap_or(u64::MAX);
        self.status.node_answered(tip.number().min(last));
        let step = match state.head {
            Some(head) if tip.hash == head.hash => self.settle(&state).await?,
            Some(head) if tip.number() <= head.number => self.look_below(&state, &tip).await?,
            _ => self.extend(&state, &tip).await?,
        };
        Ok(step)
    }

    /// A node of another chain halts the indexer only when there is no other node to ask.
    fn turn_away(&self, foreign: IndexError) -> IndexError {
        if self.source.nodes().len() == 1 {
            return foreign;
        }
        self.source.turn_away(self.source.node().label(), &foreign);
        IndexError::Transient(foreign.to_string())
    }

    /// The block that an empty database begins with; what is below is history.
    fn first_live(&self) -> u64 {
        let pivot = self.chain.first_live();
        let last = self.until.unwrap_or(pivot);
        pivot.min(last).max(self.chain.start_block)
    }

    fn is_done(&self, state: &ChainState) -> bool {
        match (self.until, state.head) {
            (Some(until), Some(head)) => head.number >= until,
            _ => false,
        }
    }

    /// The node's head: the one it announced since we last looked, or the one it gives when asked.
    async fn tip(&mut self) -> Result<Tip, IndexError> {
        if let Some(tip) = self.heads.take(self.source.node().label()) {
            return Ok(tip);
        }
        self.source.head().await
    }

    /// Nothing new: a moment to see what has become final.
    async fn settle(&mut self, state: &ChainState) -> Result<Step, IndexError> {
        self.finality.ask(&self.source, state.head).await?;
        if self.finality.is_news() {
            let after = self.commit(state, None, &[]).await?;
            self.state = Some(after);
            return Ok(Step::Idle);
        }
        self.look_elsewhere(state).await;
        self.state = Some(state.clone());
        Ok(Step::Idle)
    }

    /// A node that froze answers every question with its old head: where there are others, they are
    /// asked now and then, and one that is ahead of us takes over.
    async fn look_elsewhere(&mut self, state: &ChainState) {
        let lately = self.looked.is_some_and(|at| at.elapsed() < LOOK_ELSEWHERE);
        if lately || self.source.nodes().len() == 1 {
            return;
        }
        self.looked = Some(Instant::now());
        let ours = state.head.map_or(0, |head| head.number);
        if let Some(head) = self.source.turn_to_a_higher_head(ours + AHEAD).await {
            self.status.node_answered(head);
        }
    }

    /// The node's head is not above ours: it is behind, or on another branch.
    async fn look_below(&mut self, state: &ChainState, tip: &Tip) -> Result<Step, IndexError> {
        match self.committer.find_hash(tip.number()).await? {
            Some(ours) if ours != tip.hash => {
                let top = self.fetch(Block::Hash(tip.hash)).await?;
                self.reorg(state, top).await
            }
            _ => {
                self.look_elsewhere(state).await;
                self.state = Some(state.clone());
                Ok(Step::Idle)
            }
        }
    }

    /// Commits what the node has above our head.
    async fn extend(&mut self, state: &ChainState, tip: &Tip) -> Result<Step, IndexError> {
        let from = state.head.map_or(self.first_live(), |head| head.number + 1);
        let to = self
            .until
            .map_or(tip.number(), |until| until.min(tip.number()));
        if from > to {
            self.state = Some(state.clone());
            return Ok(Step::Idle);
        }
        if from == tip.number() {
            let block = self.fetch(Block::Hash(tip.hash)).await?;
            return self.append(state, vec![block]).await;
        }
        self.finality.ask(&self.source, state.head).await?;
        self.progress.start("catching up", from, to);
        let mut fetched =
            FetchAhead::start(&self.source, self.verify, self.chain.live_from, from, to);
        let mut state = state.clone();
        loop {
            let blocks = fetched.next(BLOCKS_PER_COMMIT).await?;
            let Some(last) = blocks.last().map(ProvenBlock::number) else {
                break;
            };
            self.append(&state, blocks).await?;
            let Some(after) = self.state.clone() else {
                break;
            };
            if after.head.is_none_or(|head| head.number != last) {
                break; // the node changed its branch: what was fetched ahead may be of the old one
            }
            self.progress.done(last - from + 1);
            state = after;
            // A catch-up may take hours: what the node has and what is final move on meanwhile.
            if self.finality.ask(&self.source, state.head).await? {
                self.status
                    .node_answered(self.source.head().await?.number());
            }
        }
        self.progress.finish();
        Ok(Step::Advanced)
    }

    /// Appends blocks that link to each other and to the head, or follows the branch they are on.
    async fn append(
        &mut self,
        state: &ChainState,
        mut blocks: Vec<ProvenBlock>,
    ) -> Result<Step, IndexError> {
        let linked = linked_run(state.head, &blocks);
        if linked == 0 {
            let top = blocks.swap_remove(0);
            return self.reorg(state, top).await;
        }
        blocks.truncate(linked);
        let after = self.commit(state, None, &blocks).await?;
        self.state = Some(after);
        Ok(Step::Advanced)
    }

    async fn commit(
        &mut self,
        expected: &ChainState,
        ancestor: Option<BlockRef>,
        blocks: &[ProvenBlock],
    ) -> Result<ChainState, IndexError> {
        let started = Instant::now();
        let commit = Commit {
            expected,
            ancestor,
            blocks,
            finality: self.finality.known(),
        };
        let after = self.committer.commit(commit).await?;
        self.finality.written();
        self.status.committed(&after);
        // A line for each block that is news; a catch-up shows its progress instead.
        if let [block] = blocks {
            tracing::info!(
                block.number = block.number(),
                block.hash = %block.hash,
                transactions = block.transactions.len(),
                elapsed_ms = started.elapsed().as_millis(),
                "block"
            );
        }
        Ok(after)
    }

    fn checks(&self, number: u64) -> Checks {
        self.verify.checks(number >= self.chain.live_from)
    }

    async fn fetch(&self, block: Block) -> Result<ProvenBlock, IndexError> {
        fetch_proven(&self.source, block, self.verify.checks(true)).await
    }
}
