//! The chain that the node tells about: grows, reorganises and forgets on command.
//!
//! A [`CannedChain`] is a cheap handle; tests keep one and change the chain while the server answers.
//! Every answer is taken under one read lock, so a reply never mixes the chain before a reorg with
//! the chain after it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use alloy::primitives::{B256, U256, b256};
use tokio::sync::broadcast;

use crate::block::CannedBlock;
use crate::view::View;

/// A node that syncs in bulk does not announce every block; one that follows does. Growth by more
/// than this many blocks at once announces the newest of them only.
pub const ANNOUNCED_AT_ONCE: usize = 256;

/// How the node resolves the `safe` or `finalized` tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// The tag is not known: error -39001 "Unknown block", as Besu answers on QBFT and IBFT.
    Unsupported,
    /// The tag is known, and no block carries it yet: null.
    Nothing,
    /// A fixed height.
    At(u64),
    /// So many blocks below the head that is answered with; block 0 when the chain is shorter.
    Behind(u64),
}

/// A chain of canned blocks. Clones are handles to the same chain.
#[derive(Clone)]
pub struct CannedChain {
    shared: Arc<Shared>,
}

struct Shared {
    state: RwLock<State>,
    heads: broadcast::Sender<Arc<CannedBlock>>,
}

pub(crate) struct State {
    pub(crate) chain_id: u64,
    pub(crate) client_version: String,
    /// Set by hand: answers for height 0 whatever the chain holds.
    pub(crate) genesis: Option<Arc<CannedBlock>>,
    pub(crate) default_genesis: Arc<CannedBlock>,
    pub(crate) canonical: BTreeMap<u64, Arc<CannedBlock>>,
    /// Canonical blocks and those that reorgs removed, until they are forgotten.
    pub(crate) by_hash: HashMap<B256, Arc<CannedBlock>>,
    /// Where a transaction occurs: the hash of the block and the position in it. Several after reorgs.
    pub(crate) inclusions: HashMap<B256, Vec<(B256, usize)>>,
    pub(crate) ceiling: Option<u64>,
    pub(crate) safe: Tag,
    pub(crate) finalized: Tag,
}

impl CannedChain {
    /// An empty chain. Until a block 0 is pushed or set, a bare one answers for it (with the network's
    /// true genesis hash for mainnet and Sepolia). Tags: safe is 32 and finalized 64 below the head.
    pub fn new(chain_id: u64) -> Self {
        let (heads, _) = broadcast::channel(4 * ANNOUNCED_AT_ONCE);
        let default_genesis = Arc::new(CannedBlock::bare_genesis(genesis_hash(chain_id), 0));
        let state = RwLock::new(State {
            chain_id,
            client_version: "tallyscan-simnode/0.1".to_owned(),
            genesis: None,
            default_genesis,
            canonical: BTreeMap::new(),
            by_hash: HashMap::new(),
            inclusions: HashMap::new(),
            ceiling: None,
            safe: Tag::Behind(32),
            finalized: Tag::Behind(64),
        });
        Self {
            shared: Arc::new(Shared { state, heads }),
        }
    }

    /// An empty chain, then every block pushed.
    ///
    /// # Panics
    /// When the heights do not rise.
    pub fn with_blocks(chain_id: u64, blocks: impl IntoIterator<Item = CannedBlock>) -> Self {
        let chain = Self::new(chain_id);
        chain.extend(blocks);
        chain
    }

    /// Puts a block on top. Visible, and announced, unless the head is held below it.
    ///
    /// # Panics
    /// When the height is not above the newest block's: a mistake in the test. Parent links are not
    /// checked, gaps are allowed: a node may be wrong.
    pub fn push(&self, block: CannedBlock) {
        self.extend([block]);
    }

