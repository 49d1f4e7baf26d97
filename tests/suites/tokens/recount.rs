//! Token transfers counted from raw receipts: the test's own reading of the standards, in slices of
//! hex text, that shares nothing with the decoder it is held against.

use alloy::primitives::{U256, keccak256};
use serde_json::Value;
use tallyscan_tests::quantity;

/// An address in hex without a prefix.
pub type Hex = String;

/// The zero address.
pub const ZERO: &str = "0000000000000000000000000000000000000000";

/// A transfer as `token_transfers` has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moved {
    pub block: u64,
    pub log: u64,
    pub position: u64,
    pub kind: u8,
    pub token: Hex,
    pub from: Hex,
    pub to: Hex,
    pub id: Option<U256>,
    pub amount: U256,
}

/// The transfers that the receipts of a block tell of.
pub fn recount(receipts: &Value) -> Vec<Moved> {
    let receipts = receipts.as_array().expect("receipts");
    let moved = receipts.iter().flat_map(|receipt| {
        let logs = receipt["logs"].as_array().expect("logs");
        once_each(logs.iter().flat_map(of_log).collect())
    });
    moved.collect()
}

/// A mint that is told of as `Transfer` and as `Deposit` happened once, and so with burns.
fn once_each(moved: Vec<Moved>) -> Vec<Moved> {
    let same = |a: &Moved, b: &Moved| {
        (&a.token, &a.from, &a.to, a.amount) == (&b.token, &b.from, &b.to, b.amount)
    };
    let (wraps, mut kept): (Vec<_>, Vec<_>) = moved.into_iter().partition(|one| one.kind >= 4);
    let transfers = kept.clone();
    for (at, wrap) in wraps.iter().enumerate() {
        let earlier = wraps[..at].iter().filter(|one| same(one, wrap)).count();
        let told = transfers.iter().filter(|one| one.kind == 1);
        if told.filter(|one| same(one, wrap)).count() <= earlier {
            kept.push(wrap.clone());
        }
    }
    kept.sort();
    kept
}

fn of_log(log: &Value) -> Vec<Moved> {
    let strip = |value: &Value| value.as_str().expect("hex")[2..].to_lowercase();
    let topics: Vec<String> = log["topics"]
        .as_array()
        .expect("topics")
        .iter()
        .map(strip)
        .collect();
    let data = strip(&log["data"]);
    let Some(first) = topics.first() else {
        return Vec::new();
    };
    let parties: Option<Vec<Hex>> = topics[1..].iter().map(|topic| address(topic)).collect();
    let base = |kind, from: &str, to: &str, id, amount| Moved {
        block: quantity(&log["blockNumber"]),
        log: quantity(&log["logIndex"]),
        position: 0,
        kind,
        token: strip(&log["address"]),
        from: from.to_owned(),
        to: to.to_owned(),
        id,
        amount,
    };
    let is = |signature: &str| *first == format!("{:x}", keccak256(signature));
    let words: Vec<U256> = data.as_bytes().chunks(64).map(word).collect();
    let whole = data.len() % 64 == 0;
    let (arity, parties) = (topics.len(), parties.unwrap_or_default());
    if is("Transfer(address,address,uint256)") && arity == 4 && data.is_empty() {
        // The id may be any number, so it need not look like an address.
        let (Some(from), Some(to)) = (address(&topics[1]), address(&topics[2])) else {
            return Vec::new();
        };
        let id = word(topics[3].as_bytes());
        return vec![base(2, &from, &to, Some(id), U256::ONE)];
    }
    match (parties.as_slice(), words.as_slice()) {
        _ if !whole => Vec::new(),
        ([from, to], [amount]) if is("Transfer(address,address,uint256)") => {
            vec![base(1, from, to, None, *amount)]
        }
        ([_, from, to], [id, amount])
            if is("TransferSingle(address,address,address,uint256,uint256)") =>
        {
            vec![base(3, from, to, Some(*id), *amount)]
        }
        ([_, from, to], words)
            if is("TransferBatch(address,address,address,uint256[],uint256[])") =>
        {
            let items = batch(words).unwrap_or_default();
            let items = (0..).zip(items).map(|(position, (id, amount))| Moved {
                position,
                ..base(3, from, to, Some(id), amount)
            });
            items.collect()
        }
        ([to], [amount]) if is("Deposit(address,uint256)") => {
            vec![base(4, ZERO, to, None, *amount)]
        }
        ([from], [amount]) if is("Withdrawal(address,uint256)") => {
            vec![base(5, from, ZERO, None, *amount)]
        }
        _ => Vec::new(),
    }
}

/// Two lists of the same length, laid out as the ABI lays them out: both offsets, then a count and
/// so many items, twice.
fn batch(words: &[U256]) -> Option<Vec<(U256, U256)>> {
    let count: usize = words.get(2)?.try_into().ok()?;
    let second = count.checked_add(3)?;
    let fits = words.len() == count.checked_mul(2)?.checked_add(4)?
        && words[0] == U256::from(64)
        && words[1] == U256::from(32 * second)
        && words[second] == words[2];
    fits.then(|| {
        let ids = words[3..second].iter().copied();
        ids.zip(words[second + 1..].iter().copied()).collect()
    })
}

/// The address in a topic, which has nothing but zeros before it.
fn address(topic: &str) -> Option<Hex> {
    let (zeros, address) = topic.split_at(24);
    zeros
        .bytes()
        .all(|byte| byte == b'0')
        .then(|| address.to_owned())
}

fn word(hex: &[u8]) -> U256 {
    let hex = std::str::from_utf8(hex).expect("hex");
    U256::from_str_radix(hex, 16).expect("hex")
}
