//! The test chain of the execution-apis specification: types 0 to 4, as RLP, as JSON and as replies.

use crate::{
    claims::{FULL, Tally, compare, number, optional, parse},
    recorded::{header, prove_body_and_compare},
    rlp_chain::{prove_linked, read},
};
use alloy::{
    consensus::{Header, ReceiptEnvelope},
    eips::eip2718::Decodable2718 as _,
    primitives::{B256, Bytes},
    rlp::Decodable as _,
};
use chain::{Checks, HashRule, Parts, verify};
use serde_json::{Value, json};
use simnode::fixtures::{Fixtures, RlpFile};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// The results of a method's recorded requests, by file name; nulls and errors are left out.
fn results(fixtures: &Fixtures, method: &str) -> BTreeMap<String, Value> {
    let folder = fixtures.root().join("execution-apis/tests").join(method);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&folder).expect("the method's folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a text file");
        let response = text.lines().find_map(|line| line.strip_prefix("<< "));
        let response: Value = parse(response.expect("a response"));
        let result = response.get("result").filter(|result| !result.is_null());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        found.extend(result.map(|result| (name.into_owned(), result.clone())));
    }
    found
}

/// The chain's blocks as JSON, by hash.
fn blocks_by_hash(fixtures: &Fixtures) -> BTreeMap<B256, Value> {
    let blocks = fixtures.execution_apis_blocks().unwrap();
    let keyed = blocks.iter().map(|block| {
        let block: Value = parse(block.get());
        (optional(&block, "hash").expect("a hash"), block)
    });
    keyed.collect()
}

#[test]
fn the_chain_is_proven_from_rlp_and_from_json_alike() {
    let Some(fixtures) = Fixtures::find_or_say("the_chain_is_proven_from_rlp_and_from_json_alike")
    else {
        return;
    };
    let from_rlp = prove_linked(&read(&fixtures, RlpFile::ExecutionApis));
    let from_json = fixtures.execution_apis_blocks().unwrap();
    assert_eq!((from_rlp.len(), from_json.len()), (54, 54));
    let mut with_uncles = 0;
    for (rlp, json) in from_rlp.iter().zip(&from_json) {
        let json = prove_body_and_compare(json.get());
        assert_eq!(rlp.hash, json.hash);
        assert_eq!(rlp.senders, json.senders);
        assert_eq!(rlp.uncles, json.uncles);
        // The JSON has hashes of uncles where the RLP has their headers.
        assert_eq!(json.uncles_proven, rlp.uncles.is_empty());
        assert_eq!(json.size, rlp.size.filter(|_| json.uncles_proven));
        with_uncles += usize::from(!json.uncles_proven);
    }
    assert_eq!(with_uncles, 18);
}

#[test]
fn block_replies_of_the_specification_are_the_blocks_of_its_chain() {
    let Some(fixtures) =
        Fixtures::find_or_say("block_replies_of_the_specification_are_the_blocks_of_its_chain")
    else {
        return;
    };
    let chain = blocks_by_hash(&fixtures);
    let mut replies = results(&fixtures, "eth_getBlockByNumber");
    replies.extend(results(&fixtures, "eth_getBlockByHash"));
    let (mut full, mut all) = (0, 0);
    for (name, block) in &replies {
        let json = block.to_string();
        let hash: B256 = optional(block, "hash").expect("a hash");
        assert_eq!(HashRule::hash(&header(&json)), hash, "{name}");
        let known = chain.contains_key(&hash) || number(&block["number"]) == 0;
        assert!(known, "{name}");
        let transactions = block["transactions"].as_array().expect("transactions");
        if transactions.iter().all(Value::is_object) {
            prove_body_and_compare(&json);
            full += 1;
        }
        all += 1;
    }
    assert_eq!((full, all), (5, 10));
}

#[test]
fn receipts_of_the_specification_are_proven_with_their_blocks() {
    let Some(fixtures) =
        Fixtures::find_or_say("receipts_of_the_specification_are_proven_with_their_blocks")
    else {
        return;
    };
    let chain = blocks_by_hash(&fixtures);
    let mut tally = Tally::default();
    for (name, receipts) in results(&fixtures, "eth_getBlockReceipts") {
        // The replies for block 0, which no file of the chain holds, are empty.
        if let Some(hash) = optional::<B256>(&receipts[0], "blockHash") {
            let block = &chain[&hash];
            let parts = Parts::parse(&block.to_string(), &receipts.to_string());
            let proven = parts.and_then(|parts| verify(parts, FULL));
            let proven = proven.unwrap_or_else(|error| panic!("{name}: {error}"));
            tally += compare(&proven, block, &receipts);
        }
    }
    assert_eq!(tally.blocks, 3, "{tally:?}");
    assert!(tally.creations > 0, "{tally:?}");
}

