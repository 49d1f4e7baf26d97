//! All routes, and what surrounds them.

mod blocks;
mod contracts;
mod health;
mod index;
mod labels;
mod metrics;
mod network;
mod tokens;
mod transactions;
mod wallets;

#[cfg(test)]
pub(crate) mod tests;

use crate::{
    api::Api,
    observe::{self, REQUEST_ID},
    problem::{Code, Problem, quoted},
    viewer,
};
use axum::{
    Router,
    http::{HeaderValue, Method, Uri, header},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Duration};
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, Predicate as _, predicate::SizeAbove},
    cors::{AllowHeaders, Any, CorsLayer},
};

/// Smaller bodies fit one packet as they are.
const COMPRESS_ABOVE: u16 = 1024;
/// How long a browser may keep what a preflight said.
const PREFLIGHT_AGE: Duration = Duration::from_hours(24);

/// The service. From the outside in: compression, id and log and metrics, CORS, time limit and
/// panics, routes.
pub(crate) fn router(api: Arc<Api>) -> Router {
    routes(&api)
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(observe::guard))
        .layer(cors())
        .layer(from_fn(observe::observe))
        .layer(
            // Pages are built once and read once: speed before size.
            CompressionLayer::new()
                .quality(CompressionLevel::Fastest)
                .compress_when(
                    SizeAbove::new(COMPRESS_ABOVE)
                        .and(tower_http::compression::predicate::DefaultPredicate::new()),
                ),
        )
        .with_state(api)
}

fn routes(api: &Arc<Api>) -> Router<Arc<Api>> {
    Router::new()
        .merge(index::router())
        .merge(blocks::router())
        .merge(transactions::router())
        .merge(wallets::router())
        .merge(tokens::router())
        .merge(labels::router())
        .merge(contracts::router())
        .merge(network::router())
        .route_layer(from_fn_with_state(Arc::clone(api), viewer::recognize))
        // Whoever watches the service may have logins of their own, which are none of ours.
        .merge(health::router())
        .merge(metrics::router())
}

/// Everything here is read-only, and public unless a key is sent along, so that any page may show it.
/// Headers are allowed by name: the wildcard does not cover Authorization (Fetch standard, CORS
/// protocol).
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
        .max_age(PREFLIGHT_AGE)
}

async fn unknown_route(uri: Uri) -> Problem {
    let path = quoted(uri.path());
    let detail = format!("There is no route {path}: GET /api/v1 lists all of them.");
    Problem::new(Code::RouteNotFound, detail)
}

async fn method_not_allowed(method: Method) -> Response {
    let method = quoted(method.as_str());
    let detail = format!("Method {method} is not accepted here: accepted are GET and HEAD.");
    let mut response = Problem::new(Code::MethodNotAllowed, detail).into_response();
    let allow = HeaderValue::from_static("GET,HEAD,OPTIONS");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}
