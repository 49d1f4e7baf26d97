//! What reorgs dropped stays answerable.

use super::settle;
use alloy::{
    network::TransactionBuilder as _,
    primitives::{Address, keccak256},
    rpc::types::TransactionRequest,
};
use tallyscan_tests::{DevChain, Scene};

/// Creation code that logs one topic and creates nothing else: PUSH32 topic, two zeros, LOG1, STOP.
fn logging() -> TransactionRequest {
    let topic = keccak256("logged");
    let mut code = vec![0x7f];
    code.extend(topic);
    code.extend([0x60, 0, 0x60, 0, 0xa1, 0x00]);
    TransactionRequest::default().with_deploy_code(code)
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_blocks_and_transactions_say_where_they_were_and_where_they_are() {
    let scene = Scene::start().await;
    let chain = &scene.chain;
    let indexer = scene.index().await;
    chain.mine(2).await;
    let (kept, kept_raw) = chain.sign(logging(), 0).await;
    let (lost, lost_raw) = chain.sign(logging(), 1).await;
    chain.send_raw(&kept_raw).await;
    chain.send_raw(&lost_raw).await;
    let dropped_block = chain.mine(1).await;
    let ancestor = chain.block_hash(2.into()).await;
    settle(&scene, &indexer).await;
    let api = scene.api().await;
    let of = |hash| format!("/api/v1/transactions/{hash}");
    for hash in [kept, lost] {
        let before = api.ok(&of(hash)).await;
        assert_eq!(before["data"]["canonical"], true);
        assert_eq!(before["finality"]["status"], "latest");
        assert_eq!(
            api.ok(&format!("{}/logs", of(hash))).await["data"][0]["data"],
            "0x"
        );
    }
    // Two blocks higher the first is in again; the other has lost its nonce.
    chain.roll_back(1).await;
    chain.mine(2).await;
    chain.send_raw(&kept_raw).await;
    chain
        .send_with_nonce(DevChain::transfer(Address::repeat_byte(1), 1), 1)
        .await;
    let head = chain.mine(1).await;
    settle(&scene, &indexer).await;

    let answer = api.ok(&of(kept)).await;
    let data = &answer["data"];
    assert_eq!(
        (&data["canonical"], &data["block_number"]),
        (&true.into(), &5.into())
    );
    assert_eq!(data["block_hash"], head.to_string());
    assert_eq!(answer["finality"]["confirmations"], 1);
    let lost_answer = api.ok(&of(lost)).await;
    assert_eq!(lost_answer["data"]["canonical"], false);
    assert_eq!(lost_answer["data"]["block_hash"], dropped_block.to_string());
    assert_eq!(lost_answer["finality"]["status"], "orphaned");
    assert_eq!(lost_answer["finality"]["confirmations"], 0);
    for (at, data) in [data, &lost_answer["data"]].into_iter().enumerate() {
        let dropped = data["dropped"].as_array().expect("a list");
        assert_eq!(dropped.len(), 1);
        assert_eq!(dropped[0]["block_number"], 3);
        assert_eq!(dropped[0]["block_hash"], dropped_block.to_string());
        assert_eq!(dropped[0]["transaction_index"], at);
        assert_eq!(dropped[0]["dropped_by"]["reorg"], 1);
        assert_eq!(dropped[0]["dropped_by"]["ancestor_number"], 2);
    }
    let logs = api.ok(&format!("{}/logs", of(kept))).await;
    assert_eq!(logs["data"][0]["block_number"], 5);
    let logs = api.ok(&format!("{}/logs", of(lost))).await;
    assert_eq!(logs["data"][0]["block_number"], 3);
    assert_eq!(
        logs["data"][0]["topics"][0],
        keccak256("logged").to_string()
    );
    assert_eq!(logs["finality"]["status"], "orphaned");

    let path = format!("/api/v1/blocks/{dropped_block}");
    let block = api.ok(&path).await;
    assert_eq!(block["data"]["canonical"], false);
    assert_eq!(block["data"]["parent_hash"], ancestor.to_string());
    assert_eq!(block["data"]["dropped_by"]["reorg"], 1);
    assert_eq!(block["finality"]["status"], "orphaned");
    let inside = api.ok(&format!("{path}/transactions")).await;
    assert_eq!(inside["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(inside["data"][1]["hash"], lost.to_string());
    let canonical = api.ok("/api/v1/blocks/3").await;
    assert_ne!(canonical["data"]["hash"], dropped_block.to_string());
    indexer.stop().await;
}
