//! The database's schema from the command line, and going back by hand.

use crate::program::{node, run};
use sqlx::migrate::Migrator;
use std::path::Path;
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

/// The version with which token transfers were first stored.
const WITH_TOKENS: i64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn hypertables_of_an_earlier_version_are_brought_to_this_one() {
    let database = Database::create_bare().await;
    let pool = &database.pool;
    let migrations = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations"));
    let mut earlier = Migrator::new(migrations).await.expect("migrations");
    let before = earlier.iter().filter(|one| one.version <= WITH_TOKENS);
    earlier.migrations = before.cloned().collect::<Vec<_>>().into();
    earlier.run(pool).await.expect("an earlier schema");
    let extension = sqlx::raw_sql("CREATE EXTENSION timescaledb");
    let timescale = extension.execute(pool).await.is_ok();
    if timescale {
        let hypertables = include_str!("../../../timescale/01_hypertables.sql");
        let made = sqlx::raw_sql(hypertables).execute(pool).await;
        made.expect("hypertables");
    }
    // One row, and so one chunk; and a merge that was begun.
    sqlx::raw_sql(
        "INSERT INTO token_transfers VALUES (7, 0, 0, 0, 1, '\\x01', '\\x02', '\\x03', NULL, 5);
         UPDATE tally_state SET pending = '[0,9)', pending_page = 3",
    )
    .execute(pool)
    .await
    .expect("rows");

    let settings = [("DATABASE_URL", &*database.url)];
    let (code, _, stderr) = run(&folder(), "migrate", &settings).await;
    assert_eq!(code, 0, "{stderr}");
    let columns: Vec<i16> = sqlx::query_scalar(
        "SELECT indnkeyatts FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
         WHERE relname ~ 'token_transfers_(token|from|to)$'",
    )
    .fetch_all(pool)
    .await
    .expect("indexes");
    assert_eq!(columns, vec![2; if timescale { 6 } else { 3 }]);
    let begun: (i16, i64) = sqlx::query_as("SELECT pending_stage, pending_row FROM tally_state")
        .fetch_one(pool)
        .await
        .expect("a state");
    assert_eq!(begun, (-1, 0));
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