    /// Puts blocks on top, as one step.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub fn extend(&self, blocks: impl IntoIterator<Item = CannedBlock>) {
        self.change(|state| {
            let first = state.append(blocks);
            first.unwrap_or(u64::MAX)
        });
    }

    /// Reorg: removes the canonical blocks from `number` up and puts `blocks` in their place, as one
    /// step. What was removed stays available by hash. With no blocks the head only goes backwards,
    /// which announces nothing. A head that is held stays held.
    ///
    /// # Panics
    /// When the blocks' heights do not rise from `number` or above.
    pub fn replace_from(&self, number: u64, blocks: impl IntoIterator<Item = CannedBlock>) {
        self.change(|state| {
            state.canonical.split_off(&number);
            let first = state.append(blocks).unwrap_or(u64::MAX);
            assert!(
                first >= number,
                "a branch from {number} cannot hold block {first}"
            );
            first
        });
    }

    /// Holds the head at `number`: blocks above are invisible until it is raised. Newly visible
    /// blocks are announced in order; lowering the head announces nothing.
    pub fn set_head(&self, number: u64) {
        self.change(|state| {
            let before = state.head_number();
            state.ceiling = Some(number);
            before.map_or(0, |before| before.saturating_add(1))
        });
    }

    /// Lets the head follow the newest block again.
    pub fn release_head(&self) {
        self.set_head(u64::MAX);
    }

    /// Raises a held head by `count` blocks.
    pub fn advance(&self, count: u64) {
        let head = self.head().map_or(0, |head| head.number);
        self.set_head(head.saturating_add(count));
    }

    /// How `safe` resolves.
    pub fn set_safe(&self, tag: Tag) {
        self.write(|state| state.safe = tag);
    }

    /// How `finalized` resolves.
    pub fn set_finalized(&self, tag: Tag) {
        self.write(|state| state.finalized = tag);
    }

    /// Makes this block answer for height 0, whatever the chain holds there.
    pub fn set_genesis(&self, block: CannedBlock) {
        self.write(|state| state.genesis = Some(Arc::new(block)));
    }

    /// What `eth_chainId` and `net_version` answer.
    pub fn set_chain_id(&self, chain_id: u64) {
        self.write(|state| state.chain_id = chain_id);
    }

    /// What `web3_clientVersion` answers.
    pub fn set_client_version(&self, version: impl Into<String>) {
        let version = version.into();
        self.write(|state| state.client_version = version);
    }

    /// Forgets every block that is not canonical, as a pruned node does. Returns how many.
    pub fn forget_orphans(&self) -> usize {
        self.write(|state| {
            let canonical = &state.canonical;
            let orphan = |block: &CannedBlock| {
                canonical
                    .get(&block.number)
                    .is_none_or(|kept| kept.hash != block.hash)
            };
            let before = state.by_hash.len();
            state.by_hash.retain(|_, block| !orphan(block));
            before - state.by_hash.len()
        })
    }

    /// Forgets one block by hash, canonical or not. Returns whether it was known.
    pub fn forget(&self, hash: B256) -> bool {
        self.write(|state| {
            let Some(block) = state.by_hash.remove(&hash) else {
                return false;
            };
            let here = state.canonical.get(&block.number);
            if here.is_some_and(|kept| kept.hash == hash) {
                state.canonical.remove(&block.number);
            }
            true
        })
    }

    /// The newest visible block.
    pub fn head(&self) -> Option<Arc<CannedBlock>> {
        self.read(0, |view| view.head_block().cloned())
    }

    /// The visible canonical block at a height.
    pub fn block(&self, number: u64) -> Option<Arc<CannedBlock>> {
        self.read(0, |view| view.at(number).cloned())
    }

    /// A block by hash, canonical or orphaned, unless forgotten.
    pub fn block_by_hash(&self, hash: B256) -> Option<Arc<CannedBlock>> {
        self.read(0, |view| view.by_hash(hash).cloned())
    }

    /// Number of canonical blocks, visible or not.
    pub fn len(&self) -> usize {
        let state = self.shared.state.read();
        state
            .unwrap_or_else(PoisonError::into_inner)
            .canonical
            .len()
    }

    /// Whether there is no canonical block.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Receives every block that becomes the head from now on.
    pub(crate) fn heads(&self) -> broadcast::Receiver<Arc<CannedBlock>> {
        self.shared.heads.subscribe()
    }

    /// The chain as a node sees it that lags `behind` blocks.
    pub(crate) fn read<R>(&self, behind: u64, look: impl FnOnce(&View<'_>) -> R) -> R {
        let state = self
            .shared
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        look(&View::new(&state, behind))
    }

    fn write<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self
            .shared
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(&mut state)
    }

    /// Changes the chain and announces what is visible from the height that `change` returns.
    /// Announced under the lock: two changes at once cannot be announced in the wrong order.
    fn change(&self, change: impl FnOnce(&mut State) -> u64) {
        self.write(|state| {
            let first = change(state);
            let Some(head) = state.head_number().filter(|head| *head >= first) else {
                return;
            };
            let fresh = state.canonical.range(first..=head).map(|(_, block)| block);
            let newest: Vec<_> = fresh.rev().take(ANNOUNCED_AT_ONCE).cloned().collect();
            for block in newest.into_iter().rev() {
                // No receiver means that nobody subscribed.
                let _ = self.shared.heads.send(block);
            }
        });
    }
}

impl State {
    pub(crate) fn head_number(&self) -> Option<u64> {
        let ceiling = self.ceiling.unwrap_or(u64::MAX);
        self.canonical
            .range(..=ceiling)
            .next_back()
            .map(|(number, _)| *number)
    }

    /// Appends in rising order; returns the lowest height added.
    fn append(&mut self, blocks: impl IntoIterator<Item = CannedBlock>) -> Option<u64> {
        let mut first = None;
        for block in blocks {
            let newest = self.canonical.last_key_value().map(|(number, _)| *number);
            assert!(
                newest.is_none_or(|newest| newest < block.number),
                "block {} cannot follow block {}",
                block.number,
                newest.unwrap_or_default()
            );
            first = first.or(Some(block.number));
            let known = self.by_hash.contains_key(&block.hash);
            let block = Arc::new(block);
            // A branch may come back after a flip-flop: its transactions are already noted.
            if !known {
                for (position, transaction) in block.transactions.iter().enumerate() {
                    let places = self.inclusions.entry(transaction.hash).or_default();
                    places.push((block.hash, position));
                }
            }
            self.by_hash.insert(block.hash, Arc::clone(&block));
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
