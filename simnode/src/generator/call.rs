//! What a transaction does: whom it calls with what, and the logs that follow when it succeeds.

use std::iter;

use alloy::primitives::{Address, B256, Bytes, Log, TxKind, U256, keccak256};
use rand::{Rng as _, rngs::StdRng};

use super::event;

/// Wallets beside the senders.
const WALLETS: u8 = 40;

/// Contracts of each standard.
const TOKENS: u8 = 4;

/// Bytes of the largest call data: beyond the 24,576 bytes of a contract (EIP-170).
const LARGEST_INPUT: usize = 26_000;

/// What a transaction asks for and what comes of it.
pub(crate) struct Call {
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    /// Written when it succeeds.
    pub(crate) logs: Vec<Log>,
    /// Gas beyond what the data costs.
    pub(crate) execution_gas: u64,
}

impl Call {
    fn to(address: Address, input: impl Into<Bytes>, logs: Vec<Log>) -> Self {
        Self {
            to: TxKind::Call(address),
            value: U256::ZERO,
            input: input.into(),
            execution_gas: 5_000 + 30_000 * u64::try_from(logs.len()).unwrap_or(0),
            logs,
        }
    }

    fn with_value(mut self, value: U256) -> Self {
        self.value = value;
        self
    }
}

/// A wallet that only receives.
pub(crate) fn wallet(n: u8) -> Address {
    Address::from_word(keccak256([b'w', n]))
}

pub(crate) fn contract(standard: &str, n: u8) -> Address {
    Address::from_word(keccak256(format!("{standard} {n}")))
}

/// An amount of any magnitude: none, a few, all that a word holds.
fn amount(random: &mut StdRng) -> U256 {
    U256::from_be_bytes(random.random::<[u8; 32]>()) >> random.random_range(0..=256_usize)
}

pub(crate) fn ether(random: &mut StdRng) -> U256 {
    U256::from(random.random_range(0..100_000_000_u64)) * U256::from(1_000_000_000_000_u64)
}

/// A function's selector and arguments of one word each.
fn call_data(signature: &str, words: &[B256]) -> Vec<u8> {
    let selector = keccak256(signature);
    let words = words.iter().flatten().copied();
    selector[..4].iter().copied().chain(words).collect()
}

/// Draws a call by an account at a nonce. Not every transaction type may create.
pub(crate) fn draw(random: &mut StdRng, from: Address, nonce: u64, may_create: bool) -> Call {
    let token = random.random_range(0..TOKENS);
    let other = wallet(random.random_range(0..WALLETS));
    match random.random_range(0..20) {
        0..=1 => Call::to(other, Bytes::new(), Vec::new()).with_value(ether(random)),
        2 if may_create => creation(random, from, nonce),
        3..=8 => fungible(random, contract("ERC-20", token), from, other),
        9..=10 => {
            let (nft, id) = (contract("ERC-721", token), amount(random));
            let signature = "safeTransferFrom(address,address,uint256)";
            let words = [from.into_word(), other.into_word(), B256::from(id)];
            let logs = vec![event::erc721_transfer(nft, from, other, id)];
            Call::to(nft, call_data(signature, &words), logs)
        }
        11..=13 => several_kinds(random, contract("ERC-1155", token), from, other),
        14..=15 => wrapped_ether(random, contract("WETH", 0), from),
        16 => unusual_log(random, contract("unusual", token)),
        17 => {
            let length = random.random_range(0..LARGEST_INPUT);
            let input: Vec<u8> = iter::repeat_with(|| random.random()).take(length).collect();
            Call::to(contract("rollup", token), input, Vec::new())
        }
        18 => swap(random, from),
        _ => Call::to(other, random.random::<[u8; 6]>().to_vec(), Vec::new())
            .with_value(ether(random)),
    }
}

/// The new contract mints its supply to its creator.
fn creation(random: &mut StdRng, from: Address, nonce: u64) -> Call {
    let length = random.random_range(20..600);
    let code: Vec<u8> = iter::repeat_with(|| random.random()).take(length).collect();
    let created = from.create(nonce);
    let mint = event::erc20_transfer(created, Address::ZERO, from, amount(random));
    Call {
        to: TxKind::Create,
        execution_gas: 150_000,
        ..Call::to(created, code, vec![mint])
    }
}

fn fungible(random: &mut StdRng, token: Address, from: Address, other: Address) -> Call {
    let amount = amount(random);
    let word = B256::from(amount);
    match random.random_range(0..6) {
        0 => {
            let input = call_data("approve(address,uint256)", &[other.into_word(), word]);
            let logs = vec![event::erc20_approval(token, from, other, amount)];
            Call::to(token, input, logs)
        }
        1 => {
            let signature = "transferFrom(address,address,uint256)";
            let input = call_data(signature, &[other.into_word(), from.into_word(), word]);
            let logs = vec![
                event::erc20_approval(token, other, from, U256::ZERO),
                event::erc20_transfer(token, other, from, amount),
            ];
            Call::to(token, input, logs)
        }
        2 => {
            let input = call_data("burn(uint256)", &[word]);
            let logs = vec![event::erc20_transfer(token, from, Address::ZERO, amount)];
            Call::to(token, input, logs)
        }
        _ => {
            let input = call_data("transfer(address,uint256)", &[other.into_word(), word]);
            let logs = vec![event::erc20_transfer(token, from, other, amount)];
            Call::to(token, input, logs)
        }
    }
}

fn several_kinds(random: &mut StdRng, token: Address, from: Address, other: Address) -> Call {
    let parties = [from, from, other];
    let log = if random.random() {
        event::erc1155_single(token, parties, amount(random), amount(random))
    } else {
        let kinds = random.random_range(0..5_usize);
        let mut draw = || iter::repeat_with(|| amount(random)).take(kinds).collect();
        event::erc1155_batch(token, parties, draw(), draw())
    };
    let words = [from.into_word(), other.into_word()];
    let input = call_data("transferAll(address,address)", &words);
    Call::to(token, input, vec![log])
}

fn wrapped_ether(random: &mut StdRng, weth: Address, from: Address) -> Call {
    let amount = ether(random);
    if random.random() {
        let log = event::weth_deposit(weth, from, amount);
        Call::to(weth, call_data("deposit()", &[]), vec![log]).with_value(amount)
    } else {
        let log = event::weth_withdrawal(weth, from, amount);
        let input = call_data("withdraw(uint256)", &[B256::from(amount)]);
        Call::to(weth, input, vec![log])
    }
}

/// Topics nobody knows: from none (anonymous) to four, with data of any length.
fn unusual_log(random: &mut StdRng, address: Address) -> Call {
    let count = random.random_range(0..=4);
    let topics = iter::repeat_with(|| B256::from(random.random::<[u8; 32]>()))
        .take(count)
        .collect();
    let length = random.random_range(0..100);
    let log = event::log(address, topics, vec![0x5a; length]);
    Call::to(address, vec![0x01], vec![log])
}

/// Several tokens move in one transaction.
fn swap(random: &mut StdRng, from: Address) -> Call {
    let pool = contract("pool", 0);
    let (sold, bought) = (contract("ERC-20", 0), contract("ERC-20", 1));
    let synced = event::log(pool, vec![keccak256("Sync(uint112,uint112)")], vec![7; 64]);
    let logs = vec![
        event::erc20_transfer(sold, from, pool, amount(random)),
        event::erc20_transfer(bought, pool, from, amount(random)),
        synced,
    ];
    Call::to(pool, call_data("swap()", &[]), logs)
}
