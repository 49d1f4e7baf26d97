use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use simnode::{
    Fixtures,
    trace::{CallFrame, CallKind, call_tracer, flat_traces},
};
use std::collections::BTreeMap;

mod rules;

const BLOCK: B256 = B256::repeat_byte(0xb1);

fn hash(n: usize) -> B256 {
    B256::from(U256::from(n + 1))
}

/// Transactions that do what these calls say.
fn proven(tops: &[CallFrame]) -> Vec<TracedTransaction> {
    let of = |(n, top): (usize, &CallFrame)| {
        let creates = top.kind == CallKind::Create;
        TracedTransaction {
            hash: hash(n),
            from: top.from,
            to: (!creates).then_some(top.to),
            created: (creates && top.error.is_none()).then_some(top.to),
            value: top.value,
            status: Some(top.error.is_none()),
        }
    };
    tops.iter().enumerate().map(of).collect()
}

fn tree(tops: &[CallFrame]) -> String {
    let hashes = (0..).map(hash);
    call_tracer(hashes.zip(tops)).to_string()
}

fn flat(tops: &[CallFrame]) -> String {
    let hashes = (0..).map(hash);
    flat_traces((7, BLOCK), hashes.zip(tops)).to_string()
}

/// What went from whom to whom.
fn sums(transfers: &[InternalTransfer]) -> BTreeMap<(Address, Address), U256> {
    let mut sums = BTreeMap::new();
    for transfer in transfers {
        *sums.entry((transfer.from, transfer.to)).or_default() += transfer.value;
    }
    sums
}

/// What was moved within, counted from the JSON as it stands and by nothing of the code under test.
fn recount(frame: &Value, depth: usize, sums: &mut BTreeMap<(Address, Address), U256>) {
    let address = |name: &str| -> Address {
        let text = frame[name].as_str().expect("hex");
        text.parse().expect("an address")
    };
    if frame.get("error").is_some() {
        return;
    }
    let value: U256 = frame["value"]
        .as_str()
        .unwrap_or("0x0")
        .parse()
        .expect("hex");
    if depth > 0 && frame["type"] == "CALL" && value > U256::ZERO {
        *sums.entry((address("from"), address("to"))).or_default() += value;
    }
    for call in frame["calls"].as_array().into_iter().flatten() {
        recount(call, depth + 1, sums);
    }
}

