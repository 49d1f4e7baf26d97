//! `tallyscan doctor`: is everything there, and does the data prove itself?

use crate::{Failure, cli::DoctorArgs, connect};
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgPool;
use std::time::Duration;
use store::{
    audit::{self, Certificate},
    schema, state,
};

/// How long Redis may take to answer.
const REDIS_PATIENCE: Duration = Duration::from_secs(2);

/// Checks services, then re-proves the range from the database alone; ends with 1 when anything
/// differs.
pub(crate) async fn run(args: DoctorArgs) -> Result<(), Failure> {
    let pool = connect::database("DATABASE_URL", &args.database_url, 4).await?;
    schema::check(&pool).await?;
    if !args.json {
        services(&pool, args.redis_url.as_deref()).await?;
    }
    let bar = bar(args.json);
    let certificate = audit::audit(&pool, args.from, args.to, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .await?;
    bar.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&certificate)?);
    } else {
        print(&certificate);
    }
    if certificate.is_clean() {
        Ok(())
    } else {
        Err(Failure::Failed(format!(
            "{} differences",
            certificate.difference_count
        )))
    }
}

/// What the data stands on, a line each.
async fn services(pool: &PgPool, redis_url: Option<&str>) -> Result<(), Failure> {
    let version: String = sqlx::query_scalar("SHOW server_version")
        .fetch_one(pool)
        .await?;
    println!(
        "database   Postgres {version}, {}",
        schema::edition(pool).await?
    );
    println!("schema     version {}", schema::latest_version());
    if let Some(url) = redis_url {
        connect::check_redis_url(url)?;
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

fn bar(hidden: bool) -> ProgressBar {
    if hidden {
        return ProgressBar::hidden();
    }
    let template = "{bar:32} {percent:>3} % {pos}/{len} blocks, {per_sec}, ETA {eta}";
    ProgressBar::new(0).with_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

/// The completeness certificate for a person.
fn print(certificate: &Certificate) {
    let place = |block: Option<state::BlockRef>| {
        block.map_or_else(|| "none".to_owned(), |block| block.to_string())
    };
    println!(
        "chain      {} with genesis {}",
        certificate.chain_id, certificate.genesis
    );
    println!("first      {}", place(certificate.first));
    println!("last       {}", place(certificate.last));
    println!(
        "proven     {} blocks, {} transactions, {} logs: {}",
        certificate.blocks,
        certificate.transactions,
        certificate.logs,
        certificate.proven.join(", ")
    );
    for difference in &certificate.differences {
        let block = difference
            .block_number
            .map_or_else(String::new, |number| format!("block {number}: "));
        println!(
            "DIFFERS    {block}{} ({})",
            difference.detail, difference.kind
        );
    }
    let unlisted = certificate.difference_count - certificate.differences.len();
    if unlisted > 0 {
        println!("           and {unlisted} more");
    }
    if certificate.is_clean() {
        println!("complete   no gaps, no differences");
    }
}
