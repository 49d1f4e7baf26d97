//! What the data stands on: the database, Redis, the indexer.

use crate::Failure;
use sqlx::PgPool;
use std::time::Duration;
use store::{schema, state};

/// How long Redis may take to answer.
const REDIS_PATIENCE: Duration = Duration::from_secs(2);

/// What the data stands on, a line each.
pub(super) async fn print(pool: &PgPool, redis_url: Option<&str>) -> Result<(), Failure> {
    let version: String = sqlx::query_scalar("SHOW server_version")
        .fetch_one(pool)
        .await?;
    println!(
        "database   Postgres {version}, {}",
        schema::edition(pool).await?
    );
    println!("schema     version {}", schema::latest_version());
    if let Some(url) = redis_url {
        println!("redis      {}", redis_version(url).await?);
    }
    let status = state::get_indexer_status(pool).await?;
    let indexer = match (status.heartbeat_seconds, status.problem) {
        (_, Some(problem)) => format!("halted: {problem}"),
        (Some(age), None) => format!("last sign of life {age:.0} s ago"),
        (None, None) => "has never run on this database".to_owned(),
    };
    println!("indexer    {indexer}");
    Ok(())
}

async fn redis_version(url: &str) -> Result<String, Failure> {
    let ping = async {
        let mut connection = redis::Client::open(url)?
            .get_multiplexed_async_connection()
            .await?;
        redis::cmd("INFO")
            .arg("server")
            .query_async::<String>(&mut connection)
            .await
    };
    let info = tokio::time::timeout(REDIS_PATIENCE, ping)
        .await
        .map_err(|_| "REDIS_URL: Redis does not answer".to_owned())?
        .map_err(|error| format!("REDIS_URL: Redis does not answer: {error}"))?;
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .unwrap_or("of unknown version");
    Ok(format!("Redis {version} answers"))
}
