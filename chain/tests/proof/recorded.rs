//! Blocks as nodes replied them: Sepolia and mainnet, with receipts and without.

use crate::claims::{FULL, Tally, number, optional, parse, prove, prove_and_compare};
use alloy::{
    consensus::{Header, Receipt, ReceiptEnvelope, TxType, proofs::calculate_receipt_root},
    primitives::{Address, B256, Bloom, Log, LogData},
};
use alloy_trie::root::ordered_trie_root_encoded;
use chain::{HashRule, ProvenBody, Uncles, convert_block, prove_body, wire};
use serde_json::Value;
use simnode::fixtures::{BlockJson, Fixtures};
use std::thread;

/// Proves a block without receipts and compares senders and size with the node's claims.
pub fn prove_body_and_compare(block: &str) -> ProvenBody {
    let wire: wire::Block = chain::parse("block", block).expect("the block parses");
    let body = convert_block(wire, None).expect("the block converts");
    let proven = prove_body(&body, FULL).unwrap_or_else(|error| {
        panic!("{}: {error}", body.header.number);
    });
    let claimed: Value = parse(block);
    let transactions = claimed["transactions"].as_array().expect("transactions");
    let senders: Vec<Address> = transactions
        .iter()
        .map(|transaction| optional(transaction, "from").expect("a sender"))
        .collect();
    assert_eq!(proven.senders, senders);
    if let (Some(computed), Some(claimed)) = (proven.size, claimed.get("size")) {
        assert_eq!(computed, number(claimed), "size of {}", body.header.number);
    }
    proven
}

/// Proves blocks with receipts on two threads.
fn prove_all(blocks: &[BlockJson]) -> Tally {
    let mut sum = Tally::default();
    let half = blocks.len().div_ceil(2).max(1);
    thread::scope(|scope| {
        let parts: Vec<_> = blocks
            .chunks(half)
            .map(|part| {
                scope.spawn(move || {
                    let mut sum = Tally::default();
                    for block in part {
                        sum += prove_and_compare(block);
                    }
                    sum
                })
            })
            .collect();
        for part in parts {
            sum += part.join().expect("the thread ends well");
        }
    });
    sum
}

#[test]
fn every_block_of_the_sepolia_run_is_proven() {
    let Some(fixtures) = Fixtures::find_or_say("every_block_of_the_sepolia_run_is_proven") else {
        return;
    };
    let tally = prove_all(&fixtures.sepolia_run_json().unwrap());
    let expected = Tally {
        blocks: 8192,
        transactions: 93,
        creations: 1,
        failed: 27,
        logs: 0,
        blob_prices: 0,
        uncles: 1273,
        sizes: 7545,
    };
    assert_eq!(tally, expected);
}

#[test]
fn mainnet_blocks_with_receipts_are_proven_and_agree_with_the_node() {
    let Some(fixtures) =
        Fixtures::find_or_say("mainnet_blocks_with_receipts_are_proven_and_agree_with_the_node")
    else {
        return;
    };
    let mut blocks = fixtures.mainnet_blocks().unwrap();
    blocks.retain(|block| block.receipts.is_some());
    let tally = prove_all(&blocks);
    let expected = Tally {
        blocks: 7,
        transactions: 675,
        creations: 2,
        failed: 55,
        logs: 2199,
        blob_prices: 3,
        uncles: 0,
        sizes: 7,
    };
    assert_eq!(tally, expected);
}

#[test]
fn mainnet_and_sepolia_blocks_without_receipts_are_proven_but_for_receipts() {
    let Some(fixtures) = Fixtures::find_or_say(
        "mainnet_and_sepolia_blocks_without_receipts_are_proven_but_for_receipts",
    ) else {
        return;
    };
    let mut blocks = fixtures.mainnet_blocks().unwrap();
    blocks.push(fixtures.sepolia_7265502().unwrap());
    blocks.retain(|block| block.receipts.is_none());
    assert_eq!(blocks.len(), 10);
    for block in &blocks {
        let proven = prove_body_and_compare(block.block.get());
        assert!(proven.uncles_proven && proven.size.is_some());
    }
}

#[test]
fn receipts_from_before_byzantium_are_proven_by_their_state_root() {
    let Some(fixtures) =
        Fixtures::find_or_say("receipts_from_before_byzantium_are_proven_by_their_state_root")
    else {
        return;
    };
    let tally = prove_all(&fixtures.mainnet_run().unwrap());
    let expected = (41, 78, 5, 0);
    let got = (tally.blocks, tally.transactions, tally.uncles, tally.failed);
    assert_eq!(got, expected, "{tally:?}");
}

