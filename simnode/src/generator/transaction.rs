//! Signed transactions of every type, each a function of seed, account, nonce and variant.

use std::iter;

use alloy::consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy, TxType,
};
use alloy::eips::eip2930::{AccessList, AccessListItem};
use alloy::eips::eip7702::{Authorization, SignedAuthorization};
use alloy::primitives::{B256, Bytes, Log, Signature, TxKind, U256, keccak256};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::call::{self, Call};
use super::{GENERATED_CHAIN_ID, Profile};
use crate::account::Account;
use crate::executed::{Executed, Transaction};

/// Blobs that one transaction carries at most.
const BLOBS: usize = 3;

/// A signed transaction that no block has executed yet.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) envelope: Transaction,
    from: alloy::primitives::Address,
    logs: Vec<Log>,
    intrinsic_gas: u64,
    execution_gas: u64,
}

impl Draft {
    /// What a block makes of it: one in eight fails, at any point of its execution.
    pub(crate) fn execute(self, random: &mut StdRng) -> Executed {
        let fails = random.random_ratio(1, 8);
        let (execution_gas, logs) = if fails {
            (random.random_range(0..=self.execution_gas), Vec::new())
        } else {
            (self.execution_gas, self.logs)
        };
        let gas_used = self.intrinsic_gas + execution_gas;
        Executed::new(self.envelope, self.from, gas_used, !fails, logs)
    }
}

/// What is drawn once, whatever the type makes of it.
struct Common<'a> {
    random: StdRng,
    account: &'a Account,
    profile: Profile,
    nonce: u64,
    gas_limit: u64,
    call: Call,
}

/// Draws the transaction of an account at a nonce; another variant replaces it.
pub(crate) fn draft(
    (seed, variant): (u64, u64),
    profile: Profile,
    accounts: &[Account],
    (index, nonce): (usize, u64),
) -> Draft {
    let account = &accounts[index];
    let source = format!("{seed} {variant} {index} {nonce} {profile:?}");
    let mut random = StdRng::from_seed(keccak256(source).0);
    let types = profile.types();
    let ty = types[random.random_range(0..types.len())];
    let may_create = !matches!(ty, TxType::Eip4844 | TxType::Eip7702);
    let call = call::draw(&mut random, account.address, nonce, may_create);
    let lists = 2_400 * 3 + 1_900 * 3 + 25_000 * 2;
    // The floor of EIP-7623 is 40 gas a byte.
    let data = 40 * u64::try_from(call.input.len()).unwrap_or(0);
    let creation = if call.to.is_create() { 32_000 } else { 0 };
    let intrinsic_gas = 21_000 + data + creation + if ty == TxType::Legacy { 0 } else { lists };
    let (execution_gas, logs) = (call.execution_gas, call.logs.clone());
    let common = Common {
        gas_limit: intrinsic_gas + execution_gas + random.random_range(0..50_000),
        random,
        account,
        profile,
        nonce,
        call,
    };
    Draft {
        envelope: common.signed_as(ty, accounts),
        from: account.address,
        logs,
        intrinsic_gas,
        execution_gas,
    }
}

