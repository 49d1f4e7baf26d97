//! ABIs that come while answers are cached, and contracts.

use alloy::{
    network::TransactionBuilder as _,
    primitives::{Address, Bytes, U256, keccak256},
    rpc::types::TransactionRequest,
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::path::Path;
use tallyscan_tests::{Api, ApiOptions, Scene, TOKEN_BYTECODE, eventually, folder};

const CONTRACT: Address = Address::repeat_byte(0x33);
const IMPLEMENTATION: Address = Address::repeat_byte(0x44);

fn put_abi(folder: &Path, address: Address, function: &str) {
    let abi = json!([{
        "type": "function", "name": function, "stateMutability": "view", "outputs": [],
        "inputs": [{"name": "amount", "type": "uint256"}],
    }]);
    let path = folder.join(format!("{address}.json"));
    std::fs::write(path, abi.to_string()).expect("a file");
}

async fn run(scene: &Scene, sql: String) {
    let done = sqlx::query(AssertSqlSafe(sql))
        .execute(&scene.database.pool)
        .await;
    done.expect("a row");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abi_shows_in_answers_that_were_cached_before_it() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    let mut input = keccak256("tally(uint256)")[..4].to_vec();
    input.extend(U256::from(7).to_be_bytes::<32>());
    let call = TransactionRequest::default()
        .with_to(CONTRACT)
        .with_input(Bytes::from(input))
        .with_gas_limit(100_000);
    let hash = scene.chain.send(call).await;
    indexer.reaches(scene.chain.mine(1).await).await;
    indexer.publishes_everything().await;
    // The address runs the code of another.
    run(
        &scene,
        format!(
            "INSERT INTO contract_code (address, read_at, code_size, proxy, implementation)
         VALUES ('\\x{CONTRACT:x}', 1, 9, 'eip1967', '\\x{IMPLEMENTATION:x}')
         ON CONFLICT (address) DO UPDATE SET read_at = 1, code_size = 9, proxy = 'eip1967',
             implementation = excluded.implementation",
        )
        .replace("\\x0x", "\\x"),
    )
    .await;
    let abis = folder();
    let options = ApiOptions {
        abi_dir: Some(abis.path().to_owned()),
        ..ApiOptions::default()
    };
    let api = Api::start_with(&scene.database, &scene.redis.url(), options).await;
    let path = format!("/api/v1/transactions/{hash}");
    let decoded = || async { api.ok(&path).await["data"]["decoded_input"].clone() };
    assert_eq!(decoded().await, Value::Null);
    std::fs::write(abis.path().join("broken.json"), "{").expect("a file");
    put_abi(abis.path(), IMPLEMENTATION, "tally");
    eventually("the implementation's ABI", || async {
        decoded().await["source"] == "abi"
    })
    .await;
    let shown = decoded().await;
    assert_eq!(shown["signature"], "tally(uint256)");
    assert_eq!(
        shown["params"],
        json!([{"name": "amount", "type": "uint256", "value": "7"}])
    );
    let contract = api.ok(&format!("/api/v1/contracts/{CONTRACT}")).await;
    assert_eq!(contract["data"]["abi_known"], true);
    assert_eq!(
        contract["data"]["abi"]["functions"],
        json!(["tally(uint256)"])
    );
    assert_eq!(contract["data"]["proxy"]["kind"], "eip1967");
    std::fs::remove_file(abis.path().join(format!("{IMPLEMENTATION}.json"))).expect("a file");
    eventually("no ABI", || async { decoded().await.is_null() }).await;
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_tells_of_its_newest_creation_and_counts_all() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    let code: Bytes = TOKEN_BYTECODE.parse().expect("hex");
    let created = scene
        .chain
        .send(
            TransactionRequest::default()
                .with_deploy_code(code)
                .with_gas_limit(200_000),
        )
        .await;
    indexer.reaches(scene.chain.mine(2).await).await;
    indexer.publishes_everything().await;
    let api = scene.api().await;
    let receipt = scene.chain.receipt(created).await;
    let address = receipt.contract_address.expect("a contract");
    let path = |address: Address| format!("/api/v1/contracts/{address}");
    let contract = api.ok(&path(address)).await;
    let creation = &contract["data"]["creation"];
    assert_eq!(creation["kind"], "transaction");
    assert_eq!(creation["transaction_hash"], created.to_string());
    assert_eq!(creation["creator"], scene.chain.sender().to_string());
    assert_eq!(creation["block_number"], 1);
    assert_eq!(contract["data"]["creation_count"], 1);
    assert_eq!(contract["data"]["abi_known"], false);
    // The same address again, by a factory, in the same transaction and once more.
    for (trace, kind) in [(1, 2), (2, 3)] {
        run(&scene, format!(
            "INSERT INTO internal_transfers
                 (block_number, tx_index, trace_index, kind, from_address, to_address, trace_id, value)
             VALUES (1, 0, {trace}, {kind}, '\\x{}', '\\x{}', '0_{trace}', 0)",
            alloy::hex::encode(CONTRACT), alloy::hex::encode(address),
        )).await;
    }
    run(
        &scene,
        format!(
            "UPDATE address_totals SET internal_count = 2 WHERE address = '\\x{}'",
            alloy::hex::encode(address),
        ),
    )
    .await;
    // What is cached is right for its head.
    indexer.reaches(scene.chain.mine(1).await).await;
    indexer.publishes_everything().await;
    let contract = api.ok(&path(address)).await;
    assert_eq!(contract["data"]["creation_count"], 3);
    let creation = &contract["data"]["creation"];
    assert_eq!(
        (&creation["kind"], &creation["trace_id"]),
        (&"create2".into(), &"0_2".into())
    );
    assert_eq!(creation["factory"], CONTRACT.to_string());
    assert_eq!(creation["creator"], scene.chain.sender().to_string());
    let (status, problem) = api.get(&path(IMPLEMENTATION)).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (404, Some("contract_not_found"))
    );
    indexer.stop().await;
}
