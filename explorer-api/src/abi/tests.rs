//! Decoding: what is exact is shown, what is not is not, and nothing that anybody sends does harm.

use super::{folder::parse, *};
use alloy::{
    dyn_abi::{DynSolType, DynSolValue},
    hex,
    primitives::{Bytes, Log, LogData, U256, address, keccak256},
    sol,
    sol_types::SolCall as _,
};
use chain::{TransferKind, token_transfers};
use proptest::prelude::*;
use serde_json::{Value, json};
use simnode::Fixtures;
use std::time::{Duration, Instant};

const ALICE: Address = address!("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed");

sol! {
    function transfer(address to, uint256 value);
    function multicall(bytes[] data);
    function aggregate3(Call3[] calls);
    struct Call3 { address target; bool allowFailure; bytes callData; }
    function say(string text);
}

fn standard(input: &[u8]) -> Option<Value> {
    let decoded = standards::abi().input(input, Source::Standard)?;
    Some(serde_json::to_value(decoded).unwrap())
}

fn transfer() -> Vec<u8> {
    let value = U256::MAX;
    transferCall { to: ALICE, value }.abi_encode()
}

#[test]
fn a_call_is_shown_with_its_arguments() {
    assert_eq!(
        standard(&transfer()).unwrap(),
        json!({
            "name": "transfer",
            "signature": "transfer(address,uint256)",
            "params": [
                {"name": "to", "type": "address", "value": ALICE.to_checksum(None)},
                {"name": "value", "type": "uint256", "value": U256::MAX.to_string()},
            ],
            "source": "standard",
        })
    );
}

#[test]
fn tuples_are_shown_with_their_members() {
    let calls = vec![Call3 {
        target: ALICE,
        allowFailure: true,
        callData: Bytes::from_static(&[1, 2]),
    }];
    let shown = standard(&aggregate3Call { calls }.abi_encode()).unwrap();
    assert_eq!(
        shown["params"][0],
        json!({
            "name": "calls",
            "type": "(address,bool,bytes)[]",
            "value": [[
                {"name": "target", "type": "address", "value": ALICE.to_checksum(None)},
                {"name": "allowFailure", "type": "bool", "value": true},
                {"name": "callData", "type": "bytes", "value": "0x0102"},
            ]],
        })
    );
}

#[test]
fn what_does_not_decode_to_the_last_byte_is_not_shown() {
    let good = transfer();
    let mut longer = good.clone();
    longer.push(0);
    let mut dirty = good.clone();
    dirty[4] = 1;
    for bad in [&good[..3], &good[..4], &good[..67], &longer, &dirty] {
        assert_eq!(standard(bad), None, "{}", hex::encode(bad));
    }
    assert!(
        standard(&keccak256("paused()")[..4]).is_some(),
        "no arguments"
    );
    assert_eq!(standard(&keccak256("paused()")[..5]), None);
}

