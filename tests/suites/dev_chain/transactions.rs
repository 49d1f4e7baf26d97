//! Every kind of transaction, read back field by field.

use alloy::{
    eips::{
        eip2930::{AccessList, AccessListItem},
        eip4844::{
            BYTES_PER_BLOB, BYTES_PER_COMMITMENT, BYTES_PER_PROOF, Blob, BlobTransactionSidecar,
        },
        eip7702::Authorization,
    },
    network::{TransactionBuilder as _, TransactionBuilder7702 as _},
    primitives::{Address, B256, U256},
    rpc::types::TransactionRequest,
    signers::{SignerSync as _, local::PrivateKeySigner},
    sol_types::SolValue as _,
};
use serde_json::{Value, json};
use tallyscan_tests::{
    Api, DevChain, RunningIndexer, Scene, assert_agrees, assert_block, assert_transaction,
    eventually,
};

/// The creation code of the project's own token, with its arguments.
fn token_creation(holder: Address) -> TransactionRequest {
    let artifact = include_str!("../../../contracts/TallyToken.json");
    let artifact: Value = serde_json::from_str(artifact).expect("JSON");
    let bytecode = artifact["bytecode"].as_str().expect("bytecode");
    let mut code = alloy::hex::decode(bytecode).expect("hex");
    let arguments = ("Tally", "TLY", U256::from(1_000_000), holder);
    code.extend(arguments.abi_encode_params());
    TransactionRequest::default()
        .with_deploy_code(code)
        .with_gas_limit(1_500_000)
}

/// A call of the token: `transfer(address,uint256)`.
fn token_transfer(token: Address, to: Address, amount: u64) -> TransactionRequest {
    let mut input = alloy::primitives::keccak256("transfer(address,uint256)")[..4].to_vec();
    input.extend((to, U256::from(amount)).abi_encode_params());
    TransactionRequest::default()
        .with_to(token)
        .with_input(input)
}

async fn assert_read_back(scene: &Scene, api: &Api, hash: B256) -> Value {
    let node = scene
        .chain
        .ask("eth_getTransactionByHash", json!([hash]))
        .await;
    let receipt = scene
        .chain
        .ask("eth_getTransactionReceipt", json!([hash]))
        .await;
    let answer = api.ok(&format!("/api/v1/transactions/{hash}")).await;
    assert_transaction(&answer["data"], &node, &receipt);
    let logs = api.ok(&format!("/api/v1/transactions/{hash}/logs")).await;
    assert_agrees(&logs["data"], &receipt["logs"], "logs");
    answer["data"].clone()
}

