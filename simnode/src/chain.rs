//! The chain that the node tells about: grows, reorganises and forgets on command.
//!
//! A [`CannedChain`] is a cheap handle; tests keep one and change the chain while the server answers.
//! Every answer is taken under one read lock, so a reply never mixes the chain before a reorg with
//! the chain after it.

use std::sync::{Arc, PoisonError, RwLock};

use alloy::primitives::B256;
use tokio::sync::broadcast;

use crate::block::CannedBlock;
use crate::load::LoadChain;
use crate::state::{Load, State};
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

/// How a node tells that it no longer has old blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruned {
    /// Error 4444 "pruned history unavailable" (EIP-4444; geth, reth, Nethermind).
    Error,
    /// Null, as for a block that never was (Besu, and nodes that began from a snapshot).
    Null,
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

impl CannedChain {
    /// An empty chain. Until a block 0 is pushed or set, a bare one answers for it (with the network's
    /// true genesis hash for mainnet and Sepolia). Tags: safe is 32 and finalized 64 below the head.
    pub fn new(chain_id: u64) -> Self {
        let (heads, _) = broadcast::channel(4 * ANNOUNCED_AT_ONCE);
        let state = RwLock::new(State::new(chain_id));
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

    /// A chain that begins with a load chain. Blocks can be put on top, and take the place of its own.
    /// Its transactions cannot be asked for by hash (error -32000 "transaction indexing is in progress").
    pub fn with_load(load: Arc<LoadChain>) -> Self {
        let chain = Self::new(load.chain_id());
        chain.write(|state| {
            let end = load.head() + 1;
            state.load = Some(Load { chain: load, end });
        });
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
            if let Some(load) = &mut state.load {
                load.end = load.end.min(number);
            }
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
            let before = state.known.len();
            state.known.retain(|_, block| !orphan(block));
            before - state.known.len()
        })
    }

    /// Forgets one block by hash, canonical or not. Returns whether it was known.
    pub fn forget(&self, hash: B256) -> bool {
        self.write(|state| {
            let Some(block) = state.known.remove(&hash) else {
                return false;
            };
            let here = state.canonical.get(&block.number);
            if here.is_some_and(|kept| kept.hash == hash) {
                state.canonical.remove(&block.number);
            }
            true
        })
    }

    /// The bodies of blocks below this height, but for block 0, are gone; `None` brings them back.
    /// Receipts and transactions go with them.
    pub fn set_pruned(&self, below: Option<(u64, Pruned)>) {
        self.write(|state| state.pruned = below);
    }

    /// Forgets the state below a height, so that older blocks are there and cannot be traced.
    pub fn set_stateless_below(&self, height: u64) {
        self.write(|state| state.stateless_below = height);
    }

    /// The newest visible block.
    pub fn head(&self) -> Option<Arc<CannedBlock>> {
        self.read(0, |view| view.head_block()?.canned())
    }

    /// The visible canonical block at a height.
    pub fn block(&self, number: u64) -> Option<Arc<CannedBlock>> {
        self.read(0, |view| view.at(number)?.canned())
    }

    /// A block by hash, canonical or orphaned, unless forgotten.
    pub fn block_by_hash(&self, hash: B256) -> Option<Arc<CannedBlock>> {
        self.read(0, |view| view.by_hash(hash)?.canned())
    }

    /// Number of canonical blocks, visible or not.
    pub fn len(&self) -> usize {
        let state = self.shared.state.read();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let load = state.load.as_ref().map_or(0, |load| load.end);
        state.canonical.len() + usize::try_from(load).unwrap_or(usize::MAX)
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
            if self.shared.heads.receiver_count() == 0 {
                return;
            }
            let fresh = state.heights(first, head);
            let newest: Vec<_> = fresh.take(ANNOUNCED_AT_ONCE).collect();
            let newest = newest.into_iter().rev();
            for block in newest.filter_map(|height| state.at(height)?.announced()) {
                // No receiver means that nobody subscribed.
                let _ = self.shared.heads.send(block);
            }
        });
    }
}