#[test]
fn what_is_huge_is_cut_and_said_to_be() {
    let data: Vec<Bytes> = (0..3000).map(|_| Bytes::from_static(&[7; 100])).collect();
    let shown = standard(&multicallCall { data }.abi_encode()).unwrap();
    assert_eq!(shown["params"][0]["truncated"], true);
    assert_eq!(shown["params"][0]["value"].as_array().unwrap().len(), 256);

    let data = vec![Bytes::from(vec![7; 100_000]); 20];
    let shown = standard(&multicallCall { data }.abi_encode()).unwrap();
    assert_eq!(shown["params"][0]["truncated"], true);
    assert!(shown.to_string().len() < 80_000);

    let abi = parse(r#"[{"type":"function","name":"say","inputs":[{"name":"text","type":"string"}],"outputs":[],"stateMutability":"view"}]"#).unwrap();
    let text = "ü".repeat(100_000);
    let decoded = abi
        .input(&sayCall { text }.abi_encode(), Source::Abi)
        .unwrap();
    let shown = serde_json::to_value(decoded).unwrap();
    assert_eq!(shown["params"][0]["truncated"], true);
    assert!(shown["params"][0]["value"].as_str().unwrap().len() <= 4096);
}

/// Offsets that all lead to the same bytes: a few hundred kilobytes that decode to gigabytes.
#[test]
fn offsets_that_overlap_are_refused_before_anything_is_decoded() {
    const OFFSETS: usize = 4000;
    let word = |number: usize| U256::from(number).to_be_bytes::<32>();
    let mut input = keccak256("multicall(bytes[])")[..4].to_vec();
    input.extend(word(32));
    input.extend(word(OFFSETS));
    for _ in 0..OFFSETS {
        input.extend(word(OFFSETS * 32));
    }
    input.extend(word(1 << 20));
    input.resize(input.len() + (1 << 20), 7);
    let started = Instant::now();
    assert_eq!(standard(&input), None);
    assert!(started.elapsed() < Duration::from_millis(100));
}

#[test]
fn an_abi_or_an_artifact_is_read_and_what_is_neither_is_told() {
    let item = r#"{"type":"event","name":"E","anonymous":false,"inputs":[{"name":"s","type":"string","indexed":true},{"name":"n","type":"int8","indexed":false}]}"#;
    for text in [
        format!("[{item}]"),
        format!(
            "\u{feff} {{\"contractName\":\"C\",\"abi\":[{item}],\"bytecode\":{{\"object\":\"0x\"}}}}"
        ),
    ] {
        let abi = parse(&text).unwrap();
        let topics = [keccak256("E(string,int8)"), keccak256("text")];
        let data = DynSolValue::Int((-5).try_into().unwrap(), 8).abi_encode();
        let shown = serde_json::to_value(abi.log(&topics, &data, Source::Abi)).unwrap();
        assert_eq!(
            shown["params"],
            json!([
                {"name": "s", "type": "string", "indexed": true, "value": topics[1], "hashed": true},
                {"name": "n", "type": "int8", "indexed": false, "value": "-5"},
            ])
        );
        assert!(abi.log(&topics[..1], &data, Source::Abi).is_none());
    }
    let deep = format!("uint256{}", "[]".repeat(100));
    let longer = format!("uint256{}", "[]".repeat(100_000));
    for (ty, words) in [
        (&*deep, "nested"),
        (&*longer, "too long"),
        ("uint256[0][]", "uint256[0]"),
    ] {
        let text = format!(
            r#"[{{"type":"function","name":"f","inputs":[{{"name":"x","type":"{ty}"}}],"outputs":[],"stateMutability":"view"}}]"#
        );
        let error = parse(&text).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let empty = r#"[{"type":"function","name":"f","inputs":[{"name":"x","type":"tuple[]","components":[]}],"outputs":[],"stateMutability":"view"}]"#;
    assert!(parse(empty).is_err());
    for text in ["", "[", "{}", "[{}]", "7", r#"{"abi":7}"#] {
        assert!(parse(text).is_err(), "{text}");
    }
}

/// Every transfer of a real block is decoded as one, with the same parties and amounts, and nothing else is.
#[test]
fn transfers_of_real_blocks_are_those_that_are_tallied() {
    let Some(fixtures) =
        Fixtures::find_or_say("transfers_of_real_blocks_are_those_that_are_tallied")
    else {
        return;
    };
    let abi = standards::abi();
    for number in ["18000000", "22244135"] {
        let path = fixtures
            .root()
            .join(format!("mainnet/{number}.receipts.json"));
        let receipts: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let receipts = receipts.get("result").unwrap_or(&receipts).clone();
        let mut fungible = 0;
        for receipt in receipts.as_array().unwrap() {
            let logs: Vec<Log> = receipt["logs"]
                .as_array()
                .unwrap()
                .iter()
                .map(recorded)
                .collect();
            let expected: Vec<_> = token_transfers(&logs)
                .into_iter()
                .filter(|transfer| transfer.kind == TransferKind::Erc20)
                .map(|it| (it.log, it.from, it.to, it.amount))
                .collect();
            let shown: Vec<_> = (0..)
                .zip(&logs)
                .filter_map(|(at, log)| {
                    let decoded = abi.log(log.topics(), &log.data.data, Source::Standard)?;
                    let shown = serde_json::to_value(decoded).unwrap();
                    let values: Vec<&str> = shown["params"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .filter_map(|param| param["value"].as_str())
                        .collect();
                    let is_transfer = shown["signature"] == "Transfer(address,address,uint256)"
                        && shown["params"][2]["indexed"] == false;
                    is_transfer.then(|| {
                        let party = |text: &str| Address::parse_checksummed(text, None).unwrap();
                        (
                            at,
                            party(values[0]),
                            party(values[1]),
                            values[2].parse().unwrap(),
                        )
                    })
                })
                .collect();
            assert_eq!(shown, expected);
            fungible += shown.len();
        }
        assert!(fungible > 50, "block {number} has {fungible}");
    }
}

fn recorded(log: &Value) -> Log {
    let topics = log["topics"].as_array().unwrap().iter();
    let topics = topics.map(|topic| topic.as_str().unwrap().parse().unwrap());
    Log {
        address: log["address"].as_str().unwrap().parse().unwrap(),
        data: LogData::new_unchecked(
            topics.collect(),
            log["data"].as_str().unwrap().parse().unwrap(),
        ),
    }
}

/// A type with a value of it.
fn typed() -> impl Strategy<Value = (DynSolType, DynSolValue)> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(DynSolValue::Bool),
        any::<[u8; 20]>().prop_map(|bytes| DynSolValue::Address(bytes.into())),
        any::<[u64; 4]>().prop_map(|limbs| DynSolValue::Uint(U256::from_limbs(limbs), 256)),
        prop::collection::vec(any::<u8>(), 0..70).prop_map(DynSolValue::Bytes),
        ".{0,40}".prop_map(DynSolValue::String),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            // Items of a list have one type.
            (inner.clone(), 1..4_usize).prop_map(|(item, n)| DynSolValue::Array(vec![item; n])),
            (inner.clone(), 1..4_usize)
                .prop_map(|(item, n)| DynSolValue::FixedArray(vec![item; n])),
            prop::collection::vec(inner, 1..4).prop_map(DynSolValue::Tuple),
        ]
    });
    value.prop_map(|value| (value.as_type().unwrap(), value))
}

