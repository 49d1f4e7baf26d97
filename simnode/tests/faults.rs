//! Each way to misbehave, as a client meets it.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Outcome, call, hash, node, post, reply, result};
use tallyscan_simnode::{ANY_METHOD, Fault, When};

#[tokio::test]
async fn too_many_requests_comes_with_and_without_a_time_to_wait() -> Outcome {
    let node = node(1);
    let ask = call(1, "eth_blockNumber", &json!([]));
    let limit = |retry_after_secs| Fault::TooManyRequests { retry_after_secs };
    node.faults()
        .on("eth_blockNumber", limit(Some(3)), When::Times(1));
    node.faults().on(ANY_METHOD, limit(None), When::Times(1));
    let first = post(&node, &ask).await?;
    assert_eq!(first.status(), 429);
    assert_eq!(first.headers()["retry-after"], "3");
    let second = post(&node, &ask).await?;
    assert_eq!(second.status(), 429);
    assert!(!second.headers().contains_key("retry-after"));
    assert_eq!(post(&node, &ask).await?.status(), 200);
    assert_eq!(node.calls("eth_blockNumber"), 3);
    Ok(())
}

#[tokio::test]
async fn a_fault_of_the_transport_spoils_the_whole_batch() -> Outcome {
    let node = node(1);
    node.faults()
        .on("net_version", Fault::Status(500), When::Times(1));
    let batch = json!([
        call(1, "eth_chainId", &json!([])),
        call(2, "net_version", &json!([]))
    ]);
    let spoiled = post(&node, &batch).await?;
    assert_eq!(spoiled.status(), 500);
    assert!(spoiled.json::<Value>().await.is_err());
    assert_eq!(post(&node, &batch).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn replies_are_late_or_never_come() -> Outcome {
    let node = node(1);
    let delay = Duration::from_millis(80);
    let rule = node
        .faults()
        .on("eth_chainId", Fault::Latency(delay), When::Always);
    let started = Instant::now();
    assert_eq!(result(&node, "eth_chainId", json!([])).await?, "0x539");
    assert!(started.elapsed() >= delay);
    assert!(node.faults().remove(rule));
    node.faults()
        .on("eth_chainId", Fault::NeverAnswer, When::Times(1));
    let client = reqwest::Client::builder()
        .timeout(Duration::from_millis(100))
        .build()?;
    let ask = call(1, "eth_chainId", &json!([]));
    let silence = client.post(node.http_url()).json(&ask).send().await;
    assert!(silence.is_err_and(|error| error.is_timeout()));
    assert_eq!(result(&node, "eth_chainId", json!([])).await?, "0x539");
    Ok(())
}

#[tokio::test]
async fn bodies_are_cut_with_a_true_length_and_connections_with_a_false_one() -> Outcome {
    let node = node(1);
    let ask = call(1, "eth_getBlockByNumber", &json!(["0x1", true]));
    let whole = post(&node, &ask).await?.text().await?;
    node.faults()
        .on(ANY_METHOD, Fault::TruncatedBody, When::Times(1));
    let truncated = post(&node, &ask).await?.text().await?;
    assert_eq!(truncated, whole[..whole.len() / 2]);
    node.faults()
        .on(ANY_METHOD, Fault::CutConnection, When::Times(1));
    let cut = match post(&node, &ask).await {
        Ok(response) => response.text().await.is_err(),
        Err(_) => true,
    };
    assert!(cut);
    assert_eq!(post(&node, &ask).await?.text().await?, whole);
    Ok(())
}

#[tokio::test]
async fn errors_nulls_and_missing_methods_are_scripted_in_order() -> Outcome {
    let node = node(2);
    let (method, params) = ("eth_getBlockReceipts", json!(["0x2"]));
    node.faults().on(
        method,
        Fault::error(-32005, "limit exceeded"),
        When::Times(1),
    );
    node.faults().on(method, Fault::Null, When::Times(2));
    node.faults().on(
        method,
        Fault::Unsupported,
        When::After { skip: 1, times: 1 },
    );
    let limited = reply(&node, method, params.clone()).await?;
    assert_eq!(
        limited["error"],
        json!({ "code": -32005, "message": "limit exceeded" })
    );
    for _ in 0..2 {
        assert!(result(&node, method, params.clone()).await?.is_null());
    }
    assert!(result(&node, method, params.clone()).await?.is_array());
    assert_eq!(
        reply(&node, method, params.clone()).await?["error"]["code"],
        -32601
    );
    assert_eq!(node.faults().pending(), 0);
    assert!(result(&node, method, params).await?.is_array());
    Ok(())
}

#[tokio::test]
async fn a_lagging_node_knows_neither_the_head_nor_the_blocks_above_its_own() -> Outcome {
    let node = node(10);
    node.faults()
        .on(ANY_METHOD, Fault::StaleHead(3), When::Always);
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0x7");
    let latest = result(&node, "eth_getBlockByNumber", json!(["latest", false])).await?;
    assert_eq!(latest["hash"], json!(hash(7, 1)));
    assert!(
        result(&node, "eth_getBlockByHash", json!([hash(8, 1), false]))
            .await?
            .is_null()
    );
    node.faults().clear();
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0xa");
    Ok(())
}

#[tokio::test]
async fn receipts_can_be_those_of_another_block_or_transaction() -> Outcome {
    let node = node(5);
    node.faults()
        .on(ANY_METHOD, Fault::ReceiptsOfAnotherBlock, When::Times(2));
    let receipts = result(&node, "eth_getBlockReceipts", json!(["0x5"])).await?;
    assert_eq!(receipts[0]["blockHash"], json!(hash(4, 1)));
    let wanted = support::transaction_hash(5, 0);
    let receipt = result(&node, "eth_getTransactionReceipt", json!([wanted])).await?;
    assert_eq!(
        receipt["transactionHash"],
        json!(support::transaction_hash(5, 1))
    );
    Ok(())
}

#[tokio::test]
async fn results_can_be_tampered_with_by_pointer_or_closure() -> Outcome {
    let node = node(2);
    let (method, params) = ("eth_getBlockByNumber", json!(["0x1", true]));
    node.faults().on(
        method,
        Fault::set("/transactions/0/nonce", "0x63"),
        When::Times(1),
    );
    node.faults()
        .on(method, Fault::remove("/baseFeePerGas"), When::Times(1));
    let swap = Fault::edit(|block| {
        if let Some(transactions) = block["transactions"].as_array_mut() {
            transactions.reverse();
        }
    });
    node.faults().on(method, swap, When::Times(1));
    let set = result(&node, method, params.clone()).await?;
    assert_eq!(set["transactions"][0]["nonce"], "0x63");
    let removed = result(&node, method, params.clone()).await?;
    assert!(removed.get("baseFeePerGas").is_none());
    let swapped = result(&node, method, params.clone()).await?;
    let honest = result(&node, method, params).await?;
    assert_eq!(swapped["transactions"][0], honest["transactions"][1]);
    Ok(())
}

#[tokio::test]
async fn late_replies_wait_for_themselves_and_not_for_each_other() -> Outcome {
    let node = node(1);
    let late = Fault::Latency(Duration::from_millis(60));
    node.faults().on(ANY_METHOD, late, When::Always);
    let ask = call(1, "eth_chainId", &json!([]));
    let started = Instant::now();
    post(&node, &ask).await?;
    let one = started.elapsed();
    let batch: Vec<Value> = (0..10).map(|_| ask.clone()).collect();
    let batch = json!(batch);
    let started = Instant::now();
    futures::future::try_join_all((0..10).map(|_| post(&node, &batch))).await?;
    let hundred = started.elapsed();
    assert!(hundred < 10 * one, "{hundred:?} for 100, {one:?} for one");
    assert_eq!(node.calls("eth_chainId"), 101);
    Ok(())
}
