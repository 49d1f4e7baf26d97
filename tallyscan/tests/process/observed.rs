//! What operators see: health and metrics.

use crate::program::{Program, free_address, json, node, text};
use serde_json::Value;
use simnode::{Fault, When};
use std::time::Duration;
use tallyscan_tests::{Database, Generator, eventually, folder, redis};

async fn health(address: &str) -> Value {
    json(&format!("http://{address}/health"))
        .await
        .unwrap_or_default()
}

/// Problems of a health answer as one text.
fn problems(health: &Value) -> String {
    health["problems"].to_string().to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn health_names_what_is_gone_and_metrics_are_there() {
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let (mut liar, blocks) = node(1, 20);
    let (mut honest, _) = node(1, 20);
    let (metrics, listen) = (free_address(), free_address());
    let redis_url = redis.url();
    let nodes = format!("{},{}", liar.http_url(), honest.http_url());
    let settings = [
        ("DATABASE_URL", &*database.url),
        ("REDIS_URL", &redis_url),
        ("RPC_URL", &nodes),
        ("METRICS_ADDR", &metrics),
        ("LISTEN_ADDR", &listen),
    ];
    let _index = Program::start(&folder, "index", &settings);
    eventually("the indexer's health", || async {
        health(&metrics).await["head"]["number"] == 20
    })
    .await;
    let _serve = Program::start(&folder, "serve", &settings);
    for address in [&metrics, &listen] {
        eventually("ok", || async { health(address).await["status"] == "ok" }).await;
    }

    // A lie is counted, and so is a reorg.
    liar.faults().on(
        "eth_getBlockByHash",
        Fault::set("/gasUsed", "0x1"),
        When::Always,
    );
    let mut generator = Generator::seeded(8);
    let branch = generator.branch(&blocks[17], 5);
    for node in [&liar, &honest] {
        node.chain().replace_from(
            18,
            branch.iter().map(tallyscan_tests::GeneratedBlock::canned),
        );
    }
    eventually("the new branch", || async {
        health(&metrics).await["head"]["number"] == 22
    })
    .await;
    let base = format!("http://{listen}");
    for _ in 0..2 {
        text(&format!("{base}/api/v1/blocks/3"))
            .await
            .expect("an answer");
        // Nobody asked for this list before: the first time it is not there.
        text(&format!("{base}/api/v1/blocks?limit=7"))
            .await
            .expect("an answer");
        text(&format!("{base}/api/v1/nonsense"))
            .await
            .expect("an answer");
    }
    let label = liar.http_url().replace("http://", "").replace('/', "");
    assert_metrics(&metrics, &listen, &label).await;

    redis.stop().await;
    eventually("the API's word on Redis", || async {
        let health = health(&listen).await;
        health["status"] == "degraded" && problems(&health).contains("redis")
    })
    .await;
    let answer = json(&format!("{base}/api/v1/blocks/3"))
        .await
        .expect("an answer");
    assert_eq!(answer["data"]["number"], 3, "the database answers");

    liar.stop().await;
    honest.stop().await;
    for address in [&metrics, &listen] {
        eventually("the word on the node", || async {
            let health = health(address).await;
            health["status"] == "degraded" && problems(&health).contains("node")
        })
        .await;
    }
    liar.restart().expect("the node comes back");
    liar.faults().clear();
    honest.restart().expect("the node comes back");
    tokio::time::sleep(Duration::from_millis(100)).await;
    eventually("no word on the node", || async {
        let health = health(&metrics).await;
        !problems(&health).contains("cannot be reached")
    })
    .await;
}

/// Both programs tell what is promised of them; `liar` is the node whose block was refused.
async fn assert_metrics(metrics: &str, listen: &str, liar: &str) {
    let told = text(&format!("http://{metrics}/metrics"))
        .await
        .expect("metrics");
    for name in [
        "indexer_head_lag_blocks 0",
        "indexer_head_lag_seconds ",
        "indexer_commit_duration_seconds_bucket",
        "indexer_verify_duration_seconds_bucket",
        "indexer_reorgs_total{depth=\"2-3\"} 1",
        "indexer_db_pool_connections",
        "indexer_db_pool_idle_connections",
        &format!("indexer_verify_failures_total{{node=\"{liar}\""),
        "method=\"eth_getBlockReceipts\",outcome=\"ok\"",
    ] {
        assert!(
            told.contains(name),
            "{name} is not among the indexer's metrics:\n{told}"
        );
    }
    let told = text(&format!("http://{listen}/metrics"))
        .await
        .expect("metrics");
    for name in [
        "http_requests_total",
        "route=\"/api/v1/blocks/{id}\"",
        "status=\"200\"",
        "status=\"404\"",
        "http_request_duration_seconds_bucket",
        "outcome=\"hit\"",
        "outcome=\"miss\"",
        "db_pool_connections{state=\"idle\"}",
        "db_pool_connections{state=\"used\"}",
        "redis_up 1",
    ] {
        assert!(
            told.contains(name),
            "{name} is not among the API's metrics:\n{told}"
        );
    }
}