/// The other receipts of these blocks were not recorded, so their roots cannot be recomputed; what is
/// derived from the transaction can. The others' places are filled with receipts that say nothing.
#[test]
fn what_single_receipts_of_the_specification_claim_follows_from_their_transactions() {
    let Some(fixtures) = Fixtures::find_or_say(
        "what_single_receipts_of_the_specification_claim_follows_from_their_transactions",
    ) else {
        return;
    };
    let chain = blocks_by_hash(&fixtures);
    let mut types = BTreeSet::new();
    for (name, receipt) in results(&fixtures, "eth_getTransactionReceipt") {
        let hash: B256 = optional(&receipt, "blockHash").expect("a block hash");
        let block = &chain[&hash];
        let transactions = block["transactions"].as_array().expect("transactions");
        let place = number(&receipt["transactionIndex"]);
        let fill = |(transaction, index): (&Value, u64)| {
            if index == place {
                return receipt.clone();
            }
            json!({
                "blockHash": hash, "transactionHash": transaction["hash"],
                "status": "0x1", "cumulativeGasUsed": "0x0", "logs": [],
            })
        };
        let receipts: Vec<Value> = transactions.iter().zip(0..).map(fill).collect();
        let checks = Checks {
            roots: false,
            ..FULL
        };
        let parts = Parts::parse(&block.to_string(), &Value::Array(receipts).to_string());
        let proven = parts.and_then(|parts| verify(parts, checks)).expect(&name);
        let place = usize::try_from(place).expect("a position");
        let computed = &proven.transactions[place];
        assert_eq!(Some(computed.sender), optional(&receipt, "from"), "{name}");
        let computed = &computed.receipt;
        let price = u128::from(number(&receipt["effectiveGasPrice"]));
        assert_eq!(computed.effective_gas_price, price, "{name}");
        let contract = optional(&receipt, "contractAddress");
        assert_eq!(computed.contract_address, contract, "{name}");
        let blob_gas = receipt.get("blobGasUsed").map(number);
        assert_eq!(computed.blob_gas_used, blob_gas, "{name}");
        let blob_price = receipt.get("blobGasPrice").map(number).map(u128::from);
        assert_eq!(computed.blob_gas_price, blob_price, "{name}");
        types.insert(number(&receipt["type"]));
    }
    assert_eq!(types, BTreeSet::from([0, 1, 2, 3, 4]));
}

/// Block 3, from before Byzantium: consensus encoding in, told as a node would.
#[test]
fn raw_receipts_are_proven_with_their_block() {
    let Some(fixtures) = Fixtures::find_or_say("raw_receipts_are_proven_with_their_block") else {
        return;
    };
    let raw = &results(&fixtures, "debug_getRawReceipts")["get-block-n.io"];
    let chain = blocks_by_hash(&fixtures);
    let block = chain.values().find(|block| number(&block["number"]) == 3);
    let block = block.expect("block 3");
    let transactions = block["transactions"].as_array().expect("transactions");
    let encoded: Vec<Bytes> = serde_json::from_value(raw.clone()).expect("bytes");
    let receipts = encoded.iter().zip(transactions).map(|(rlp, transaction)| {
        let decoded = ReceiptEnvelope::decode_2718(&mut rlp.as_ref()).expect("a receipt");
        json!({
            "blockHash": block["hash"],
            "transactionHash": transaction["hash"],
            "root": decoded.as_receipt().and_then(|receipt| receipt.status.as_post_state()),
            "cumulativeGasUsed": format!("{:#x}", decoded.cumulative_gas_used()),
            "logs": decoded.logs(),
        })
    });
    let receipts: Vec<Value> = receipts.collect();
    let parts = Parts::parse(&block.to_string(), &Value::Array(receipts).to_string());
    let proven = parts.and_then(|parts| verify(parts, FULL)).expect("proof");
    assert_eq!(proven.transactions.len(), 3);
    for transaction in &proven.transactions {
        assert_eq!(transaction.receipt.status, None);
        assert!(transaction.receipt.state_root.is_some());
    }
}

#[test]
fn raw_headers_hash_to_the_hash_that_the_chain_gives_them() {
    let Some(fixtures) =
        Fixtures::find_or_say("raw_headers_hash_to_the_hash_that_the_chain_gives_them")
    else {
        return;
    };
    let chain = blocks_by_hash(&fixtures);
    let raw = results(&fixtures, "debug_getRawHeader");
    assert_eq!(raw.len(), 2);
    for (name, rlp) in raw {
        let rlp: Bytes = serde_json::from_value(rlp).expect("bytes");
        let header = Header::decode(&mut rlp.as_ref()).expect("a header");
        let hash = HashRule::hash(&header);
        let first = chain.values().find(|block| number(&block["number"]) == 1);
        let parent_of_first = optional(first.expect("block 1"), "parentHash");
        assert!(
            chain.contains_key(&hash) || parent_of_first == Some(hash),
            "{name}"
        );
    }
}
