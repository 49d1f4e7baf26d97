//! Each rule by itself, by hand.

use super::*;

fn address(n: u8) -> Address {
    Address::repeat_byte(n)
}

/// A call from one to another with so much value.
pub(super) fn call(from: u8, to: u8, value: u64) -> CallFrame {
    CallFrame {
        kind: CallKind::Call,
        from: address(from),
        to: address(to),
        value: U256::from(value),
        gas: 1_000,
        gas_used: 600,
        error: None,
        calls: Vec::new(),
    }
}

fn with(frame: CallFrame, calls: impl IntoIterator<Item = CallFrame>) -> CallFrame {
    CallFrame {
        calls: calls.into_iter().collect(),
        ..frame
    }
}

fn of_kind(kind: CallKind, frame: CallFrame) -> CallFrame {
    CallFrame { kind, ..frame }
}

fn failed(frame: CallFrame) -> CallFrame {
    CallFrame {
        error: Some("execution reverted".to_owned()),
        ..frame
    }
}

/// The transfers, which must be the same in both forms.
fn transfers(tops: &[CallFrame]) -> Vec<InternalTransfer> {
    let transactions = proven(tops);
    let transfers = read_call_tracer(&tree(tops), &transactions).expect("a tree");
    let others = read_flat_traces(&flat(tops), BLOCK, &transactions);
    assert_eq!(others.expect("a list"), transfers);
    transfers
}

/// Number, path and kind of each.
fn places(tops: &[CallFrame]) -> Vec<(u32, String, InternalKind)> {
    let place = |t: InternalTransfer| (t.trace_index, t.trace_id, t.kind);
    transfers(tops).into_iter().map(place).collect()
}

fn place(index: u32, id: &str, kind: InternalKind) -> (u32, String, InternalKind) {
    (index, id.to_owned(), kind)
}

#[test]
fn a_transaction_by_itself_is_no_internal_transfer() {
    assert_eq!(transfers(&[call(1, 2, 5)]), []);
    let creation = of_kind(CallKind::Create, call(1, 2, 5));
    assert_eq!(transfers(&[creation]), []);
}

#[test]
fn positions_count_all_frames_and_paths_tell_where_each_lies() {
    let inner = with(call(3, 4, 0), [call(4, 5, 1), call(4, 6, 2)]);
    let top = with(call(1, 2, 0), [call(2, 9, 0), inner, call(2, 8, 3)]);
    let kind = InternalKind::Call;
    let expected = [
        place(3, "0_1_0", kind),
        place(4, "0_1_1", kind),
        place(5, "0_2", kind),
    ];
    assert_eq!(places(&[call(1, 1, 1), top]), expected);
}

#[test]
fn only_calls_with_value_creations_and_self_destructs_count() {
    let frames = [
        of_kind(CallKind::DelegateCall, call(2, 3, 7)),
        of_kind(CallKind::CallCode, call(2, 3, 7)),
        of_kind(CallKind::StaticCall, call(2, 3, 0)),
        of_kind(CallKind::Create, call(2, 4, 0)),
        of_kind(CallKind::Create2, call(2, 5, 0)),
        of_kind(CallKind::SelfDestruct, call(2, 6, 0)),
    ];
    let expected = [
        place(4, "0_3", InternalKind::Create),
        place(5, "0_4", InternalKind::Create2),
        place(6, "0_5", InternalKind::SelfDestruct),
    ];
    let top = with(call(1, 2, 0), frames);
    assert_eq!(places(std::slice::from_ref(&top)), expected);
    let told = transfers(&[top]);
    assert_eq!((told[2].from, told[2].to), (address(2), address(6)));
    assert_eq!((told[2].gas, told[0].gas), (None, Some(1_000)));
}

#[test]
fn what_is_reverted_is_left_out_with_all_that_lies_within() {
    let reverted = failed(with(call(2, 3, 1), [with(call(3, 4, 1), [call(4, 5, 1)])]));
    let top = with(call(1, 2, 0), [reverted, call(2, 6, 1)]);
    assert_eq!(
        places(std::slice::from_ref(&top)),
        [place(4, "0_1", InternalKind::Call)]
    );
    assert_eq!(transfers(&[failed(top)]), []);
}

#[test]
fn calls_of_precompiled_contracts_are_not_counted() {
    let precompiled = |value| CallFrame {
        to: Address::with_last_byte(4),
        ..call(2, 0, value)
    };
    let top = with(
        call(1, 2, 0),
        [precompiled(0), call(2, 3, 1), precompiled(2)],
    );
    let kind = InternalKind::Call;
    assert_eq!(
        places(&[top]),
        [place(1, "0_0", kind), place(2, "0_1", kind)]
    );
}

/// reth counts precompiled contracts in places and leaves them out of the list.
#[test]
fn gaps_between_places_and_a_self_destruct_out_of_order_are_put_right() {
    let tops = [with(
        call(1, 2, 0),
        [
            call(2, 3, 1),
            of_kind(CallKind::SelfDestruct, call(2, 4, 9)),
        ],
    )];
    let mut traces: Vec<Value> = serde_json::from_str(&flat(&tops)).expect("a list");
    traces.swap(1, 2);
    assert_eq!(traces[1]["type"], "suicide");
    traces[1]["traceAddress"] = json!([1]);
    traces[2]["traceAddress"] = json!([3]);
    let text = Value::from(traces).to_string();
    let told = read_flat_traces(&text, BLOCK, &proven(&tops)).expect("a list");
    assert_eq!(told, transfers(&tops));
}

