//! Valid chains without a network: true hashes, roots, blooms and signatures, from a seed.
//!
//! Everything that proof looks at is true: header hash, roots, blooms, gas, fees, contract addresses,
//! signatures, committed seals. What only an execution could prove is made up: state roots, and what the
//! calls do. Nonces rise by account and branch, so no transaction occurs twice on a chain; most of
//! those that a reorg drops come back on the other branch, some are replaced.

mod block;
mod call;
mod event;
mod profile;
mod qbft;
mod trace;
mod transaction;

use alloy::consensus::Header;
use alloy::eips::eip4895::Withdrawal;
use alloy::primitives::{B256, Bytes};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

pub use block::GeneratedBlock;
pub use profile::Profile;

use crate::account::Account;
use crate::executed::Executed;
use crate::seal;
use block::State;
use qbft::Extra;

/// The chain id that generated transactions are signed for.
pub const GENERATED_CHAIN_ID: u64 = 4_242;

/// Accounts that send: few, so that branches of a fork mostly have the same transactions.
const ACCOUNTS: usize = 6;

/// One more than a third of them may fail (QBFT: n = 3f + 1).
const VALIDATORS: usize = 4;

/// Seals that a block needs: two thirds of the validators, rounded up.
const QUORUM: usize = 3;

/// Blobs that a block holds at most (EIP-7691).
const MOST_BLOBS: usize = 9;

/// Makes blocks; the same seed makes the same ones.
pub struct Generator {
    seed: u64,
    random: StdRng,
    profile: Profile,
    accounts: Vec<Account>,
    validators: Vec<Account>,
}

impl Generator {
    /// A generator of a chain that follows these rules.
    #[must_use]
    pub fn new(seed: u64, profile: Profile) -> Self {
        let accounts = |purpose, count| {
            let numbered = |n| Account::numbered(purpose, n);
            (0..count).map(numbered).collect()
        };
        Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            profile,
            accounts: accounts("account", ACCOUNTS),
            validators: accounts("validator", VALIDATORS),
        }
    }

    /// A chain with everything: [`Profile::Prague`].
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::new(seed, Profile::Prague)
    }

    /// A chain sealed by QBFT validators: [`Profile::QbftZeroBaseFee`].
    #[must_use]
    pub fn qbft(seed: u64) -> Self {
        Self::new(seed, Profile::QbftZeroBaseFee)
    }

    /// The random numbers, for the test's own choices.
    pub fn random(&mut self) -> &mut StdRng {
        &mut self.random
    }

    /// Block 0 of a chain that was started anew: another one for every seed.
    pub fn other_genesis(&mut self) -> GeneratedBlock {
        let mut header = self.profile.genesis();
        header.extra_data = Bytes::copy_from_slice(&self.random.random::<[u8; 8]>());
        self.first(header)
    }

    /// Block 0, the same for every seed.
    pub fn genesis(&mut self) -> GeneratedBlock {
        self.first(self.profile.genesis())
    }

    /// A block on another, with up to four transactions.
    pub fn child(&mut self, parent: &GeneratedBlock) -> GeneratedBlock {
        let count = self.random.random_range(0..5);
        self.child_with(parent, count)
    }

    /// A block on another, with so many transactions: some 200 fit.
    pub fn child_with(&mut self, parent: &GeneratedBlock, count: usize) -> GeneratedBlock {
        let mut header = self
            .profile
            .child(&mut self.random, &parent.header, parent.hash);
        let mut state = parent.state.clone();
        let mut executed = self.execute(&mut state, count);
        let withdrawals = self.withdrawals(&mut state);
        seal::commit_to(&mut header, &mut executed, withdrawals.as_deref());
        let hash = self.seal(&mut header);
        GeneratedBlock::write(
            self.profile,
            (header, hash),
            &executed,
            withdrawals.as_deref(),
            state,
        )
    }

    /// So many blocks on another.
    pub fn branch(&mut self, parent: &GeneratedBlock, length: usize) -> Vec<GeneratedBlock> {
        let mut blocks: Vec<GeneratedBlock> = Vec::with_capacity(length);
        for _ in 0..length {
            let block = self.child(blocks.last().unwrap_or(parent));
            blocks.push(block);
        }
        blocks
    }

    fn first(&self, mut header: Header) -> GeneratedBlock {
        let state = State {
            nonces: vec![0; self.accounts.len()],
            withdrawals: 0,
        };
        let none: Option<&[Withdrawal]> = self.profile.has_withdrawals().then_some(&[]);
        seal::commit_to(&mut header, &mut [], none);
        let hash = header.hash_slow();
        GeneratedBlock::write(self.profile, (header, hash), &[], none, state)
    }

    fn execute(&mut self, state: &mut State, count: usize) -> Vec<Executed> {
        let mut blobs = 0;
        let mut executed = Vec::with_capacity(count);
        while executed.len() < count {
            let index = self.random.random_range(0..self.accounts.len());
            // One in ten transactions is another one on another branch.
            let mut variant = if self.random.random_ratio(1, 10) {
                self.random.random()
            } else {
                0
            };
            let place = (index, state.nonces[index]);
            let draft = loop {
                let key = (self.seed, variant);
                let draft = transaction::draft(key, self.profile, &self.accounts, place);
                let own = draft.envelope.as_eip4844();
                let own = own.map_or(0, |signed| signed.tx().blob_versioned_hashes.len());
                if blobs + own <= MOST_BLOBS {
                    blobs += own;
                    break draft;
                }
                variant = variant.wrapping_add(1);
            };
            state.nonces[index] += 1;
            executed.push(draft.execute(&mut self.random));
        }
        executed
    }

    fn withdrawals(&mut self, state: &mut State) -> Option<Vec<Withdrawal>> {
        let most = match self.profile {
            Profile::Prague => 4,
            _ => 0,
        };
        let count = self.random.random_range(0..=most);
        let withdrawals = (0..count).map(|_| {
            let index = state.withdrawals;
            state.withdrawals += 1;
            Withdrawal {
                index,
                validator_index: self.random.random_range(0..1_000_000),
                address: call::wallet(self.random.random_range(0..8)),
                amount: self.random.random_range(0..40_000_000_000),
            }
        });
        let withdrawals = withdrawals.collect();
        self.profile.has_withdrawals().then_some(withdrawals)
    }

    /// Completes the header as its consensus does; returns the block's hash.
    fn seal(&mut self, header: &mut Header) -> B256 {
        if !self.profile.is_qbft() {
            return header.hash_slow();
        }
        let round = if self.random.random_ratio(1, 4) {
            self.random.random_range(1..=300)
        } else {
            0
        };
        let votes = self.random.random_ratio(1, 8);
        let mut vanity = [0; 32];
        vanity[..8].copy_from_slice(&self.random.random::<[u8; 8]>());
        let extra = Extra {
            vanity,
            validators: self.validators.iter().map(|one| one.address).collect(),
            vote: votes.then(|| (call::wallet(0), self.random.random())),
            round,
        };
        let turn = header.number.wrapping_add(u64::from(round));
        let proposer = usize::try_from(turn).unwrap_or(0) % self.validators.len();
        header.beneficiary = self.validators[proposer].address;
        let seals = self.random.random_range(QUORUM..=self.validators.len());
        // Those that answered first, whoever they are.
        let signers = (0..seals).map(|n| &self.validators[(proposer + n) % VALIDATORS]);
        let signers: Vec<&Account> = signers.collect();
        qbft::seal(header, &extra, &signers)
    }
}
