//! Code of contracts, and what tokens say of themselves.

use alloy::{
    hex,
    network::TransactionBuilder as _,
    primitives::{Address, U256, keccak256},
    rpc::types::TransactionRequest,
    sol_types::SolValue as _,
};
use serde_json::Value;
use sqlx::Row as _;
use tallyscan_tests::{DevChain, Scene, eventually};

/// Creation code that leaves this code behind.
fn deploying(code: &[u8]) -> TransactionRequest {
    // PUSH2 length, DUP1, PUSH1 12, PUSH1 0, CODECOPY, PUSH1 0, RETURN.
    let length = u16::try_from(code.len()).expect("short").to_be_bytes();
    let mut creation = vec![
        0x61, length[0], length[1], 0x80, 0x60, 0x0c, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3,
    ];
    creation.extend(code);
    TransactionRequest::default()
        .with_deploy_code(creation)
        .with_gas_limit(5_000_000)
}

/// Code that answers calls by their selector, and reverts at all others.
fn answering(answers: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let word = |number: usize| u16::try_from(number).expect("short").to_be_bytes();
    // PUSH0 CALLDATALOAD PUSH1 224 SHR: the selector.
    let mut code = vec![0x5f, 0x35, 0x60, 0xe0, 0x1c];
    let (mut parts, mut at) = (Vec::new(), code.len() + answers.len() * 11 + 3);
    for (signature, answer) in answers {
        // DUP1 PUSH4 selector EQ PUSH2 part JUMPI.
        code.extend([0x80, 0x63]);
        code.extend(&keccak256(signature)[..4]);
        code.extend([0x14, 0x61]);
        code.extend(word(at));
        code.push(0x57);
        // JUMPDEST, CODECOPY of what follows these 14 bytes, RETURN.
        let (length, start) = (word(answer.len()), word(at + 14));
        let mut part = vec![
            0x5b, 0x61, length[0], length[1], 0x61, start[0], start[1], 0x5f, 0x39,
        ];
        part.extend([0x61, length[0], length[1], 0x5f, 0xf3]);
        part.extend(answer);
        at += part.len();
        parts.extend(part);
    }
    code.extend([0x5f, 0x5f, 0xfd]);
    code.extend(parts);
    code
}

async fn create(scene: &Scene, request: TransactionRequest) -> Address {
    let address = scene.chain.sender().create(scene.chain.mined_nonce().await);
    scene.chain.send(request).await;
    scene.chain.mine(1).await;
    address
}

