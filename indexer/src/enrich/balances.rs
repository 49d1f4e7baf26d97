//! Native balances: what each address that a block touched has after it.
//!
//! In: blocks whose internal transfers are read, or never will be; newest first, at the ends of one run
//! (see [`store::balances`]). And addresses that pages asked for, at the head. Out: rows of
//! `native_balances`, proven by the state root of the block's header where the node proves accounts. A
//! node whose proofs fail after others held is not believed: that is a problem, and nothing is written.
//! Blocks whose state the node has dropped raise the floor.

mod accounts;
mod asked;

pub(crate) use asked::{Asked, take_from_redis};

use super::{
    Enricher, Turn,
    pace::{Reader, Step},
    patient::PatientNode,
    state::{StateError, has_state},
};
use accounts::Accounts;
use alloy::primitives::{Address, B256, U64};
use serde_json::json;
use std::collections::HashSet;
use store::{
    balances::{self, ReadAt, Wanted},
    enrichment::{Reading, set_floor},
    read::Snapshot,
    state::{self, BlockRef},
    tally,
};

/// Reads native balances.
pub(crate) struct Balances {
    enricher: Enricher,
    accounts: Accounts,
    asked: Asked,
    /// The node that was asked how far back it tells of balances.
    met: Option<String>,
    /// Whom balances were read for at this head since somebody asked.
    answered: (B256, HashSet<Address>),
}

impl Reader for Balances {
    const READING: Reading = Reading::Balances;

    async fn step(&mut self) -> Result<Step, StateError> {
        let source = self.enricher.source.clone();
        let node = &PatientNode::followed(&source);
        let state = state::get_state(&self.enricher.database).await?;
        let Some(head) = state.head else {
            return Ok(Step::Early);
        };
        if self.met.as_deref() != Some(node.label()) {
            self.accounts.meet(node, head).await?;
            let floor = self.find_floor(node, head).await?;
            set_floor(&self.enricher.database, Reading::Balances, floor).await?;
            self.met = Some(node.label().to_owned());
        }
        if let Some(addresses) = self.asked.next() {
            self.read_asked(node, head, addresses).await?;
        }
        match self.read_next(node).await {
            Err(StateError::Missing(number)) => {
                self.raise_floor(node, number).await?;
                Ok(Step::More)
            }
            other => other,
        }
    }
}

impl Balances {
    pub(crate) fn new(enricher: Enricher, asked: Asked) -> Self {
        Self {
            enricher,
            accounts: Accounts::default(),
            asked,
            met: None,
            answered: Default::default(),
        }
    }

    /// Reads the next blocks.
    async fn read_next(&mut self, node: &PatientNode<'_>) -> Result<Step, StateError> {
        let mut snapshot = Snapshot::open(&self.enricher.database).await?;
        let plan = balances::find_plan(&mut snapshot).await?;
        drop(snapshot);
        let Some(plan) = plan else {
            return Ok(Step::Idle);
        };
        let rows = self.accounts.read(node, &plan.wanted()).await?;
        let mut turn = Turn::begin(&self.enricher).await?;
        // A reorg in between voids the plan; without one, all that was planned on is as it was.
        if turn.state().fork_epoch == plan.epoch {
            plan.write(turn.connection(), rows).await?;
            turn.commit().await?;
        }
        Ok(Step::More)
    }

    /// Reads balances that somebody asked for, and has their code read.
    async fn read_asked(
        &mut self,
        node: &PatientNode<'_>,
        head: BlockRef,
        mut addresses: Vec<Address>,
    ) -> Result<(), StateError> {
        if self.answered.0 != head.hash {
            self.answered = (head.hash, HashSet::new());
        }
        addresses.retain(|address| !self.answered.1.contains(address));
        if addresses.is_empty() {
            return Ok(());
        }
        let state_root = balances::find_state_root(&self.enricher.database, head).await?;
        let at = ReadAt {
            block: head,
            state_root,
        };
        let wanted = |address: &Address| Wanted {
            address: *address,
            at,
        };
        let wanted: Vec<Wanted> = addresses.iter().map(wanted).collect();
        let rows = match self.accounts.read(node, &wanted).await {
            // The head has moved on; who still wants to know asks again.
            Err(StateError::Missing(_)) => return Ok(()),
            other => other?,
        };
        let mut turn = Turn::begin(&self.enricher).await?;
        if turn.is_canonical(head).await? {
            // First of all: the tallier has it, too, when it queues contracts.
            tally::lock(turn.connection()).await?;
            balances::write_asked(turn.connection(), &addresses, &rows).await?;
            turn.commit().await?;
            self.answered.1.extend(addresses);
        }
        Ok(())
    }

    /// The lowest block whose state, and whose parent's, the node tells of; `None` where that is the
    /// first indexed one. Of history that was there before the first start either all is read or none.
    async fn find_floor(
        &self,
        node: &PatientNode<'_>,
        head: BlockRef,
    ) -> Result<Option<u64>, StateError> {
        let chain = &self.enricher.chain;
        if has_state_at(node, chain.start_block.saturating_sub(1)).await? {
            return Ok(None);
        }
        let first_live = chain.first_live();
        if has_state_at(node, first_live.saturating_sub(1)).await? {
            return Ok(Some(first_live));
        }
        search(node, first_live.saturating_sub(1), head.number)
            .await
            .map(Some)
    }

    /// The node told nothing of a block: either it has dropped that state, or it is not well.
    async fn raise_floor(&mut self, node: &PatientNode<'_>, number: u64) -> Result<(), StateError> {
        let head = state::get_state(&self.enricher.database).await?.head;
        let head = head.map_or(number, |head| head.number);
        if has_state_at(node, number).await? || !has_state_at(node, head).await? {
            return Err(StateError::Missing(number));
        }
        let floor = search(node, number, head).await?;
        tracing::info!(
            node = node.label(),
            block.number = floor,
            "balances below are not read: the node has dropped that state"
        );
        Ok(set_floor(&self.enricher.database, Reading::Balances, Some(floor)).await?)
    }
}

async fn has_state_at(node: &PatientNode<'_>, number: u64) -> Result<bool, StateError> {
    has_state(node, &json!(U64::from(number))).await
}

/// The block above the oldest of which the node has the state, knowing one that it lacks and its head.
async fn search(node: &PatientNode<'_>, mut lacks: u64, mut has: u64) -> Result<u64, StateError> {
    while lacks + 1 < has {
        let middle = lacks + (has - lacks) / 2;
        if has_state_at(node, middle).await? {
            has = middle;
        } else {
            lacks = middle;
        }
    }
    Ok(has + 1)
}
