//! Chunks that are made before they are written to.
//!
//! TimescaleDB makes a chunk in the transaction that needs it first, and lets no other make one until
//! that transaction ends. Writers of history commit in one order and write in any: one that waits for
//! its turn to commit must not hold what the one before it needs.

use crate::{state::height, transaction};
use sqlx::PgPool;

/// What takes the rows out again that made the chunks.
const CLEAR: [&str; 7] = [
    "DELETE FROM blocks WHERE number = $1 AND hash = ''",
    "DELETE FROM withdrawals WHERE block_number = $1 AND position = -1",
    "DELETE FROM transactions WHERE block_number = $1 AND tx_index = -1",
    "DELETE FROM logs WHERE block_number = $1 AND log_index = -1",
    "DELETE FROM address_activity WHERE block_number = $1 AND tx_index = -1 AND address = ''",
    "DELETE FROM token_transfers WHERE block_number = $1 AND position = -1",
    "DELETE FROM block_credits WHERE block_number = $1 AND kind = -1 AND address = ''",
];

/// How many blocks a new chunk spans; `None` where tables are plain.
pub async fn find_span(pool: &PgPool) -> Result<Option<u64>, sqlx::Error> {
    let timescale: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')",
    )
    .fetch_one(pool)
    .await?;
    if !timescale {
        return Ok(None);
    }
    let span: Option<i64> = sqlx::query_scalar(
        "SELECT min(integer_interval) FROM timescaledb_information.dimensions
         WHERE hypertable_schema = current_schema() AND hypertable_name IN
               ('blocks', 'withdrawals', 'transactions', 'logs', 'address_activity',
                'token_transfers', 'block_credits')",
    )
    .fetch_one(pool)
    .await?;
    Ok(span.map(i64::unsigned_abs).filter(|span| *span > 0))
}

/// Makes the chunks that a block falls into, in a transaction of its own. The block must not be there.
pub async fn prepare(pool: &PgPool, number: u64) -> Result<(), sqlx::Error> {
    let number = height(number)?;
    let mut transaction = transaction::begin(pool, "BEGIN").await?;
    sqlx::query("SET LOCAL lock_timeout = '20s'")
        .execute(&mut *transaction)
        .await?;
    sqlx::query(include_str!("queries/prepare_chunks.sql"))
        .bind(number)
        .execute(&mut *transaction)
        .await?;
    for statement in CLEAR {
        sqlx::query(statement)
            .bind(number)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
