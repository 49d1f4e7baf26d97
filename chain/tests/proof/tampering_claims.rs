//! One table: a good real block, one thing made wrong in its lists, and the reason it must be refused.

use crate::tampering::{Draft, kind, nudge};
use alloy::primitives::{Address, B256, Bloom};
use serde_json::{Value, json};
use simnode::fixtures::Fixtures;

/// What is wrong, the edit that makes it so, and the kind of the refusal.
pub type Row = (&'static str, fn(&mut Draft), &'static str);

fn transactions(draft: &mut Draft) -> &mut Vec<Value> {
    let list = draft.block["transactions"].as_array_mut();
    list.expect("a list of transactions")
}

fn receipts(draft: &mut Draft) -> &mut Vec<Value> {
    draft.receipts.as_array_mut().expect("a list of receipts")
}

fn withdrawals(draft: &mut Draft) -> &mut Vec<Value> {
    let list = draft.block["withdrawals"].as_array_mut();
    list.expect("a list of withdrawals")
}

/// The first receipt with a log of two topics or more.
fn with_logs(draft: &mut Draft) -> &mut Value {
    let found = receipts(draft).iter_mut().find(|receipt| {
        let topics = receipt["logs"][0]["topics"].as_array();
        topics.is_some_and(|topics| topics.len() > 1)
    });
    found.expect("a receipt with logs")
}

const TRANSACTIONS: [Row; 15] = [
    (
        "two swapped",
        |d| transactions(d).swap(3, 4),
        "transactions_root",
    ),
    (
        "the last missing",
        |d| drop(transactions(d).pop()),
        "transactions_root",
    ),
    (
        "one missing",
        |d| drop(transactions(d).remove(5)),
        "transactions_root",
    ),
    (
        "all missing",
        |d| transactions(d).clear(),
        "transactions_root",
    ),
    (
        "one twice",
        |d| {
            let last = transactions(d).last().cloned();
            transactions(d).extend(last);
        },
        "transactions_root",
    ),
    (
        "one null",
        |d| transactions(d)[2] = Value::Null,
        "malformed",
    ),
    (
        "a hash for one",
        |d| transactions(d)[2] = json!(B256::ZERO),
        "malformed",
    ),
    (
        "no list",
        |d| d.block["transactions"] = Value::Null,
        "malformed",
    ),
    (
        "another hash claimed",
        |d| nudge(&mut transactions(d)[2]["hash"]),
        "transaction_hash",
    ),
    (
        "another sender",
        |d| nudge(&mut transactions(d)[2]["from"]),
        "sender",
    ),
    (
        "a type nobody knows",
        |d| transactions(d)[2]["type"] = json!("0x7e"),
        "unsupported_transaction",
    ),
    (
        "a type nobody knows, without a signature",
        |d| {
            let deposit = transactions(d)[2].as_object_mut().expect("an object");
            deposit.retain(|field, _| !["v", "r", "s", "yParity"].contains(&field.as_str()));
            deposit["type"] = json!("0x7e");
        },
        "unsupported_transaction",
    ),
    (
        "another type's encoding",
        |d| transactions(d)[1]["type"] = json!("0x4"),
        "malformed",
    ),
    (
        "no signature",
        |d| {
            drop(
                transactions(d)[1]
                    .as_object_mut()
                    .and_then(|tx| tx.remove("r")),
            );
        },
        "malformed",
    ),
    (
        "a parity that is none",
        |d| transactions(d)[1]["yParity"] = json!("0x2"),
        "malformed",
    ),
];

