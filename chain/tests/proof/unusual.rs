//! Replies that differ from node to node and say the same block: all must be proven.

use crate::tampering::{Draft, kind, transaction_of_type};
use alloy::primitives::B256;
use serde_json::{Value, json};
use simnode::fixtures::Fixtures;

type Row = (&'static str, fn(&mut Draft));

fn each(list: &mut Value, edit: fn(&mut serde_json::Map<String, Value>)) {
    for object in list.as_array_mut().expect("a list") {
        edit(object.as_object_mut().expect("an object"));
    }
}

/// Edits that leave the block the one it was.
const SAME_BLOCK: [Row; 20] = [
    ("total difficulty", |d| {
        d.block["totalDifficulty"] = json!("0xc70d815d562d3cfa955");
    }),
    ("total difficulty null", |d| {
        d.block["totalDifficulty"] = Value::Null;
    }),
    ("fields nobody knows", |d| {
        d.block["l1BlockNumber"] = json!("0x1");
        d.block["sendRoot"] = json!({ "nested": [1, null] });
        each(&mut d.block["transactions"], |tx| {
            drop(tx.insert("publicKey".into(), Value::Null));
        });
        each(&mut d.block["withdrawals"], |one| {
            drop(one.insert("note".into(), json!(1)));
        });
        each(&mut d.receipts, |receipt| {
            receipt.insert("revertReason".into(), json!("0x08c379a0"));
            each(receipt.get_mut("logs").expect("logs"), |log| {
                drop(log.insert("transactionLogIndex".into(), json!("0x0")));
            });
        });
    }),
    ("timestamps of logs as numbers", |d| {
        each(&mut d.receipts, |receipt| {
            receipt.insert("blockTimestamp".into(), json!(1_746_612_311));
            each(receipt.get_mut("logs").expect("logs"), |log| {
                drop(log.insert("blockTimestamp".into(), json!(1_746_612_311)));
            });
        });
    }),
    ("no size", |d| d.block["size"] = Value::Null),
    ("no yParity", |d| {
        each(&mut d.block["transactions"], |tx| {
            drop(tx.remove("yParity"));
        });
    }),
    ("no v on typed transactions", |d| {
        each(&mut d.block["transactions"], |tx| {
            if tx["type"] != "0x0" {
                tx.remove("v");
            }
        });
    }),
    ("yParity on legacy transactions", |d| {
        each(&mut d.block["transactions"], |tx| {
            if tx["type"] == "0x0" {
                tx.insert("yParity".into(), json!("0x1"));
            }
        });
    }),
    ("no type on legacy transactions", |d| {
        each(&mut d.block["transactions"], |tx| {
            if tx["type"] == "0x0" {
                tx.remove("type");
            }
        });
    }),
    ("the chain id of legacy transactions null", |d| {
        each(&mut d.block["transactions"], |tx| {
            if tx["type"] == "0x0" {
                tx.insert("chainId".into(), Value::Null);
            }
        });
    }),
    ("fees of the fee market null on legacy transactions", |d| {
        each(&mut d.block["transactions"], |tx| {
            if tx["type"] == "0x0" {
                tx.insert("maxFeePerGas".into(), Value::Null);
                tx.insert("accessList".into(), Value::Null);
            }
        });
    }),
    ("no gas price on fee market transactions", |d| {
        each(&mut d.block["transactions"], |tx| {
            if tx["type"] == "0x2" {
                tx.remove("gasPrice");
            }
        });
    }),
    ("an empty access list absent", |d| {
        each(&mut d.block["transactions"], |tx| {
            tx.retain(|field, value| field != "accessList" || *value != json!([]));
        });
    }),
    ("data for input", |d| {
        each(&mut d.block["transactions"], |tx| {
            let input = tx.remove("input").expect("an input");
            tx.insert("data".into(), input);
        });
    }),
    ("data beside input", |d| {
        each(&mut d.block["transactions"], |tx| {
            let input = tx["input"].clone();
            tx.insert("data".into(), input);
        });
    }),
    ("coinbase for miner", |d| {
        let miner = d.block["miner"].take();
        d.block.as_object_mut().expect("a block").remove("miner");
        d.block["coinbase"] = miner;
    }),
    ("no nonce where it is zero", |d| {
        d.block.as_object_mut().expect("a block").remove("nonce");
    }),
    ("no uncles", |d| {
        d.block.as_object_mut().expect("a block").remove("uncles");
    }),
    ("roots of receipts null", |d| {
        each(&mut d.receipts, |receipt| {
            drop(receipt.insert("root".into(), Value::Null));
        });
    }),
    ("receipts with the least", |d| {
        let kept = [
            "blockHash",
            "transactionHash",
            "status",
            "cumulativeGasUsed",
            "logs",
        ];
        for receipt in d.receipts.as_array_mut().expect("receipts") {
            let receipt = receipt.as_object_mut().expect("a receipt");
            receipt.retain(|field, _| kept.contains(&field.as_str()));
        }
    }),
];

#[test]
fn what_nodes_leave_out_or_add_does_not_stand_in_the_way_of_proof() {
    let Some(fixtures) =
        Fixtures::find_or_say("what_nodes_leave_out_or_add_does_not_stand_in_the_way_of_proof")
    else {
        return;
    };
    let good = Draft::prague(&fixtures);
    let expected = good.verify().unwrap();
    for (what, edit) in SAME_BLOCK {
        let edited = good.edited(edit);
        assert!(
            edited.block != good.block || edited.receipts != good.receipts,
            "{what}"
        );
        let proven = edited
            .verify()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            (proven.hash, proven.size),
            (expected.hash, expected.size),
            "{what}"
        );
    }
}

