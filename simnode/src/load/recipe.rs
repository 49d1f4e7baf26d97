//! What the transactions of a load chain are: a function of the seed and their place.

use std::iter;

use alloy::consensus::{SignableTransaction as _, Signed, TxEip1559, TxLegacy};
use alloy::primitives::{
    Address, B256, Bloom, BloomInput, Bytes, Log, LogData, Signature, TxKind, U256, keccak256,
};

use super::LoadProfile;
use super::signer::Signer;
use crate::account::Account;
use crate::executed::{Executed, Transaction};
use crate::faults::splitmix;

/// An address with the hash that a bloom takes of it as a topic.
struct Wallet {
    address: Address,
    topic_hash: B256,
}

impl From<Address> for Wallet {
    fn from(address: Address) -> Self {
        Self {
            address,
            topic_hash: keccak256(address.into_word()),
        }
    }
}

/// A token with the hash that a bloom takes of it.
struct Token {
    address: Address,
    hash: B256,
}

/// Accounts, tokens and signatures' points: computed once.
pub(super) struct Recipe {
    profile: LoadProfile,
    signer: Signer,
    senders: Vec<Account>,
    sending: Vec<Wallet>,
    receiving: Vec<Wallet>,
    tokens: Vec<Token>,
    transfer: B256,
    transfer_hash: B256,
    approval: B256,
    approval_hash: B256,
}

/// What a transaction is restored for: the rest of it is left empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// No logs.
    Block,
    /// No input.
    Receipts,
    Both,
}

/// What is drawn for one transaction.
struct Drawn {
    sender: usize,
    nonce: u64,
    recipient: usize,
    token: usize,
    amount: U256,
    legacy: bool,
    approves: bool,
    gas_used: u64,
    tip: u128,
    point: u64,
}

impl Recipe {
    pub(super) fn new(profile: LoadProfile) -> Self {
        let senders: Vec<Account> = (0..profile.senders.max(1))
            .map(|n| Account::numbered("load", n))
            .collect();
        let numbered = |what: &str, n: usize| Address::from_word(keccak256(format!("{what} {n}")));
        let tokens = (0..profile.tokens.max(1)).map(|n| {
            let address = numbered("load token", n);
            let hash = keccak256(address);
            Token { address, hash }
        });
        let receiving = (0..profile.recipients.max(1)).map(|n| numbered("load wallet", n).into());
        let transfer = if profile.transfers {
            keccak256("Transfer(address,address,uint256)")
        } else {
            keccak256("Unknown(address,address,uint256)")
        };
        let approval = keccak256("Approval(address,address,uint256)");
        Self {
            signer: Signer::new(),
            sending: senders.iter().map(|one| one.address.into()).collect(),
            receiving: receiving.collect(),
            tokens: tokens.collect(),
            senders,
            transfer,
            transfer_hash: keccak256(transfer),
            approval,
            approval_hash: keccak256(approval),
            profile,
        }
    }

    /// Signs the n-th transaction of the chain and executes it.
    pub(super) fn sign(&self, n: u64) -> Executed {
        let drawn = self.draw(n);
        let secret = self.senders[drawn.sender].secret;
        let envelope = if drawn.legacy {
            let tx = self.legacy(&drawn, Use::Both);
            let signature = self.signer.sign(secret, tx.signature_hash(), drawn.point);
            tx.into_signed(signature).into()
        } else {
            let tx = self.dynamic_fee(&drawn, Use::Both);
            let signature = self.signer.sign(secret, tx.signature_hash(), drawn.point);
            tx.into_signed(signature).into()
        };
        self.execute(&drawn, envelope, Use::Both)
    }

    /// The n-th transaction again, from what was kept of it.
    pub(super) fn restore(
        &self,
        n: u64,
        (s, odd): (U256, bool),
        hash: B256,
        used: Use,
    ) -> Executed {
        let drawn = self.draw(n);
        let signature = Signature::new(self.signer.r(drawn.point), s, odd);
        let envelope = if drawn.legacy {
            Signed::new_unchecked(self.legacy(&drawn, used), signature, hash).into()
        } else {
            Signed::new_unchecked(self.dynamic_fee(&drawn, used), signature, hash).into()
        };
        self.execute(&drawn, envelope, used)
    }