const OTHER_LISTS: [Row; 11] = [
    (
        "an uncle from nowhere",
        |d| d.block["uncles"] = json!([B256::ZERO]),
        "uncles_hash",
    ),
    (
        "a withdrawal's index",
        |d| nudge(&mut withdrawals(d)[1]["index"]),
        "withdrawals_root",
    ),
    (
        "a withdrawal's validator",
        |d| nudge(&mut withdrawals(d)[1]["validatorIndex"]),
        "withdrawals_root",
    ),
    (
        "a withdrawal's address",
        |d| nudge(&mut withdrawals(d)[1]["address"]),
        "withdrawals_root",
    ),
    (
        "a withdrawal's amount",
        |d| nudge(&mut withdrawals(d)[1]["amount"]),
        "withdrawals_root",
    ),
    (
        "withdrawals swapped",
        |d| withdrawals(d).swap(0, 1),
        "withdrawals_root",
    ),
    (
        "a withdrawal missing",
        |d| drop(withdrawals(d).pop()),
        "withdrawals_root",
    ),
    (
        "no withdrawals",
        |d| withdrawals(d).clear(),
        "withdrawals_root",
    ),
    (
        "withdrawals null",
        |d| d.block["withdrawals"] = Value::Null,
        "withdrawals_root",
    ),
    (
        "withdrawals absent",
        |d| {
            drop(
                d.block
                    .as_object_mut()
                    .and_then(|b| b.remove("withdrawals")),
            );
        },
        "withdrawals_root",
    ),
    (
        "a withdrawal null",
        |d| withdrawals(d)[0] = Value::Null,
        "malformed",
    ),
];

const RECEIPTS: [Row; 23] = [
    (
        "a failure called success",
        |d| {
            let failed = receipts(d).iter_mut().find(|r| r["status"] == "0x0");
            failed.expect("a failed transaction")["status"] = json!("0x1");
        },
        "receipts_root",
    ),
    (
        "a success called failure",
        |d| receipts(d)[0]["status"] = json!("0x0"),
        "receipts_root",
    ),
    (
        "a state root where there was a status",
        |d| receipts(d)[0]["root"] = json!(B256::repeat_byte(1)),
        "receipts_root",
    ),
    (
        "neither status nor root",
        |d| receipts(d)[0]["status"] = Value::Null,
        "malformed",
    ),
    (
        "cumulative gas",
        |d| nudge(&mut receipts(d)[4]["cumulativeGasUsed"]),
        "receipts_root",
    ),
    (
        "no cumulative gas",
        |d| receipts(d)[4]["cumulativeGasUsed"] = Value::Null,
        "malformed",
    ),
    (
        "a log's data",
        |d| nudge(&mut with_logs(d)["logs"][0]["data"]),
        "receipts_root",
    ),
    (
        "a log's address",
        |d| nudge(&mut with_logs(d)["logs"][0]["address"]),
        "receipts_root",
    ),
    (
        "a log's topic",
        |d| nudge(&mut with_logs(d)["logs"][0]["topics"][1]),
        "receipts_root",
    ),
    (
        "a topic fewer",
        |d| {
            drop(
                with_logs(d)["logs"][0]["topics"]
                    .as_array_mut()
                    .and_then(Vec::pop),
            );
        },
        "receipts_root",
    ),
    (
        "a log dropped",
        |d| drop(with_logs(d)["logs"].as_array_mut().and_then(Vec::pop)),
        "receipts_root",
    ),
    (
        "a log twice",
        |d| {
            let log = with_logs(d)["logs"][0].clone();
            with_logs(d)["logs"].as_array_mut().expect("logs").push(log);
        },
        "receipts_root",
    ),
    (
        "a null log",
        |d| with_logs(d)["logs"][0] = Value::Null,
        "malformed",
    ),
    (
        "logs null",
        |d| with_logs(d)["logs"] = Value::Null,
        "malformed",
    ),
    (
        "the last missing",
        |d| drop(receipts(d).pop()),
        "receipt_count",
    ),
    (
        "one missing",
        |d| drop(receipts(d).remove(5)),
        "foreign_receipt",
    ),
    ("all missing", |d| receipts(d).clear(), "receipt_count"),
    (
        "one too many",
        |d| {
            let last = receipts(d).last().cloned();
            receipts(d).extend(last);
        },
        "receipt_count",
    ),
    ("two swapped", |d| receipts(d).swap(3, 4), "foreign_receipt"),
    ("one null", |d| receipts(d)[3] = Value::Null, "malformed"),
    ("no list", |d| d.receipts = Value::Null, "malformed"),
    (
        "of another transaction",
        |d| nudge(&mut receipts(d)[3]["transactionHash"]),
        "foreign_receipt",
    ),
    (
        "of another block",
        |d| nudge(&mut receipts(d)[3]["blockHash"]),
        "foreign_receipt",
    ),
];

