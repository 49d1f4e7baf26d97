//! JSON-RPC over HTTP POST, single calls and batches.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;

use crate::faults::Fault;
use crate::limits::Refused;
use crate::methods::RpcError;
use crate::node::Node;
use crate::wire::{self, Call, Reply, Request, write_batch, write_reply};

pub(crate) async fn post(State(node): State<Arc<Node>>, body: Bytes) -> Response {
    let _flight = node.requests.http();
    let request = match str::from_utf8(&body) {
        Ok(text) => wire::parse(text),
        Err(_) => Err(RpcError::new(-32700, "Parse error: not UTF-8")),
    };
    match request {
        Ok(Request::One(call)) => {
            let mut handled = node.handle_one(&call, None).await;
            let spoiled = handled.spoiled.take();
            let mut reply = Reply::default();
            write_reply(&mut reply, call.id.as_deref(), &handled.answer);
            respond(reply, spoiled).await
        }
        Ok(Request::Batch(calls)) => batch(&node, &calls).await,
        Err(error) => failed(&error),
    }
}

async fn batch(node: &Node, calls: &[Call]) -> Response {
    let mut handled = match node.handle_all(calls, None).await {
        Ok(handled) => handled,
        Err(Refused::Whole(error)) => return failed(&error),
        Err(Refused::First(error)) => {
            let first = calls.iter().take(1).map(|call| (call, Err(error.clone())));
            let first: Vec<_> = first.collect();
            let first = first.iter().map(|(call, error)| (*call, error));
            return respond(write_batch(first), None).await;
        }
        Err(Refused::Status(status)) => return refused(status),
    };
    let spoiled = handled
        .iter_mut()
        .find_map(|handled| handled.spoiled.take());
    let answers = handled.iter().map(|handled| &handled.answer);
    respond(write_batch(calls.iter().zip(answers)), spoiled).await
}

/// An answer to a request that has no id to answer to.
fn failed(error: &RpcError) -> Response {
    let mut reply = Reply::default();
    write_reply(&mut reply, None, &Err(error.clone()));
    json(Body::from(reply.into_text()))
}

fn refused(status: StatusCode) -> Response {
    (status, status.canonical_reason().unwrap_or("error")).into_response()
}

/// The pieces as they are: the socket takes several at once, nothing joins them.
fn whole(reply: Reply) -> Response {
    let pieces = reply.into_pieces();
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut pieces: Vec<_> = pieces.into_iter().map(Ok::<_, io::Error>).collect();
    let body = match (pieces.pop(), pieces.is_empty()) {
        (Some(Ok(only)), true) => Body::from(only),
        (last, _) => Body::from_stream(stream::iter(pieces.into_iter().chain(last))),
    };
    let mut response = json(body);
    let length = HeaderValue::from(length);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length);
    response
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn respond(reply: Reply, spoiled: Option<Fault>) -> Response {
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
            refused(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Some(Fault::TruncatedBody) => json(Body::from(first_half(&reply.into_text()).to_owned())),
        Some(Fault::CutConnection) => cut(&reply.into_text()),
        _ => whole(reply),
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
