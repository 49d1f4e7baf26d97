//! What is read from the state: balances with their explanation, code, metadata.

mod bad_nodes;
mod balances;
mod contracts;
mod history;

use alloy::{
    network::TransactionBuilder as _,
    primitives::{Address, U256},
    rpc::types::TransactionRequest,
};
use serde_json::Value;
use std::collections::BTreeSet;
use store::{answer, read::Snapshot};
use tallyscan_tests::{DevChain, Scene};

/// Someone who has nothing at first.
fn friend(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

/// One block of what moves coins: transfers, one to oneself, creations with value, one that runs out of
/// gas, a call that fails.
async fn busy_block(chain: &DevChain, salt: u8) {
    chain.send(DevChain::transfer(friend(salt), 1_000)).await;
    chain.send(DevChain::transfer(chain.sender(), 77)).await;
    // Constructors that take coins: the code of a contract that takes them as well, and none.
    chain
        .send(DevChain::creation().with_value(U256::from(31)))
        .await;
    let too_dear = DevChain::creation().with_value(U256::from(5));
    chain.send(too_dear.with_gas_limit(53_200)).await;
    // Reverts at once: PUSH0 PUSH0 REVERT.
    let reverting = TransactionRequest::default().with_deploy_code(vec![0x5f, 0x5f, 0xfd]);
    chain.send(reverting.with_value(U256::from(9))).await;
    chain.send(DevChain::transfer(friend(0xee), 3)).await;
}

/// Everybody that the indexed chain knows.
async fn everybody(scene: &Scene) -> BTreeSet<Address> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT address FROM address_activity UNION SELECT address FROM block_credits
         UNION SELECT from_address FROM internal_transfers UNION SELECT to_address FROM internal_transfers",
    )
    .fetch_all(&scene.database.pool)
    .await
    .expect("addresses");
    rows.iter().map(|row| Address::from_slice(row)).collect()
}

/// What the API would say of an address.
async fn balance_of(
    scene: &Scene,
    address: Address,
    explain: Option<(Option<u64>, Option<u64>)>,
) -> Value {
    let mut snapshot = Snapshot::open(&scene.database.pool)
        .await
        .expect("a snapshot");
    let answer = answer::wallet_balance(&mut snapshot, address, explain).await;
    let answer = answer.expect("the database answers").expect("in time");
    serde_json::from_str(&answer.body).expect("JSON")
}

/// What the node says of an address at a height.
async fn node_balance(scene: &Scene, address: Address, number: u64) -> String {
    let balance = scene.chain.ask(
        "eth_getBalance",
        serde_json::json!([address, format!("{number:#x}")]),
    );
    let balance = balance.await;
    let balance: U256 = balance.as_str().expect("hex").parse().expect("a number");
    balance.to_string()
}

/// Compares everybody's balance with the node's, at the head and in history, and wants it explained to
/// the last wei.
async fn assert_explained(scene: &Scene) {
    let height = scene.chain.height().await;
    let everybody = everybody(scene).await;
    assert!(everybody.len() > 3);
    for address in everybody {
        let answer = balance_of(scene, address, Some((Some(0), None))).await;
        let expected = node_balance(scene, address, height).await;
        assert_eq!(answer["balance"], expected, "{address}: {answer:#}");
        assert_eq!(answer["current"], true, "{address}");
        let explanation = &answer["explanation"];
        assert_eq!(explanation["residual"], "0", "{address}: {explanation:#}");
        assert_eq!(explanation["to_block"], height);
        for (from, to) in [(1, height / 2), (height / 2, height), (height, height)] {
            let answer = balance_of(scene, address, Some((Some(from), Some(to)))).await;
            let explanation = &answer["explanation"];
            assert_eq!(
                explanation["residual"], "0",
                "{address} {from}..{to}: {explanation:#}"
            );
            let closing = node_balance(scene, address, to).await;
            assert_eq!(explanation["closing_balance"], closing, "{address} at {to}");
        }
    }
}
