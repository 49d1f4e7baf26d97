//! Readers during reorgs: no answer is older than what was published before it was asked for, and
//! each is the truth of one chain, the one that it says it is of.

use super::{block_of, settle};
use alloy::primitives::Address;
use redis::AsyncCommands as _;
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use store::cache::{Head, Keys};
use tallyscan_tests::{Api, Database, Events, Gate, Scene, eventually, indexer_config};

const REORGS: u64 = 25;
const READERS: usize = 6;

/// What a reader saw: the event that Redis had announced before, the path, the answer.
type Seen = (i64, String, u16, Value);

/// The chain after each event: height to hash. Begins with the first block announced.
fn chains(events: &Events) -> BTreeMap<i64, BTreeMap<u64, String>> {
    let mut chains = BTreeMap::new();
    let mut chain = BTreeMap::new();
    for event in events.all() {
        let message = &event.message;
        match event.channel.as_str() {
            "reorgs" => {
                let ancestor = message["ancestor"]["number"].as_u64().expect("a height");
                chain.retain(|number, _| *number <= ancestor);
            }
            "blocks" => {
                let hash = message["hash"].as_str().expect("a hash").to_owned();
                chain.insert(message["number"].as_u64().expect("a height"), hash);
            }
            _ => continue,
        }
        chains.insert(message["seq"].as_i64().expect("a number"), chain.clone());
    }
    chains
}

/// Every pair of height and block hash that an answer's data speaks of.
fn blocks_in(data: &Value) -> Vec<(u64, String)> {
    let items: Vec<&Value> = match data {
        Value::Array(items) => items.iter().collect(),
        other => vec![other],
    };
    let mut found = Vec::new();
    for item in items {
        if let Some(number) = item["block_number"].as_u64() {
            if let Some(hash) = item["block_hash"]
                .as_str()
                .filter(|_| item["canonical"] != false)
            {
                found.push((number, hash.to_owned()));
            }
        } else if let Some(number) = item["number"].as_u64() {
            found.push((number, item["hash"].as_str().expect("a hash").to_owned()));
        }
    }
    found
}

async fn read(
    api: Arc<Api>,
    redis_url: String,
    head_key: String,
    paths: Vec<String>,
    stop: Arc<AtomicBool>,
) -> Vec<Seen> {
    let client = redis::Client::open(redis_url).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.expect("Redis answers");
    let mut seen = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for path in &paths {
            let head: String = connection.get(&head_key).await.expect("a head");
            let head: Head = serde_json::from_str(&head).expect("a head");
            let (status, answer) = api.get(path).await;
            seen.push((head.seq, path.clone(), status, answer));
        }
    }
    seen
}