#[test]
fn without_a_creation_method_a_creation_is_one_by_create() {
    let tops = [with(
        call(1, 2, 0),
        [of_kind(CallKind::Create2, call(2, 3, 1))],
    )];
    let mut traces: Value = serde_json::from_str(&flat(&tops)).expect("a list");
    let action = traces[1]["action"].as_object_mut().expect("an action");
    action.remove("creationMethod");
    let told = read_flat_traces(&traces.to_string(), BLOCK, &proven(&tops)).expect("a list");
    assert_eq!(told[0].kind, InternalKind::Create);
}

/// What both forms say to transactions that are proven to be otherwise.
fn refused(change: impl Fn(&mut TracedTransaction)) -> String {
    let tops = [call(1, 2, 5), of_kind(CallKind::Create, call(1, 3, 0))];
    let mut transactions = proven(&tops);
    transactions.iter_mut().for_each(change);
    let error = read_call_tracer(&tree(&tops), &transactions).expect_err("a difference");
    let other = read_flat_traces(&flat(&tops), BLOCK, &transactions);
    assert_eq!(other.expect_err("a difference"), error);
    error.to_string()
}

#[test]
fn a_top_frame_that_is_not_the_transaction_is_named() {
    type Change = fn(&mut TracedTransaction);
    let cases: [(&str, Change); 7] = [
        ("trace 0 has from", |t| t.from = address(9)),
        ("trace 0 has to", |t| t.to = t.to.map(|_| address(9))),
        (
            "trace 0 has the kind a call, the transaction has a creation",
            |t| t.to = None,
        ),
        ("trace 0 has value 5, the transaction has 6", |t| {
            t.value += U256::from(1);
        }),
        (
            "trace 0 has the outcome success, the transaction has failure",
            |t| {
                t.status = Some(false);
            },
        ),
        ("trace 1 has the created contract", |t| {
            t.created = t.created.map(|_| address(9));
        }),
        ("trace 0 has hash", |t| t.hash = BLOCK),
    ];
    for (expected, change) in cases {
        let said = refused(change);
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn one_trace_is_due_for_each_transaction() {
    let tops = [call(1, 2, 0), call(1, 2, 0)];
    let due = proven(&tops);
    for told in [&tops[..1], &[]] {
        let missing = TraceError::Count {
            traces: told.len(),
            transactions: 2,
        };
        assert_eq!(read_call_tracer(&tree(told), &due), Err(missing.clone()));
        assert_eq!(read_flat_traces(&flat(told), BLOCK, &due), Err(missing));
    }
    let beyond = read_flat_traces(&flat(&tops), BLOCK, &due[..1]);
    assert!(matches!(beyond, Err(TraceError::Count { traces: 2, .. })));
}

#[test]
fn traces_of_another_block_are_told_apart() {
    let tops = [call(1, 2, 0)];
    let other = read_flat_traces(&flat(&tops), hash(8), &proven(&tops));
    assert_eq!(other, Err(TraceError::OtherBlock(BLOCK)));
}

#[test]
fn a_tracer_that_was_not_asked_for_is_noticed() {
    let steps =
        json!([{"result": {"gas": 21_000, "failed": false, "returnValue": "", "structLogs": []}}]);
    let due = proven(&[call(1, 2, 0)]);
    let said = read_call_tracer(&steps.to_string(), &due);
    assert_eq!(said, Err(TraceError::OtherTracer));
}

#[test]
fn a_transaction_that_could_not_be_traced_is_said_in_the_nodes_words() {
    let failure = json!([{"txHash": hash(0), "error": "execution timeout"}]);
    let said = read_call_tracer(&failure.to_string(), &proven(&[call(1, 2, 0)]));
    let said = said.expect_err("no trace").to_string();
    assert_eq!(
        said,
        "the node could not trace transaction 0: execution timeout"
    );
}

/// A transaction whose calls lie so deep within each other.
fn nested(depth: usize) -> String {
    let one = json!({"type": "CALL", "from": address(1), "to": address(1), "value": "0x1"});
    let one = one.to_string();
    let open = format!("{},\"calls\":[", one.trim_end_matches('}'));
    let calls = [open.repeat(depth), one, "]}".repeat(depth)].concat();
    format!("[{{\"result\":{calls}}}]")
}

#[test]
fn calls_may_lie_as_deep_as_the_machine_allows_and_no_deeper() {
    let due = proven(&[call(1, 1, 1)]);
    let told = read_call_tracer(&nested(1_025), &due).expect("deep calls");
    assert_eq!((told.len(), told[1_024].trace_index), (1_025, 1_025));
    let said = read_call_tracer(&nested(3_000), &due);
    assert!(matches!(said, Err(TraceError::Malformed(_))), "{said:?}");
}

#[test]
fn gas_that_no_block_has_is_refused() {
    let mut traces: Value = serde_json::from_str(&tree(&[call(1, 2, 0)])).expect("a tree");
    traces[0]["result"]["gas"] = json!(U256::MAX);
    let said = read_call_tracer(&traces.to_string(), &proven(&[call(1, 2, 0)]));
    assert!(matches!(said, Err(TraceError::Malformed(_))), "{said:?}");
}
