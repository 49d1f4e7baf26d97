//! What there is: the routes, for whoever meets the service at its root.

use crate::api::Api;
use axum::{Json, Router, routing::get};
use serde::Serialize;
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/", get(get_index))
        .route("/api/v1", get(get_index))
}

#[derive(Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    routes: [Route; 11],
}

#[derive(Serialize)]
pub(super) struct Route {
    pub path: &'static str,
    pub parameters: &'static [&'static str],
    pub about: &'static str,
}

const PAGE: &[&str] = &["limit", "cursor"];
const NONE: &[&str] = &[];

const fn route(
    path: &'static str,
    parameters: &'static [&'static str],
    about: &'static str,
) -> Route {
    Route {
        path,
        parameters,
        about,
    }
}

/// Every route; a test holds it against the router.
pub(super) const ROUTES: [Route; 11] = [
    route("/api/v1/blocks", PAGE, "Blocks, newest first."),
    route(
        "/api/v1/blocks/{id}",
        NONE,
        "A block by number, hash, latest, safe, finalized or earliest.",
    ),
    route(
        "/api/v1/blocks/{id}/transactions",
        PAGE,
        "A block's transactions, in its own order.",
    ),
    route("/api/v1/transactions", PAGE, "Transactions, newest first."),
    route(
        "/api/v1/transactions/{hash}",
        NONE,
        "A transaction with its receipt and the inclusions that reorgs dropped.",
    ),
    route(
        "/api/v1/transactions/{hash}/logs",
        NONE,
        "The logs of a transaction.",
    ),
    route(
        "/api/v1/wallets/{address}",
        NONE,
        "What is known of an address.",
    ),
    route(
        "/api/v1/wallets/{address}/transactions",
        PAGE,
        "The transactions an address took part in, newest first.",
    ),
    route(
        "/api/v1/network/stats",
        NONE,
        "The chain, its head and figures of its newest blocks.",
    ),
    route(
        "/health",
        NONE,
        "Whether everything works, and what does not.",
    ),
    route("/metrics", NONE, "Metrics in Prometheus' text format."),
];

async fn get_index() -> Json<Index> {
    Json(Index {
        name: "Tallyscan",
        version: env!("CARGO_PKG_VERSION"),
        routes: ROUTES,
    })
}
