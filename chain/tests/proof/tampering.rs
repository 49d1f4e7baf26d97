//! Blocks with one thing wrong, and the reason for which each must be refused.

use crate::claims::{FULL, parse};
use alloy::consensus::Header;
use chain::{HashRule, Parts, ProvenBlock, VerifyError, convert_block, prove_body, verify, wire};
use serde_json::{Value, json};
use simnode::fixtures::{BlockJson, Fixtures};

/// A good block to be edited.
#[derive(Clone)]
pub struct Draft {
    pub block: Value,
    pub receipts: Value,
}

impl Draft {
    pub fn of(recorded: &BlockJson) -> Self {
        let receipts = recorded.receipts.as_ref();
        Self {
            block: parse(recorded.block.get()),
            receipts: receipts.map_or(Value::Null, |receipts| parse(receipts.get())),
        }
    }

    /// Mainnet 22,431,084: types 0, 2 and 3, withdrawals, logs.
    pub fn prague(fixtures: &Fixtures) -> Self {
        Self::of(&fixtures.mainnet_block(22_431_084).unwrap())
    }

    pub fn edited(&self, edit: impl FnOnce(&mut Self)) -> Self {
        let mut draft = self.clone();
        edit(&mut draft);
        draft
    }

    pub fn verify(&self) -> Result<ProvenBlock, VerifyError> {
        self.verify_with(FULL)
    }

    pub fn verify_with(&self, checks: chain::Checks) -> Result<ProvenBlock, VerifyError> {
        let parts = Parts::parse(&self.block.to_string(), &self.receipts.to_string())?;
        verify(parts, checks)
    }

    /// The same without receipts.
    pub fn prove_body(&self) -> Result<(), VerifyError> {
        let wire: wire::Block = chain::parse("block", &self.block.to_string())?;
        prove_body(&convert_block(wire, None)?, FULL).map(drop)
    }

    /// Claims the hash that the edited header has, here and in the receipts: a node that lies
    /// consistently.
    pub fn rehash(&mut self) {
        let wire: wire::BlockHeader = parse(&self.block.to_string());
        let hash = json!(HashRule::hash(&Header::from(wire)));
        for receipt in self.receipts.as_array_mut().into_iter().flatten() {
            receipt["blockHash"] = hash.clone();
        }
        self.block["hash"] = hash;
    }
}

/// The kind of a refusal; `proven` when there was none.
pub fn kind<T>(result: Result<T, VerifyError>) -> &'static str {
    result.map_or_else(|error| error.kind(), |_| "proven")
}

/// Another value of the same shape: the last hexadecimal digit is changed.
pub fn nudge(value: &mut Value) {
    let mut text = value.as_str().expect("a hexadecimal value").to_owned();
    let last = text.pop().expect("a digit");
    if last == 'x' {
        text.push_str("x00");
    } else {
        text.push(if last == '1' { '0' } else { '1' });
    }
    *value = Value::String(text);
}

/// The first transaction of a type for which the condition holds.
pub fn transaction_of_type<'a>(
    block: &'a mut Value,
    ty: &str,
    suits: fn(&Value) -> bool,
) -> Option<&'a mut Value> {
    let transactions = block["transactions"].as_array_mut()?;
    transactions
        .iter_mut()
        .find(|transaction| transaction["type"] == ty && suits(transaction))
}

#[test]
fn blocks_made_wrong_on_purpose_are_refused_for_their_reason() {
    let Some(fixtures) =
        Fixtures::find_or_say("blocks_made_wrong_on_purpose_are_refused_for_their_reason")
    else {
        return;
    };
    let mut refused = 0;
    let mut proven = 0;
    for tampered in fixtures.tampered().unwrap() {
        let expected = match tampered.reason.as_deref() {
            None => "proven",
            Some("failed to verify block hash") => "header_hash",
            Some("failed to verify transactions list") => "transactions_root",
            Some("failed to verify withdrawals list") => "withdrawals_root",
            Some("block tx 0 is nil" | "block withdrawal 0 is null") => "malformed",
            Some(other) => panic!("no kind is expected for {other:?}"),
        };
        let draft = Draft {
            block: parse(tampered.block.get()),
            receipts: Value::Null,
        };
        let result = draft.prove_body();
        if let Err(VerifyError::Malformed { reason, .. }) = &result {
            assert!(reason.contains("element 0 is null"), "{reason}");
        }
        assert_eq!(kind(result), expected, "{}", tampered.name);
        *[&mut refused, &mut proven][usize::from(expected == "proven")] += 1;
    }
    assert_eq!((refused, proven), (7, 1));
}

#[test]
fn any_header_field_changed_or_taken_away_is_refused() {
    let Some(fixtures) = Fixtures::find_or_say("any_header_field_changed_or_taken_away_is_refused")
    else {
        return;
    };
    let good = Draft::prague(&fixtures);
    let needed = [
        "hash",
        "parentHash",
        "sha3Uncles",
        "miner",
        "stateRoot",
        "transactionsRoot",
        "receiptsRoot",
        "logsBloom",
        "difficulty",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "extraData",
    ];
    let by_fork = [
        "mixHash",
        "baseFeePerGas",
        "withdrawalsRoot",
        "blobGasUsed",
        "excessBlobGas",
        "parentBeaconBlockRoot",
        "requestsHash",
    ];
    let taken = |field: &str| {
        good.edited(|draft| {
            draft.block.as_object_mut().unwrap().remove(field).unwrap();
        })
    };
    for field in needed.iter().chain(&by_fork).chain(&["nonce"]) {
        let changed = good.edited(|draft| nudge(&mut draft.block[*field]));
        assert_eq!(kind(changed.verify()), "header_hash", "{field} changed");
    }
    for field in needed {
        assert_eq!(kind(taken(field).verify()), "malformed", "{field} absent");
    }
    for field in by_fork {
        assert_eq!(kind(taken(field).verify()), "header_hash", "{field} absent");
    }
    for field in ["blockAccessListHash", "slotNumber"] {
        let added = good.edited(|draft| {
            let value = [json!(alloy::primitives::B256::ZERO), json!("0x1")];
            draft.block[field] = value[usize::from(field == "slotNumber")].clone();
        });
        assert_eq!(kind(added.verify()), "header_hash", "{field} added");
    }
}

