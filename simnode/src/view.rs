//! What one request sees of the chain: a head, and nothing above it.

use std::sync::Arc;

use alloy::primitives::B256;

use crate::block::{CannedBlock, CannedTransaction};
use crate::chain::{State, Tag};

/// The chain up to a head. A lagging node's view simply ends earlier.
pub(crate) struct View<'a> {
    state: &'a State,
    head: u64,
    lags: bool,
}

/// What a block parameter of a request points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pointer {
    Number(u64),
    Hash(B256),
    Latest,
    Earliest,
    Safe,
    Finalized,
}

/// The tag that was asked for is not known to this chain.
pub(crate) struct UnknownTag;

impl<'a> View<'a> {
    pub(crate) fn new(state: &'a State, behind: u64) -> Self {
        let newest = state.head_number().unwrap_or(0);
        Self {
            state,
            head: newest.saturating_sub(behind),
            lags: behind > 0,
        }
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.state.chain_id
    }

    pub(crate) fn client_version(&self) -> &str {
        &self.state.client_version
    }

    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    pub(crate) fn head_block(&self) -> Option<&'a Arc<CannedBlock>> {
        let visible = self.state.canonical.range(..=self.head);
        visible.map(|(_, block)| block).next_back()
    }

    /// The canonical block at a height, block 0 always.
    pub(crate) fn at(&self, number: u64) -> Option<&'a Arc<CannedBlock>> {
        if number == 0 {
            let own = self
                .state
                .genesis
                .as_ref()
                .or_else(|| self.state.canonical.get(&0));
            return Some(own.unwrap_or(&self.state.default_genesis));
        }
        let visible = number <= self.head;
        visible.then(|| self.state.canonical.get(&number)).flatten()
    }

    /// A canonical block up to the head, or an orphan: those stay known on a shorter branch too, but
    /// neither above a held head nor to a node that lags, which has yet to see such heights.
    pub(crate) fn by_hash(&self, hash: B256) -> Option<&'a Arc<CannedBlock>> {
        let canonical = |block: &CannedBlock| {
            let here = self.state.canonical.get(&block.number);
            here.is_some_and(|here| here.hash == block.hash)
        };
        let known = self.state.by_hash.get(&hash).filter(|block| {
            let seen = !self.lags && block.number <= self.state.ceiling.unwrap_or(u64::MAX);
            block.number <= self.head || (seen && !canonical(block))
        });
        known.or_else(|| self.at(0).filter(|genesis| genesis.hash == hash))
    }

    pub(crate) fn block(
        &self,
        pointer: Pointer,
    ) -> Result<Option<&'a Arc<CannedBlock>>, UnknownTag> {
        Ok(match pointer {
            Pointer::Number(number) => self.at(number),
            Pointer::Hash(hash) => self.by_hash(hash),
            Pointer::Latest => self.head_block().or_else(|| self.at(0)),
            Pointer::Earliest => self.at(0),
            Pointer::Safe => self.tagged(self.state.safe)?,
            Pointer::Finalized => self.tagged(self.state.finalized)?,
        })
    }

    fn tagged(&self, tag: Tag) -> Result<Option<&'a Arc<CannedBlock>>, UnknownTag> {
        match tag {
            Tag::Unsupported => Err(UnknownTag),
            Tag::Nothing => Ok(None),
            Tag::At(number) => Ok(self.at(number)),
            Tag::Behind(depth) => {
                let at = self.head.saturating_sub(depth);
                // The canned range may start above: the chain below it is not there to be named.
                Ok(self.at(at).or_else(|| self.at(0)))
            }
        }
    }

    /// The canonical, visible inclusion of a transaction: its block and its position there.
    pub(crate) fn inclusion(&self, hash: B256) -> Option<(&'a Arc<CannedBlock>, usize)> {
        let places = self.state.inclusions.get(&hash)?;
        places.iter().find_map(|(block_hash, position)| {
            let block = self.state.by_hash.get(block_hash)?;
            let here = self.at(block.number)?;
            (here.hash == *block_hash).then_some((here, *position))
        })
    }

    pub(crate) fn transaction(&self, hash: B256) -> Option<&'a CannedTransaction> {
        let (block, position) = self.inclusion(hash)?;
        block.transactions.get(position)
    }

    /// The nearest visible block whose receipts differ from this one's: earlier ones first.
    pub(crate) fn neighbour_with_other_receipts(
        &self,
        block: &CannedBlock,
    ) -> Option<&'a Arc<CannedBlock>> {
        let own = block.receipts.as_ref().map(crate::Json::as_str);
        let differs = |other: &&Arc<CannedBlock>| {
            other.receipts.is_some() && other.receipts.as_ref().map(crate::Json::as_str) != own
        };
        let all = &self.state.canonical;
        let below = all.range(..block.number).rev();
        let above = all
            .range(block.number..)
            .take_while(|(number, _)| **number <= self.head);
        below.chain(above).map(|(_, other)| other).find(differs)
    }
}
