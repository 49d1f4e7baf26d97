//! The database's schema from the command line, and going back by hand.

use crate::program::{node, run};
use tallyscan_tests::{Database, RunningIndexer, assert_twins, folder, indexer_config, redis};

#[tokio::test(flavor = "multi_thread")]
async fn migrating_again_changes_nothing() {
    let folder = folder();
    for (mode, edition) in [("auto", None), ("off", Some("plain Postgres"))] {
        let database = Database::create_bare().await;
        let settings = [("DATABASE_URL", &*database.url), ("TIMESCALE", mode)];
        let mut said = Vec::new();
        for _ in 0..3 {
            let (code, stdout, stderr) = run(&folder, "migrate", &settings).await;
            assert_eq!(code, 0, "{stderr}");
            assert!(
                edition.is_none_or(|edition| stdout.contains(edition)),
                "{stdout}"
            );
            said.push(stdout);
        }
        assert!(said.iter().all(|line| *line == said[0]), "{said:?}");
        let hypertables: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_tables WHERE schemaname = '_timescaledb_catalog'",
        )
        .fetch_one(&database.pool)
        .await
        .expect("a count");
        if mode == "off" {
            assert_eq!(hypertables, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_tables_and_hypertables_hold_the_same_index() {
    let folder = folder();
    let redis = redis(&folder).await;
    let (node, blocks) = node(4, 30);
    let mut twins = Vec::new();
    for mode in ["auto", "off"] {
        let database = Database::create_bare().await;
        let settings = [("DATABASE_URL", &*database.url), ("TIMESCALE", mode)];
        assert_eq!(run(&folder, "migrate", &settings).await.0, 0);
        let config = indexer_config(&database, &redis.url(), &[node.http_url()]);
        let indexer = RunningIndexer::start(&database, config).await;
        indexer.reaches(blocks[30].hash).await;
        indexer.stop().await;
        twins.push(database);
    }
    assert_twins(&twins[0].pool, &twins[1].pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_keeps_what_it_drops_and_indexing_goes_on_from_there() {
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let (node, blocks) = node(4, 30);
    let index = || async {
        let config = indexer_config(&database, &redis.url(), &[node.http_url()]);
        let indexer = RunningIndexer::start(&database, config).await;
        indexer.reaches(blocks[30].hash).await;
        indexer.stop().await;
    };
    index().await;
    let settings = [("DATABASE_URL", &*database.url)];
    let (code, stdout, stderr) = run(&folder, "rollback --to 12", &settings).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("12") && stdout.contains("18"), "{stdout}");
    let (kept, dropped): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT max(number) FROM blocks), (SELECT count(*) FROM orphaned_blocks)",
    )
    .fetch_one(&database.pool)
    .await
    .expect("counts");
    assert_eq!((kept, dropped), (12, 18));
    let (code, stdout, stderr) = run(&folder, "doctor", &settings).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("complete   no gaps, no differences"),
        "{stdout}"
    );
    index().await;
    let (code, stdout, _) = run(&folder, "doctor --json", &settings).await;
    let certificate: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((code, &certificate["blocks"]), (0, &31.into()));

    sqlx::query("DELETE FROM block_stats WHERE number = 7")
        .execute(&database.pool)
        .await
        .expect("a row goes");
    let (code, stdout, _) = run(&folder, "doctor", &settings).await;
    assert_eq!(code, 1, "{stdout}");
    assert!(
        stdout.contains("block 7") && stdout.contains("block_stats"),
        "{stdout}"
    );
}
