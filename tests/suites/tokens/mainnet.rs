//! Transfers of real blocks, counted in their raw receipts.

use super::{
    assert_transfers,
    recount::{Moved, recount},
};
use crate::recorded::{index_all, runs};
use alloy::{primitives::Log, rpc::types::TransactionReceipt};
use serde_json::Value;
use simnode::{CannedChain, Fixtures, Server, fixtures};
use std::collections::BTreeMap;
use tallyscan_tests::{Database, folder, redis};

fn parse(block: &fixtures::BlockJson) -> Value {
    let receipts = block.receipts.as_ref().expect("receipts");
    serde_json::from_str(receipts.get()).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_of_mainnet_blocks_are_those_that_their_receipts_count_to() {
    let name = "transfers_of_mainnet_blocks_are_those_that_their_receipts_count_to";
    let Some(recordings) = Fixtures::find_or_say(name) else {
        return;
    };
    let folder = folder();
    let redis = redis(&folder).await;
    let mut counted = 0;
    for run in runs(recordings.mainnet_blocks().expect("the recordings")) {
        let canned = fixtures::canned(&run).expect("blocks");
        let node = Server::start(CannedChain::with_blocks(1, canned)).expect("a node");
        let database = Database::create().await;
        let numbers: Vec<u64> = run.iter().map(number).collect();
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        index_all(&database, &redis.url(), node.http_url(), first, last).await;
        let moved: Vec<Moved> = run
            .iter()
            .flat_map(|block| recount(&parse(block)))
            .collect();
        assert_transfers(&database.pool, &moved).await;
        counted += moved.len();
    }
    assert!(counted > 1_000, "only {counted} transfers in all");
}

fn number(block: &fixtures::BlockJson) -> u64 {
    let block: Value = serde_json::from_str(block.block.get()).expect("JSON");
    tallyscan_tests::quantity(&block["number"])
}

/// Of this block there are receipts and no transactions, so the decoder is asked directly.
#[test]
fn every_standard_is_decoded_from_a_mainnet_block() {
    let Some(recordings) = Fixtures::find_or_say("every_standard_is_decoded_from_a_mainnet_block")
    else {
        return;
    };
    let receipts = parse(&recordings.mainnet_21925176().expect("the recording"));
    let expected = recount(&receipts);
    let receipts: Vec<TransactionReceipt> = serde_json::from_value(receipts).expect("receipts");
    let mut found = Vec::new();
    for receipt in &receipts {
        let logs: Vec<Log> = receipt.logs().iter().map(|log| log.inner.clone()).collect();
        for transfer in chain::token_transfers(&logs) {
            let log = &receipt.logs()[transfer.log];
            found.push(Moved {
                block: log.block_number.expect("a height"),
                log: log.log_index.expect("a position"),
                position: u64::from(transfer.position),
                kind: transfer.kind.number(),
                token: alloy::hex::encode(transfer.token),
                from: alloy::hex::encode(transfer.from),
                to: alloy::hex::encode(transfer.to),
                id: transfer.token_id,
                amount: transfer.amount,
            });
        }
    }
    found.sort();
    assert_eq!(found, expected);
    let mut kinds: BTreeMap<u8, usize> = BTreeMap::new();
    for one in &found {
        *kinds.entry(one.kind).or_default() += 1;
    }
    tallyscan_tests::say(&format!("block 21925176: transfers by kind {kinds:?}"));
    assert!((1..=5).all(|kind| kinds.contains_key(&kind)), "{kinds:?}");
}
