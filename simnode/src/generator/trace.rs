//! What a transaction does within: calls that move value, creations, self-destructs, and what is
//! reverted. Made up, and the same wherever the transaction is included with the same outcome.

use std::iter;

use alloy::consensus::Transaction as _;
use alloy::primitives::{Address, U256, keccak256};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::call::{contract, ether, wallet};
use crate::executed::Executed;
use crate::trace::{CallFrame, CallKind};

/// Calls within calls: few, so that a block's traces stay readable.
const DEEPEST: usize = 4;

/// The transaction as a call, with the calls that it makes.
pub(super) fn of(executed: &Executed) -> CallFrame {
    let envelope = &executed.envelope;
    let (hash, succeeded) = (*envelope.tx_hash(), executed.succeeded());
    let seed = [hash.as_slice(), b"calls", &[u8::from(succeeded)]].concat();
    let mut random = StdRng::from_seed(keccak256(seed).0);
    let (kind, to) = match envelope.to() {
        Some(to) => (CallKind::Call, to),
        None => (CallKind::Create, executed.from.create(envelope.nonce())),
    };
    let calls = if !envelope.input().is_empty() && random.random() {
        calls(&mut random, to, 1)
    } else {
        Vec::new()
    };
    CallFrame {
        kind,
        from: executed.from,
        to,
        value: envelope.value(),
        gas: envelope.gas_limit(),
        gas_used: executed.gas_used,
        error: (!succeeded).then(|| "execution reverted".to_owned()),
        calls,
    }
}

/// The calls of one caller; nothing follows a self-destruct.
fn calls(random: &mut StdRng, caller: Address, depth: usize) -> Vec<CallFrame> {
    let count = random.random_range(0..=3);
    let drawn: Vec<CallFrame> = iter::repeat_with(|| frame(random, caller, depth))
        .take(count)
        .collect();
    let end = drawn.iter().position(|f| f.kind == CallKind::SelfDestruct);
    let kept = end.map_or(drawn.len(), |end| end + 1);
    drawn.into_iter().take(kept).collect()
}

fn frame(random: &mut StdRng, caller: Address, depth: usize) -> CallFrame {
    let other = if random.random() {
        wallet(random.random_range(0..8))
    } else {
        contract("pool", random.random_range(0..4))
    };
    let created = Address::from(random.random::<[u8; 20]>());
    let precompiled = Address::with_last_byte(random.random_range(1..=10));
    let value = ether(random);
    let (kind, to, value) = match random.random_range(0..14) {
        0..=4 => (CallKind::Call, other, value),
        5 => (CallKind::Call, other, U256::ZERO),
        6 => (CallKind::StaticCall, precompiled, U256::ZERO),
        7 => (CallKind::Call, precompiled, U256::ZERO),
        8 => (CallKind::DelegateCall, other, value),
        9 => (CallKind::CallCode, other, value),
        10 => (CallKind::StaticCall, other, U256::ZERO),
        11 => (CallKind::Create, created, U256::ZERO),
        12 => (CallKind::Create2, created, value),
        _ => (CallKind::SelfDestruct, other, value),
    };
    let leaf = kind == CallKind::SelfDestruct || to == precompiled || depth >= DEEPEST;
    let within = match kind {
        CallKind::DelegateCall | CallKind::CallCode => caller,
        _ => to,
    };
    let fails = kind != CallKind::SelfDestruct && random.random_ratio(1, 6);
    CallFrame {
        kind,
        from: caller,
        to,
        value,
        gas: random.random_range(50_000..100_000),
        gas_used: random.random_range(700..50_000),
        error: fails.then(|| "execution reverted".to_owned()),
        calls: if leaf {
            Vec::new()
        } else {
            calls(random, within, depth + 1)
        },
    }
}