async fn every_kind_is_read_back(http: bool) {
    let scene = Scene::start().await;
    let config = if http {
        scene.over_http()
    } else {
        scene.over_ws()
    };
    let indexer = RunningIndexer::start(&scene.database, config).await;
    let chain = &scene.chain;
    let friend = Address::repeat_byte(0x42);
    let token = chain.sender().create(chain.mined_nonce().await);
    let created = chain.send(token_creation(chain.sender())).await;
    let deployed = chain.send(DevChain::creation()).await;
    let too_dear: TransactionRequest = token_creation(chain.sender()).with_gas_limit(120_000);
    let failed_creation = chain.send(too_dear).await;
    let zero_holder = chain.send(token_creation(Address::ZERO)).await;
    chain.mine(1).await;
    let moved = chain.send(token_transfer(token, friend, 250)).await;
    let failed_call = chain.send(token_transfer(token, friend, 2_000_000)).await;
    let moved_again = chain.send(token_transfer(token, friend, 7)).await;
    let legacy = DevChain::transfer(friend, 5).with_gas_price(20_000_000_000);
    let legacy = chain.send(legacy).await;
    let access_list = AccessList(vec![AccessListItem {
        address: token,
        storage_keys: vec![B256::ZERO, B256::repeat_byte(1)],
    }]);
    let listed = DevChain::transfer(friend, 6)
        .with_gas_price(20_000_000_000)
        .with_access_list(access_list);
    let listed = chain.send(listed).await;
    let dynamic = chain.send(DevChain::transfer(friend, 7)).await;
    let authority: PrivateKeySigner = B256::repeat_byte(3).to_string().parse().expect("a key");
    let offer = Authorization {
        chain_id: U256::from(31_337),
        address: token,
        nonce: 0,
    };
    let signature = authority.sign_hash_sync(&offer.signature_hash());
    let offer = offer.into_signed(signature.expect("a signature"));
    let delegation = DevChain::transfer(friend, 0).with_authorization_list(vec![offer]);
    let delegation = chain.send(delegation).await;
    let head = chain.mine(1).await;
    indexer.reaches(head).await;
    indexer.publishes_everything().await;
    let api = scene.api().await;

    let types = [
        (legacy, 0),
        (listed, 1),
        (dynamic, 2),
        (delegation, 4),
        (moved, 2),
    ];
    for (hash, tx_type) in types {
        assert_eq!(assert_read_back(&scene, &api, hash).await["type"], tx_type);
    }
    for (hash, status, logs) in [
        (created, "success", 1),
        (deployed, "success", 0),
        (failed_creation, "failed", 0),
        (zero_holder, "failed", 0),
        (moved, "success", 1),
        (failed_call, "failed", 0),
        (moved_again, "success", 1),
    ] {
        let answer = assert_read_back(&scene, &api, hash).await;
        assert_eq!(
            (&answer["status"], &answer["log_count"]),
            (&json!(status), &json!(logs))
        );
    }
    let answer = api.ok(&format!("/api/v1/transactions/{created}")).await;
    assert_eq!(answer["data"]["contract_address"], token.to_checksum(None));
    for number in 0..=2_u64 {
        let id = format!("{number:#x}");
        let node = chain.ask("eth_getBlockByNumber", json!([id, false])).await;
        let answer = api.ok(&format!("/api/v1/blocks/{number}")).await;
        assert_block(&answer["data"], &node);
    }
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_transaction_is_read_back_over_ws() {
    every_kind_is_read_back(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_transaction_is_read_back_over_http() {
    every_kind_is_read_back(true).await;
}

/// A blob of zeros: its commitment and its proof are the point at infinity.
fn blob_transaction(to: Address) -> TransactionRequest {
    const INFINITY: u8 = 0xc0;
    let mut commitment = [0; BYTES_PER_COMMITMENT];
    commitment[0] = INFINITY;
    let mut proof = [0; BYTES_PER_PROOF];
    proof[0] = INFINITY;
    let sidecar = BlobTransactionSidecar::new(
        vec![Blob::from([0; BYTES_PER_BLOB])],
        vec![commitment.into()],
        vec![proof.into()],
    );
    let mut request = DevChain::transfer(to, 1);
    request.blob_versioned_hashes = Some(sidecar.versioned_hashes().collect());
    request.max_fee_per_blob_gas = Some(1_000_000_000);
    request.sidecar = Some(sidecar.into());
    request
}

/// The dev chain gets the transactions root of such blocks wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_fails_its_proof_is_not_stored_and_the_index_goes_on_after_it_is_gone() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    let good = scene.chain.mine(2).await;
    indexer.reaches(good).await;
    scene
        .chain
        .send(blob_transaction(Address::repeat_byte(1)))
        .await;
    scene.chain.mine(1).await;
    let problem = indexer.halts().await;
    assert!(problem.contains("fails its proof"), "{problem}");
    assert!(problem.contains("transactions root"), "{problem}");
    assert_eq!(scene.state().await.head.map(|head| head.hash), Some(good));
    assert_eq!(scene.count("SELECT count(*) FROM blocks").await, 3);
    let api = scene.api().await;
    eventually("health to name it", || async {
        let health = api.ok("/health").await;
        health["status"] == "degraded" && health["problems"].to_string().contains("fails its proof")
    })
    .await;
    scene.chain.roll_back(1).await;
    scene
        .chain
        .send(DevChain::transfer(Address::repeat_byte(1), 1))
        .await;
    let head = scene.chain.mine(2).await;
    indexer.reaches(head).await;
    eventually("the problem to be over", || async {
        indexer.status().known().problem.is_none()
    })
    .await;
    indexer.stop().await;
    scene.assert_twin().await;
}
