//! Health and metrics of an indexer that runs alone.

use crate::{error::IndexError, metrics, source::Source, status::Status};
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// A node that has not answered for this long is a problem.
const NODE_PATIENCE: Duration = Duration::from_secs(30);

/// Blocks behind the node's head from which the indexer is degraded: more than a burst, less than
/// anybody would call live.
pub const LAG_LIMIT_BLOCKS: u64 = 16;

/// How long the database may take to say that it is there.
const DATABASE_PATIENCE: Duration = Duration::from_secs(1);

struct Telemetry {
    status: Arc<Status>,
    source: Arc<Source>,
    database: PgPool,
    metrics: PrometheusHandle,
}

/// Binds the listener; the error names the address and the setting.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, IndexError> {
    TcpListener::bind(address).await.map_err(|error| {
        IndexError::Halt(format!(
            "cannot listen on {address} for health and metrics ({error}): set METRICS_ADDR to a free address"
        ))
    })
}

/// Serves `/health` and `/metrics` until dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    status: Arc<Status>,
    source: Arc<Source>,
    database: PgPool,
    metrics: PrometheusHandle,
) {
    let telemetry = Arc::new(Telemetry {
        status,
        source,
        database,
        metrics,
    });
    let router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(render))
        .with_state(telemetry);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "health and metrics are not served any more");
    }
}

async fn render(State(telemetry): State<Arc<Telemetry>>) -> String {
    let pool = &telemetry.database;
    let idle = u64::try_from(pool.num_idle()).unwrap_or_default();
    metrics::level("indexer_db_pool_connections", u64::from(pool.size()));
    metrics::level("indexer_db_pool_idle_connections", idle);
    telemetry.metrics.render()
}

async fn health(State(telemetry): State<Arc<Telemetry>>) -> (StatusCode, Json<Value>) {
    let known = telemetry.status.known();
    let ping = sqlx::query("SELECT 1").execute(&telemetry.database);
    let database = matches!(
        tokio::time::timeout(DATABASE_PATIENCE, ping).await,
        Ok(Ok(_))
    );
    let mut problems = Vec::new();
    if !database {
        problems.push("the database does not answer".to_owned());
    }
    problems.extend(known.problem.clone());
    if known.leads {
        match known.node_seen {
            None => problems.push("no node has answered yet".to_owned()),
            Some(seen) if seen.elapsed() > NODE_PATIENCE => problems.push(format!(
                "no node has answered for {} s",
                seen.elapsed().as_secs()
            )),
            Some(_) => {}
        }
        if let Some(lag) = known.lag_blocks().filter(|lag| *lag > LAG_LIMIT_BLOCKS) {
            problems.push(format!("{lag} blocks behind the node's head"));
        }
    }
    let history = known.history.as_ref().map(|history| {
        problems.extend(
            history
                .problem
                .as_ref()
                .map(|problem| format!("history: {problem}")),
        );
        json!({
            "missing_blocks": history.missing_blocks,
            "blocks_per_second": history.blocks_per_second(),
            "eta_seconds": history.eta_seconds(),
        })
    });
    let (code, status) = match (database, problems.is_empty()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "down"),
        (true, false) => (StatusCode::OK, "degraded"),
        (true, true) => (StatusCode::OK, "ok"),
    };
    let body = json!({
        "status": status,
        "problems": problems,
        "role": if known.leads { "leader" } else { "standby" },
        "head": known.head,
        "node_head": known.node_head,
        "lag_blocks": known.lag_blocks(),
        "history": history,
        "nodes": telemetry.source.nodes_health(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    (code, Json(body))
}
