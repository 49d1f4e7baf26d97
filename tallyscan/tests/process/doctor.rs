//! The doctor as it is run: exit codes, the certificate in both forms, and a repair.

use crate::program::{Program, node, run};
use serde_json::{Value, json};
use simnode::{Fault, Server, When};
use sqlx::AssertSqlSafe;
use std::time::Duration;
use tallyscan_tests::{
    Database, RunningIndexer, assert_twins, contents, folder, indexer_config, redis,
};
use tempfile::TempDir;

/// An index of 300 blocks above block 0, its node, and a Redis that knows its head.
struct Scene {
    folder: TempDir,
    database: Database,
    node: Server,
    redis: embedded::Redis,
}

impl Scene {
    async fn indexed() -> Self {
        let folder = folder();
        let (database, redis) = (Database::create().await, redis(&folder).await);
        let (node, blocks) = node(6, 300);
        let scene = Self {
            folder,
            database,
            node,
            redis,
        };
        scene.index_into(&scene.database, blocks[300].hash).await;
        scene
    }

    async fn index_into(&self, database: &Database, head: alloy::primitives::B256) {
        let config = indexer_config(database, &self.redis.url(), &[self.node.http_url()]);
        let indexer = RunningIndexer::start(database, config).await;
        indexer.reaches(head).await;
        indexer.publishes_everything().await;
        indexer.stop().await;
    }

    async fn edit(&self, sql: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.database.pool);
        assert!(done.await.expect("an edit").rows_affected() > 0, "{sql}");
    }

    async fn doctor(&self, command: &str, more: &[(&str, &str)]) -> (i32, String, String) {
        let mut settings = vec![("DATABASE_URL", &*self.database.url)];
        settings.extend(more);
        run(&self.folder, command, &settings).await
    }

    async fn json(&self, command: &str, more: &[(&str, &str)]) -> (i32, Value) {
        let (code, stdout, stderr) = self.doctor(command, more).await;
        let value = serde_json::from_str(&stdout);
        (code, value.unwrap_or_else(|_| panic!("{stdout}{stderr}")))
    }
}

