//! Pages ask for what only a node can tell.

use super::scene::Scene;
use alloy::{hex, primitives::Address};
use redis::AsyncCommands as _;
use store::cache::Keys;
use tallyscan_tests::{Api, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_for_what_is_not_known_and_not_for_what_is() {
    let scene = Scene::start(16).await;
    let chain = store::state::find_chain(&scene.database.pool).await;
    let chain = chain.expect("the database answers").expect("a chain");
    let key = Keys::new(chain.chain_id, &chain.instance).wanted();
    let client = redis::Client::open(scene.redis.url()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("Redis answers");
    let [known, unknown, old] = [1, 2, 3].map(Address::repeat_byte);
    for (wallet, height) in [(known, scene.head), (old, scene.head - 1)] {
        let wallet = hex::encode(wallet);
        scene
            .run(&format!(
                "INSERT INTO native_balances VALUES ('\\x{wallet}', {height}, 7, true);
                 INSERT INTO contract_code (address, read_at, code_size) VALUES ('\\x{wallet}', 1, 0);"
            ))
            .await;
    }
    let path = |wallet: Address| format!("/api/v1/wallets/{wallet}");
    for wallet in [known, old, unknown] {
        scene.api.ok(&path(wallet)).await;
    }
    let reader = connection.clone();
    let is = |wallets: Vec<Address>| {
        let mut connection = reader.clone();
        let key = key.clone();
        async move {
            let members: Vec<String> = connection.smembers(key).await.expect("a set");
            let mut members: Vec<Address> = members
                .iter()
                .map(|member| {
                    assert_eq!(*member, member.to_lowercase());
                    member.parse().expect("an address")
                })
                .collect();
            members.sort_unstable();
            members == wallets
        }
    };
    eventually("one wanted address", || is(vec![unknown])).await;
    // Without traces nobody knows when a balance changed.
    scene
        .run("UPDATE enrichment SET status = 'unavailable', blocks = '{}' WHERE kind = 'traces'")
        .await;
    let () = connection.del(&key).await.expect("it is gone");
    let fresh = Api::start(&scene.database, &scene.redis.url()).await;
    for wallet in [known, old] {
        fresh.ok(&path(wallet)).await;
    }
    eventually("one outdated address", || is(vec![old])).await;
    let alone = Api::start(&scene.database, "redis://127.0.0.1:1").await;
    alone.ok(&path(unknown)).await;
}