#[test]
fn a_recorded_block_moves_what_a_recount_says_in_either_form() {
    let Some(fixtures) = Fixtures::find_or_say("a_recorded_block_moves_what_a_recount_says") else {
        return;
    };
    let recorded = fixtures.mainnet_block(22_244_135).expect("a block");
    let block: Value = serde_json::from_str(recorded.block.get()).expect("JSON");
    let receipts = recorded.receipts.as_ref().expect("receipts");
    let receipts: Vec<Value> = serde_json::from_str(receipts.get()).expect("JSON");
    let traces = recorded.traces.as_ref().expect("traces").get();
    let transactions: Vec<TracedTransaction> = block["transactions"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(&receipts)
        .map(|(transaction, receipt)| {
            let read = |value: &Value| -> Option<Address> {
                serde_json::from_value(value.clone()).expect("an address")
            };
            TracedTransaction {
                hash: serde_json::from_value(transaction["hash"].clone()).expect("a hash"),
                from: read(&transaction["from"]).expect("a sender"),
                to: read(&transaction["to"]),
                created: read(&receipt["contractAddress"]),
                value: transaction["value"]
                    .as_str()
                    .expect("hex")
                    .parse()
                    .expect("hex"),
                status: Some(receipt["status"] == "0x1"),
            }
        })
        .collect();
    assert_eq!(transactions.len(), 125);
    let transfers = read_call_tracer(traces, &transactions).expect("true traces");

    let mut expected = BTreeMap::new();
    let raw: Vec<Value> = serde_json::from_str(traces).expect("JSON");
    for trace in &raw {
        recount(&trace["result"], 0, &mut expected);
    }
    assert!(expected.len() > 5, "{expected:?}");
    assert_eq!(sums(&transfers), expected);

    let block = recorded.canned().expect("a block");
    let tops: Vec<CallFrame> = raw
        .into_iter()
        .map(|trace| serde_json::from_str(&trace["result"].to_string()).expect("a frame"))
        .collect();
    let hashes = transactions.iter().map(|transaction| transaction.hash);
    let flat = flat_traces((block.number, block.hash), hashes.zip(&tops)).to_string();
    let others = read_flat_traces(&flat, block.hash, &transactions).expect("true traces");
    assert_eq!(others, transfers);
}

/// Kind, parties, value, whether it fails, gas.
type Own = (CallKind, [u8; 2], u64, u8, u64);

/// Any tree; what cannot be is taken out afterwards by [`possible`].
fn any_frame() -> impl Strategy<Value = CallFrame> {
    let kind = prop_oneof![
        4 => Just(CallKind::Call),
        1 => Just(CallKind::StaticCall),
        1 => Just(CallKind::DelegateCall),
        1 => Just(CallKind::CallCode),
        1 => Just(CallKind::Create),
        1 => Just(CallKind::Create2),
        1 => Just(CallKind::SelfDestruct),
    ];
    let own = (kind, any::<[u8; 2]>(), 0..3_u64, 0..6_u8, 0..9_u64);
    let frame = |((kind, [from, to], value, fails, gas), calls): (Own, Vec<CallFrame>)| CallFrame {
        kind,
        from: Address::repeat_byte(from | 1),
        // Half of them are where precompiled contracts are.
        to: if to % 2 == 0 {
            Address::with_last_byte(to)
        } else {
            Address::repeat_byte(to)
        },
        value: U256::from(value),
        gas,
        gas_used: gas / 2,
        error: (fails == 0).then(|| "out of gas".to_owned()),
        calls,
    };
    let leaf = own.clone().prop_map(move |own| frame((own, Vec::new())));
    leaf.prop_recursive(6, 60, 6, move |inner| {
        (own.clone(), prop::collection::vec(inner, 0..6)).prop_map(frame)
    })
}

/// A self-destruct calls nobody and ends its caller; a precompiled contract calls nobody.
fn possible(mut frame: CallFrame) -> CallFrame {
    let precompiled = frame.to[..19].iter().all(|byte| *byte == 0);
    if frame.kind == CallKind::SelfDestruct {
        frame.error = None;
    }
    if frame.kind == CallKind::SelfDestruct || precompiled {
        frame.calls.clear();
    }
    let end = frame
        .calls
        .iter()
        .position(|call| call.kind == CallKind::SelfDestruct);
    frame.calls.truncate(end.map_or(usize::MAX, |end| end + 1));
    frame.calls = frame.calls.into_iter().map(possible).collect();
    frame
}

fn any_transaction() -> impl Strategy<Value = CallFrame> {
    (any_frame(), any::<bool>()).prop_map(|(frame, creates)| {
        let kind = if creates {
            CallKind::Create
        } else {
            CallKind::Call
        };
        possible(CallFrame { kind, ..frame })
    })
}

/// What counts in a tree, found by walking it.
fn walk(frame: &CallFrame, top: bool, found: &mut Vec<(Address, Address, U256)>) {
    if frame.error.is_some() {
        return;
    }
    let moves = match frame.kind {
        CallKind::Call => !frame.value.is_zero(),
        CallKind::Create | CallKind::Create2 | CallKind::SelfDestruct => true,
        CallKind::StaticCall | CallKind::DelegateCall | CallKind::CallCode => false,
    };
    if moves && !top {
        found.push((frame.from, frame.to, frame.value));
    }
    for call in &frame.calls {
        walk(call, false, found);
    }
}

proptest! {
    #[test]
    fn both_forms_give_the_same_transfers(tops in prop::collection::vec(any_transaction(), 0..4)) {
        let transactions = proven(&tops);
        let transfers = read_call_tracer(&tree(&tops), &transactions).expect("a tree");
        let others = read_flat_traces(&flat(&tops), BLOCK, &transactions).expect("a list");
        prop_assert_eq!(&transfers, &others);
        let mut expected = Vec::new();
        for top in &tops {
            walk(top, true, &mut expected);
        }
        let found: Vec<_> = transfers.iter().map(|t| (t.from, t.to, t.value)).collect();
        prop_assert_eq!(found, expected);
        let order = |t: &InternalTransfer| (t.tx_index, t.trace_index);
        prop_assert!(transfers.windows(2).all(|pair| order(&pair[0]) < order(&pair[1])));
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let transactions = proven(&[]);
        let _ = read_call_tracer(&text, &transactions);
        let _ = read_flat_traces(&text, BLOCK, &transactions);
    }

    #[test]
    fn no_damage_to_an_answer_panics(
        top in any_transaction(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let tops = [top];
        let transactions = proven(&tops);
        let damage = |text: String| {
            let mut bytes = text.into_bytes();
            for (at, byte) in &cuts {
                let at = at.index(bytes.len());
                bytes[at] = byte % 128;
            }
            String::from_utf8(bytes).expect("ASCII")
        };
        let _ = read_call_tracer(&damage(tree(&tops)), &transactions);
        let _ = read_flat_traces(&damage(flat(&tops)), BLOCK, &transactions);
    }

    #[test]
    fn no_shape_of_an_answer_panics(
        places in prop::collection::vec(prop::collection::vec(0..3_u64, 0..4), 0..6),
        kinds in prop::collection::vec("(call|create|suicide|reward|other)", 6),
    ) {
        let tops = [rules::call(1, 2, 3)];
        let action = json!({"from": Address::ZERO, "to": null, "address": Address::ZERO});
        let traces: Vec<Value> = places
            .iter()
            .zip(&kinds)
            .map(|(place, kind)| {
                json!({"type": kind, "action": action, "traceAddress": place, "transactionPosition": 0})
            })
            .collect();
        let _ = read_flat_traces(&Value::from(traces).to_string(), BLOCK, &proven(&tops));
    }
}
