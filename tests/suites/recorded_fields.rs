//! What the API must say of a block, its transactions and their logs, told from the node's own JSON.

use alloy::primitives::{Address, U256};
use serde_json::{Map, Value, json};
use simnode::fixtures::BlockJson;
use tallyscan_tests::Api;

/// A recorded block, parsed.
pub struct Recorded {
    pub block: Value,
    pub receipts: Vec<Value>,
}

impl Recorded {
    pub fn parse(recorded: &BlockJson) -> Self {
        let receipts = recorded.receipts.as_ref().map_or("[]", |list| list.get());
        Self {
            block: serde_json::from_str(recorded.block.get()).expect("a block"),
            receipts: serde_json::from_str(receipts).expect("receipts"),
        }
    }

    pub fn number(&self) -> u64 {
        int(&self.block["number"]).expect("a height")
    }

    pub fn transactions(&self) -> &[Value] {
        self.block["transactions"].as_array().expect("a list")
    }

    /// The block and everything in it through the API, field by field.
    pub async fn assert_served(&self, api: &Api) {
        let number = self.number();
        let by_number = api.ok(&format!("/api/v1/blocks/{number}")).await;
        assert_same(
            &format!("block {number}"),
            &by_number["data"],
            &self.expected_block(),
        );
        let by_hash = api
            .ok(&format!("/api/v1/blocks/{}", text(&self.block["hash"])))
            .await;
        assert_eq!(by_number["data"], by_hash["data"], "block {number} by hash");
        let mut first_log = 0;
        for index in 0..self.transactions().len() {
            self.assert_transaction(api, index, first_log).await;
            first_log += self.logs(index).len();
        }
    }

    async fn assert_transaction(&self, api: &Api, index: usize, first_log: usize) {
        let hash = text(&self.transactions()[index]["hash"]).to_owned();
        let answer = api.ok(&format!("/api/v1/transactions/{hash}")).await;
        let mut expected = self.expected_transaction(index);
        let first = json!({"first_log_index": first_log});
        expected.extend(first.as_object().expect("an object").clone());
        assert_same(&format!("transaction {hash}"), &answer["data"], &expected);
        let logs = api.ok(&format!("/api/v1/transactions/{hash}/logs")).await;
        let logs = logs["data"].as_array().expect("a list").clone();
        assert_eq!(logs.len(), self.logs(index).len(), "logs of {hash}");
        for (offset, (log, recorded)) in logs.iter().zip(self.logs(index)).enumerate() {
            let expected = object(json!({
                "log_index": first_log + offset,
                "transaction_index": index,
                "block_number": self.number(),
                "address": checksum(&recorded["address"]),
                "topics": recorded["topics"],
                "data": recorded["data"],
            }));
            assert_same(&format!("log {offset} of {hash}"), log, &expected);
        }
    }

    fn logs(&self, index: usize) -> &[Value] {
        self.receipts[index]["logs"].as_array().expect("a list")
    }

    /// What a list shows of the block.
    pub fn expected_summary(&self) -> Map<String, Value> {
        let block = &self.block;
        let whole = block["uncles"].as_array().is_none_or(Vec::is_empty);
        let logs: usize = (0..self.receipts.len())
            .map(|index| self.logs(index).len())
            .sum();
        object(json!({
            "number": self.number(),
            "hash": block["hash"],
            "parent_hash": block["parentHash"],
            "timestamp": int(&block["timestamp"]),
            "miner": checksum(&block["miner"]),
            "gas_limit": int(&block["gasLimit"]),
            "gas_used": int(&block["gasUsed"]),
            "base_fee_per_gas": amount(&block["baseFeePerGas"]),
            // Uncle headers are not served here, and a size without them would be a guess.
            "size": if whole { int(&block["size"]) } else { None },
            "transaction_count": self.transactions().len(),
            "log_count": logs,
        }))
    }

    fn expected_block(&self) -> Map<String, Value> {
        let block = &self.block;
        let mut expected = self.expected_summary();
        let uncles = block["uncles"].as_array().cloned().unwrap_or_default();
        let withdrawals = block["withdrawals"].as_array().map(|list| {
            let convert = |withdrawal: &Value| {
                let gwei = quantity(&withdrawal["amount"]).expect("an amount");
                json!({
                    "index": int(&withdrawal["index"]),
                    "validator_index": int(&withdrawal["validatorIndex"]),
                    "address": checksum(&withdrawal["address"]),
                    "amount": (gwei * U256::from(1_000_000_000_u64)).to_string(),
                })
            };
            list.iter().map(convert).collect::<Vec<_>>()
        });
        expected.extend(object(json!({
            "canonical": true,
            "difficulty": amount(&block["difficulty"]),
            "extra_data": block["extraData"],
            "mix_hash": block["mixHash"],
            "nonce": block["nonce"],
            "sha3_uncles": block["sha3Uncles"],
            "uncles_proven": uncles.is_empty(),
            "uncles": uncles,
            "state_root": block["stateRoot"],
            "transactions_root": block["transactionsRoot"],
            "receipts_root": block["receiptsRoot"],
            "logs_bloom": block["logsBloom"],
            "blob_gas_used": int(&block["blobGasUsed"]),
            "excess_blob_gas": int(&block["excessBlobGas"]),
            "parent_beacon_block_root": block["parentBeaconBlockRoot"],
            "requests_hash": block["requestsHash"],
            "withdrawals_root": block["withdrawalsRoot"],
            "withdrawals": withdrawals,
        })));
        expected
    }