#[test]
fn a_block_from_before_london_and_shanghai_may_name_their_fields_as_null() {
    let Some(fixtures) = Fixtures::find_or_say(
        "a_block_from_before_london_and_shanghai_may_name_their_fields_as_null",
    ) else {
        return;
    };
    let blocks = fixtures.mainnet_run().unwrap();
    for good in blocks.iter().map(Draft::of) {
        assert!(good.block.get("baseFeePerGas").is_none());
        let nulls = good.edited(|draft| {
            for field in [
                "baseFeePerGas",
                "withdrawals",
                "withdrawalsRoot",
                "blobGasUsed",
                "excessBlobGas",
                "parentBeaconBlockRoot",
                "requestsHash",
            ] {
                draft.block[field] = Value::Null;
            }
        });
        let proven = nulls.verify().unwrap();
        assert_eq!(proven.withdrawals, None);
        // A list where the header has no root is another block.
        let listed = good.edited(|draft| draft.block["withdrawals"] = json!([]));
        assert_eq!(kind(listed.verify()), "withdrawals_root");
    }
}

#[test]
fn a_status_of_the_nodes_own_making_beside_a_state_root_is_left_out() {
    let Some(fixtures) =
        Fixtures::find_or_say("a_status_of_the_nodes_own_making_beside_a_state_root_is_left_out")
    else {
        return;
    };
    let blocks = fixtures.mainnet_run().unwrap();
    for good in blocks.iter().map(Draft::of) {
        let both = good.edited(|draft| {
            each(&mut draft.receipts, |receipt| {
                drop(receipt.insert("status".into(), json!("0x1")));
            });
        });
        for transaction in both.verify().unwrap().transactions {
            assert_eq!(transaction.receipt.status, None);
            assert!(transaction.receipt.state_root.is_some());
        }
    }
}

#[test]
fn a_root_of_zeros_beside_a_status_is_a_filler() {
    let Some(fixtures) = Fixtures::find_or_say("a_root_of_zeros_beside_a_status_is_a_filler")
    else {
        return;
    };
    let filled = Draft::prague(&fixtures).edited(|draft| {
        each(&mut draft.receipts, |receipt| {
            drop(receipt.insert("root".into(), json!(B256::ZERO)));
        });
    });
    for transaction in filled.verify().unwrap().transactions {
        assert!(transaction.receipt.status.is_some());
    }
}

#[test]
fn a_creation_may_name_no_recipient_or_a_null_one() {
    let Some(fixtures) = Fixtures::find_or_say("a_creation_may_name_no_recipient_or_a_null_one")
    else {
        return;
    };
    let blocks = fixtures.execution_apis_blocks().unwrap();
    let mut seen = 0;
    for block in blocks {
        let mut draft = Draft {
            block: crate::claims::parse(block.get()),
            receipts: Value::Null,
        };
        let creation = transaction_of_type(&mut draft.block, "0x0", |tx| tx["to"].is_null());
        let Some(creation) = creation.and_then(Value::as_object_mut) else {
            continue;
        };
        if creation.remove("to").is_none() {
            creation.insert("to".into(), Value::Null);
        }
        assert_eq!(kind(draft.prove_body()), "proven");
        seen += 1;
    }
    assert!(seen > 0);
}

/// `fake_exponential` of EIP-4844 with factor 1, in the numbers that a test needs.
fn blob_price(excess: u128, update_fraction: u128) -> u128 {
    let (mut sum, mut term, mut step) = (0, update_fraction, 1);
    while term > 0 {
        sum += term;
        term = term * excess / (update_fraction * step);
        step += 1;
    }
    sum / update_fraction
}

/// Update fractions: Cancun (EIP-4844), Prague (EIP-7691), and the two forks that changed blob
/// parameters only, on the schedule of EIP-7892.
#[test]
fn the_blob_price_of_any_known_fork_is_kept_and_no_other() {
    let Some(fixtures) =
        Fixtures::find_or_say("the_blob_price_of_any_known_fork_is_kept_and_no_other")
    else {
        return;
    };
    let good = Draft::prague(&fixtures);
    let excess = 100_000_000;
    let price_kept = |claimed: Value| {
        let draft = good.edited(|draft| {
            draft.block["excessBlobGas"] = json!(format!("{excess:#x}"));
            draft.rehash();
            each(&mut draft.receipts, |receipt| {
                receipt.remove("blobGasPrice");
            });
            draft.receipts[0]["blobGasPrice"] = claimed;
        });
        draft.verify().unwrap().transactions[0]
            .receipt
            .blob_gas_price
    };
    for fraction in [3_338_477, 5_007_716, 8_346_193, 11_684_671] {
        let price = blob_price(excess, fraction);
        let kept = price_kept(json!(format!("{price:#x}")));
        assert_eq!(kept, Some(price), "fraction {fraction}");
        assert_eq!(price_kept(json!(format!("{:#x}", price + 1))), None);
    }
    assert_eq!(price_kept(Value::Null), None, "nothing claimed");
    let far = good.edited(|draft| {
        draft.block["excessBlobGas"] = json!("0xffffffffffffffff");
        draft.rehash();
    });
    assert_eq!(kind(far.verify()), "proven", "an absurd excess is no panic");
}
