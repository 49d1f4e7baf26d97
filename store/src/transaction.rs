//! Transactions that leave no trace on their connection, whoever gives up waiting for them.

use sqlx::{Connection as _, PgPool, Postgres, Transaction, pool::PoolConnection};

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

/// A connection for one change; closed unless the change was made.
///
/// A COPY that is given up half-way leaves answers of the server unread, and the driver in the dark about
/// them: such a connection must not serve anybody else.
#[derive(Debug)]
pub struct WriteConnection {
    connection: PoolConnection<Postgres>,
    made: bool,
}

impl WriteConnection {
    /// Takes a connection out of the pool.
    pub async fn acquire(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: pool.acquire().await?,
            made: false,
        })
    }

    /// Begins the change.
    pub async fn begin(&mut self) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        self.connection.begin().await
    }

    /// The change was made: others may use the connection.
    pub fn release(mut self) {
        self.made = true;
    }
}

impl Drop for WriteConnection {
    fn drop(&mut self) {
        if !self.made {
            self.connection.close_on_drop();
        }
    }
}