proptest! {
    #[test]
    fn what_encoders_write_is_strict((ty, value) in typed()) {
        let types = [ty.clone(), DynSolType::Bool];
        let values = DynSolValue::Tuple(vec![value, DynSolValue::Bool(true)]);
        let data = values.abi_encode_params();
        prop_assert!(layout::is_strict(&types, &data));
        prop_assert!(!layout::is_strict(&types, &data[..data.len() - 1]));
        let mut longer = data.clone();
        longer.extend_from_slice(&[0; 32]);
        prop_assert!(!layout::is_strict(&types, &longer));
    }

    #[test]
    fn whatever_is_sent_does_no_harm(
        (ty, _) in typed(),
        place in 0..200_usize,
        words in prop::collection::vec(prop_oneof![0..8_u64, 0..1000_u64, any::<u64>()], 0..40),
    ) {
        let data: Vec<u8> = words
            .iter()
            .flat_map(|word| (U256::from(*word) * U256::from(32)).to_be_bytes::<32>())
            .collect();
        let _ = layout::is_strict(&[ty], &data);
        let abi = standards::abi();
        let mut selectors: Vec<_> = abi.functions.keys().copied().collect();
        selectors.sort_unstable();
        let input = [selectors[place % selectors.len()].as_slice(), &data].concat();
        let _ = abi.input(&input, Source::Standard);
        let mut events: Vec<_> = abi.events.keys().copied().collect();
        events.sort_unstable();
        let (topic, indexed) = events[place % events.len()];
        let mut topics = vec![topic];
        topics.extend(std::iter::repeat_n(B256::with_last_byte(9), indexed));
        let _ = abi.log(&topics, &data, Source::Standard);
    }

    #[test]
    fn garbage_is_no_abi(text: String) {
        let _ = parse(&text);
    }
}
