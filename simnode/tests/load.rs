//! Load chains: every block of them is proven, as it comes out of the server.

mod support;

use std::collections::HashSet;
use std::sync::Arc;

use alloy::primitives::B256;
use chain::{Checks, Parts, ProvenBlock};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use support::{Outcome, call, post, reply, result};
use tallyscan_simnode::{CannedBlock, CannedChain, LoadChain, LoadProfile, Server};

const EVERYTHING: Checks = Checks {
    header: true,
    roots: true,
    senders: true,
};

fn profile() -> LoadProfile {
    LoadProfile {
        transactions: 40,
        senders: 7,
        recipients: 50,
        ..LoadProfile::default()
    }
}

fn load(blocks: u64) -> Arc<LoadChain> {
    Arc::new(LoadChain::generate(profile(), blocks).expect("room for a file"))
}

fn prove(block: &str, receipts: &str) -> ProvenBlock {
    let parts = Parts::parse(block, receipts).expect("readable");
    chain::verify(parts, EVERYTHING).unwrap_or_else(|error| panic!("{error}"))
}

fn prove_canned(block: &CannedBlock) -> ProvenBlock {
    let receipts = block.receipts.as_ref().expect("receipts");
    prove(block.block.as_str(), receipts.as_str())
}

/// Results of one batch, as they came.
async fn batch(node: &Server, calls: &[(&str, Value)]) -> reqwest::Result<Vec<Box<RawValue>>> {
    #[derive(serde::Deserialize)]
    struct Told {
        id: usize,
        result: Box<RawValue>,
    }
    let numbered = calls.iter().enumerate();
    let calls =
        numbered.map(|(id, (method, params))| call(id.try_into().unwrap_or(0), method, params));
    let told: Vec<Told> = post(node, &calls.collect()).await?.json().await?;
    let ordered = told.iter().enumerate().all(|(index, one)| one.id == index);
    assert!(ordered, "a batch is answered in order");
    Ok(told.into_iter().map(|one| one.result).collect())
}

#[tokio::test]
async fn every_block_is_proven_as_it_comes_out_of_the_server_in_batches() -> Outcome {
    let load = load(30);
    let node = Server::start(CannedChain::with_load(Arc::clone(&load)))?;
    let (mut parent, mut hashes, mut logs) = (B256::ZERO, HashSet::new(), 0);
    for number in 0..=30 {
        let at = json!(format!("{number:#x}"));
        let calls = [
            ("eth_getBlockByNumber", json!([at, true])),
            ("eth_getBlockReceipts", json!([at])),
            ("eth_blockNumber", json!([])),
        ];
        let told = batch(&node, &calls).await?;
        assert_eq!(told[2].get(), "\"0x1e\"");
        let proven = prove(told[0].get(), told[1].get());
        assert_eq!(proven.header.parent_hash, parent);
        assert_eq!(Some(proven.hash), load.hash(number));
        parent = proven.hash;
        for one in &proven.transactions {
            assert!(hashes.insert(*one.envelope.hash()));
            assert!((1..=2).contains(&one.receipt.logs.len()));
            logs += one.receipt.logs.len();
        }
        let read: Value = serde_json::from_str(told[0].get())?;
        let size = proven.size.expect("no uncles");
        assert_eq!(read["size"], json!(format!("{size:#x}")));
    }
    assert_eq!(hashes.len(), 30 * 40);
    assert!(logs > hashes.len(), "some transactions log twice");
    Ok(())
}

#[tokio::test]
async fn blocks_are_found_by_hash_tag_and_with_hashes_only() -> Outcome {
    let load = load(5);
    let node = Server::start(CannedChain::with_load(Arc::clone(&load)))?;
    let hash = load.hash(3).expect("a block");
    let block = result(&node, "eth_getBlockByHash", json!([hash, false])).await?;
    assert_eq!(block["number"], "0x3");
    let whole = result(&node, "eth_getBlockByHash", json!([hash, true])).await?;
    let listed = whole["transactions"].as_array().expect("a list").iter();
    let listed: Vec<Value> = listed.map(|tx| tx["hash"].clone()).collect();
    assert_eq!(block["transactions"], json!(listed));
    let receipts = result(&node, "eth_getBlockReceipts", json!([hash])).await?;
    assert_eq!(receipts[0]["blockHash"], json!(hash));
    let latest = result(&node, "eth_getBlockByNumber", json!(["latest", false])).await?;
    assert_eq!(latest["hash"], json!(load.hash(5)));
    let above = result(&node, "eth_getBlockByNumber", json!(["0x6", false])).await?;
    assert!(above.is_null());
    let by_hash = reply(&node, "eth_getTransactionByHash", json!([listed[0]])).await?;
    assert_eq!(by_hash["error"]["code"], -32000, "better than a false null");
    Ok(())
}

#[tokio::test]
async fn a_load_chain_grows_by_a_held_head_and_reorganises_to_a_branch_of_another_seed() -> Outcome
{
    let load = load(12);
    let chain = CannedChain::with_load(Arc::clone(&load));
    chain.set_head(4);
    let node = Server::start(chain.clone())?;
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0x4");
    chain.release_head();
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0xc");
    let branch = load.branch(8, 2, 6)?;
    let mut parent = load.hash(8).expect("a block");
    for block in &branch {
        let proven = prove_canned(block);
        assert_eq!(proven.header.parent_hash, parent);
        assert_eq!(proven.transactions.len(), 40);
        parent = proven.hash;
    }
    chain.replace_from(9, branch);
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0xe");
    let head = result(&node, "eth_getBlockByNumber", json!(["latest", false])).await?;
    assert_eq!(head["hash"], json!(parent));
    let orphan = load.hash(9).expect("a block");
    let known = result(&node, "eth_getBlockByHash", json!([orphan, false])).await?;
    assert_eq!(known["number"], "0x9", "orphans stay known by hash");
    chain.replace_from(6, []);
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0x5");
    Ok(())
}

#[test]
fn a_seed_repeats_its_chain_whatever_number_of_threads_makes_it() {
    let (one, again) = (load(9), load(9));
    assert_eq!(one.hash(9), again.hash(9));
    let shorter = load(4);
    assert_eq!(one.hash(4), shorter.hash(4));
    let seed = LoadProfile {
        seed: 2,
        ..profile()
    };
    let other = LoadChain::generate(seed, 4).expect("room for a file");
    assert_eq!(one.hash(0), other.hash(0));
    assert_ne!(one.hash(4), other.hash(4));
}
