//! One writer at a time.
//!
//! The leader holds an advisory lock for as long as its connection lives: when it dies, however it
//! dies, the server lets go at once and a standby takes over. The lock is for order, not for safety:
//! a leader that lost it without noticing still cannot commit, because taking the lead draws a new
//! token and every commit compares it with the one that was drawn, never with one read later.

use crate::error::IndexError;
use sqlx::{PgPool, Postgres, pool::PoolConnection};
use std::time::Duration;

/// Any constant will do: it only has to be the same in every version.
const LOCK: i64 = 0x7461_6c6c_795f_6c64;

/// A leader whose machine vanished says no goodbye: the server asks after 10 s of silence, and lets go of
/// the lock after 25.
const NOTICE_A_LOST_HOST: &str =
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// How often a standby asks for the lead.
const STANDBY_POLL: Duration = Duration::from_millis(300);

/// Leadership of one database; ends when dropped.
#[derive(Debug)]
pub(crate) struct Lead {
    /// The token drawn for it.
    pub token: i64,
    _connection: PoolConnection<Postgres>,
}

impl Lead {
    /// Waits for the lead and takes it.
    pub(crate) async fn acquire(pool: &PgPool) -> Result<Self, IndexError> {
        let mut connection = pool.acquire().await?;
        // The lock lives in this session: it must never go back to the pool and serve others.
        connection.close_on_drop();
        sqlx::raw_sql(NOTICE_A_LOST_HOST)
            .execute(&mut *connection)
            .await?;
        let mut waiting = false;
        loop {
            let held: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                .bind(LOCK)
                .fetch_one(&mut *connection)
                .await?;
            if held {
                break;
            }
            if !waiting {
                tracing::info!("another indexer leads: standing by");
                waiting = true;
            }
            tokio::time::sleep(STANDBY_POLL).await;
        }
        // Waits for a commit of the former leader that is still under way, then shuts it out.
        let token = rand::random();
        sqlx::query("UPDATE chain_state SET leader_token = $1")
            .bind(token)
            .execute(&mut *connection)
            .await?;
        tracing::info!("this indexer leads");
        Ok(Self {
            token,
            _connection: connection,
        })
    }
}