async fn ask_for(scene: &Scene, table: &str, column: &str, addresses: &[Address]) {
    for address in addresses {
        let sql = format!(
            "INSERT INTO {table} ({column}) VALUES ($1) ON CONFLICT ({column}) DO UPDATE SET read_at = NULL"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(address.to_vec());
        query.execute(&scene.database.pool).await.expect("a row");
    }
    eventually("all to be read", || async {
        scene
            .count(&format!(
                "SELECT count(*) FROM {table} WHERE read_at IS NULL"
            ))
            .await
            == 0
    })
    .await;
}

type Metadata = (Option<String>, Option<String>, Option<i16>, Option<String>);

async fn metadata(scene: &Scene, token: Address) -> Metadata {
    let row = sqlx::query(
        "SELECT name, symbol, decimals, total_supply::text AS supply FROM token_metadata WHERE token = $1",
    )
    .bind(token.to_vec())
    .fetch_one(&scene.database.pool)
    .await
    .expect("a row");
    (
        row.get("name"),
        row.get("symbol"),
        row.get("decimals"),
        row.get("supply"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_say_what_they_are_and_hostile_ones_are_cleaned() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    let artifact: Value =
        serde_json::from_str(include_str!("../../../contracts/TallyToken.json")).expect("JSON");
    let mut honest = hex::decode(artifact["bytecode"].as_str().expect("bytecode")).expect("hex");
    let supply = U256::from(1_000_000);
    honest.extend(("Tally", "TLY", supply, scene.chain.sender()).abi_encode_params());
    let honest = TransactionRequest::default()
        .with_deploy_code(honest)
        .with_gas_limit(1_500_000);
    let honest = create(&scene, honest).await;
    let mut word = [0; 32];
    word[..5].copy_from_slice(b"Maker");
    let old = create(
        &scene,
        deploying(&answering(&[
            ("name()", word.to_vec()),
            ("symbol()", [0; 32].to_vec()),
            ("decimals()", U256::from(18).abi_encode()),
        ])),
    )
    .await;
    let hostile = create(
        &scene,
        deploying(&answering(&[
            ("name()", "US\u{202e}DT\0\n".to_owned().abi_encode()),
            ("symbol()", "x".repeat(4_500).abi_encode()),
            ("decimals()", U256::from(256).abi_encode()),
            ("totalSupply()", U256::MAX.abi_encode()),
        ])),
    )
    .await;
    let silent = create(&scene, DevChain::creation()).await;
    // An endless loop: JUMPDEST PUSH0 JUMP.
    let endless = create(&scene, deploying(&[0x5b, 0x5f, 0x56])).await;
    let nobody = Address::repeat_byte(0x77);
    let head = scene.chain.head().await;
    indexer.reaches(head).await;
    ask_for(
        &scene,
        "token_metadata",
        "token",
        &[honest, old, hostile, silent, endless, nobody],
    )
    .await;
    let expected = (
        Some("Tally".to_owned()),
        Some("TLY".to_owned()),
        Some(18),
        Some("1000000".to_owned()),
    );
    assert_eq!(metadata(&scene, honest).await, expected);
    assert_eq!(
        metadata(&scene, old).await,
        (Some("Maker".to_owned()), None, Some(18), None)
    );
    let expected = (
        Some("USDT".to_owned()),
        None,
        None,
        Some(U256::MAX.to_string()),
    );
    assert_eq!(metadata(&scene, hostile).await, expected);
    for token in [silent, endless, nobody] {
        assert_eq!(metadata(&scene, token).await, (None, None, None, None));
    }
    // A reorg below the height at which they were asked has them asked again.
    sqlx::query("UPDATE token_metadata SET symbol = 'as it was'")
        .execute(&scene.database.pool)
        .await
        .expect("an update");
    scene.chain.roll_back(1).await;
    indexer.reaches(scene.chain.mine(2).await).await;
    eventually("they are asked again", || async {
        scene
            .count(
                "SELECT count(*) FROM token_metadata
                 WHERE read_at IS NULL OR symbol = 'as it was'",
            )
            .await
            == 0
    })
    .await;
    indexer.stop().await;
}

async fn code(scene: &Scene, address: Address) -> (i32, i32, Option<String>, Option<Address>) {
    let row = sqlx::query(
        "SELECT code_size, interfaces, proxy, implementation FROM contract_code WHERE address = $1",
    )
    .bind(address.to_vec())
    .fetch_one(&scene.database.pool)
    .await
    .expect("a row");
    let target: Option<Vec<u8>> = row.get("implementation");
    let target = target.map(|target| Address::from_slice(&target));
    (
        row.get("code_size"),
        row.get("interfaces"),
        row.get("proxy"),
        target,
    )
}

/// Creation code that writes an address into a slot and leaves one byte of code behind.
fn with_slot(slot: alloy::primitives::B256, address: Address) -> TransactionRequest {
    let mut creation = vec![0x73];
    creation.extend(address);
    creation.push(0x7f);
    creation.extend(slot);
    creation.extend([0x55, 0x60, 0x01, 0x5f, 0xf3]);
    TransactionRequest::default().with_deploy_code(creation)
}

/// Code that says yes to these interfaces.
fn supporting(ids: &[u32]) -> Vec<u8> {
    // The interface: PUSH1 4 CALLDATALOAD PUSH1 224 SHR; PUSH0 is the sum of what it equals.
    let mut code = vec![0x60, 0x04, 0x35, 0x60, 0xe0, 0x1c, 0x5f];
    for id in ids {
        code.extend([0x81, 0x63]);
        code.extend(id.to_be_bytes());
        code.extend([0x14, 0x17]);
    }
    code.extend([0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]);
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn contracts_tell_what_they_are_and_proxies_where_they_lead() {
    use chain::proxy::{BEACON_SLOT, IMPLEMENTATION_SLOT, PROXIABLE_SLOT};
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    let nft = create(
        &scene,
        deploying(&supporting(&[0x01ff_c9a7, 0x80ac_58cd, 0x5b5e_139f])),
    )
    .await;
    let liar = create(
        &scene,
        deploying(&supporting(&[0x01ff_c9a7, 0xffff_ffff, 0x80ac_58cd])),
    )
    .await;
    let beacon = answering(&[("implementation()", nft.abi_encode())]);
    let beacon = create(&scene, deploying(&beacon)).await;
    let mut minimal = hex::decode("363d3d373d3d3d363d73").expect("hex");
    minimal.extend(nft);
    minimal.extend(hex::decode("5af43d82803e903d91602b57fd5bf3").expect("hex"));
    let minimal = create(&scene, deploying(&minimal)).await;
    let by_slot = create(&scene, with_slot(IMPLEMENTATION_SLOT, nft)).await;
    let by_beacon = create(&scene, with_slot(BEACON_SLOT, beacon)).await;
    let proxiable = create(&scene, with_slot(PROXIABLE_SLOT, liar)).await;
    let wallet = scene.chain.sender();
    indexer.reaches(scene.chain.head().await).await;
    let all = [
        nft, liar, beacon, minimal, by_slot, by_beacon, proxiable, wallet,
    ];
    ask_for(&scene, "contract_code", "address", &all).await;
    let (size, interfaces, proxy, _) = code(&scene, nft).await;
    assert!(size > 20);
    assert_eq!((interfaces, proxy), (1 + 2 + 4, None));
    assert_eq!(
        code(&scene, liar).await.1,
        0,
        "it says yes to what nobody supports"
    );
    assert_eq!(
        code(&scene, minimal).await,
        (45, 7, Some("eip1167".to_owned()), Some(nft))
    );
    assert_eq!(
        code(&scene, by_slot).await,
        (1, 0, Some("eip1967".to_owned()), Some(nft))
    );
    assert_eq!(
        code(&scene, by_beacon).await,
        (1, 0, Some("eip1967_beacon".to_owned()), Some(nft))
    );
    assert_eq!(
        code(&scene, proxiable).await,
        (1, 0, Some("eip1822".to_owned()), Some(liar))
    );
    assert_eq!(code(&scene, wallet).await, (0, 0, None, None));
    indexer.stop().await;
}
