//! The router without a database and without Redis: what is refused, and what is said when nothing
//! is there.

use super::*;
use crate::{ApiConfig, abi::Abis, cache::Cache};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{collections::HashSet, time::Instant};
use tower::ServiceExt as _;

/// Nothing listens on port 1.
pub(crate) fn lonely_pool() -> PgPool {
    PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(300))
        .connect_lazy("postgres://nobody@127.0.0.1:1/none")
        .unwrap()
}

pub(crate) fn config(database: PgPool) -> ApiConfig {
    ApiConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        database,
        redis_url: "redis://127.0.0.1:1".to_owned(),
        lag_limit_blocks: 5,
        lag_limit: Duration::from_mins(1),
        abi_dir: None,
        internal_key: None,
        metrics: PrometheusBuilder::new().build_recorder().handle(),
    }
}

fn lonely_api() -> Arc<Api> {
    let config = config(lonely_pool());
    Arc::new(Api::new(
        config.database,
        Cache::new(&config.redis_url).unwrap(),
        config.metrics,
        config.lag_limit_blocks,
        config.lag_limit,
        Abis::new(config.abi_dir, lonely_pool()),
        config.internal_key,
    ))
}

fn request(method: Method, path: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Body::empty())
        .unwrap()
}

async fn call(request: Request<Body>) -> Response {
    router(lonely_api()).oneshot(request).await.unwrap()
}

async fn get_path(path: &str) -> Response {
    call(request(Method::GET, path)).await
}

async fn json(response: Response) -> Value {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Checks what every problem has and returns its code.
async fn problem(response: Response, status: u16) -> String {
    assert_eq!(response.status().as_u16(), status);
    let headers = response.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
    let body = json(response).await;
    assert_eq!(body["status"], status);
    assert_eq!(body["request_id"], headers[&REQUEST_ID].to_str().unwrap());
    let code = body["code"].as_str().unwrap().to_owned();
    assert_eq!(body["type"], format!("urn:tallyscan:problem:{code}"));
    code
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_its_own_code() {
    let wrong_checksum = "/api/v1/wallets/0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    for (path, code) in [
        ("/api/v1/blocks/pending", "malformed_block_id"),
        ("/api/v1/blocks/%FF", "malformed_request"),
        ("/api/v1/blocks/1?full=1", "unknown_parameter"),
        ("/api/v1/blocks/x/transactions", "malformed_block_id"),
        ("/api/v1/blocks?limit=0", "malformed_limit"),
        ("/api/v1/blocks?cursor=x", "malformed_cursor"),
        ("/api/v1/blocks?limit=1&limit=2", "repeated_parameter"),
        ("/api/v1/transactions/0x12", "malformed_hash"),
        ("/api/v1/transactions/0x12/logs", "malformed_hash"),
        ("/api/v1/transactions?page=1", "unknown_parameter"),
        ("/api/v1/wallets/vitalik", "malformed_address"),
        (wrong_checksum, "wrong_checksum"),
        ("/api/v1/wallets/0x/transactions", "malformed_address"),
        ("/api/v1/network/stats?x", "unknown_parameter"),
        ("/api/v1/wallets/0x/transfers", "malformed_address"),
        ("/api/v1/tokens/0x", "malformed_address"),
        ("/api/v1/tokens?standard=erc777", "malformed_filter"),
        ("/api/v1/transactions/0x12/trace", "malformed_hash"),
    ] {
        assert_eq!(problem(get_path(path).await, 400).await, code, "{path}");
    }
}

#[tokio::test]
async fn an_unknown_route_and_a_wrong_method_are_problems() {
    for path in ["/nothing", "/api/v1/block/1", "/api/v1/blocks/", "/api/v2"] {
        assert_eq!(problem(get_path(path).await, 404).await, "route_not_found");
    }
    for path in ["/", "/api/v1/blocks", "/health"] {
        let response = call(request(Method::POST, path)).await;
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD,OPTIONS");
        assert_eq!(problem(response, 405).await, "method_not_allowed");
    }
}

#[tokio::test]
async fn without_a_database_every_question_is_a_503() {
    for path in [
        "/api/v1/blocks",
        "/api/v1/blocks/latest",
        "/api/v1/network/stats",
    ] {
        let response = get_path(path).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(problem(response, 503).await, "database_unavailable");
    }
}

#[tokio::test]
async fn health_without_a_database_is_down_and_fast() {
    let started = Instant::now();
    let response = get_path("/health").await;
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = json(response).await;
    assert_eq!(body["status"], "down");
    assert_eq!(body["components"]["database"], "down");
    assert_eq!(body["components"]["redis"], "down");
    assert_eq!(body["head"], Value::Null);
    assert_eq!(body["problems"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    for (path, status) in [("/", 200), ("/api/v1/blocks/x", 400), ("/x", 404)] {
        let response = call(request(Method::HEAD, path)).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert!(response.headers().contains_key(header::CONTENT_LENGTH));
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert!(body.is_empty());
    }
}

#[tokio::test]
async fn a_request_id_comes_back_and_names_the_problem() {
    let mut request = request(Method::GET, "/api/v1/blocks/x");
    request
        .headers_mut()
        .insert(REQUEST_ID, HeaderValue::from_static("trace-1"));
    let response = call(request).await;
    assert_eq!(response.headers()[&REQUEST_ID], "trace-1");
    assert_eq!(json(response).await["request_id"], "trace-1");
}

#[tokio::test]
async fn any_page_may_read() {
    let mut get = request(Method::GET, "/");
    let origin = HeaderValue::from_static("https://example.org");
    get.headers_mut().insert(header::ORIGIN, origin.clone());
    let response = call(get).await;
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");

    let mut preflight = request(Method::OPTIONS, "/api/v1/blocks");
    let headers = preflight.headers_mut();
    headers.insert(header::ORIGIN, origin);
    let method = HeaderValue::from_static("GET");
    headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, method);
    let response = call(preflight).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()[header::ACCESS_CONTROL_ALLOW_METHODS],
        "GET,HEAD"
    );
}

#[tokio::test]
async fn bodies_worth_it_are_compressed_when_asked() {
    let mut request = request(Method::GET, "/");
    let gzip = HeaderValue::from_static("gzip");
    request.headers_mut().insert(header::ACCEPT_ENCODING, gzip);
    let response = call(request).await;
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
}

#[tokio::test]
async fn the_index_lists_routes_that_are_there() {
    let body = json(get_path("/api/v1").await).await;
    assert_eq!(body, json(get_path("/").await).await);
    let paths: HashSet<&str> = index::ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(paths.len(), index::ROUTES.len());
    for path in paths {
        let response = get_path(&path.replace(['{', '}'], "")).await;
        assert_ne!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn metrics_are_rendered() {
    let response = get_path("/metrics").await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_panic_is_a_500_that_does_not_show_its_cause() {
    let router = Router::new()
        .route("/boom", get(|| async { panic!("secret") as &'static str }))
        .layer(from_fn(observe::guard))
        .layer(from_fn(observe::observe));
    let response = router.oneshot(request(Method::GET, "/boom")).await.unwrap();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(
        text.contains("\"internal\"") && !text.contains("secret"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_a_timeout() {
    let router = Router::new()
        .route("/hang", get(std::future::pending::<()>))
        .layer(from_fn(observe::guard))
        .layer(from_fn(observe::observe));
    let response = router.oneshot(request(Method::GET, "/hang")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(json(response).await["code"], "timeout");
}
