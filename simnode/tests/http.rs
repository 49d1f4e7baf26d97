//! The chain as HTTP clients see it.

mod support;

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::network::Ethereum;
use alloy::primitives::B256;
use alloy::providers::{Provider, ProviderBuilder};
use serde_json::{Value, json};
use support::{Outcome, block, call, hash, node, post, reply, result, transaction_hash};
use tallyscan_simnode::{CannedBlock, Fixtures, Json, Server, Tag};

#[tokio::test]
async fn a_typed_client_reads_a_block_by_number_tag_and_hash() -> Outcome {
    let node = node(100);
    let client =
        ProviderBuilder::<_, _, Ethereum>::default().connect_http(node.http_url().parse()?);
    assert_eq!(client.get_chain_id().await?, 1337);
    assert_eq!(client.get_block_number().await?, 100);
    let by_number = client
        .get_block_by_number(BlockNumberOrTag::Number(7))
        .await?;
    assert_eq!(by_number.map(|block| block.header.hash), Some(hash(7, 1)));
    let by_hash = client.get_block_by_hash(hash(9, 1)).await?;
    assert_eq!(by_hash.map(|block| block.header.number), Some(9));
    let finalized = client.get_block(BlockId::finalized()).await?;
    assert_eq!(finalized.map(|block| block.header.number), Some(36));
    let genesis = client.get_block(BlockId::earliest()).await?;
    assert!(genesis.is_some_and(|block| block.header.number == 0));
    assert!(
        client
            .get_block_by_number(BlockNumberOrTag::Number(101))
            .await?
            .is_none()
    );
    Ok(())
}

#[tokio::test]
async fn bodies_are_told_whole_or_with_hashes_and_receipts_by_every_kind_of_pointer() -> Outcome {
    let node = node(5);
    let whole = result(&node, "eth_getBlockByNumber", json!(["0x3", true])).await?;
    assert_eq!(
        whole["transactions"][1]["hash"],
        json!(transaction_hash(3, 1))
    );
    let hashes = result(&node, "eth_getBlockByHash", json!([hash(3, 1), false])).await?;
    assert_eq!(
        hashes["transactions"],
        json!([transaction_hash(3, 0), transaction_hash(3, 1)])
    );
    assert_eq!(hashes["uncles"], json!([]));
    for pointer in [
        json!("0x3"),
        json!(hash(3, 1)),
        json!({ "blockHash": hash(3, 1) }),
    ] {
        let receipts = result(&node, "eth_getBlockReceipts", json!([pointer])).await?;
        assert_eq!(receipts[1]["blockHash"], json!(hash(3, 1)), "by {pointer}");
    }
    let one = result(
        &node,
        "eth_getTransactionReceipt",
        json!([transaction_hash(4, 1)]),
    )
    .await?;
    assert_eq!(one["transactionHash"], json!(transaction_hash(4, 1)));
    let found = result(
        &node,
        "eth_getTransactionByHash",
        json!([transaction_hash(4, 1)]),
    )
    .await?;
    assert_eq!(found["blockHash"], json!(hash(4, 1)));
    assert!(
        result(&node, "eth_getTransactionByHash", json!([B256::ZERO]))
            .await?
            .is_null()
    );
    Ok(())
}

#[tokio::test]
async fn a_batch_is_answered_in_order_with_its_own_ids_and_refused_when_too_large() -> Outcome {
    let node = node(5);
    let batch = json!([
        call(7, "eth_blockNumber", &json!([])),
        { "jsonrpc": "2.0", "id": "a", "method": "net_version" },
        call(9, "eth_noSuchMethod", &json!([])),
    ]);
    let replies: Value = post(&node, &batch).await?.json().await?;
    assert_eq!(
        replies[0],
        json!({ "jsonrpc": "2.0", "id": 7, "result": "0x5" })
    );
    assert_eq!(
        replies[1],
        json!({ "jsonrpc": "2.0", "id": "a", "result": "1337" })
    );
    assert_eq!(replies[2]["error"]["code"], -32601);
    let counts = node.counts();
    assert_eq!(
        (counts.http_requests, counts.batches, counts.largest_batch),
        (1, 1, 3)
    );
    assert_eq!((node.calls("eth_blockNumber"), counts.in_flight), (1, 0));
    node.set_batch_limit(Some(2));
    let refused: Value = post(&node, &batch).await?.json().await?;
    assert_eq!(refused["error"]["message"], "batch too large");
    Ok(())
}

