//! A long chain for benchmarks: millions of distinct, valid transactions in little memory.
//!
//! Everything about a transaction follows from the seed and its place, but for what is slow to compute:
//! its hash and its signature. Those, 64 bytes, are kept in an unnamed file; headers are kept in memory
//! (under a kilobyte a block); the text of a block is written anew at every request, which costs about as
//! much as reading it from a file would, and no disk.

mod recipe;
mod signer;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::FileExt as _;
use std::thread;

use alloy::consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy::eips::eip1559::BaseFeeParams;
use alloy::primitives::{B256, U256};

use crate::block::{CannedBlock, Stated};
use crate::executed::Executed;
use crate::json::Json;
use crate::seal;
use crate::text::{self, Place, Rest};
use recipe::{Recipe, Use};

/// Bytes kept of a transaction: `s` with the parity in its top bit, which EIP-2 leaves free, and the hash.
const KEPT: usize = 64;

/// Seconds between blocks.
const BLOCK_TIME: u64 = 2;

/// What a load chain is made of.
#[derive(Debug, Clone)]
pub struct LoadProfile {
    /// Another seed, another chain.
    pub seed: u64,
    /// What transactions are signed for.
    pub chain_id: u64,
    /// Transactions of every block but the first.
    pub transactions: usize,
    /// Accounts that send in turns: one of them has so many blocks' transactions divided by this.
    pub senders: usize,
    /// Wallets that receive.
    pub recipients: usize,
    /// Tokens that are moved.
    pub tokens: usize,
    /// How unevenly recipients and tokens are drawn: as the product of so many even draws. With one, all
    /// are drawn as often.
    pub unevenness: (u32, u32),
    /// Whether their logs are transfers; else they are of the same size, and of an event that nobody knows.
    pub transfers: bool,
}

impl LoadProfile {
    /// Recipients and tokens as uneven as those of real blocks: five of mainnet's, of 766 transfers, name
    /// 1.44 pairs of token and holder a transfer, and half of them 1.62. At that pace 600,000 transfers
    /// name 0.46 a transfer. So does this; evenly drawn it is 1.03.
    pub const AS_ON_MAINNET: (u32, u32) = (4, 3);
}

impl Default for LoadProfile {
    /// 200 ERC-20 transfers a block, with one or two logs each, between many accounts.
    fn default() -> Self {
        Self {
            seed: 1,
            chain_id: crate::GENERATED_CHAIN_ID,
            transactions: 200,
            senders: 1_000,
            recipients: 100_000,
            tokens: 50,
            unevenness: (1, 1),
            transfers: true,
        }
    }
}

/// A chain of uniform blocks, served by [`CannedChain::with_load`](crate::CannedChain::with_load).
pub struct LoadChain {
    profile: LoadProfile,
    recipe: Recipe,
    blocks: Vec<Sealed>,
    by_hash: HashMap<B256, u64>,
    kept: File,
}

struct Sealed {
    header: Header,
    hash: B256,
    size: u64,
}

/// A header without its place in the chain.
struct Unlinked {
    header: Header,
    transactions_length: usize,
}

impl LoadChain {
    /// Block 0 and so many blocks on it, made on all cores.
    ///
    /// # Errors
    /// When the temporary folder has no room for 64 bytes a transaction.
    pub fn generate(profile: LoadProfile, blocks: u64) -> io::Result<Self> {
        let recipe = Recipe::new(profile.clone());
        let kept = tempfile::tempfile()?;
        let unlinked = prepare(&recipe, &profile, &kept, blocks)?;
        let blocks = link(unlinked);
        let by_hash = blocks
            .iter()
            .map(|block| (block.hash, block.header.number))
            .collect();
        Ok(Self {
            profile,
            recipe,
            blocks,
            by_hash,
            kept,
        })
    }

    /// What transactions are signed for.
    pub fn chain_id(&self) -> u64 {
        self.profile.chain_id
    }

    /// The newest block's height.
    pub fn head(&self) -> u64 {
        u64::try_from(self.blocks.len()).unwrap_or(u64::MAX) - 1
    }

    /// The hash of a block.
    pub fn hash(&self, number: u64) -> Option<B256> {
        Some(self.sealed(number)?.hash)
    }

    /// The height of a block.
    pub fn number(&self, hash: B256) -> Option<u64> {
        self.by_hash.get(&hash).copied()
    }

    /// A block with its receipts, written out.
    pub fn canned(&self, number: u64) -> Option<CannedBlock> {
        let sealed = self.sealed(number)?;
        Some(write(sealed, &self.executed(number, Use::Both)))
    }

