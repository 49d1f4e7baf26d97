//! What each verification level lets pass, and what none does.

use crate::tampering::{Draft, kind, nudge};
use chain::{Checks, VerifyLevel};
use serde_json::{Value, json};
use simnode::fixtures::Fixtures;

/// The refusal expected, and the edit that must bring it about.
type Row = (&'static str, fn(&mut Draft));

const LEVELS: [VerifyLevel; 4] = [
    VerifyLevel::Full,
    VerifyLevel::Roots,
    VerifyLevel::Links,
    VerifyLevel::Off,
];

/// The outcome in history under each of [`LEVELS`].
fn in_history(draft: &Draft) -> [&'static str; 4] {
    LEVELS.map(|level| kind(draft.verify_with(level.checks(false))))
}

#[test]
fn only_full_recovers_senders_in_history_and_roots_does_at_the_head() {
    let Some(fixtures) =
        Fixtures::find_or_say("only_full_recovers_senders_in_history_and_roots_does_at_the_head")
    else {
        return;
    };
    let good = Draft::prague(&fixtures);
    let other = good.edited(|draft| nudge(&mut draft.block["transactions"][0]["from"]));
    assert_eq!(in_history(&good), ["proven"; 4]);
    assert_eq!(in_history(&other), ["sender", "proven", "proven", "proven"]);
    let at_head = |level: VerifyLevel| kind(other.verify_with(level.checks(true)));
    assert_eq!(
        LEVELS.map(at_head),
        ["sender", "sender", "proven", "proven"]
    );
    let kept = other.verify_with(VerifyLevel::Roots.checks(false)).unwrap();
    let claimed = json!(kept.transactions[0].sender);
    assert_eq!(claimed, other.block["transactions"][0]["from"]);
}

#[test]
fn links_and_off_take_hashes_and_lists_as_the_node_gave_them() {
    let Some(fixtures) =
        Fixtures::find_or_say("links_and_off_take_hashes_and_lists_as_the_node_gave_them")
    else {
        return;
    };
    let good = Draft::prague(&fixtures);
    let rows: [Row; 6] = [
        ("header_hash", |d| nudge(&mut d.block["stateRoot"])),
        ("transactions_root", |d| {
            nudge(&mut d.block["transactions"][0]["value"]);
        }),
        ("transaction_hash", |d| {
            let hash = &mut d.block["transactions"][0]["hash"];
            nudge(hash);
            d.receipts[0]["transactionHash"] = hash.clone();
        }),
        ("withdrawals_root", |d| d.block["withdrawals"] = Value::Null),
        ("uncles_hash", |d| {
            d.block["uncles"] = json!([d.block["hash"]]);
        }),
        ("receipts_root", |d| {
            nudge(&mut d.receipts[0]["cumulativeGasUsed"]);
        }),
    ];
    for (refused, edit) in rows {
        let outcomes = in_history(&good.edited(edit));
        assert_eq!(outcomes, [refused, refused, "proven", "proven"]);
    }
}

#[test]
fn no_level_takes_parts_that_do_not_fit_together() {
    let Some(fixtures) = Fixtures::find_or_say("no_level_takes_parts_that_do_not_fit_together")
    else {
        return;
    };
    let good = Draft::prague(&fixtures);
    let rows: [Row; 5] = [
        ("malformed", |d| d.block["transactions"][0] = Value::Null),
        ("malformed", |d| d.receipts[0]["status"] = Value::Null),
        ("unsupported_transaction", |d| {
            d.block["transactions"][0]["type"] = json!("0x7e");
        }),
        ("foreign_receipt", |d| {
            nudge(&mut d.receipts[0]["blockHash"]);
        }),
        ("receipt_count", |d| {
            d.receipts.as_array_mut().expect("receipts").pop();
        }),
    ];
    for (refused, edit) in rows {
        assert_eq!(in_history(&good.edited(edit)), [refused; 4]);
    }
}

#[test]
fn without_checks_uncles_are_called_proven_only_when_they_are() {
    let Some(fixtures) =
        Fixtures::find_or_say("without_checks_uncles_are_called_proven_only_when_they_are")
    else {
        return;
    };
    let blocks = fixtures.mainnet_run().unwrap();
    let mut drafts = blocks.iter().map(Draft::of);
    let with_uncle = drafts.find(|draft| draft.block["uncles"][0].is_string());
    let left_out = with_uncle
        .expect("a block with an uncle")
        .edited(|draft| draft.block["uncles"] = json!([]));
    let off = VerifyLevel::Off.checks(true);
    let taken = left_out.verify_with(off).unwrap();
    assert!(!taken.uncles_proven, "the header commits to an uncle");
    assert_eq!(taken.size, None);
    let taken = Draft::prague(&fixtures).verify_with(off).unwrap();
    assert!(taken.uncles_proven && taken.size.is_some());
}

#[test]
fn levels_read_back_as_they_are_written_and_others_are_refused_by_name() {
    for level in LEVELS {
        assert_eq!(level.to_string().parse::<VerifyLevel>().unwrap(), level);
    }
    let error = "none".parse::<VerifyLevel>().unwrap_err().to_string();
    assert!(error.contains("none") && error.contains("links"), "{error}");
    let Checks {
        header,
        roots,
        senders,
    } = VerifyLevel::Off.checks(true);
    assert!(!(header || roots || senders));
}
