//! What a node refuses: batches, large answers, history it no longer has.

mod support;

use alloy::primitives::B256;
use serde_json::{Value, json};
use support::{Outcome, call, hash, node, post, reply, result, transaction_hash};
use tallyscan_simnode::{BatchRefusal, Fault, Pruned, Server, When};

fn three_calls() -> Value {
    json!([
        call(7, "eth_blockNumber", &json!([])),
        call(8, "eth_getBlockReceipts", &json!(["0x1"])),
        call(9, "eth_chainId", &json!([])),
    ])
}

#[tokio::test]
async fn batches_are_refused_as_geth_besu_and_gateways_do() -> Outcome {
    let node = node(2);
    node.refuse_batches(Some((2, BatchRefusal::InList)));
    let geth: Value = post(&node, &three_calls()).await?.json().await?;
    let error = json!({ "code": -32600, "message": "batch too large" });
    assert_eq!(geth, json!([{ "jsonrpc": "2.0", "id": 7, "error": error }]));
    node.refuse_batches(Some((2, BatchRefusal::LimitExceeded)));
    let besu: Value = post(&node, &three_calls()).await?.json().await?;
    assert_eq!(
        (&besu["id"], &besu["error"]["code"]),
        (&Value::Null, &json!(-32005))
    );
    node.refuse_batches(Some((2, BatchRefusal::PayloadTooLarge)));
    let gateway = post(&node, &three_calls()).await?;
    assert_eq!(gateway.status(), 413);
    assert!(gateway.json::<Value>().await.is_err());
    node.refuse_batches(Some((3, BatchRefusal::PayloadTooLarge)));
    let fits: Value = post(&node, &three_calls()).await?.json().await?;
    assert_eq!(fits.as_array().map(Vec::len), Some(3));
    Ok(())
}

#[tokio::test]
async fn a_response_is_an_error_from_where_it_grows_too_large() -> Outcome {
    let node = node(2);
    let receipts = result(&node, "eth_getBlockReceipts", json!(["0x1"])).await?;
    let bytes = receipts.to_string().len();
    node.set_response_limit(Some(bytes));
    let told: Value = post(&node, &three_calls()).await?.json().await?;
    assert_eq!(told[0]["result"], "0x2");
    for (index, id) in [(1, 8), (2, 9)] {
        assert_eq!(told[index]["error"]["code"], -32003);
        assert_eq!(told[index]["id"], id);
    }
    let alone = reply(&node, "eth_getBlockReceipts", json!(["0x1"])).await?;
    assert_eq!(alone["result"], receipts, "it fits by itself");
    node.set_response_limit(Some(bytes - 1));
    let alone = reply(&node, "eth_getBlockReceipts", json!(["0x1"])).await?;
    assert_eq!(alone["error"]["message"], "response too large");
    node.set_response_limit(None);
    assert!(
        result(&node, "eth_getBlockReceipts", json!(["0x1"]))
            .await?
            .is_array()
    );
    Ok(())
}

async fn ask_for(node: &Server, number: u64) -> reqwest::Result<[Value; 4]> {
    let at = format!("{number:#x}");
    Ok([
        reply(node, "eth_getBlockByNumber", json!([at, true])).await?,
        reply(node, "eth_getBlockByHash", json!([hash(number, 1), false])).await?,
        reply(node, "eth_getBlockReceipts", json!([at])).await?,
        reply(
            node,
            "eth_getTransactionReceipt",
            json!([transaction_hash(number, 0)]),
        )
        .await?,
    ])
}

#[tokio::test]
async fn pruned_history_is_an_error_or_null_and_the_rest_is_there() -> Outcome {
    let node = node(10);
    node.chain().set_pruned(Some((5, Pruned::Error)));
    let [by_number, by_hash, receipts, receipt] = ask_for(&node, 4).await?;
    let error = json!({ "code": 4444, "message": "pruned history unavailable" });
    for told in [by_number, by_hash, receipts] {
        assert_eq!(told["error"], error);
    }
    assert!(
        receipt["result"].is_null(),
        "its transactions are not indexed any more"
    );
    node.chain().set_pruned(Some((5, Pruned::Null)));
    for told in ask_for(&node, 4).await? {
        assert_eq!(told.get("result"), Some(&Value::Null));
    }
    for told in ask_for(&node, 5).await? {
        assert!(!told["result"].is_null(), "{told}");
    }
    let genesis = result(&node, "eth_getBlockByNumber", json!(["0x0", true])).await?;
    assert!(genesis.is_object(), "block 0 is kept");
    node.chain().set_pruned(None);
    for told in ask_for(&node, 1).await? {
        assert!(!told["result"].is_null());
    }
    Ok(())
}

#[tokio::test]
async fn roots_are_wrong_by_one_bit_and_limits_share_a_code() -> Outcome {
    let node = node(2);
    let (method, params) = ("eth_getBlockByNumber", json!(["0x1", true]));
    let honest = result(&node, method, params.clone()).await?;
    node.faults()
        .on(method, Fault::wrong_root("/receiptsRoot"), When::Times(1));
    let wrong = result(&node, method, params.clone()).await?;
    let root = |block: &Value| -> B256 { block["receiptsRoot"].as_str().unwrap().parse().unwrap() };
    let flipped = root(&honest) ^ root(&wrong);
    let bits: u32 = flipped.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(bits, 1);
    assert_eq!(honest["transactionsRoot"], wrong["transactionsRoot"]);
    node.faults()
        .on(method, Fault::rate_limited(), When::Times(1));
    node.faults()
        .on(method, Fault::response_too_large(), When::Times(1));
    let rate = reply(&node, method, params.clone()).await?;
    let size = reply(&node, method, params.clone()).await?;
    assert_eq!(rate["error"]["code"], size["error"]["code"]);
    assert_ne!(rate["error"]["message"], size["error"]["message"]);
    assert_eq!(result(&node, method, params).await?, honest);
    Ok(())
}