fn assert_true(seen: &[Seen], events: &Events) {
    let chains = chains(events);
    // A block heads the chain in one event only; a batch's last one does.
    let mut became_head: HashMap<&String, i64> = HashMap::new();
    for (seq, chain) in &chains {
        if let Some((_, hash)) = chain.last_key_value() {
            became_head.entry(hash).or_insert(*seq);
        }
    }
    for (before, path, status, answer) in seen {
        if *status == 404 {
            assert!(path.contains("/blocks/"), "{path}: {answer}");
            continue;
        }
        assert_eq!(*status, 200, "{path}: {answer}");
        let head = answer["as_of"]["hash"].as_str().expect("a hash").to_owned();
        let Some(seq) = became_head.get(&head) else {
            panic!("{path}: {head} was never the head");
        };
        // The ancestor of a reorg heads no event; finality events keep the head.
        let newest_known = chains.range(..=*before).next_back().map(|(seq, _)| *seq);
        assert!(
            newest_known.is_none_or(|known| *seq >= known),
            "{path}: event {before} was announced, the answer is of event {seq}"
        );
        let chain = &chains[seq];
        for (number, hash) in blocks_in(&answer["data"]) {
            if let Some(canonical) = chain.get(&number) {
                assert_eq!(&hash, canonical, "{path}: block {number} as of event {seq}");
            } else {
                assert_eq!(number, 0, "{path}: block {number} as of event {seq}");
            }
        }
        if path.ends_with("/latest") {
            assert_eq!(answer["data"]["hash"], head, "{path}");
        }
        if path.ends_with("/stats") {
            assert_eq!(answer["data"]["head"]["hash"], head, "{path}");
            let blocks = answer["data"]["block_count"].as_u64().expect("a count");
            assert_eq!(
                Some(blocks - 1),
                answer["as_of"]["number"].as_u64(),
                "{path}"
            );
        }
        if path.contains("/wallets/") && !path.ends_with("transactions") {
            let last = answer["data"]["last_seen"]["block_number"].as_u64();
            assert!(
                last <= answer["as_of"]["number"].as_u64(),
                "{path}: {answer}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_older_than_what_was_published_before_it_was_asked_for() {
    let scene = Scene::start().await;
    let events = scene.events().await;
    let indexer = scene.index().await;
    let wallet = Address::repeat_byte(7);
    let mut hashes = Vec::new();
    for _ in 0..8 {
        hashes.extend(block_of(&scene.chain, wallet, 2).await);
    }
    settle(&scene, &indexer).await;
    let chain = store::state::find_chain(&scene.database.pool).await;
    let chain = chain.expect("the database answers").expect("a chain");
    let head_key = Keys::new(chain.chain_id, &chain.instance).head();
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .connect(&scene.database.url)
        .await;
    let readers_database = Database {
        url: scene.database.url.clone(),
        pool: pool.expect("the database answers"),
    };
    let api = Arc::new(Api::start(&readers_database, &scene.redis.url()).await);
    let mut paths: Vec<String> = [
        "blocks/latest",
        "blocks/6",
        "blocks/7",
        "blocks/8",
        "blocks/8/transactions",
        "blocks/latest/transactions",
        "blocks?limit=5",
        "transactions?limit=5",
        "network/stats",
    ]
    .iter()
    .map(|path| format!("/api/v1/{path}"))
    .collect();
    paths.push(format!("/api/v1/wallets/{wallet}"));
    paths.push(format!("/api/v1/wallets/{wallet}/transactions?limit=5"));
    for hash in &hashes[10..] {
        paths.push(format!("/api/v1/transactions/{hash}"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|at| {
            let mut paths = paths.clone();
            let first = at * paths.len() / READERS;
            paths.rotate_left(first);
            tokio::spawn(read(
                api.clone(),
                scene.redis.url(),
                head_key.clone(),
                paths,
                stop.clone(),
            ))
        })
        .collect();
    for reorg in 0..REORGS {
        // Down, level and up by turns, so that heights repeat under other hashes.
        let depth = 1 + reorg % 3;
        scene.chain.roll_back(depth).await;
        let higher = u64::from(reorg % 2 == 0);
        for _ in 0..depth + higher - u64::from(reorg % 5 == 4 && depth > 1) {
            block_of(&scene.chain, wallet, 1).await;
        }
        indexer.reaches(scene.chain.head().await).await;
    }
    settle(&scene, &indexer).await;
    stop.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    for reader in readers {
        seen.extend(reader.await.expect("the reader does not panic"));
    }
    let last = scene.chain.head().await.to_string();
    eventually("the last message", || async {
        events
            .of("blocks")
            .last()
            .is_some_and(|block| block["hash"] == last)
    })
    .await;
    let reorgs = events.of("reorgs").len();
    assert!(reorgs >= 20, "only {reorgs} reorgs");
    assert_true(&seen, &events);
    let distinct: HashSet<&str> = seen
        .iter()
        .filter_map(|(_, _, _, answer)| answer["as_of"]["hash"].as_str())
        .collect();
    tallyscan_tests::say(&format!(
        "{} answers of {} heads over {reorgs} reorgs",
        seen.len(),
        distinct.len()
    ));
    assert!(distinct.len() > 20, "the readers saw the chain change");
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_answers_are_right_and_health_names_it() {
    let scene = Scene::start().await;
    let gate = Gate::new(scene.redis.port(), true).await;
    let redis_url = gate.url(&scene.redis.url());
    let config = indexer_config(&scene.database, &redis_url, &[scene.chain.ws_url()]);
    let indexer = tallyscan_tests::RunningIndexer::start(&scene.database, config).await;
    let api = Api::start(&scene.database, &redis_url).await;
    let lost = block_of(&scene.chain, Address::repeat_byte(7), 2).await;
    settle(&scene, &indexer).await;
    let path = format!("/api/v1/transactions/{}", lost[1]);
    assert_eq!(api.ok(&path).await["data"]["canonical"], true);
    let stale = api.ok("/api/v1/blocks/latest").await["data"]["hash"].clone();
    gate.close();
    scene.chain.roll_back(1).await;
    block_of(&scene.chain, Address::repeat_byte(8), 1).await;
    indexer.reaches(scene.chain.head().await).await;
    let head = scene.chain.head().await.to_string();
    assert_eq!(api.ok(&path).await["finality"]["status"], "orphaned");
    for path in ["/api/v1/blocks/latest", "/api/v1/blocks/1"] {
        assert_eq!(api.ok(path).await["data"]["hash"], head);
    }
    let health = api.ok("/health").await;
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["components"]["redis"], "down");
    assert!(health["problems"].to_string().contains("Redis"), "{health}");
    gate.open();
    indexer.publishes_everything().await;
    eventually("health to be well again", || async {
        api.ok("/health").await["components"]["redis"] == "ok"
    })
    .await;
    let latest = api.ok("/api/v1/blocks/latest").await["data"]["hash"].clone();
    assert_eq!(latest, head);
    assert_ne!(latest, stale);
    indexer.stop().await;
}
