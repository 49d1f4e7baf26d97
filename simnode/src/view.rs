//! What one request sees of the chain: a head, and nothing above it.

use std::sync::Arc;

use alloy::primitives::B256;

use crate::block::CannedBlock;
use crate::chain::{Pruned, Tag};
use crate::found::Found;
use crate::state::State;

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

    pub(crate) fn head_block(&self) -> Option<Found<'a>> {
        self.state.highest(self.head)
    }

    /// The canonical block at a height, block 0 always.
    pub(crate) fn at(&self, number: u64) -> Option<Found<'a>> {
        if number == 0 {
            let own = self.state.genesis.as_ref().map(Found::Canned);
            let own = own.or_else(|| self.state.at(0));
            return Some(own.unwrap_or(Found::Canned(&self.state.default_genesis)));
        }
        let visible = number <= self.head;
        visible.then(|| self.state.at(number)).flatten()
    }

    /// A canonical block up to the head, or an orphan: those stay known on a shorter branch too, but
    /// neither above a held head nor to a node that lags, which has yet to see such heights.
    pub(crate) fn by_hash(&self, hash: B256) -> Option<Found<'a>> {
        let known = self.state.by_hash(hash).filter(|block| {
            let number = block.number();
            let seen = !self.lags && number <= self.state.ceiling.unwrap_or(u64::MAX);
            let canonical = || {
                let here = self.state.at(number);
                here.is_some_and(|here| here.hash() == hash)
            };
            number <= self.head || (seen && !canonical())
        });
        known.or_else(|| self.at(0).filter(|genesis| genesis.hash() == hash))
    }

    /// Whether the bodies of this height are gone, and how that is told. Block 0 is kept.
    pub(crate) fn pruned(&self, number: u64) -> Option<Pruned> {
        let (below, told) = self.state.pruned?;
        (number > 0 && number < below).then_some(told)
    }

    /// Whether blocks of this height can be executed again.
    pub(crate) fn has_state(&self, number: u64) -> bool {
        number >= self.state.stateless_below
    }

    /// Whether transactions can be found by hash in all of the chain.
    pub(crate) fn knows_all_transactions(&self) -> bool {
        self.state.load.is_none()
    }

    pub(crate) fn block(&self, pointer: Pointer) -> Result<Option<Found<'a>>, UnknownTag> {
        Ok(match pointer {
            Pointer::Number(number) => self.at(number),
            Pointer::Hash(hash) => self.by_hash(hash),
            Pointer::Latest => self.head_block().or_else(|| self.at(0)),
            Pointer::Earliest => self.at(0),
            Pointer::Safe => self.tagged(self.state.safe)?,
            Pointer::Finalized => self.tagged(self.state.finalized)?,
        })
    }

    fn tagged(&self, tag: Tag) -> Result<Option<Found<'a>>, UnknownTag> {
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
        places
            .iter()
            .find_map(|(block_hash, position)| match self.by_hash(*block_hash)? {
                Found::Canned(block) if self.at(block.number)?.hash() == *block_hash => {
                    Some((block, *position))
                }
                _ => None,
            })
    }

    /// The nearest visible block whose receipts differ from this one's: earlier ones first.
    pub(crate) fn neighbour_with_other_receipts(&self, of: &Found<'_>) -> Option<Found<'a>> {
        let number = of.number();
        let own = of.receipts();
        let differs = |other: &Found<'_>| {
            let theirs = other.receipts();
            theirs.is_some()
                && theirs.as_ref().map(crate::Json::as_str) != own.as_ref().map(crate::Json::as_str)
        };
        let heights = &self.state.canonical;
        let load = self.state.load.as_ref().map_or(0, |load| load.end);
        let below = heights.range(..number).rev().map(|(height, _)| *height);
        let below = below.chain((0..load.min(number)).rev());
        let above = heights
            .range(number..)
            .map(|(height, _)| *height)
            .take_while(|height| *height <= self.head);
        let all = below.chain(number.saturating_add(1)..load).chain(above);
        let all = all.filter_map(|height| self.state.at(height));
        all.into_iter().find(differs)
    }
}