    /// What a list shows of a transaction.
    pub fn expected_transaction_summary(&self, index: usize) -> Map<String, Value> {
        let (tx, receipt) = (&self.transactions()[index], &self.receipts[index]);
        let failed = receipt["status"] == "0x0";
        let blobs = product(&receipt["blobGasUsed"], &receipt["blobGasPrice"]);
        let fee = product(&receipt["gasUsed"], &receipt["effectiveGasPrice"]) + blobs;
        let input = text(&tx["input"]);
        let method = (!tx["to"].is_null() && input.len() >= 10).then(|| &input[..10]);
        object(json!({
            "hash": tx["hash"],
            "block_number": self.number(),
            "block_hash": self.block["hash"],
            "transaction_index": index,
            "timestamp": int(&self.block["timestamp"]),
            "type": int(&tx["type"]).unwrap_or(0),
            "from": checksum(&tx["from"]),
            "to": checksum(&tx["to"]),
            // A failed creation created nothing, whatever some nodes say.
            "contract_address": if failed { Value::Null } else { checksum(&receipt["contractAddress"]) },
            "method": method,
            "value": amount(&tx["value"]),
            "nonce": int(&tx["nonce"]),
            "status": match receipt["status"].as_str() {
                Some("0x1") => "success",
                Some(_) => "failed",
                None => "unknown",
            },
            "gas_limit": int(&tx["gas"]),
            "gas_used": int(&receipt["gasUsed"]),
            "effective_gas_price": amount(&receipt["effectiveGasPrice"]),
            "fee": fee.to_string(),
            "log_count": self.logs(index).len(),
        }))
    }

    fn expected_transaction(&self, index: usize) -> Map<String, Value> {
        let (tx, receipt) = (&self.transactions()[index], &self.receipts[index]);
        let kind = int(&tx["type"]).unwrap_or(0);
        let mut expected = self.expected_transaction_summary(index);
        let v = int(&tx["v"]).expect("v");
        // A legacy transaction says its chain in v (EIP-155), or not at all.
        let chain_id = if kind == 0 {
            (v >= 35).then(|| (v - 35) / 2)
        } else {
            int(&tx["chainId"])
        };
        expected.extend(object(json!({
            "canonical": true,
            "dropped": [],
            "chain_id": chain_id,
            "gas_price": if kind < 2 { amount(&tx["gasPrice"]) } else { Value::Null },
            "max_fee_per_gas": amount(&tx["maxFeePerGas"]),
            "max_priority_fee_per_gas": amount(&tx["maxPriorityFeePerGas"]),
            "max_fee_per_blob_gas": amount(&tx["maxFeePerBlobGas"]),
            "cumulative_gas_used": int(&receipt["cumulativeGasUsed"]),
            "state_root": receipt["root"],
            "blob_gas_used": int(&receipt["blobGasUsed"]),
            "blob_gas_price": amount(&receipt["blobGasPrice"]),
            "blob_versioned_hashes": tx["blobVersionedHashes"],
            "access_list": if kind == 0 { &Value::Null } else { &tx["accessList"] },
            "input": tx["input"],
            "v": v,
            "r": padded(&tx["r"]),
            "s": padded(&tx["s"]),
        })));
        if let Some(list) = tx["authorizationList"].as_array() {
            expected.insert("authorization_list".to_owned(), numbers_of(list));
        }
        expected
    }
}

/// Every expected field is there as expected; hex is compared without regard to case.
pub fn assert_same(what: &str, found: &Value, expected: &Map<String, Value>) {
    for (field, value) in expected {
        let found = match found.get(field) {
            Some(list) if field == "authorization_list" => {
                &numbers_of(list.as_array().expect("a list"))
            }
            Some(found) => found,
            None => panic!("{what} has no {field}: {found}"),
        };
        let same = match (found.as_str(), value.as_str()) {
            (Some(found), Some(expected)) if !matches!(&**field, "from" | "to" | "miner") => {
                found.eq_ignore_ascii_case(expected)
            }
            _ => canonical(found) == canonical(value),
        };
        assert!(
            same,
            "{what}: {field} is {found}, and the node says {value}"
        );
    }
}

/// Hex in lower case, everywhere.
fn canonical(value: &Value) -> String {
    value.to_string().to_lowercase()
}

/// Authorizations write numbers as hex of any width: compared as numbers.
fn numbers_of(list: &[Value]) -> Value {
    let convert = |authorization: &Value| {
        let fields = authorization.as_object().expect("an object").iter();
        // `v` repeats `yParity` at some nodes.
        let fields = fields
            .filter(|(name, _)| *name != "v")
            .map(|(name, value)| {
                let value = match quantity(value) {
                    Some(number) if name != "address" => json!(number.to_string()),
                    _ => value.clone(),
                };
                (name.clone(), value)
            });
        Value::Object(fields.collect())
    };
    list.iter().map(convert).collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("{other} is no object"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn quantity(value: &Value) -> Option<U256> {
    let digits = value.as_str()?.strip_prefix("0x")?;
    U256::from_str_radix(digits, 16).ok()
}

fn int(value: &Value) -> Option<u64> {
    quantity(value).map(|number| number.to())
}

fn amount(value: &Value) -> Value {
    quantity(value).map_or(Value::Null, |number| json!(number.to_string()))
}

fn product(a: &Value, b: &Value) -> U256 {
    quantity(a).unwrap_or_default() * quantity(b).unwrap_or_default()
}

fn checksum(value: &Value) -> Value {
    let Some(text) = value.as_str() else {
        return Value::Null;
    };
    let address: Address = text.parse().expect("an address");
    json!(address.to_checksum(None))
}

fn padded(value: &Value) -> String {
    format!("{:#066x}", quantity(value).expect("a number"))
}
