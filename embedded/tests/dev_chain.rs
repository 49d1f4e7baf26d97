//! The dev chain over restarts, and the traffic on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use alloy::consensus::Transaction as _;
use alloy::eips::BlockNumberOrTag;
use alloy::network::{Ethereum, TransactionResponse};
use alloy::primitives::{B256, keccak256};
use alloy::providers::{Provider, RootProvider};
use serde_json::Value;
use tallyscan_embedded::traffic::{Kind, Tally, Traffic, TrafficOptions};
use tallyscan_embedded::{Anvil, AnvilOptions};
use tokio_util::sync::CancellationToken;

async fn start(folder: &Path, block_time: Option<f64>) -> (Anvil, RootProvider<Ethereum>) {
    let options = AnvilOptions {
        block_time,
        slots_in_an_epoch: 4,
        ..AnvilOptions::default()
    };
    let anvil = Anvil::start(folder, options).await.unwrap();
    let node = RootProvider::new_http(anvil.http_url().parse().unwrap());
    (anvil, node)
}

/// Traffic for a while.
async fn drive(anvil: &Anvil, options: TrafficOptions, time: Duration) -> Tally {
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let url = anvil.http_url();
    let traffic = tokio::spawn(async move { Traffic::run(&url, options, shutdown).await });
    tokio::time::sleep(time).await;
    stop.cancel();
    traffic.await.unwrap()
}

fn busy(reorg_every: Option<Duration>) -> TrafficOptions {
    TrafficOptions {
        interval: Duration::from_millis(5),
        reorg_every,
        reorg_depth: 3,
        seed: 7,
    }
}

/// Blocks with their transactions, and receipts, as the node tells them.
async fn chain(node: &RootProvider<Ethereum>) -> Vec<(Value, Value)> {
    let head = node.get_block_number().await.unwrap();
    let mut blocks = Vec::new();
    for number in 0..=head {
        let tag = BlockNumberOrTag::Number(number);
        let block: Value = node
            .raw_request("eth_getBlockByNumber".into(), (tag, true))
            .await
            .unwrap();
        let receipts: Value = node
            .raw_request("eth_getBlockReceipts".into(), (tag,))
            .await
            .unwrap();
        blocks.push((block, receipts));
    }
    blocks
}

fn assert_linked(blocks: &[(Value, Value)]) {
    for pair in blocks.windows(2) {
        assert_eq!(pair[1].0["parentHash"], pair[0].0["hash"]);
        let time =
            |block: &Value| u64::from_str_radix(&block["timestamp"].as_str().unwrap()[2..], 16);
        assert!(time(&pair[1].0).unwrap() >= time(&pair[0].0).unwrap());
    }
}

#[tokio::test]
async fn the_chain_goes_on_where_it_stopped_any_number_of_times() {
    let folder = tempfile::tempdir().unwrap();
    let mut before: Vec<(Value, Value)> = Vec::new();
    for _ in 0..4 {
        let (anvil, node) = start(folder.path(), Some(0.2)).await;
        let found = chain(&node).await;
        assert!(found.len() >= before.len());
        assert_eq!(
            found[..before.len()],
            before,
            "old blocks and receipts are the same"
        );
        drive(&anvil, busy(None), Duration::from_millis(1_500)).await;
        // A genesis of the next start gets another timestamp, and must not replace the first.
        before = chain(&node).await;
        anvil.stop().await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        before.truncate(before.len() - 1);
    }
    let (anvil, node) = start(folder.path(), None).await;
    let found = chain(&node).await;
    assert_linked(&found);
    assert!(found.len() > 12);
    anvil.stop().await;
}

