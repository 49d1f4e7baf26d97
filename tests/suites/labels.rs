//! Labels and who sees them; ABIs and contracts, which are decided when answering, too.

mod abis;
mod directory;

use alloy::primitives::Address;
use explorer_api::InternalKey;
use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap};
use serde_json::Value;
use store::labels::{self, ImportReport, LabelRow, Others, Visibility};
use tallyscan_tests::{Api, ApiOptions, RunningIndexer, Scene};

const KEY: &str = "correct-horse-battery-staple";
/// In internal labels and in owners alone.
const SECRET: &str = "Acme Holding";
const WALLET: Address = Address::repeat_byte(0x11);
const OTHER: Address = Address::repeat_byte(0x22);

fn label(address: Address, name: &str, visibility: Visibility) -> LabelRow {
    LabelRow {
        address,
        label: name.to_owned(),
        category: "exchange".to_owned(),
        visibility,
        owner: Some(format!("{SECRET} owner")),
        note: None,
    }
}

/// A chain of some blocks, a directory of a few labels, and an API with a key.
struct Stage {
    scene: Scene,
    indexer: RunningIndexer,
    api: Api,
}

impl Stage {
    async fn set() -> Self {
        let scene = Scene::start().await;
        let indexer = scene.index().await;
        indexer.reaches(scene.chain.mine(3).await).await;
        indexer.publishes_everything().await;
        let api = scene_api(&scene).await;
        let stage = Self {
            scene,
            indexer,
            api,
        };
        stage
            .import(&[
                label(WALLET, "Kraken 1", Visibility::Public),
                label(WALLET, &format!("{SECRET} cold"), Visibility::Internal),
                label(OTHER, &format!("{SECRET} hot"), Visibility::Internal),
                label(OTHER, "kraken 2", Visibility::Public),
            ])
            .await;
        stage
    }

    async fn import(&self, rows: &[LabelRow]) -> ImportReport {
        let imported = labels::import(&self.scene.database.pool, rows, Others::Keep, false).await;
        imported.expect("an import")
    }

    /// Status, headers and text of an answer, with a header of authorization or without.
    async fn ask(&self, path: &str, authorization: Option<&str>) -> (u16, HeaderMap, String) {
        let mut request = reqwest::Client::new().get(format!("{}{path}", self.api.base()));
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let reply = request.send().await.expect("an answer");
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        (status, headers, reply.text().await.expect("text"))
    }

    async fn with_key(&self, path: &str) -> Value {
        let (status, headers, text) = self.ask(path, Some(&format!("Bearer {KEY}"))).await;
        assert_eq!(status, 200, "{text}");
        assert_eq!(headers[CACHE_CONTROL], "private, no-store", "{path}");
        serde_json::from_str(&text).expect("JSON")
    }
}

async fn scene_api(scene: &Scene) -> Api {
    let options = ApiOptions {
        internal_key: Some(InternalKey::new(KEY).expect("a key")),
        ..ApiOptions::default()
    };
    Api::start_with(&scene.database, &scene.redis.url(), options).await
}

fn names(labels: &Value) -> Vec<&str> {
    let labels = labels.as_array().expect("a list").iter();
    labels
        .map(|label| label["label"].as_str().expect("a name"))
        .collect()
}