#[test]
fn a_header_that_hashes_right_but_commits_to_something_else_is_refused() {
    let Some(fixtures) = Fixtures::find_or_say(
        "a_header_that_hashes_right_but_commits_to_something_else_is_refused",
    ) else {
        return;
    };
    let good = Draft::prague(&fixtures);
    for (field, expected) in [
        ("transactionsRoot", "transactions_root"),
        ("receiptsRoot", "receipts_root"),
        ("logsBloom", "logs_bloom"),
        ("withdrawalsRoot", "withdrawals_root"),
        ("sha3Uncles", "uncles_hash"),
    ] {
        let draft = good.edited(|draft| {
            nudge(&mut draft.block[field]);
            draft.rehash();
        });
        assert_eq!(kind(draft.verify()), expected, "{field}");
    }
}

/// What the signature of each type covers, as JSON pointers into the transaction.
const SIGNED_FIELDS: [(&str, &[&str]); 5] = [
    ("0x0", &["/gasPrice"]),
    ("0x1", &["/gasPrice", "/chainId", "/yParity"]),
    ("0x2", &FEE_MARKET_FIELDS),
    ("0x3", &FEE_MARKET_FIELDS),
    ("0x4", &FEE_MARKET_FIELDS),
];
const FEE_MARKET_FIELDS: [&str; 4] = [
    "/maxFeePerGas",
    "/maxPriorityFeePerGas",
    "/chainId",
    "/yParity",
];
const EVERY_TYPE: [&str; 7] = ["/nonce", "/gas", "/to", "/value", "/input", "/r", "/s"];
const SIGNED_LISTS: [(&str, &[&str]); 4] = [
    ("0x1", &ACCESS_LIST_FIELDS),
    ("0x2", &ACCESS_LIST_FIELDS),
    ("0x3", &["/maxFeePerBlobGas", "/blobVersionedHashes/0"]),
    (
        "0x4",
        &[
            "/authorizationList/0/chainId",
            "/authorizationList/0/address",
            "/authorizationList/0/nonce",
            "/authorizationList/0/yParity",
            "/authorizationList/0/r",
            "/authorizationList/0/s",
        ],
    ),
];
const ACCESS_LIST_FIELDS: [&str; 2] = ["/accessList/0/address", "/accessList/0/storageKeys/0"];

#[test]
fn any_signed_field_of_a_transaction_changed_is_refused() {
    let Some(fixtures) =
        Fixtures::find_or_say("any_signed_field_of_a_transaction_changed_is_refused")
    else {
        return;
    };
    // Between them these have every type with every list filled.
    let mut blocks: Vec<_> = [22_431_082, 22_431_086]
        .map(|number| Draft::of(&fixtures.mainnet_block(number).unwrap()))
        .into();
    blocks.extend(
        fixtures
            .execution_apis_blocks()
            .unwrap()
            .iter()
            .map(|block| Draft {
                block: parse(block.get()),
                receipts: Value::Null,
            }),
    );
    let mut rows = Vec::new();
    for (ty, fields) in SIGNED_FIELDS.into_iter().chain(SIGNED_LISTS) {
        rows.extend(fields.iter().map(|field| (ty, *field)));
    }
    for (ty, _) in SIGNED_FIELDS {
        rows.extend(EVERY_TYPE.map(|field| (ty, field)));
    }
    for (ty, field) in rows {
        let changed = blocks.iter().find_map(|block| {
            let mut draft = block.clone();
            let transactions = draft.block["transactions"].as_array_mut()?;
            let of_type = transactions.iter_mut().filter(|tx| tx["type"] == ty);
            nudge(
                of_type
                    .filter_map(|tx| tx.pointer_mut(field))
                    .find(|value| value.is_string())?,
            );
            Some(draft)
        });
        let changed = changed.unwrap_or_else(|| panic!("no transaction has {ty} {field}"));
        assert_eq!(
            kind(changed.prove_body()),
            "transactions_root",
            "{ty} {field}"
        );
    }
}

#[test]
fn a_legacy_signature_with_another_parity_or_chain_is_refused() {
    let Some(fixtures) =
        Fixtures::find_or_say("a_legacy_signature_with_another_parity_or_chain_is_refused")
    else {
        return;
    };
    let good = Draft::prague(&fixtures);
    for v in ["0x1b", "0x1c", "0x25", "0x26"] {
        let with = |other: &str| {
            good.edited(|draft| {
                let found = transaction_of_type(&mut draft.block, "0x0", |_| true);
                found.expect("a legacy transaction")["v"] = json!(other);
            })
        };
        let first = transaction_of_type(&mut good.block.clone(), "0x0", |_| true)
            .map(|transaction| transaction["v"].clone());
        let expected = if first == Some(json!(v)) {
            "proven"
        } else {
            "transactions_root"
        };
        assert_eq!(kind(with(v).verify()), expected, "v {v}");
        for malformed in ["0x0", "0x1d", "0x22", "0xffffffffffffffffffffffffffffffff"] {
            assert_eq!(kind(with(malformed).verify()), "malformed", "v {malformed}");
        }
    }
}