#[test]
fn one_wrong_thing_in_any_list_is_refused_for_its_own_reason() {
    let Some(fixtures) =
        Fixtures::find_or_say("one_wrong_thing_in_any_list_is_refused_for_its_own_reason")
    else {
        return;
    };
    let good = Draft::prague(&fixtures);
    assert_eq!(kind(good.verify()), "proven");
    for (list, rows) in [
        ("transactions", &TRANSACTIONS[..]),
        ("other lists", &OTHER_LISTS),
        ("receipts", &RECEIPTS),
    ] {
        for (what, edit, expected) in rows {
            let refused = kind(good.edited(edit).verify());
            assert_eq!(refused, *expected, "{list}: {what}");
        }
    }
}

#[test]
fn receipts_of_another_block_are_foreign_and_stay_wrong_when_relabelled() {
    let Some(fixtures) = Fixtures::find_or_say(
        "receipts_of_another_block_are_foreign_and_stay_wrong_when_relabelled",
    ) else {
        return;
    };
    let good = Draft::prague(&fixtures);
    let other = Draft::of(&fixtures.mainnet_block(22_431_083).unwrap());
    let foreign = good.edited(|draft| draft.receipts = other.receipts.clone());
    assert_eq!(kind(foreign.verify()), "foreign_receipt");
    let relabelled = foreign.edited(|draft| {
        let count = transactions(draft).len();
        receipts(draft).truncate(count);
        for index in 0..count {
            let hash = transactions(draft)[index]["hash"].clone();
            let block_hash = draft.block["hash"].clone();
            let receipt = &mut receipts(draft)[index];
            receipt["transactionHash"] = hash;
            receipt["blockHash"] = block_hash;
        }
    });
    assert_eq!(kind(relabelled.verify()), "receipts_root");
}

#[test]
fn a_nodes_figures_that_no_root_covers_are_never_believed() {
    let Some(fixtures) =
        Fixtures::find_or_say("a_nodes_figures_that_no_root_covers_are_never_believed")
    else {
        return;
    };
    let good = Draft::prague(&fixtures);
    let truth = good.verify().unwrap();
    let false_reply = good.edited(|draft| {
        for receipt in receipts(draft) {
            receipt["gasUsed"] = json!("0x1");
            receipt["effectiveGasPrice"] = json!("0x1");
            receipt["contractAddress"] = json!(Address::repeat_byte(1));
            receipt["from"] = json!(Address::repeat_byte(2));
            receipt["blobGasUsed"] = json!("0x1");
            receipt["blobGasPrice"] = json!("0xabcdef");
            receipt["logsBloom"] = json!(Bloom::repeat_byte(3));
            for log in receipt["logs"].as_array_mut().expect("logs") {
                log["logIndex"] = json!("0x0");
            }
        }
        for transaction in transactions(draft) {
            transaction["blockHash"] = json!(B256::ZERO);
            transaction["transactionIndex"] = json!("0x99");
        }
        draft.block["size"] = json!("0x1");
    });
    let proven = false_reply.verify().unwrap();
    assert_eq!(proven.size, truth.size);
    for (lied, honest) in proven.transactions.iter().zip(&truth.transactions) {
        assert_eq!(lied.sender, honest.sender);
        let (lied, honest) = (&lied.receipt, &honest.receipt);
        assert_eq!(lied.gas_used, honest.gas_used);
        assert_eq!(lied.effective_gas_price, honest.effective_gas_price);
        assert_eq!(lied.contract_address, honest.contract_address);
        assert_eq!(lied.blob_gas_used, honest.blob_gas_used);
        assert_eq!(lied.first_log_index, honest.first_log_index);
        // No known fork yields the price, so none is kept.
        assert_eq!(lied.blob_gas_price, None);
    }
}
