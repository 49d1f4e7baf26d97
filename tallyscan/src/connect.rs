//! Connections that commands begin with; an error names the setting and never shows a password.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr as _, time::Duration};

/// Upper bounds of duration histograms, in seconds: from a cached read to a slow node.
const DURATION_BUCKETS: [f64; 13] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// How long a connection may take to be had.
const PATIENCE: Duration = Duration::from_secs(5);

/// Statements slower than this are logged.
const SLOW: Duration = Duration::from_secs(2);

fn options(setting: &str, url: &str) -> Result<PgConnectOptions, String> {
    // The driver takes any scheme, and what is no URL of ours may be a secret altogether.
    let known = ["postgres://", "postgresql://"];
    let options = known
        .iter()
        .any(|scheme| url.starts_with(scheme))
        .then(|| PgConnectOptions::from_str(url).ok())
        .flatten()
        .ok_or_else(|| {
            format!("{setting}: not a database URL: postgres://user:password@host:port/database is accepted")
        })?;
    Ok(options
        .application_name("tallyscan")
        .log_slow_statements(tracing::log::LevelFilter::Debug, SLOW))
}

/// Connects, and makes sure that the database answers.
pub(crate) async fn database(
    setting: &str,
    url: &str,
    most_connections: u32,
) -> Result<PgPool, String> {
    let options = options(setting, url)?;
    let place = place(&options);
    let pool = PgPoolOptions::new()
        .max_connections(most_connections)
        .acquire_timeout(PATIENCE)
        .connect_with(options.clone())
        .await;
    let error = match pool {
        Ok(pool) => return Ok(pool),
        // The pool kept trying, and tells no more than that: one more attempt says why.
        Err(sqlx::Error::PoolTimedOut) => reason(&options).await,
        Err(error) => error,
    };
    Err(format!(
        "{setting}: cannot use the database at {place}: {error}"
    ))
}

/// Why a connection cannot be had.
async fn reason(options: &PgConnectOptions) -> sqlx::Error {
    let attempt = PgConnection::connect_with(options);
    match tokio::time::timeout(PATIENCE, attempt).await {
        Ok(Err(error)) => error,
        Ok(Ok(_)) | Err(_) => sqlx::Error::PoolTimedOut,
    }
}

/// Says to plan each query for the values that it is run with.
///
/// After five runs the server may keep one plan for all values, in which the heights that a page reads
/// are not known: it would hold every chunk of a table, and lock them all, to read from one. Over 500
/// chunks a page's query took 17 ms and 504 locks with such a plan, 0.7 ms and 12 locks with one of its
/// own.
const CUSTOM_PLANS: &str = "SET plan_cache_mode = force_custom_plan";

/// A pool that connects when it is first used: the API answers without a database, too.
pub(crate) fn database_lazily(
    setting: &str,
    url: &str,
    most_connections: u32,
) -> Result<PgPool, String> {
    Ok(PgPoolOptions::new()
        .max_connections(most_connections)
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(CUSTOM_PLANS).await.map(|_| ()) })
        })
        .connect_lazy_with(options(setting, url)?))
}

fn place(options: &PgConnectOptions) -> String {
    format!(
        "{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or(options.get_username())
    )
}

/// Makes sure that a Redis URL can be one; whether it answers is another matter.
pub(crate) fn check_redis_url(url: &str) -> Result<(), String> {
    redis::Client::open(url).map(|_| ()).map_err(|_| {
        "REDIS_URL: not a Redis URL: redis://[user:password@]host:port[/db] or rediss://… is accepted"
            .to_owned()
    })
}

/// Starts collecting metrics; once in a process.
pub(crate) fn metrics() -> Result<PrometheusHandle, String> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Suffix("_duration_seconds".to_owned()),
            &DURATION_BUCKETS,
        )
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| format!("metrics cannot be collected: {error}"))
}