#[tokio::test]
async fn requests_that_cannot_be_read_get_the_codes_of_the_specification() -> Outcome {
    let node = node(1);
    let empty: Value = post(&node, &json!([])).await?.json().await?;
    assert_eq!(empty["error"]["code"], -32600);
    let broken = reqwest::Client::new()
        .post(node.http_url())
        .body("{\"id\":")
        .send()
        .await?;
    assert_eq!(broken.json::<Value>().await?["error"]["code"], -32700);
    let wrong = reply(&node, "eth_getBlockByNumber", json!(["17", true])).await?;
    assert_eq!(wrong["error"]["code"], -32602);
    Ok(())
}

#[tokio::test]
async fn a_held_head_hides_what_is_above_it_until_it_is_raised() -> Outcome {
    let node = node(10);
    node.chain().set_head(4);
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0x4");
    assert!(
        result(&node, "eth_getBlockByNumber", json!(["0x5", false]))
            .await?
            .is_null()
    );
    assert!(
        result(&node, "eth_getBlockByHash", json!([hash(5, 1), false]))
            .await?
            .is_null()
    );
    let hidden = json!([transaction_hash(5, 0)]);
    assert!(
        result(&node, "eth_getTransactionReceipt", hidden.clone())
            .await?
            .is_null()
    );
    node.chain().advance(2);
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0x6");
    assert!(
        result(&node, "eth_getTransactionReceipt", hidden)
            .await?
            .is_object()
    );
    Ok(())
}

#[tokio::test]
async fn a_reorg_replaces_heights_and_keeps_orphans_by_hash_until_they_are_forgotten() -> Outcome {
    let node = node(10);
    let chain = node.chain();
    chain.replace_from(8, (8..=9).map(|number| block(number, 2, 7)));
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0x9");
    let block_8 = result(&node, "eth_getBlockByNumber", json!(["0x8", false])).await?;
    assert_eq!(block_8["hash"], json!(hash(8, 2)));
    assert_eq!(block_8["parentHash"], json!(hash(7, 1)));
    let again = result(
        &node,
        "eth_getTransactionReceipt",
        json!([transaction_hash(8, 0)]),
    )
    .await?;
    assert_eq!(
        again["blockHash"],
        json!(hash(8, 2)),
        "re-included on the new branch"
    );
    let dropped = json!([transaction_hash(10, 0)]);
    assert!(
        result(&node, "eth_getTransactionReceipt", dropped)
            .await?
            .is_null()
    );
    let orphan = json!([{ "blockHash": hash(8, 1) }]);
    assert!(
        result(&node, "eth_getBlockReceipts", orphan.clone())
            .await?
            .is_array()
    );
    let old_head = json!([hash(10, 1), false]);
    let known = result(&node, "eth_getBlockByHash", old_head.clone()).await?;
    assert!(
        known.is_object(),
        "known by hash, though the new branch is shorter"
    );
    assert_eq!(chain.forget_orphans(), 3);
    assert!(
        result(&node, "eth_getBlockByHash", old_head)
            .await?
            .is_null()
    );
    assert!(
        result(&node, "eth_getBlockReceipts", orphan)
            .await?
            .is_null()
    );
    Ok(())
}

#[tokio::test]
async fn a_chain_that_flips_between_two_branches_finds_its_transactions_on_the_current_one()
-> Outcome {
    let node = node(5);
    let wanted = json!([transaction_hash(5, 1)]);
    for branch in [2, 1, 2, 1] {
        node.chain().replace_from(5, [block(5, branch, 4)]);
        let receipt = result(&node, "eth_getTransactionReceipt", wanted.clone()).await?;
        assert_eq!(receipt["blockHash"], json!(hash(5, branch)));
    }
    Ok(())
}

#[tokio::test]
async fn tags_resolve_as_set_or_are_unknown_as_besu_says_it() -> Outcome {
    let node = node(50);
    let height = async |tag: &str| reply(&node, "eth_getBlockByNumber", json!([tag, false])).await;
    assert_eq!(height("safe").await?["result"]["number"], "0x12");
    assert_eq!(height("finalized").await?["result"]["number"], "0x0");
    node.chain().set_finalized(Tag::At(40));
    assert_eq!(height("finalized").await?["result"]["number"], "0x28");
    node.chain().set_finalized(Tag::Nothing);
    assert!(height("finalized").await?["result"].is_null());
    node.chain().set_safe(Tag::Unsupported);
    let unknown = json!({ "code": -39001, "message": "Unknown block" });
    assert_eq!(height("safe").await?["error"], unknown);
    Ok(())
}

