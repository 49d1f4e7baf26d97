//! `tallyscan index` and `tallyscan rollback`.

use crate::{
    Failure,
    cli::{FollowArgs, IndexArgs, RollbackArgs, TuneArgs},
    connect, shutdown,
};
use indexer::{BackfillLimits, IndexError, Indexer, IndexerConfig, ProgressStyle};
use sqlx::PgPool;
use std::{io::IsTerminal as _, net::SocketAddr};
use store::{
    coverage::{self, BackfillSettings},
    schema,
};

/// Most connections of an indexer: the lead, the committer, two publisher reads, heartbeat, health,
/// backfill limits, the tallier's two, a few readings, and as many writers of history as an operator
/// may ask for. Made when needed.
pub(crate) const CONNECTIONS: u32 = 16 + 64;

/// Follows a node until it is stopped.
pub(crate) async fn run(args: IndexArgs) -> Result<(), Failure> {
    let rpc_urls = IndexerConfig::parse_rpc_urls(&args.rpc_url)?;
    connect::check_redis_url(&args.redis_url)?;
    let metrics = connect::metrics()?;
    let shutdown = shutdown::on_signal()?;
    let pool = connect::database("DATABASE_URL", &args.database.database_url, CONNECTIONS).await?;
    schema::migrate(&pool, args.database.timescale).await?;
    let config = config(
        args.follow,
        rpc_urls,
        pool,
        args.redis_url,
        Some(args.metrics_addr),
        args.until,
    );
    let indexer = tokio::select! {
        prepared = Indexer::prepare(config, metrics, progress_style()) => prepared?,
        () = shutdown.cancelled() => return Ok(()),
    };
    indexer
        .run(shutdown.clone())
        .await
        .map_err(|error| Failure::Failed(error.to_string()))?;
    match args.until {
        Some(until) if shutdown.is_cancelled() => Err(Failure::Failed(format!(
            "stopped before everything up to block {until} was there; the next start goes on"
        ))),
        _ => Ok(()),
    }
}

/// An indexer's configuration from what `index` and `up` have in common.
pub(crate) fn config(
    follow: FollowArgs,
    rpc_urls: Vec<url::Url>,
    database: PgPool,
    redis_url: String,
    listen: Option<SocketAddr>,
    until: Option<u64>,
) -> IndexerConfig {
    IndexerConfig {
        rpc_urls,
        database,
        redis_url,
        start_block: follow.start_block,
        finality: follow.finality,
        verify: follow.verify,
        listen,
        until,
        backfill: BackfillLimits {
            workers: follow.backfill_workers,
            budget_bytes: follow.backfill_budget_mb << 20,
        },
    }
}

/// A bar where somebody watches, lines elsewhere.
fn progress_style() -> ProgressStyle {
    if std::io::stderr().is_terminal() {
        ProgressStyle::Bar
    } else {
        ProgressStyle::Log
    }
}

/// Tells a running backfill how much it may take.
pub(crate) async fn tune(args: TuneArgs) -> Result<(), Failure> {
    let pool = connect::database("DATABASE_URL", &args.database_url, 1).await?;
    schema::check(&pool).await?;
    let before = if args.reset {
        BackfillSettings::default()
    } else {
        coverage::get_backfill_settings(&pool).await?
    };
    let settings = BackfillSettings {
        workers: args.backfill_workers.or(before.workers),
        budget_bytes: args
            .backfill_budget_mb
            .map(|mib| mib << 20)
            .or(before.budget_bytes),
    };
    coverage::set_backfill_settings(&pool, settings).await?;
    let given = |value: Option<String>| value.unwrap_or_else(|| "as started".to_owned());
    println!(
        "backfill: {} writers, {} MiB on the way; a running indexer follows within seconds",
        given(settings.workers.map(|workers| workers.to_string())),
        given(settings.budget_bytes.map(|bytes| (bytes >> 20).to_string())),
    );
    Ok(())
}

/// Goes back to a block by hand.
pub(crate) async fn roll_back(args: RollbackArgs) -> Result<(), Failure> {
    let pool = connect::database("DATABASE_URL", &args.database_url, 2).await?;
    schema::check(&pool).await?;
    let (reorg, dropped) = indexer::rollback_to(&pool, args.to)
        .await
        .map_err(|error: IndexError| Failure::Unusable(error.to_string()))?;
    println!(
        "rolled back to block {}: {dropped} blocks are kept as orphaned by reorg {reorg}",
        args.to
    );
    Ok(())
}
