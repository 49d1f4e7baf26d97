//! What surrounds every request: its id, its time limit, its panics, the bodies of its problems, its
//! line in the log and its metrics.

use crate::problem::Problem;
use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt as _;
use std::{
    any::Any,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest a request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Longest id that is taken over from a client: it goes into logs.
const MAX_ID: usize = 64;

/// The client's own id if it is fit to be logged and sent back, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=MAX_ID).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        })
        .map_or_else(|| format!("{:032x}", rand::random::<u128>()), str::to_owned)
}

/// Methods by name; any other is one label, since clients may make them up.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// Outermost: gives the request its id and the answer its headers, and tells of both.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    // Never the path: it names addresses and hashes, and anybody can make up more of them.
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);

    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        tell(&problem, &id, route);
        write_problem(&mut response, &problem, &id, &method);
    }
    let headers = response.headers_mut();
    // Its characters were checked, or are hex: it is a header's value.
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    let no_sniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, no_sniff);

    let elapsed = started.elapsed();
    let status = response.status();
    let label = method_label(&method);
    metrics::counter!(
        "http_requests_total",
        "route" => route.to_owned(),
        "method" => label,
        "status" => status.as_str().to_owned(),
    )
    .increment(1);
    metrics::histogram!("http_request_duration_seconds", "route" => route.to_owned())
        .record(elapsed.as_secs_f64());
    tracing::info!(
        http.method = label,
        http.route = route,
        http.status = status.as_u16(),
        elapsed_ms = elapsed.as_secs_f64() * 1e3,
        request.id = id,
        "request answered"
    );
    response
}

/// Logs why a request failed; what the client did wrong is not ours to log.
fn tell(problem: &Problem, id: &str, route: &str) {
    let Some(cause) = &problem.cause else {
        return;
    };
    let (status, code, _) = problem.code.parts();
    let (status, route) = (status.as_u16(), route.to_owned());
    if status == 500 {
        tracing::error!(
            cause,
            code,
            http.route = route,
            request.id = id,
            "request failed"
        );
    } else {
        tracing::warn!(
            cause,
            code,
            http.route = route,
            request.id = id,
            "request not answered"
        );
    }
}

fn write_problem(response: &mut Response, problem: &Problem, id: &str, method: &Method) {
    let json = problem.to_json(id);
    let headers = response.headers_mut();
    let problem_json = HeaderValue::from_static("application/problem+json");
    headers.insert(header::CONTENT_TYPE, problem_json);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(json.len()));
    // HEAD is told the length and is sent nothing.
    *response.body_mut() = if method == Method::HEAD {
        Body::empty()
    } else {
        Body::from(json)
    };
}

/// Innermost: a request that takes too long or panics is a problem like any other.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let run = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(REQUEST_LIMIT, run).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            Problem::internal(format!("panic: {}", panic_message(&*panic))).into_response()
        }
        Err(_) => {
            let seconds = REQUEST_LIMIT.as_secs();
            let detail = format!("No answer was found within {seconds} s; try again shortly.");
            Problem::new(crate::problem::Code::Timeout, detail)
                .because("the request took too long")
                .into_response()
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Says what each metric means, for whoever reads `/metrics`.
pub(crate) fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "http_requests_total",
        "Requests by route, method and status."
    );
    describe_histogram!(
        "http_request_duration_seconds",
        Unit::Seconds,
        "Time from a request to its answer's head, by route."
    );
    describe_counter!(
        "cache_requests_total",
        "Questions put to Redis by kind and outcome: hit, miss, stale (no longer or not yet right \
         for the published head), error (Redis away)."
    );
    describe_gauge!(
        "db_pool_connections",
        "Connections to the database by state: idle, used."
    );
    describe_gauge!("redis_up", "1 while Redis answers, 0 while it does not.");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(
            REQUEST_ID,
            HeaderValue::from_bytes(given.as_bytes()).unwrap(),
        );
        request_id(&headers)
    }

    #[test]
    fn a_sane_id_is_kept_and_any_other_replaced() {
        assert_eq!(id_for("a-B_9.z"), "a-B_9.z");
        for bad in ["", "a b", "a\tb", "ü", "a\"b", "<x>", &"x".repeat(65)] {
            let id = id_for(bad);
            assert_ne!(id, bad);
            assert_eq!(id.len(), 32);
        }
        assert_ne!(id_for(""), id_for(""));
    }
}