    /// So many blocks on one of this chain, with the transactions of another seed: a branch for a reorg.
    /// They are whole, in memory.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn branch(&self, parent: u64, seed: u64, length: u64) -> io::Result<Vec<CannedBlock>> {
        let Some(fork) = self.sealed(parent) else {
            return Ok(Vec::new());
        };
        let profile = LoadProfile {
            seed,
            ..self.profile.clone()
        };
        let recipe = Recipe::new(profile.clone());
        let mut parent = (fork.header.clone(), fork.hash);
        let mut branch = Vec::new();
        for number in (parent.0.number + 1..).take(usize::try_from(length).unwrap_or(0)) {
            let places = places(number, profile.transactions);
            let mut executed: Vec<Executed> = places.map(|n| recipe.sign(n)).collect();
            let sealed = on(Some(&parent), unlinked(&mut executed));
            branch.push(write(&sealed, &executed));
            parent = (sealed.header, sealed.hash);
        }
        Ok(branch)
    }

    /// The bare result of `eth_getBlockByNumber(n, true)`.
    pub(crate) fn block(&self, number: u64) -> Option<Json> {
        let sealed = self.sealed(number)?;
        let place = Place::new(&sealed.header, sealed.hash, None);
        Some(
            text::block(&place, &sealed.rest(), &self.executed(number, Use::Block))
                .0
                .text,
        )
    }

    /// The bare result of `eth_getBlockReceipts`.
    pub(crate) fn receipts(&self, number: u64) -> Option<Json> {
        let sealed = self.sealed(number)?;
        let place = Place::new(&sealed.header, sealed.hash, None);
        Some(text::receipts(&place, &self.executed(number, Use::Receipts)).text)
    }

    /// A block for an announcement, which tells of no transactions.
    pub(crate) fn announced(&self, number: u64) -> Option<CannedBlock> {
        Some(write(self.sealed(number)?, &[]))
    }

    fn sealed(&self, number: u64) -> Option<&Sealed> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    fn executed(&self, number: u64, used: Use) -> Vec<Executed> {
        let places = places(number, self.profile.transactions);
        let mut kept = vec![0; KEPT * self.profile.transactions];
        if number > 0 {
            let read = self.kept.read_exact_at(&mut kept, offset(places.start));
            // The file has no name: nobody else can cut it short.
            read.unwrap_or_else(|error| panic!("cannot read what was written before: {error}"));
        }
        let kept = kept.chunks_exact(KEPT);
        let restored = places.zip(kept).map(|(n, kept)| {
            let mut s = U256::from_be_slice(&kept[..32]);
            let odd = s.bit(255);
            s.set_bit(255, false);
            self.recipe
                .restore(n, (s, odd), B256::from_slice(&kept[32..]), used)
        });
        restored.collect()
    }
}

impl Sealed {
    fn rest(&self) -> Rest<'static> {
        Rest {
            size: self.size,
            total_difficulty: None,
            withdrawals: None,
        }
    }
}

/// Which of the chain's transactions a block has: none in block 0.
fn places(number: u64, transactions: usize) -> std::ops::Range<u64> {
    let count = u64::try_from(transactions).unwrap_or(u64::MAX);
    number.saturating_sub(1) * count..number * count
}

fn offset(place: u64) -> u64 {
    place * u64::try_from(KEPT).unwrap_or(u64::MAX)
}

/// Signs and hashes everything but the headers, each thread a range of blocks.
fn prepare(
    recipe: &Recipe,
    profile: &LoadProfile,
    kept: &File,
    blocks: u64,
) -> io::Result<Vec<Unlinked>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let each = blocks.div_ceil(u64::try_from(threads).unwrap_or(1)).max(1);
    let range = |start: u64| -> io::Result<Vec<Unlinked>> {
        let mut range = Vec::new();
        for number in start..=blocks.min(start + each - 1) {
            let places = places(number, profile.transactions);
            let start = places.start;
            let mut executed: Vec<Executed> = places.map(|n| recipe.sign(n)).collect();
            kept.write_all_at(&keep(&executed), offset(start))?;
            range.push(unlinked(&mut executed));
        }
        Ok(range)
    };
    let range = &range;
    let mut all = vec![unlinked(&mut [])];
    thread::scope(|scope| {
        let ranges: Vec<_> = (1..=blocks)
            .step_by(usize::try_from(each).unwrap_or(usize::MAX))
            .map(|start| scope.spawn(move || range(start)))
            .collect();
        for range in ranges {
            let made = range.join();
            all.extend(made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}

fn keep(executed: &[Executed]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(KEPT * executed.len());
    for one in executed {
        let signature = one.envelope.signature();
        let mut s = signature.s();
        s.set_bit(255, signature.v());
        kept.extend(s.to_be_bytes::<32>());
        kept.extend(one.envelope.tx_hash());
    }
    kept
}

fn unlinked(executed: &mut [Executed]) -> Unlinked {
    let mut header = Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        gas_limit: 60_000_000,
        ..Header::default()
    };
    seal::commit_to(&mut header, executed, None);
    Unlinked {
        header,
        transactions_length: seal::transactions_length(executed),
    }
}

/// Hashes the headers one after the other: each has its parent's hash.
fn link(unlinked: Vec<Unlinked>) -> Vec<Sealed> {
    let mut blocks: Vec<Sealed> = Vec::with_capacity(unlinked.len());
    let mut parent = None;
    for one in unlinked {
        let sealed = on(parent.as_ref(), one);
        parent = Some((sealed.header.clone(), sealed.hash));
        blocks.push(sealed);
    }
    blocks
}

fn on(parent: Option<&(Header, B256)>, unlinked: Unlinked) -> Sealed {
    let mut header = unlinked.header;
    if let Some((parent, hash)) = parent {
        header.parent_hash = *hash;
        header.number = parent.number + 1;
        header.timestamp = parent.timestamp + BLOCK_TIME;
        header.base_fee_per_gas = parent.next_block_base_fee(BaseFeeParams::ethereum());
    } else {
        header.timestamp = 1_700_000_000;
        header.base_fee_per_gas = Some(1_000_000_000);
    }
    Sealed {
        hash: header.hash_slow(),
        size: seal::size(&header, unlinked.transactions_length, None),
        header,
    }
}

fn write(sealed: &Sealed, executed: &[Executed]) -> CannedBlock {
    let place = Place::new(&sealed.header, sealed.hash, None);
    let stated = Stated {
        number: sealed.header.number,
        hash: sealed.hash,
        parent_hash: sealed.header.parent_hash,
        timestamp: sealed.header.timestamp,
    };
    let block = text::block(&place, &sealed.rest(), executed);
    let receipts = text::receipts(&place, executed);
    let hashes = executed.iter().map(|one| *one.envelope.tx_hash());
    CannedBlock::written(&stated, block, receipts, hashes)
}
