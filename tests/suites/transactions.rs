//! Transactions whose caller gives up.

use sqlx::postgres::PgPoolOptions;
use std::time::Duration;
use store::{read::Snapshot, transaction::WriteConnection};
use tallyscan_tests::Database;

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_gives_up_at_any_moment_leaves_no_transaction_behind() {
    let database = Database::create().await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect(&database.url)
        .await
        .expect("the database answers");
    let mut gave_up = 0;
    for wait in (0..2_000).step_by(10).map(Duration::from_micros) {
        let snapshot = tokio::time::timeout(wait, Snapshot::open(&pool)).await;
        gave_up += u32::from(snapshot.is_err());
        drop(snapshot);
        // The one connection there is: a transaction left open on it would refuse to write.
        sqlx::query("UPDATE indexer_status SET problem = NULL")
            .execute(&pool)
            .await
            .unwrap_or_else(|error| panic!("after {wait:?}: {error}"));
    }
    assert!(gave_up > 0, "nobody gave up in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_dropped_changes_nothing() {
    let database = Database::create().await;
    let mut writing = WriteConnection::acquire(&database.pool)
        .await
        .expect("a connection");
    let mut transaction = writing.begin().await.expect("a transaction");
    sqlx::query("DELETE FROM chain_state")
        .execute(&mut *transaction)
        .await
        .expect("a change");
    drop(transaction);
    drop(writing);
    let state = store::state::get_state(&database.pool).await;
    assert!(state.expect("the state is still there").head.is_none());
}