#[tokio::test]
async fn genesis_chain_id_and_client_version_can_change_under_a_running_client() -> Outcome {
    let node = node(3);
    node.chain()
        .set_genesis(CannedBlock::bare_genesis(hash(0, 9), 5));
    node.chain().set_chain_id(5);
    node.chain().set_client_version("besu/v25.1.0");
    let genesis = result(&node, "eth_getBlockByNumber", json!(["0x0", true])).await?;
    assert_eq!(
        (&genesis["hash"], &genesis["timestamp"]),
        (&json!(hash(0, 9)), &json!("0x5"))
    );
    assert!(
        result(&node, "eth_getBlockByHash", json!([hash(0, 9), true]))
            .await?
            .is_object()
    );
    assert_eq!(result(&node, "eth_chainId", json!([])).await?, "0x5");
    assert_eq!(
        result(&node, "web3_clientVersion", json!([])).await?,
        "besu/v25.1.0"
    );
    assert_eq!(result(&node, "eth_syncing", json!([])).await?, false);
    Ok(())
}

#[tokio::test]
async fn uncles_are_counted_from_the_block_and_told_when_their_headers_are_known() -> Outcome {
    let chain = support::chain(1);
    chain.push(block(2, 1, 0).with_uncles([r#"{"number":"0x1"}"#.into()]));
    let node = Server::start(chain)?;
    let count = result(&node, "eth_getUncleCountByBlockHash", json!([hash(2, 1)])).await?;
    assert_eq!(count, "0x1");
    let uncle = "eth_getUncleByBlockHashAndIndex";
    let known = result(&node, uncle, json!([hash(2, 1), "0x0"])).await?;
    assert_eq!(known["number"], "0x1");
    assert!(
        result(&node, uncle, json!([hash(2, 1), "0x1"]))
            .await?
            .is_null()
    );
    Ok(())
}

#[tokio::test]
async fn a_test_can_teach_the_node_a_method() -> Outcome {
    let node = node(1);
    node.serve_method("debug_traceBlockByHash", |params| {
        Ok(Json::from(&json!({ "asked": params })))
    });
    let traces = result(&node, "debug_traceBlockByHash", json!(["0x1"])).await?;
    assert_eq!(traces, json!({ "asked": ["0x1"] }));
    Ok(())
}

#[tokio::test]
async fn a_stopped_node_refuses_connections_and_comes_back_at_the_same_address() -> Outcome {
    let mut node = node(4);
    let address = node.address();
    let client = reqwest::Client::new();
    let ask = || {
        client
            .post(node.http_url())
            .json(&call(1, "eth_blockNumber", &json!([])))
            .send()
    };
    assert!(ask().await?.status().is_success());
    let again = ask();
    node.stop().await;
    assert!(
        again.await.is_err(),
        "the kept-alive connection was cut with the node"
    );
    node.restart()?;
    assert_eq!(node.address(), address);
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0x4");
    let chain = node.chain().clone();
    drop(node);
    let node = Server::start_at(chain, address)?;
    assert_eq!(result(&node, "eth_blockNumber", json!([])).await?, "0x4");
    Ok(())
}

#[tokio::test]
async fn real_blocks_are_served_to_the_letter() -> Outcome {
    let Some(fixtures) = Fixtures::find_or_say("real_blocks_are_served_to_the_letter") else {
        return Ok(());
    };
    let recorded = fixtures.mainnet_block(18_000_000)?;
    let chain = tallyscan_simnode::CannedChain::with_blocks(1, [recorded.canned()?]);
    let node = Server::start(chain)?;
    let ask = call(1, "eth_getBlockByNumber", &json!(["0x112a880", true]));
    let text = post(&node, &ask).await?.text().await?;
    let expected = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#,
        recorded.block.get()
    );
    assert!(text == expected, "the reply differs from the recording");
    let client =
        ProviderBuilder::<_, _, Ethereum>::default().connect_http(node.http_url().parse()?);
    let block = client
        .get_block_by_number(BlockNumberOrTag::Latest)
        .full()
        .await?;
    assert_eq!(block.map(|block| block.transactions.len()), Some(94));
    let receipts = client.get_block_receipts(BlockId::latest()).await?;
    assert_eq!(receipts.map(|receipts| receipts.len()), Some(94));
    Ok(())
}
