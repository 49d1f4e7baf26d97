//! What the API says, held against what the node says.

use alloy::primitives::{U256, keccak256};
use serde_json::Value;

/// A number that a node wrote in hex.
#[must_use]
pub fn quantity(value: &Value) -> u64 {
    amount(value).to()
}

/// A number of any size: in hex as nodes write it, or in decimal as we do.
#[must_use]
pub fn amount(value: &Value) -> U256 {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    text.parse()
        .unwrap_or_else(|_| panic!("{value} is no number"))
}

/// Holds every member of an answer that the node has, under the same name in its own spelling,
/// against the node's: numbers and decimal strings by value, hex in any case, null for absent.
pub fn assert_agrees(ours: &Value, node: &Value, path: &str) {
    match ours {
        Value::Object(members) => {
            for (name, value) in members {
                if name == "decoded" {
                    assert_names(value, &node["topics"][0], 32, path);
                } else if let Some(theirs) = node.get(camel_case(name)) {
                    assert_agrees(value, theirs, &format!("{path}.{name}"));
                } else {
                    assert!(
                        value.is_null(),
                        "{path}.{name} is {value}, the node has none"
                    );
                }
            }
        }
        Value::Array(items) => {
            let theirs = node.as_array().unwrap_or_else(|| panic!("{path}: {node}"));
            assert_eq!(items.len(), theirs.len(), "{path}");
            for (index, (ours, node)) in items.iter().zip(theirs).enumerate() {
                assert_agrees(ours, node, &format!("{path}[{index}]"));
            }
        }
        Value::String(text) if text.starts_with("0x") => {
            let theirs = node.as_str().unwrap_or_else(|| panic!("{path}: {node}"));
            assert_eq!(text.to_lowercase(), theirs.to_lowercase(), "{path}");
        }
        Value::String(_) | Value::Number(_) => assert_eq!(amount(ours), amount(node), "{path}"),
        Value::Null | Value::Bool(_) => assert_eq!(ours, node, "{path}"),
    }
}

/// Holds what something was decoded as against the first bytes of its signature's hash, in hex.
fn assert_names(decoded: &Value, expected: &Value, bytes: usize, path: &str) {
    let signature = decoded["signature"].as_str().expect("a signature");
    let hash = keccak256(signature).to_string();
    assert_eq!(
        expected.as_str(),
        hash.get(..2 + 2 * bytes),
        "{path}: {signature}"
    );
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        camel.push_str(&first.to_uppercase());
        camel.push_str(rest);
    }
    camel
}

/// Holds every member of a transaction's answer against the node's transaction and receipt.
pub fn assert_transaction(ours: &Value, node: &Value, receipt: &Value) {
    let path = ours["hash"].as_str().expect("a hash");
    let tx_type = quantity(&node["type"]);
    let succeeded = quantity(&receipt["status"]) == 1;
    let logs = receipt["logs"].as_array().expect("logs");
    for (name, value) in ours.as_object().expect("an object") {
        let path = &format!("{path}.{name}");
        let against = |theirs: &Value| assert_agrees(value, theirs, path);
        match name.as_str() {
            "time" | "timestamp" | "canonical" | "dropped" => {}
            "status" => assert_eq!(value == "success", succeeded, "{path}"),
            "method" => {
                let input = node["input"].as_str().expect("hex");
                let called = !node["to"].is_null() && input.len() >= 10;
                assert_eq!(value.as_str(), called.then(|| &input[..10]), "{path}");
            }
            "decoded_input" => assert_names(value, &ours["method"], 4, path),
            "fee" => {
                let paid = amount(&receipt["gasUsed"]) * amount(&receipt["effectiveGasPrice"]);
                assert_eq!(amount(value), paid, "{path}");
            }
            "gas_limit" => against(&node["gas"]),
            "log_count" => assert_eq!(value.as_u64(), u64::try_from(logs.len()).ok(), "{path}"),
            "first_log_index" => {
                if let Some(log) = logs.first() {
                    against(&log["logIndex"]);
                }
            }
            // A creation that failed created nothing, whatever address the node works out.
            "contract_address" if !succeeded => assert!(value.is_null(), "{path}"),
            "gas_used" | "cumulative_gas_used" | "effective_gas_price" | "contract_address" => {
                against(&receipt[camel_case(name)]);
            }
            // Nodes repeat the price paid here; we show what was signed.
            "gas_price" if tx_type >= 2 => assert!(value.is_null(), "{path}"),
            "r" | "s" => assert_eq!(amount(value), amount(&node[name]), "{path}"),
            "state_root" | "blob_gas_price" => assert!(value.is_null(), "{path}"),
            _ => against(&node[camel_case(name)]),
        }
    }
}

/// Holds every member of a block's answer against the dev chain's block.
pub fn assert_block(ours: &Value, node: &Value) {
    let path = ours["hash"].as_str().expect("a hash");
    for (name, value) in ours.as_object().expect("an object") {
        let path = &format!("{path}.{name}");
        match name.as_str() {
            "time" | "canonical" | "uncles_proven" | "log_count" => {}
            "transaction_count" => {
                let transactions = node["transactions"].as_array().expect("a list");
                assert_eq!(value, transactions.len(), "{path}");
            }
            // The dev chain forgets the empty list of withdrawals, which is one byte.
            "size" => assert_eq!(value.as_u64(), Some(quantity(&node["size"]) + 1), "{path}"),
            _ => assert_agrees(value, &node[camel_case(name)], path),
        }
    }
}
