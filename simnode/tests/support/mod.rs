//! Small made-up blocks, and a client that shows replies as they came.
#![allow(dead_code, reason = "each suite uses a part")]

use std::time::Duration;

use alloy::primitives::B256;
use serde_json::{Value, json};
use tallyscan_simnode::{CannedBlock, CannedChain, Server};

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A hash that names its block: height and branch.
pub fn hash(number: u64, branch: u8) -> B256 {
    let mut hash = B256::ZERO;
    hash[0] = branch;
    hash[24..].copy_from_slice(&number.to_be_bytes());
    hash
}

/// Transaction `index` of a block; the same on every branch, so that reorgs re-include it.
pub fn transaction_hash(number: u64, index: u8) -> B256 {
    hash(number, 0xf0 + index)
}

/// A block of two transactions. The branch begins above `fork`: below, hashes are those of branch 1.
pub fn block(number: u64, branch: u8, fork: u64) -> CannedBlock {
    let of = |height: u64| hash(height, if height > fork { branch } else { 1 });
    let header = CannedBlock::bare_genesis(of(number), 1_700_000_000 + number);
    let mut block: Value = serde_json::from_str(header.block.as_str()).expect("a block");
    let (mut transactions, mut receipts) = (Vec::new(), Vec::new());
    for index in 0..2_u8 {
        let hash = transaction_hash(number, index);
        transactions.push(json!({ "hash": hash, "nonce": "0x0", "blockHash": of(number) }));
        receipts.push(json!({ "transactionHash": hash, "blockHash": of(number) }));
    }
    block["number"] = json!(format!("{number:#x}"));
    block["parentHash"] = json!(of(number.saturating_sub(1)));
    block["transactions"] = json!(transactions);
    CannedBlock::from_json(block.to_string(), Some(&json!(receipts).to_string())).expect("a block")
}

/// Blocks 1 to `head` on branch 1.
pub fn chain(head: u64) -> CannedChain {
    CannedChain::with_blocks(1337, (1..=head).map(|number| block(number, 1, 0)))
}

pub fn node(head: u64) -> Server {
    Server::start(chain(head)).expect("a free port")
}

pub fn call(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

pub async fn post(node: &Server, body: &Value) -> reqwest::Result<reqwest::Response> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .build()?;
    client.post(node.http_url()).json(body).send().await
}

/// The whole JSON-RPC reply.
pub async fn reply(node: &Server, method: &str, params: Value) -> reqwest::Result<Value> {
    post(node, &call(1, method, &params)).await?.json().await
}

/// The result of a call.
pub async fn result(node: &Server, method: &str, params: Value) -> reqwest::Result<Value> {
    Ok(reply(node, method, params).await?["result"].take())
}