const DAMAGE: &str = "DELETE FROM blocks WHERE number BETWEEN 100 AND 180;
     UPDATE transactions SET value = value + 1 WHERE block_number = 7;
     UPDATE blocks SET state_root = parent_hash WHERE number = 7;
     DELETE FROM block_stats WHERE number = 9;
     INSERT INTO tx_lookup VALUES (5, 9, 9);
     UPDATE chain_state SET head_timestamp = 1";

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_whether_all_is_complete_and_json_says_the_rest() {
    let scene = Scene::indexed().await;
    for jobs in ["1", "3"] {
        let (code, it) = scene
            .json(&format!("doctor --json --jobs {jobs}"), &[])
            .await;
        assert_eq!(code, 0, "{it:#}");
        for (field, value) in [
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("chain_id", json!(tallyscan_tests::GENERATED_CHAIN_ID)),
            ("from", json!(0)),
            ("to", json!(300)),
            ("blocks", json!(301)),
            ("gaps", json!([])),
            ("level", json!("full")),
            ("whole", json!(true)),
            ("clean", json!(true)),
            ("difference_count", json!(0)),
            ("difference_counts", json!({})),
            ("differences", json!([])),
            ("reorgs", json!(0)),
        ] {
            assert_eq!(it[field], value, "{field}");
        }
        assert_eq!(it["first"]["hash"], it["genesis"]);
        assert_eq!(it["last"]["number"], 300);
        assert!(it["elapsed_seconds"].as_f64() > Some(0.0));
        assert!(
            it["checked_at"]
                .as_str()
                .is_some_and(|at| at.ends_with('Z'))
        );
        assert!(it.get("repaired").is_none() && it.get("planned").is_none());
    }
    scene.edit(DAMAGE).await;
    let (code, it) = scene.json("doctor --json", &[]).await;
    assert_eq!(code, 1);
    assert_eq!(it["gaps"], json!([{"from": 100, "to": 180}]));
    let counts = json!({"gap": 1, "proof": 1, "rows": 1, "state": 1});
    assert_eq!(it["difference_counts"], counts, "{it:#}");
    assert_eq!(it["differences"][0]["block_number"], 7);
    assert_eq!(it["differences"][0]["kind"], "proof");
    let (code, it) = scene.json("doctor --json --from 200 --to 250", &[]).await;
    assert_eq!(
        (code, &it["whole"], &it["blocks"]),
        (0, &json!(false), &json!(51))
    );
    for (command, word) in [
        ("doctor --from 5 --to 500", "--to 500"),
        ("doctor --jobs 0", "--jobs"),
        ("doctor --dry-run", "--repair"),
    ] {
        let (code, _, stderr) = scene.doctor(command, &[]).await;
        assert_eq!(
            (code, stderr.contains(word)),
            (2, true),
            "{command}: {stderr}"
        );
    }
    let bad = [("RPC_URL", "nonsense")];
    let (code, _, stderr) = scene.doctor("doctor --repair", &bad).await;
    assert_eq!((code, stderr.contains("RPC_URL")), (2, true), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_is_announced_done_published_and_checked() {
    let scene = Scene::indexed().await;
    let twin = Database::create().await;
    let head = scene.node.chain().head().expect("a head").hash;
    scene.index_into(&twin, head).await;
    scene.edit(DAMAGE).await;
    let damaged = contents(&scene.database.pool).await;
    let (url, redis_url) = (scene.node.http_url(), scene.redis.url());
    let settings = [("RPC_URL", &*url), ("REDIS_URL", &*redis_url)];

    let (code, stdout, _) = scene.doctor("doctor --repair --dry-run", &settings).await;
    assert_eq!(code, 1);
    for words in [
        "WOULD DO",
        "fetch blocks 100 to 180",
        "blocks 9 to 9",
        "without a node",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert_eq!(contents(&scene.database.pool).await, damaged, "only said");

    // Without a node it does what needs none, and says what is left.
    let (code, stdout, stderr) = scene.doctor("doctor --repair", &[]).await;
    assert_eq!(code, 1, "{stdout}");
    assert!(
        stdout.contains("computed again from their own rows"),
        "{stdout}"
    );
    assert!(
        stderr.contains("82 blocks") && stderr.contains("RPC_URL"),
        "{stderr}"
    );

    let (code, it) = scene.json("doctor --repair --json", &settings).await;
    assert_eq!(code, 0, "{it:#}");
    assert_eq!((&it["clean"], &it["blocks"]), (&json!(true), &json!(301)));
    let steps = it["repaired"].to_string();
    assert!(
        steps.contains("fetched") && steps.contains("blocks 7 to 7"),
        "{steps}"
    );
    assert_twins(&scene.database.pool, &twin.pool).await;
    // Redis has the head with the epoch that ended all answers from before.
    let epoch: i64 = sqlx::query_scalar("SELECT final_epoch FROM chain_state")
        .fetch_one(&scene.database.pool)
        .await
        .expect("an epoch");
    let chain = store::state::find_chain(&scene.database.pool).await;
    let chain = chain.expect("an answer").expect("a chain");
    let key = store::cache::Keys::new(chain.chain_id, &chain.instance).head();
    let client = redis::Client::open(redis_url).expect("a client");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("Redis");
    let shown: String = redis::cmd("GET")
        .arg(key)
        .query_async(&mut connection)
        .await
        .expect("a head");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert!(epoch > 0);
    assert_eq!(shown["final_epoch"], epoch);
    let (code, stdout, _) = scene.doctor("doctor", &[]).await;
    assert_eq!(code, 0, "{stdout}");
    assert!(
        stdout.contains("complete   no gaps, no differences"),
        "{stdout}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_is_killed_is_done_by_the_next() {
    let scene = Scene::indexed().await;
    let twin = Database::create().await;
    let head = scene.node.chain().head().expect("a head").hash;
    scene.index_into(&twin, head).await;
    scene
        .edit("DELETE FROM blocks WHERE number BETWEEN 10 AND 290")
        .await;
    let slow = Fault::Latency(Duration::from_millis(5));
    let slow = scene.node.faults().on("*", slow, When::Always);
    let url = scene.node.http_url();
    let settings = [("DATABASE_URL", &*scene.database.url), ("RPC_URL", &*url)];
    let program = Program::start(&scene.folder, "doctor --repair", &settings);
    program.says("fetched, proven and written").await;
    drop(program);
    scene.node.faults().remove(slow);
    let (code, it) = scene.json("doctor --json", &[]).await;
    assert_eq!(code, 1, "it was killed before it was done");
    assert!(it["blocks"].as_u64() > Some(20), "{it:#}");
    let (code, it) = scene.json("doctor --repair --json", &settings).await;
    assert_eq!(code, 0, "{it:#}");
    assert_twins(&scene.database.pool, &twin.pool).await;
}
