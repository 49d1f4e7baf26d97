//! Besu's own request/response pairs and the chain behind them.

use crate::{
    claims::{FULL, Tally, compare, number, optional, parse},
    recorded::{header, prove_body_and_compare},
    rlp_chain::{RlpBlock, prove_linked, read},
};
use alloy::primitives::B256;
use chain::{HashRule, verify};
use serde_json::Value;
use simnode::fixtures::{Fixtures, RlpFile};

/// The results of every exchange of one method that has one.
fn results(fixtures: &Fixtures, method: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for exchange in fixtures.besu_exchanges().unwrap() {
        let request: Value = parse(exchange.request.get());
        let response: Value = parse(exchange.response.get());
        let result = response.get("result").filter(|result| !result.is_null());
        if let Some(result) = result.filter(|_| request["method"] == method) {
            found.push((exchange.name, result.clone()));
        }
    }
    found
}

fn block_by_hash(chain: &[RlpBlock], hash: B256) -> &RlpBlock {
    let found = chain.iter().find(|block| block.hash() == hash);
    found.expect("a block of the chain")
}

#[test]
fn besus_chain_is_proven_with_its_uncle_headers() {
    let Some(fixtures) = Fixtures::find_or_say("besus_chain_is_proven_with_its_uncle_headers")
    else {
        return;
    };
    let blocks = read(&fixtures, RlpFile::BesuHive);
    let proven = prove_linked(&blocks);
    assert_eq!(proven.len(), 35);
    let uncles: usize = proven.iter().map(|block| block.uncles.len()).sum();
    assert_eq!(uncles, 2);
    assert!(proven.iter().all(|block| block.rule == HashRule::Plain));
}

#[test]
fn besus_block_replies_are_the_blocks_of_its_chain() {
    let Some(fixtures) = Fixtures::find_or_say("besus_block_replies_are_the_blocks_of_its_chain")
    else {
        return;
    };
    let chain = read(&fixtures, RlpFile::BesuHive);
    let mut replies = results(&fixtures, "eth_getBlockByNumber");
    replies.extend(results(&fixtures, "eth_getBlockByHash"));
    let (mut full, mut hashes_only) = (0, 0);
    for (name, block) in replies {
        let json = block.to_string();
        let hash: B256 = optional(&block, "hash").expect("a hash");
        assert_eq!(HashRule::hash(&header(&json)), hash, "{name}");
        let recorded = block_by_hash(&chain, hash);
        assert_eq!(
            number(&block["size"]),
            recorded.rlp_length,
            "{name}: the size that Besu says is the length of the block's RLP"
        );
        if block["transactions"][0].is_object() {
            let proven = prove_body_and_compare(&json);
            assert_eq!(proven.senders, recorded.body().senders, "{name}");
            full += 1;
        } else {
            hashes_only += 1;
        }
    }
    assert_eq!((full, hashes_only), (3, 1));
}

#[test]
fn besus_receipts_are_proven_against_the_blocks_of_its_chain() {
    let Some(fixtures) =
        Fixtures::find_or_say("besus_receipts_are_proven_against_the_blocks_of_its_chain")
    else {
        return;
    };
    let chain = read(&fixtures, RlpFile::BesuHive);
    let mut replies = results(&fixtures, "eth_getBlockReceipts");
    // A block of one transaction: its one receipt is the whole list.
    let single = results(&fixtures, "eth_getTransactionReceipt").into_iter();
    replies.extend(single.map(|(name, receipt)| (name, Value::Array(vec![receipt]))));
    let mut tally = Tally::default();
    for (name, receipts) in &replies {
        let hash: B256 = optional(&receipts[0], "blockHash").expect("a block hash");
        let block = block_by_hash(&chain, hash);
        let proven = verify(block.parts(&receipts.to_string()), FULL)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let senders = block.body().senders.into_iter();
        let transactions: Vec<Value> = senders
            .map(|sender| serde_json::json!({ "from": sender }))
            .collect();
        let claims = serde_json::json!({
            "number": format!("{:#x}", block.block.header.number),
            "hash": hash,
            "size": format!("{:#x}", block.rlp_length),
            "transactions": transactions,
        });
        tally += compare(&proven, &claims, receipts);
    }
    assert_eq!((tally.blocks, tally.sizes), (7, 7), "{tally:?}");
    assert!(tally.creations > 0 && tally.logs > 0, "{tally:?}");
}
