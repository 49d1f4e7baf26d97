//! JSON-RPC over HTTP POST, single calls and batches.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::future::join_all;
use futures::stream;

use crate::faults::Fault;
use crate::methods::RpcError;
use crate::node::{Handled, Node};
use crate::wire::{self, Call, Request, write_reply};

pub(crate) async fn post(State(node): State<Arc<Node>>, body: Bytes) -> Response {
    let _flight = node.requests.http();
    let request = match str::from_utf8(&body) {
        Ok(text) => wire::parse(text),
        Err(_) => Err(RpcError::new(-32700, "Parse error: not UTF-8")),
    };
    match request {
        Ok(Request::One(call)) => {
            let mut handled = node.handle(&call, None).await;
            let spoiled = handled.spoiled.take();
            let mut text = String::new();
            write_reply(&mut text, call.id.as_deref(), &handled.answer);
            respond(text, spoiled).await
        }
        Ok(Request::Batch(calls)) => batch(&node, &calls).await,
        Err(error) => failed(error),
    }
}

async fn batch(node: &Node, calls: &[Call]) -> Response {
    if let Err(error) = node.check_batch(calls.len()) {
        return failed(error);
    }
    let mut handled = join_all(calls.iter().map(|call| node.handle(call, None))).await;
    let spoiled = handled
        .iter_mut()
        .find_map(|handled| handled.spoiled.take());
    respond(batch_text(calls, &handled), spoiled).await
}

/// The replies of a batch, in the order of its calls.
pub(crate) fn batch_text(calls: &[Call], handled: &[Handled]) -> String {
    let mut text = String::from("[");
    for (index, (call, handled)) in calls.iter().zip(handled).enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_reply(&mut text, call.id.as_deref(), &handled.answer);
    }
    text.push(']');
    text
}

/// An answer to a request that has no id to answer to.
fn failed(error: RpcError) -> Response {
    let mut text = String::new();
    write_reply(&mut text, None, &Err(error));
    json(Body::from(text))
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn respond(text: String, spoiled: Option<Fault>) -> Response {
    match spoiled {
        Some(Fault::NeverAnswer) => std::future::pending().await,
        Some(Fault::TooManyRequests { retry_after_secs }) => {
            let mut response = (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests").into_response();
            if let Some(seconds) = retry_after_secs {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
        Some(Fault::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, status.canonical_reason().unwrap_or("error")).into_response()
        }
        Some(Fault::TruncatedBody) => json(Body::from(first_half(&text).to_owned())),
        Some(Fault::CutConnection) => cut(&text),
        _ => json(Body::from(text)),
    }
}

/// Promises the whole reply, sends half of it, then breaks: hyper closes the connection on the error.
fn cut(text: &str) -> Response {
    let promised = HeaderValue::from(text.len());
    let half = Bytes::from(first_half(text).to_owned());
    let broken = io::Error::from(io::ErrorKind::ConnectionReset);
    let mut response = json(Body::from_stream(stream::iter([Ok(half), Err(broken)])));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, promised);
    response
}

/// Half of a reply, cut between characters.
pub(crate) fn first_half(text: &str) -> &str {
    &text[..text.floor_char_boundary(text.len() / 2)]
}
