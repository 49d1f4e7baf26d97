//! Wallets, tokens, ids and traces, one at a time; and what is refused.

use super::scene::{Scene, TRACED_FROM, UNCOUNTED};
use alloy::{
    hex,
    primitives::{Address, B256},
};
use serde_json::{Value, json};

async fn assert_wallet(scene: &Scene, wallet: Address) {
    let bytes = hex::encode(wallet);
    let answer = scene.api.ok(&format!("/api/v1/wallets/{wallet}")).await;
    let data = &answer["data"];
    assert_eq!(data["address"], wallet.to_checksum(None));
    let sum = async |column: &str| {
        let sql = format!(
            "SELECT coalesce(sum({column}_count), 0)::bigint FROM address_totals
             WHERE address = '\\x{bytes}'"
        );
        scene.count(&sql).await
    };
    let counters = json!({
        "transactions": sum("tx").await,
        "sent": sum("sent").await,
        "received": sum("received").await,
        "transfers": sum("transfer").await,
        "internal": sum("internal").await,
    });
    assert_eq!(data["counters"], counters, "{wallet}");
    assert_eq!(data["counted_from"], UNCOUNTED.1 + 1);
    assert_eq!(data["history_complete"], false);
    assert_eq!(
        (&data["internal"], &data["complete_from"]),
        (&"partial".into(), &TRACED_FROM.into())
    );
    for (member, which) in [("first_seen", "min"), ("last_seen", "max")] {
        let sql = format!(
            "SELECT coalesce({which}(block_number), -1) FROM address_activity
             WHERE address = '\\x{bytes}'
               AND block_number NOT BETWEEN {} AND {}",
            UNCOUNTED.0, UNCOUNTED.1
        );
        let seen = data[member]["block_number"].as_i64().unwrap_or(-1);
        assert_eq!(seen, scene.count(&sql).await, "{wallet} {member}");
    }
    for (member, table) in [("token_count", "token"), ("nft_count", "nft")] {
        let sql = format!(
            "SELECT count(*) FROM {table}_balances WHERE holder = '\\x{bytes}' AND balance > 0"
        );
        assert_eq!(data[member], scene.count(&sql).await, "{wallet} {member}");
    }
    assert_eq!(
        (&data["balance"], &data["is_contract"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_is_what_was_counted_and_what_a_node_told() {
    let scene = Scene::start(14).await;
    for wallet in scene.wallets().await {
        assert_wallet(&scene, wallet).await;
    }
    let wallet = scene.wallets().await[0];
    let created = scene
        .addresses(
            "SELECT encode(contract_address, 'hex') FROM transactions
             WHERE contract_address IS NOT NULL AND status
               AND block_number NOT BETWEEN 28 AND 48 ORDER BY 1 LIMIT 1",
        )
        .await[0];
    scene
        .run(&format!(
            "INSERT INTO native_balances VALUES
                 ('\\x{wallet}', 3, 7, true), ('\\x{wallet}', 9, 115792089237316195423570985008687907853269984665640564039457584007913129639935, false);
             INSERT INTO contract_code (address, read_at, code_size) VALUES ('\\x{wallet}', 9, 0)
             ON CONFLICT (address) DO UPDATE SET read_at = 9, code_size = 0;
             INSERT INTO contract_code VALUES
                 ('\\x{created}', 9, 45, 0, '\\x{hash}', '\\x{wallet}', 'eip1167')
             ON CONFLICT (address) DO UPDATE SET read_at = 9, code_size = 45,
                 code_hash = excluded.code_hash, implementation = excluded.implementation,
                 proxy = excluded.proxy;
             UPDATE chain_state SET history_epoch = history_epoch + 1;",
            wallet = hex::encode(wallet),
            created = hex::encode(created),
            hash = hex::encode(B256::repeat_byte(5)),
        ))
        .await;
    // Nobody publishes here: what is cached would be right until then.
    let fresh = tallyscan_tests::Api::start(&scene.database, "redis://127.0.0.1:1").await;
    let data = &fresh.ok(&format!("/api/v1/wallets/{wallet}")).await["data"];
    let most = alloy::primitives::U256::MAX.to_string();
    assert_eq!(
        data["balance"],
        json!({"amount": most, "block_number": 9, "proven": false})
    );
    assert_eq!(data["is_contract"], false);
    let data = &fresh.ok(&format!("/api/v1/wallets/{created}")).await["data"];
    assert_eq!(data["is_contract"], true);
    let contract = &data["contract"];
    assert_eq!(contract["code_size"], 45);
    assert_eq!(contract["proxy"], "eip1167");
    assert_eq!(contract["implementation"], wallet.to_checksum(None));
    let creation = &contract["creation"];
    let hash = creation["transaction_hash"].as_str().expect("a hash");
    let transaction = &fresh.ok(&format!("/api/v1/transactions/{hash}")).await["data"];
    assert_eq!(transaction["contract_address"], created.to_checksum(None));
    assert_eq!(creation["creator"], transaction["from"]);
    assert_eq!(creation["block_number"], transaction["block_number"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_ids_and_traces_are_found_and_what_is_none_is_a_problem() {
    let scene = Scene::start(15).await;
    for token in scene.tokens().await {
        let path = format!("/api/v1/tokens/{token}");
        let data = &scene.api.ok(&path).await["data"];
        assert_eq!(data["address"], token.to_checksum(None));
        assert!(
            data["standard"].is_string() && data["supply"].is_string(),
            "{data}"
        );
        let list = scene.api.ok(&format!("{path}/instances?limit=2")).await;
        for instance in list["data"].as_array().expect("a list") {
            let id = instance["token_id"].as_str().expect("an id");
            let one = scene.api.ok(&format!("{path}/instances/{id}")).await;
            assert_eq!(&one["data"], instance);
        }
        let (status, problem) = scene.api.get(&format!("{path}/instances/5000")).await;
        assert_eq!(
            (status, &problem["code"]),
            (404, &"instance_not_found".into())
        );
    }
    let nothing = Address::repeat_byte(0x98);
    for list in ["", "/holders", "/transfers", "/instances"] {
        let (status, problem) = scene
            .api
            .get(&format!("/api/v1/tokens/{nothing}{list}"))
            .await;
        assert_eq!(
            (status, &problem["code"]),
            (404, &"token_not_found".into()),
            "{list}"
        );
    }
    traces(&scene).await;
    refusals(&scene).await;
}

async fn traces(scene: &Scene) {
    let hashes = scene
        .column(
            "SELECT encode(hash, 'hex') FROM transactions JOIN internal_transfers i USING (block_number, tx_index)
             GROUP BY hash HAVING count(*) = 3 ORDER BY hash LIMIT 2",
        )
        .await;
    for hash in hashes {
        let path = format!("/api/v1/transactions/0x{hash}");
        let transaction = &scene.api.ok(&path).await["data"];
        let trace = scene.api.ok(&format!("{path}/trace")).await;
        let trace = &trace["data"];
        assert_eq!(trace["internal"], "complete");
        assert!(
            trace["omitted"]
                .as_str()
                .is_some_and(|text| text.contains("not stored"))
        );
        assert_eq!(trace["call"]["from"], transaction["from"]);
        assert_eq!(trace["call"]["value"], transaction["value"]);
        let calls = &trace["call"]["calls"];
        assert_eq!(calls[0]["trace_id"], "0_0");
        assert_eq!(calls[0]["calls"][0]["trace_id"], "0_0_0_1");
        assert_eq!(calls[1]["trace_id"], "0_2");
        let list = scene.api.ok(&format!("{path}/internal")).await;
        assert_eq!(list["internal"], "complete");
        assert_eq!(list["data"][2]["trace_id"], "0_2");
    }
    let early = scene
        .column("SELECT encode(hash, 'hex') FROM transactions WHERE block_number < 5 ORDER BY hash LIMIT 1")
        .await;
    let early = format!("/api/v1/transactions/0x{}/trace", early[0]);
    assert_eq!(scene.api.ok(&early).await["data"]["internal"], "partial");
    scene
        .run("UPDATE enrichment SET status = 'unavailable', blocks = '{}' WHERE kind = 'traces'")
        .await;
    let fresh = tallyscan_tests::Api::start(&scene.database, "redis://127.0.0.1:1").await;
    assert_eq!(fresh.ok(&early).await["data"]["internal"], "unavailable");
    let wallet = scene.wallets().await[0];
    let list = fresh
        .ok(&format!("/api/v1/wallets/{wallet}/internal"))
        .await;
    assert_eq!(
        (&list["internal"], &list["complete_from"]),
        (&"unavailable".into(), &Value::Null)
    );
}

async fn refusals(scene: &Scene) {
    let wallet = format!("/api/v1/wallets/{}", scene.wallets().await[0]);
    let token = format!("/api/v1/tokens/{}", scene.tokens().await[0]);
    let transfers = scene.api.ok(&format!("{wallet}/transfers?limit=1")).await;
    let cursor = transfers["next"].as_str().expect("more transfers");
    for (path, code) in [
        (format!("{wallet}/transfers?kind=call"), "malformed_filter"),
        (format!("{wallet}/internal?kind=erc20"), "malformed_filter"),
        (format!("{wallet}/internal?token=0x1"), "unknown_parameter"),
        (
            format!("{wallet}/transactions?direction=both"),
            "malformed_filter",
        ),
        (
            format!("{wallet}/transactions?from_block=latest"),
            "malformed_filter",
        ),
        (
            format!("{wallet}/transfers?from_block=9&to_block=8"),
            "malformed_filter",
        ),
        (
            format!("{wallet}/transfers?to_time=soon"),
            "malformed_filter",
        ),
        (
            format!("{wallet}/transfers?token=usdc"),
            "malformed_address",
        ),
        (
            format!("{wallet}/transfers?kind=erc20&kind=erc20"),
            "repeated_parameter",
        ),
        (
            format!("{wallet}/tokens?standard=erc20"),
            "unknown_parameter",
        ),
        (
            format!("{token}/transfers?direction=in"),
            "unknown_parameter",
        ),
        (format!("{token}/instances/0x1"), "malformed_token_id"),
        (format!("{token}/instances/-1"), "malformed_token_id"),
        (
            "/api/v1/tokens?standard=ERC20".to_owned(),
            "malformed_filter",
        ),
        (
            format!("{wallet}/transactions?cursor={cursor}"),
            "malformed_cursor",
        ),
        (
            format!("{wallet}/internal?cursor={cursor}"),
            "malformed_cursor",
        ),
        (format!("{wallet}/nfts?cursor={cursor}"), "malformed_cursor"),
        (
            format!("{token}/holders?cursor={cursor}"),
            "malformed_cursor",
        ),
        (
            format!("/api/v1/tokens?cursor={cursor}"),
            "malformed_cursor",
        ),
    ] {
        let (status, problem) = scene.api.get(&path).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &code.into()),
            "{path}: {problem}"
        );
    }
    let far = u64::MAX;
    for query in [
        format!("from_block={far}"),
        format!("from_time={far}"),
        "to_time=0".to_owned(),
    ] {
        let page = scene.api.ok(&format!("{wallet}/transfers?{query}")).await;
        assert_eq!(
            (&page["data"], &page["next"]),
            (&json!([]), &Value::Null),
            "{query}"
        );
    }
}