    /// Senders take turns, so that a nonce follows from the place.
    fn draw(&self, n: u64) -> Drawn {
        let mut state = self.profile.seed ^ n.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let mut next = || splitmix(&mut state);
        let senders = u64::try_from(self.senders.len()).unwrap_or(u64::MAX);
        let kind = next();
        let (recipients, tokens) = self.profile.unevenness;
        Drawn {
            sender: usize::try_from(n % senders).unwrap_or(0),
            nonce: n / senders,
            recipient: below(self.receiving.len(), recipients, &mut next),
            token: below(self.tokens.len(), tokens, &mut next),
            amount: U256::from(next()) * U256::from(1_000_000_000_u64),
            legacy: kind % 4 == 0,
            approves: kind % 8 < 4,
            gas_used: 46_000 + (kind >> 8) % 20_000,
            tip: u128::from(next() % 2_000_000_000),
            point: kind >> 32,
        }
    }

    fn legacy(&self, drawn: &Drawn, used: Use) -> TxLegacy {
        TxLegacy {
            chain_id: Some(self.profile.chain_id),
            nonce: drawn.nonce,
            gas_price: 2_000_000_000 + drawn.tip,
            gas_limit: 100_000,
            to: TxKind::Call(self.tokens[drawn.token].address),
            value: U256::ZERO,
            input: self.input(drawn, used),
        }
    }

    fn dynamic_fee(&self, drawn: &Drawn, used: Use) -> TxEip1559 {
        TxEip1559 {
            chain_id: self.profile.chain_id,
            nonce: drawn.nonce,
            gas_limit: 100_000,
            max_fee_per_gas: 5_000_000_000,
            max_priority_fee_per_gas: drawn.tip,
            to: TxKind::Call(self.tokens[drawn.token].address),
            value: U256::ZERO,
            input: self.input(drawn, used),
            ..TxEip1559::default()
        }
    }

    /// `transfer(address,uint256)`, whose selector every explorer knows.
    fn input(&self, drawn: &Drawn, used: Use) -> Bytes {
        if used == Use::Receipts {
            return Bytes::new();
        }
        let mut input = Vec::with_capacity(68);
        input.extend([0xa9, 0x05, 0x9c, 0xbb]);
        input.extend(self.receiving[drawn.recipient].address.into_word());
        input.extend(drawn.amount.to_be_bytes::<32>());
        input.into()
    }

    /// One log for a transfer, two when an approval goes before it.
    fn execute(&self, drawn: &Drawn, envelope: Transaction, used: Use) -> Executed {
        let sender = self.sending[drawn.sender].address;
        if used == Use::Block {
            let none = (Vec::new(), Bloom::ZERO);
            return Executed::with_bloom(envelope, sender, drawn.gas_used, true, none);
        }
        let (from, to) = (
            &self.sending[drawn.sender],
            &self.receiving[drawn.recipient],
        );
        let token = &self.tokens[drawn.token];
        let data = Bytes::from(drawn.amount.to_be_bytes::<32>().to_vec());
        let log = |event: B256| Log {
            address: token.address,
            data: LogData::new_unchecked(
                vec![event, from.address.into_word(), to.address.into_word()],
                data.clone(),
            ),
        };
        let mut bloom = Bloom::ZERO;
        let hashes = [
            token.hash,
            self.transfer_hash,
            from.topic_hash,
            to.topic_hash,
        ];
        for hash in hashes
            .into_iter()
            .chain(drawn.approves.then_some(self.approval_hash))
        {
            bloom.accrue(BloomInput::Hash(hash));
        }
        let logs = drawn
            .approves
            .then_some(self.approval)
            .into_iter()
            .chain(iter::once(self.transfer));
        let logs = logs.map(log).collect();
        Executed::with_bloom(envelope, sender, drawn.gas_used, true, (logs, bloom))
    }
}

/// A number below `count`, the product of so many even draws: with more of them, small numbers are ever
/// more frequent.
fn below(count: usize, draws: u32, mut next: impl FnMut() -> u64) -> usize {
    let scale = |bits: u64, by: u64| u64::try_from((u128::from(bits) * u128::from(by)) >> 64);
    let product = (1..draws).fold(next(), |so_far, _| scale(so_far, next()).unwrap_or(0));
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    usize::try_from(scale(product, count).unwrap_or(0)).unwrap_or(0)
}
