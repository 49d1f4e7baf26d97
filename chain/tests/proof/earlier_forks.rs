//! What only old blocks have, made wrong: state roots in receipts, and uncles.

use crate::{
    claims::{FULL, parse},
    tampering::{Draft, kind, nudge},
    tampering_claims::Row,
};
use chain::{Parts, verify, wire};
use serde_json::{Value, json};
use simnode::fixtures::Fixtures;

#[test]
fn receipts_from_before_byzantium_are_refused_with_another_root_or_only_a_status() {
    let Some(fixtures) = Fixtures::find_or_say(
        "receipts_from_before_byzantium_are_refused_with_another_root_or_only_a_status",
    ) else {
        return;
    };
    let blocks = fixtures.mainnet_run().unwrap();
    let drafts = blocks.iter().map(Draft::of);
    let mut busy = drafts.filter(|draft| draft.receipts[0].is_object());
    let good = busy.next().expect("a block with a transaction");
    let rows: [Row; 3] = [
        (
            "another root",
            |d| nudge(&mut d.receipts[0]["root"]),
            "receipts_root",
        ),
        (
            "no root",
            |d| d.receipts[0]["root"] = Value::Null,
            "malformed",
        ),
        (
            "a status for the root",
            |d| {
                d.receipts[0]["root"] = Value::Null;
                d.receipts[0]["status"] = json!("0x1");
            },
            "receipts_root",
        ),
    ];
    for (what, edit, expected) in rows {
        assert_eq!(kind(good.edited(edit).verify()), expected, "{what}");
    }
}

#[test]
fn uncles_that_the_header_knows_cannot_be_left_out_or_exchanged_for_other_headers() {
    let Some(fixtures) = Fixtures::find_or_say(
        "uncles_that_the_header_knows_cannot_be_left_out_or_exchanged_for_other_headers",
    ) else {
        return;
    };
    let blocks = fixtures.mainnet_run().unwrap();
    let mut drafts = blocks.iter().map(Draft::of);
    let good = drafts.find(|draft| draft.block["uncles"][0].is_string());
    let good = good.expect("a block with an uncle");
    let bare = good.edited(|draft| draft.block["uncles"] = json!([]));
    assert_eq!(kind(bare.verify()), "uncles_hash");
    // Without the uncle's header nothing tells one hash from another: kept, and not called proven.
    let renamed = good.edited(|draft| nudge(&mut draft.block["uncles"][0]));
    let renamed = renamed.verify().unwrap();
    assert!(!renamed.uncles_proven && renamed.size.is_none());
    let own_header: wire::BlockHeader = parse(&good.block.to_string());
    for uncles in [vec![], vec![own_header]] {
        let parts = Parts::parse(&good.block.to_string(), &good.receipts.to_string());
        let parts = Parts {
            uncles: Some(uncles),
            ..parts.unwrap()
        };
        assert_eq!(kind(verify(parts, FULL)), "uncles_hash");
    }
}