#[tokio::test]
async fn a_killed_chain_comes_back_as_it_was_last_written() {
    let folder = tempfile::tempdir().unwrap();
    let (anvil, node) = start(folder.path(), None).await;
    drive(&anvil, busy(None), Duration::from_millis(500)).await;
    let before = chain(&node).await;
    anvil.stop().await;

    let (anvil, _) = start(folder.path(), None).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(anvil.pid()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    drop(anvil);
    // As if it had been killed in the middle of writing.
    let state = folder.path().join("state.json");
    let half = std::fs::metadata(&state).unwrap().len() / 2;
    std::fs::OpenOptions::new()
        .write(true)
        .open(&state)
        .unwrap()
        .set_len(half)
        .unwrap();

    let (anvil, node) = start(folder.path(), None).await;
    assert_eq!(chain(&node).await, before);
    anvil.stop().await;
}

#[tokio::test]
async fn traffic_has_every_kind_of_transaction_failures_and_reorgs() {
    let folder = tempfile::tempdir().unwrap();
    let (anvil, node) = start(folder.path(), Some(0.25)).await;
    let tally = drive(
        &anvil,
        busy(Some(Duration::from_secs(2))),
        Duration::from_secs(9),
    )
    .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    println!("{tally:?}");
    let sent: BTreeSet<Kind> = tally.sent.keys().copied().collect();
    assert_eq!(sent, Kind::all().collect());
    assert!(tally.reorgs >= 2, "{tally:?}");

    let mut types: BTreeMap<u8, u64> = BTreeMap::new();
    let (mut failed, mut creations, mut logs) = (0, 0, 0);
    let mut events: BTreeSet<B256> = BTreeSet::new();
    let head = node.get_block_number().await.unwrap();
    let mut parent: Option<B256> = None;
    for number in 0..=head {
        let block = node
            .get_block_by_number(number.into())
            .full()
            .await
            .unwrap()
            .unwrap();
        assert!(parent.is_none_or(|hash| hash == block.header.parent_hash));
        parent = Some(block.header.hash);
        for transaction in block.transactions.txns() {
            *types.entry(transaction.inner.tx_type().into()).or_default() += 1;
            assert!(transaction.block_number().is_some() && transaction.gas_limit() > 0);
        }
        for receipt in node
            .get_block_receipts(number.into())
            .await
            .unwrap()
            .unwrap()
        {
            failed += u64::from(!receipt.status());
            creations += u64::from(receipt.contract_address.is_some());
            logs += receipt.logs().len();
            events.extend(receipt.logs().iter().filter_map(|log| log.topic0()));
        }
    }
    println!("types {types:?}, failed {failed}, creations {creations}, logs {logs}");
    assert_eq!(types.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 4]);
    assert!(failed > 0 && creations > 0 && logs > 0);
    for signature in [
        "Transfer(address,address,uint256)",
        "TransferSingle(address,address,address,uint256,uint256)",
        "TransferBatch(address,address,address,uint256[],uint256[])",
        "Deposit(address,uint256)",
        "Withdrawal(address,uint256)",
        "Created(address,uint256)",
        "Refused(address,uint256)",
    ] {
        assert!(events.contains(&keccak256(signature)), "no {signature}");
    }
    anvil.stop().await;
}

#[tokio::test]
async fn traffic_survives_the_node_and_goes_on_with_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let (anvil, _) = start(folder.path(), None).await;
    let port = anvil.port();
    let shutdown = CancellationToken::new();
    let url = anvil.http_url();
    let token = shutdown.clone();
    let traffic = tokio::spawn(async move { Traffic::run(&url, busy(None), token).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    anvil.stop().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let options = AnvilOptions {
        port: Some(port),
        ..AnvilOptions::default()
    };
    let anvil = Anvil::start(folder.path(), options).await.unwrap();
    let node: RootProvider<Ethereum> = RootProvider::new_http(anvil.http_url().parse().unwrap());
    let before = node.get_block_number().await.unwrap();
    assert!(before > 0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(node.get_block_number().await.unwrap() > before);
    shutdown.cancel();
    assert!(traffic.await.unwrap().errors > 0);
    anvil.stop().await;
}