/// Every path whose answer has to do with an address or a name.
fn paths() -> Vec<String> {
    let mut paths = vec!["/api/v1".to_owned(), "/api/v1/blocks/latest".to_owned()];
    for address in [WALLET, OTHER] {
        for path in ["wallets/{}", "wallets/{}/transactions", "contracts/{}"] {
            paths.push(format!(
                "/api/v1/{}",
                path.replace("{}", &address.to_string())
            ));
        }
    }
    for query in [
        "",
        "?label=acme",
        "?label=kraken",
        "?category=exchange",
        "?label=cold&limit=1",
        "?limit=1",
    ] {
        paths.push(format!("/api/v1/wallets{query}"));
    }
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_internal_is_only_told_to_those_with_the_key() {
    let stage = Stage::set().await;
    // Public, with the key, public again: neither may leave anything for the other in the cache.
    for round in 0..3 {
        for path in paths() {
            let (_, headers, text) = stage.ask(&path, None).await;
            assert!(
                !text.contains(SECRET) && !text.contains("\"owner\":\""),
                "{path} in round {round}: {text}"
            );
            let cache = headers.get(CACHE_CONTROL);
            assert!(
                cache.is_none_or(|cache| cache != "private, no-store"),
                "{path}"
            );
            let wallet = format!("/api/v1/wallets/{WALLET}");
            let seen = stage.with_key(&wallet).await;
            assert_eq!(names(&seen["data"]["labels"]).len(), 2, "{seen}");
            assert!(
                seen.to_string().contains(&format!("{SECRET} owner")),
                "{seen}"
            );
            let (_, _, text) = stage.ask(&wallet, None).await;
            let seen: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(names(&seen["data"]["labels"]), ["Kraken 1"]);
        }
    }
    // What is in Redis was found by searching all of it.
    let keys = stage.cached().await;
    assert!(!keys.is_empty());
    assert!(keys.iter().all(|value| !value.contains(SECRET)), "{keys:?}");
    stage.indexer.stop().await;
}

impl Stage {
    /// Everything in Redis that is a text.
    async fn cached(&self) -> Vec<String> {
        let client = redis::Client::open(self.scene.redis.url()).expect("a URL");
        let mut redis = client
            .get_multiplexed_async_connection()
            .await
            .expect("Redis");
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg("*")
            .query_async(&mut redis)
            .await
            .expect("keys");
        let mut values = Vec::new();
        for key in keys {
            let value: Result<String, _> = redis::cmd("GET").arg(key).query_async(&mut redis).await;
            values.extend(value);
        }
        values
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_what_is_internal_is_a_search_for_nothing() {
    let stage = Stage::set().await;
    let nothing = stage
        .ask("/api/v1/wallets?label=nothing-like-it", None)
        .await;
    for text in [
        "acme",
        "Acme%20Holding%20cold",
        "holding",
        "owner",
        "Acme%20Holding%20owner",
    ] {
        let found = stage
            .ask(&format!("/api/v1/wallets?label={text}"), None)
            .await;
        assert_eq!((found.0, &found.2), (nothing.0, &nothing.2), "{text}");
    }
    let seen = stage.with_key("/api/v1/wallets?label=ACME").await;
    assert_eq!(
        names(&seen["data"]),
        [format!("{SECRET} cold"), format!("{SECRET} hot")]
    );
    stage.indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_everywhere_and_without_one_no_key_is_right() {
    let stage = Stage::set().await;
    let open = stage.scene.api().await;
    for path in paths() {
        for wrong in [
            "Bearer wrong-wrong-wrong-wrong",
            KEY,
            "Basic YTpi",
            "Bearer",
        ] {
            let (status, headers, text) = stage.ask(&path, Some(wrong)).await;
            let problem: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(
                (status, problem["code"].as_str()),
                (401, Some("wrong_key")),
                "{path} {wrong}"
            );
            assert_eq!(headers["www-authenticate"], "Bearer");
            assert_eq!(headers[CACHE_CONTROL], "private, no-store");
        }
        let request = reqwest::Client::new().get(format!("{}{path}", open.base()));
        let reply = request.bearer_auth(KEY).send().await.expect("an answer");
        assert_eq!(reply.status().as_u16(), 401, "{path}");
    }
    stage.indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_send_the_key() {
    let stage = Stage::set().await;
    let url = format!("{}/api/v1/wallets", stage.api.base());
    let preflight = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, url)
        .header("origin", "https://example.org")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization")
        .send()
        .await
        .expect("an answer");
    assert_eq!(preflight.status().as_u16(), 200);
    let allowed = preflight.headers()["access-control-allow-headers"]
        .to_str()
        .expect("text");
    assert!(allowed.eq_ignore_ascii_case("authorization"), "{allowed}");
    stage.indexer.stop().await;
}
