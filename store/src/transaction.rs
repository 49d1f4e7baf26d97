//! Transactions that leave no trace on their connection, whoever gives up waiting for them.

use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction; dropped without a commit, it is rolled back.
///
/// The driver counts a transaction as begun only when the server's answer is read. A caller that is
/// dropped in between (a client that hung up, a task that was stopped) would give a connection back to
/// the pool on which the server has a transaction open and the driver none: what follows on it would
/// read an old snapshot, or fail. So the beginning is left to a task of its own, which nobody drops.
pub async fn begin(
    pool: &PgPool,
    statement: &'static str,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with(statement).await });
    // The task ends early only when the runtime does.
    begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}
