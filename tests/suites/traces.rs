//! Internal transfers: what contracts moved, read from a node's traces.

mod code;
mod dev_chain;
mod nodes;

use sqlx::PgPool;
use store::enrichment::{Reading, ReadingProgress, get_progress};

const CALL_TRACER: &str = "debug_traceBlockByHash";
const TRACE_BLOCK: &str = "trace_block";

async fn progress(pool: &PgPool) -> ReadingProgress {
    let progress = get_progress(pool, Reading::Traces).await;
    progress.expect("the progress can be read")
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    let count = sqlx::query_scalar(sql).fetch_one(pool).await;
    count.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

const ROWS: &str = "SELECT count(*) FROM internal_transfers";