#[test]
fn uncles_known_by_hash_only_are_kept_but_not_called_proven() {
    let Some(fixtures) =
        Fixtures::find_or_say("uncles_known_by_hash_only_are_kept_but_not_called_proven")
    else {
        return;
    };
    let blocks = fixtures.sepolia_run_json().unwrap();
    let mut with_uncles = 0;
    for block in blocks.iter().rev().take(1000) {
        let proven = prove(block).unwrap();
        let bare = proven.uncles.is_empty();
        assert_eq!(proven.uncles_proven, bare, "{}", proven.number());
        assert_eq!(proven.size.is_some(), bare, "{}", proven.number());
        with_uncles += usize::from(!bare);
    }
    assert!(with_uncles > 0);
}

#[test]
fn the_run_of_prague_blocks_links_from_parent_to_child() {
    let Some(fixtures) =
        Fixtures::find_or_say("the_run_of_prague_blocks_links_from_parent_to_child")
    else {
        return;
    };
    let mut parent: Option<B256> = None;
    for number in 22_431_080..=22_431_090 {
        let block = fixtures.mainnet_block(number).unwrap();
        let header = header(block.block.get());
        assert!(parent.is_none_or(|hash| hash == header.parent_hash));
        parent = Some(HashRule::hash(&header));
    }
}

/// The block carries transaction hashes only, so no transactions root; the receipts' own types are
/// what the receipts root needs.
#[test]
fn a_block_of_hashes_is_proven_as_far_as_header_and_receipts_go() {
    let Some(fixtures) =
        Fixtures::find_or_say("a_block_of_hashes_is_proven_as_far_as_header_and_receipts_go")
    else {
        return;
    };
    let recorded = fixtures.mainnet_21925176().unwrap();
    let header = header(recorded.block.get());
    let claimed: Value = parse(recorded.block.get());
    assert_eq!(Some(HashRule::hash(&header)), optional(&claimed, "hash"));
    let receipts: Vec<Value> = parse(recorded.receipts.expect("receipts").get());
    assert_eq!(receipts.len(), 202);
    let envelopes: Vec<_> = receipts.iter().map(envelope).collect();
    assert_eq!(calculate_receipt_root(&envelopes), header.receipts_root);
    let mut bloom = Bloom::ZERO;
    for receipt in &envelopes {
        bloom.accrue_bloom(receipt.logs_bloom());
    }
    assert_eq!(bloom, header.logs_bloom);
    let withdrawals: Vec<alloy::eips::eip4895::Withdrawal> =
        optional(&claimed, "withdrawals").expect("withdrawals");
    let encoded: Vec<_> = withdrawals.iter().map(alloy::rlp::encode).collect();
    let root = ordered_trie_root_encoded(&encoded);
    assert_eq!(Some(root), header.withdrawals_root);
    let parsed = chain::parse::<wire::Block>("block", recorded.block.get());
    assert_eq!(parsed.unwrap_err().kind(), "malformed", "no bodies");
}

/// The header of a block reply of either form.
pub fn header(block: &str) -> Header {
    let wire: wire::BlockHeader = parse(block);
    wire.into()
}

/// A receipt as hashed, by its own account of its type.
fn envelope(receipt: &Value) -> ReceiptEnvelope {
    let ty = u8::try_from(number(&receipt["type"])).expect("a type");
    let logs = receipt["logs"].as_array().expect("logs").iter();
    let logs = logs.map(|log| Log {
        address: optional(log, "address").expect("an address"),
        data: LogData::new_unchecked(
            optional(log, "topics").expect("topics"),
            optional(log, "data").expect("data"),
        ),
    });
    let hashed = Receipt {
        status: (number(&receipt["status"]) == 1).into(),
        cumulative_gas_used: number(&receipt["cumulativeGasUsed"]),
        logs: logs.collect(),
    };
    ReceiptEnvelope::from_typed(TxType::try_from(ty).expect("a known type"), hashed)
}

#[test]
fn uncle_headers_that_are_not_the_blocks_are_refused() {
    let Some(fixtures) = Fixtures::find_or_say("uncle_headers_that_are_not_the_blocks_are_refused")
    else {
        return;
    };
    let blocks = fixtures.mainnet_run().unwrap();
    let block = blocks
        .iter()
        .find(|block| !parse::<wire::Block>(block.block.get()).uncles.is_empty())
        .expect("a block with an uncle");
    let wire: wire::Block = parse(block.block.get());
    let mut body = convert_block(wire, None).unwrap();
    for uncles in [vec![], vec![header(block.block.get())]] {
        body.uncles = Uncles::Headers(uncles);
        let refused = prove_body(&body, FULL).unwrap_err();
        assert_eq!(refused.kind(), "uncles_hash", "{refused}");
    }
}
