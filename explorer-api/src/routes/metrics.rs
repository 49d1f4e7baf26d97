//! Metrics in Prometheus' text format.

use crate::api::Api;
use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new().route("/metrics", get(get_metrics))
}

async fn get_metrics(State(api): State<Arc<Api>>) -> Response {
    // Sets redis_up: without requests nothing else would ask.
    api.cache.ping().await;
    let size = api.database.size();
    let idle = u32::try_from(api.database.num_idle()).unwrap_or(size);
    let used = size.saturating_sub(idle);
    for (state, connections) in [("idle", idle), ("used", used)] {
        metrics::gauge!("db_pool_connections", "state" => state).set(f64::from(connections));
    }
    let headers = [
        (
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, api.metrics.render()).into_response()
}
