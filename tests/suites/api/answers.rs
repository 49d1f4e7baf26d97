//! Every endpoint, held against the node; once as a login that may only read.

use super::{block_of, settle};
use alloy::primitives::Address;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, postgres::PgPoolOptions};
use tallyscan_tests::{
    Api, Database, Scene, assert_agrees, assert_block, assert_transaction, eventually, quantity,
};

async fn every_answer_agrees_with_the_node(scene: &Scene, api: &Api) {
    let chain = &scene.chain;
    let head = chain.height().await;
    for (name, id) in [
        ("latest".to_owned(), json!("latest")),
        ("safe".to_owned(), json!("safe")),
        ("finalized".to_owned(), json!("finalized")),
        ("earliest".to_owned(), json!("earliest")),
    ]
    .into_iter()
    .chain((0..=head).map(|number| (number.to_string(), json!(format!("{number:#x}")))))
    {
        let node = chain.ask("eth_getBlockByNumber", json!([id, true])).await;
        let hash = node["hash"].as_str().expect("a hash");
        let transactions = node["transactions"].as_array().expect("a list");
        for name in [name.as_str(), hash] {
            let answer = api.ok(&format!("/api/v1/blocks/{name}")).await;
            assert_block(&answer["data"], &node);
            let confirmations = head - quantity(&node["number"]) + 1;
            assert_eq!(answer["finality"]["confirmations"], confirmations, "{name}");
            let list = api.ok(&format!("/api/v1/blocks/{name}/transactions")).await;
            assert_eq!(
                list["data"].as_array().map(Vec::len),
                Some(transactions.len())
            );
            assert_eq!(list["as_of"]["number"], head);
        }
        for transaction in transactions {
            let hash = transaction["hash"].as_str().expect("a hash");
            let receipt = chain.ask("eth_getTransactionReceipt", json!([hash])).await;
            let answer = api.ok(&format!("/api/v1/transactions/{hash}")).await;
            assert_transaction(&answer["data"], transaction, &receipt);
            let logs = api.ok(&format!("/api/v1/transactions/{hash}/logs")).await;
            assert_agrees(&logs["data"], &receipt["logs"], hash);
        }
    }
    for list in ["/api/v1/transactions?limit=100", "/api/v1/blocks?limit=100"] {
        let answer = api.ok(list).await;
        assert_eq!(answer["as_of"]["hash"], chain.head().await.to_string());
    }
    let sender = chain.sender();
    let wallet = &api.ok(&format!("/api/v1/wallets/{sender}")).await["data"];
    let nonce = chain.mined_nonce().await;
    assert_eq!(wallet["address"], sender.to_checksum(None));
    assert_eq!(
        (&wallet["counters"]["sent"], &wallet["counters"]["received"]),
        (&nonce.into(), &0.into())
    );
    assert_eq!(wallet["last_seen"]["block_number"], head);
    let unseen = Address::repeat_byte(0x99);
    let wallet = &api.ok(&format!("/api/v1/wallets/{unseen}")).await["data"];
    assert_eq!(
        (&wallet["counters"]["transactions"], &wallet["last_seen"]),
        (&0.into(), &Value::Null)
    );
    let stats = &api.ok("/api/v1/network/stats").await["data"];
    assert_eq!(
        (&stats["chain_id"], &stats["head"]["number"]),
        (&31_337.into(), &head.into())
    );
    assert_eq!(stats["block_count"], head + 1);
    assert_eq!(stats["transaction_count"], nonce);
    let routes = api.ok("/api/v1").await;
    assert_eq!(routes["routes"].as_array().map(Vec::len), Some(28));
    let health = api.ok("/health").await;
    assert_eq!(
        (&health["status"], &health["problems"]),
        (&"ok".into(), &json!([]))
    );
    assert_eq!(api.get("/metrics").await.0, 200);
}

/// The same database as a login that has no right but to read.
async fn as_reader(database: &Database) -> Database {
    const READER: &str = "reader_of_answers";
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE ROLE {READER} LOGIN PASSWORD 'reads' IN ROLE app_readonly"
    )))
    .execute(&database.pool)
    .await
    .expect("a login");
    let mut url = url::Url::parse(&database.url).expect("a URL");
    url.set_username(READER).expect("a URL with a user");
    url.set_password(Some("reads"))
        .expect("a URL with a password");
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .connect(url.as_str())
        .await;
    Database {
        url: url.to_string(),
        pool: pool.expect("the login works"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_agrees_with_the_node_with_and_without_redis_and_with_rights_to_read_only() {
    let scene = Scene::start_with(embedded::AnvilOptions {
        slots_in_an_epoch: 2,
        ..embedded::AnvilOptions::default()
    })
    .await;
    let indexer = scene.index().await;
    for count in [2, 0, 1, 4, 0, 3] {
        block_of(&scene.chain, Address::repeat_byte(7), count).await;
    }
    settle(&scene, &indexer).await;
    eventually("finality and a heartbeat", || async {
        let caught_up = "SELECT count(*) FROM indexer_status, chain_state
                         WHERE node_head = head_number AND finalized_number = 2 AND safe_number = 4";
        scene.count(caught_up).await == 1
    })
    .await;
    settle(&scene, &indexer).await;
    let reader = as_reader(&scene.database).await;
    let write = sqlx::query("DELETE FROM blocks")
        .execute(&reader.pool)
        .await;
    assert!(write.is_err(), "the login may only read");
    let api = Api::start(&reader, &scene.redis.url()).await;
    // From the database, and from what that left in Redis.
    for _ in 0..2 {
        every_answer_agrees_with_the_node(&scene, &api).await;
    }
    indexer.stop().await;
}
