//! What the node holds: blocks that are canonical, and those that it still knows by hash.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy::primitives::{B256, U256, b256};

use crate::block::CannedBlock;
use crate::chain::{Pruned, Tag};
use crate::found::Found;
use crate::load::LoadChain;

/// The canonical part of a load chain: heights below `end`.
pub(crate) struct Load {
    pub(crate) chain: Arc<LoadChain>,
    pub(crate) end: u64,
}

pub(crate) struct State {
    pub(crate) chain_id: u64,
    pub(crate) client_version: String,
    /// Set by hand: answers for height 0 whatever the chain holds.
    pub(crate) genesis: Option<Arc<CannedBlock>>,
    pub(crate) default_genesis: Arc<CannedBlock>,
    /// What lies below the canned blocks: heights up to an end, which a reorg lowers.
    pub(crate) load: Option<Load>,
    /// Bodies below this height are gone.
    pub(crate) pruned: Option<(u64, Pruned)>,
    /// State below this height is gone: nothing can be executed again there.
    pub(crate) stateless_below: u64,
    pub(crate) canonical: BTreeMap<u64, Arc<CannedBlock>>,
    /// Canonical blocks and those that reorgs removed, until they are forgotten.
    pub(crate) known: HashMap<B256, Arc<CannedBlock>>,
    /// Where a transaction occurs: the hash of the block and the position in it. Several after reorgs.
    pub(crate) inclusions: HashMap<B256, Vec<(B256, usize)>>,
    pub(crate) ceiling: Option<u64>,
    pub(crate) safe: Tag,
    pub(crate) finalized: Tag,
}

impl State {
    pub(crate) fn new(chain_id: u64) -> Self {
        let default_genesis = Arc::new(CannedBlock::bare_genesis(genesis_hash(chain_id), 0));
        Self {
            chain_id,
            client_version: "tallyscan-simnode/0.1".to_owned(),
            genesis: None,
            default_genesis,
            load: None,
            pruned: None,
            stateless_below: 0,
            canonical: BTreeMap::new(),
            known: HashMap::new(),
            inclusions: HashMap::new(),
            ceiling: None,
            safe: Tag::Behind(32),
            finalized: Tag::Behind(64),
        }
    }

    pub(crate) fn head_number(&self) -> Option<u64> {
        Some(self.highest(self.ceiling.unwrap_or(u64::MAX))?.number())
    }

    /// The highest canonical block up to a height.
    pub(crate) fn highest(&self, ceiling: u64) -> Option<Found<'_>> {
        let canned = self.canonical.range(..=ceiling).next_back();
        canned
            .map(|(_, block)| Found::Canned(block))
            .or_else(|| self.load_at(self.load.as_ref()?.end.checked_sub(1)?.min(ceiling)))
    }

    /// The canonical block at a height, visible or not.
    pub(crate) fn at(&self, number: u64) -> Option<Found<'_>> {
        let canned = self.canonical.get(&number).map(Found::Canned);
        canned.or_else(|| self.load_at(number))
    }

    /// A block that was not forgotten, canonical or not, visible or not.
    pub(crate) fn by_hash(&self, hash: B256) -> Option<Found<'_>> {
        let canned = self.known.get(&hash).map(Found::Canned);
        canned.or_else(|| {
            let chain = self.load.as_ref()?.chain.as_ref();
            let number = chain.number(hash)?;
            Some(Found::Load {
                chain,
                number,
                hash,
            })
        })
    }

    fn load_at(&self, number: u64) -> Option<Found<'_>> {
        let load = self.load.as_ref().filter(|load| number < load.end)?;
        let chain = load.chain.as_ref();
        let hash = chain.hash(number)?;
        Some(Found::Load {
            chain,
            number,
            hash,
        })
    }

    /// Canonical heights in a range, highest first: load blocks lie below all others.
    pub(crate) fn heights(&self, first: u64, last: u64) -> impl Iterator<Item = u64> {
        let canned = self.canonical.range(first..=last).rev();
        let end = self.load.as_ref().map_or(0, |load| load.end);
        let load = first..end.min(last.saturating_add(1));
        canned.map(|(height, _)| *height).chain(load.rev())
    }

    /// Appends in rising order; returns the lowest height added.
    pub(crate) fn append(&mut self, blocks: impl IntoIterator<Item = CannedBlock>) -> Option<u64> {
        let mut first = None;
        for block in blocks {
            let newest = self.highest(u64::MAX).map(|newest| newest.number());
            assert!(
                newest.is_none_or(|newest| newest < block.number),
                "block {} cannot follow block {}",
                block.number,
                newest.unwrap_or_default()
            );
            first = first.or(Some(block.number));
            let known = self.known.contains_key(&block.hash);
            let block = Arc::new(block);
            // A branch may come back after a flip-flop: its transactions are already noted.
            if !known {
                for (position, transaction) in block.transactions.iter().enumerate() {
                    let places = self.inclusions.entry(transaction.hash).or_default();
                    places.push((block.hash, position));
                }
            }
            self.known.insert(block.hash, Arc::clone(&block));
            self.canonical.insert(block.number, block);
        }
        first
    }
}

/// The hash of block 0: the true one where it is well known, else one that names the chain.
fn genesis_hash(chain_id: u64) -> B256 {
    match chain_id {
        1 => b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"),
        11_155_111 => b256!("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9"),
        other => B256::from((U256::from(0xCA11_ED00_u64) << 224) | U256::from(other)),
    }
}