impl Common<'_> {
    fn signed_as(mut self, ty: TxType, accounts: &[Account]) -> Transaction {
        match ty {
            TxType::Legacy => self.legacy(),
            TxType::Eip2930 => self.with_access_list(),
            TxType::Eip1559 => self.with_dynamic_fee(),
            TxType::Eip4844 => self.with_blobs(),
            TxType::Eip7702 => self.with_authorizations(accounts),
        }
    }

    fn legacy(&mut self) -> Transaction {
        // A quarter can be replayed on any chain, as before EIP-155.
        let protected = !self.random.random_ratio(1, 4);
        let tx = TxLegacy {
            chain_id: protected.then_some(GENERATED_CHAIN_ID),
            nonce: self.nonce,
            gas_price: self.price(),
            gas_limit: self.gas_limit,
            to: self.call.to,
            value: self.call.value,
            input: self.input(),
        };
        let signature = self.sign(&tx);
        tx.into_signed(signature).into()
    }

    fn with_access_list(&mut self) -> Transaction {
        let tx = TxEip2930 {
            chain_id: GENERATED_CHAIN_ID,
            nonce: self.nonce,
            gas_price: self.price(),
            gas_limit: self.gas_limit,
            to: self.call.to,
            value: self.call.value,
            access_list: self.access_list(),
            input: self.input(),
        };
        let signature = self.sign(&tx);
        tx.into_signed(signature).into()
    }

    fn with_dynamic_fee(&mut self) -> Transaction {
        let (most, tip) = self.fees();
        let tx = TxEip1559 {
            chain_id: GENERATED_CHAIN_ID,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: most,
            max_priority_fee_per_gas: tip,
            to: self.call.to,
            value: self.call.value,
            access_list: self.access_list(),
            input: self.input(),
        };
        let signature = self.sign(&tx);
        tx.into_signed(signature).into()
    }

    fn with_blobs(&mut self) -> Transaction {
        let (most, tip) = self.fees();
        let count = self.random.random_range(1..=BLOBS);
        let blobs = iter::repeat_with(|| self.word())
            .take(count)
            .map(|mut hash| {
                // The version of a KZG commitment's hash (EIP-4844).
                hash[0] = 1;
                hash
            })
            .collect();
        let tx = TxEip4844 {
            chain_id: GENERATED_CHAIN_ID,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: most,
            max_priority_fee_per_gas: tip,
            to: self.called(),
            value: self.call.value,
            access_list: self.access_list(),
            blob_versioned_hashes: blobs,
            max_fee_per_blob_gas: self.random.random_range(1_000_000..1_000_000_000),
            input: self.input(),
        };
        let signature = self.sign(&tx);
        tx.into_signed(signature).into()
    }

    fn with_authorizations(&mut self, accounts: &[Account]) -> Transaction {
        let (most, tip) = self.fees();
        let count = self.random.random_range(1..=2);
        let tx = TxEip7702 {
            chain_id: GENERATED_CHAIN_ID,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: most,
            max_priority_fee_per_gas: tip,
            to: self.called(),
            value: self.call.value,
            access_list: self.access_list(),
            authorization_list: iter::repeat_with(|| self.authorization(accounts))
                .take(count)
                .collect(),
            input: self.input(),
        };
        let signature = self.sign(&tx);
        tx.into_signed(signature).into()
    }

    /// For this chain or, with chain id 0, for any.
    fn authorization(&mut self, accounts: &[Account]) -> SignedAuthorization {
        let authority = &accounts[self.random.random_range(0..accounts.len())];
        let chain_id = if self.random.random() {
            GENERATED_CHAIN_ID
        } else {
            0
        };
        let authorization = Authorization {
            chain_id: U256::from(chain_id),
            address: call::wallet(self.random.random_range(0..8)),
            nonce: self.random.random_range(0..1_000),
        };
        let signature = authority.sign(authorization.signature_hash());
        authorization.into_signed(signature)
    }

    fn access_list(&mut self) -> AccessList {
        let items = self.random.random_range(0..3);
        let mut item = || AccessListItem {
            address: call::wallet(self.random.random_range(0..8)),
            storage_keys: (0..self.random.random_range(0..3))
                .map(|_| self.word())
                .collect(),
        };
        AccessList(iter::repeat_with(&mut item).take(items).collect())
    }

    fn price(&mut self) -> u128 {
        let least = self.profile.least_price();
        // Where gas may be free it mostly is.
        if least == 0 && self.random.random_ratio(3, 4) {
            return 0;
        }
        least + self.random.random_range(0..50_000_000_000)
    }

    /// The most to pay, and how much of it at most to the proposer.
    fn fees(&mut self) -> (u128, u128) {
        let most = self.price();
        (most, self.random.random_range(0..=most))
    }

    fn word(&mut self) -> B256 {
        B256::from(self.random.random::<[u8; 32]>())
    }

    fn input(&mut self) -> Bytes {
        std::mem::take(&mut self.call.input)
    }

    fn called(&self) -> alloy::primitives::Address {
        match self.call.to {
            TxKind::Call(address) => address,
            TxKind::Create => unreachable!("creations are not drawn for this type"),
        }
    }

    fn sign(&self, tx: &impl SignableTransaction<Signature>) -> Signature {
        self.account.sign(tx.signature_hash())
    }
}
