//! One node: a JSON-RPC endpoint over HTTP or WebSocket.
//!
//! In: method and parameters. Out: the raw JSON of the result, or an error that says what to do. A
//! connection is made when it is first needed and made again after it broke. Never retries by
//! itself: whether to wait, to ask another node or to give up is the caller's decision.

use crate::{error::IndexError, metrics};
use alloy::{
    pubsub::{ConnectionHandle, PubSubConnect},
    rpc::{
        client::{ClientBuilder, RpcClient},
        json_rpc::{RpcError, RpcSend},
    },
    transports::{TransportError, TransportErrorKind, TransportResult, ws::WsConnect},
};
use serde_json::value::RawValue;
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};
use url::Url;

/// How long a node may take for one reply. Blocks of a busy chain take seconds on a slow node; a
/// node that needs longer is as good as gone.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest pause that a node can ask for with `Retry-After`.
const LONGEST_REQUESTED_PAUSE: Duration = Duration::from_mins(1);

/// JSON-RPC codes that answer a question for good: invalid parameters, and Besu's "Unknown block".
/// Any other may be the node's condition (warming up, overloaded, broken) and pass.
const ANSWER_CODES: [i64; 2] = [-32602, -39001];

/// Most of a node's error message that is repeated in ours: it may hold the whole reply.
const MESSAGE_LIMIT: usize = 200;

/// JSON-RPC codes that mean "this node cannot do that": method not found, and Besu's disabled method.
const UNSUPPORTED_CODES: [i64; 2] = [-32601, -32604];

/// A reply that is no result.
#[derive(Debug)]
pub enum CallError {
    /// The node does not have this method.
    Unsupported,
    /// The node answered with an error.
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// Its message.
        message: String,
    },
    /// The node has too much to do, and says for how long.
    Busy(Duration),
    /// No usable answer came.
    Unreachable(String),
}

impl CallError {
    /// Whether this is the node's answer to the question, and not a sign of its condition.
    pub(crate) fn is_an_answer(&self) -> bool {
        match self {
            Self::Unsupported => true,
            Self::Refused { code, .. } => ANSWER_CODES.contains(code),
            Self::Busy(_) | Self::Unreachable(_) => false,
        }
    }

    fn outcome(&self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Refused { .. } => "refused",
            Self::Busy(_) => "busy",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

/// A WebSocket that is not made again when it breaks, so that what waits for an answer fails at once.
///
/// The transport would else connect again and repeat every request by itself, endlessly where a node
/// breaks the connection at each of them. Reconnecting is ours: a break must be noticed.
struct Once(WsConnect);

impl PubSubConnect for Once {
    fn is_local(&self) -> bool {
        self.0.is_local()
    }

    async fn connect(&self) -> TransportResult<ConnectionHandle> {
        self.0.connect().await
    }

    async fn try_reconnect(&self) -> TransportResult<ConnectionHandle> {
        Err(TransportErrorKind::backend_gone())
    }
}

/// A JSON-RPC endpoint.
#[derive(Debug)]
pub struct Node {
    url: Url,
    label: String,
    client: Mutex<Option<RpcClient>>,
}

impl Node {
    /// A node that is not connected yet.
    #[must_use]
    pub fn new(url: Url) -> Self {
        let port = url.port_or_known_default().unwrap_or_default();
        Self {
            label: format!("{}:{port}", url.host_str().unwrap_or("?")),
            url,
            client: Mutex::new(None),
        }
    }

    /// Host and port: what logs and metrics call it. Paths and credentials often hold keys.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The WebSocket endpoint, when it is one.
    #[must_use]
    pub fn websocket(&self) -> Option<WsConnect> {
        matches!(self.url.scheme(), "ws" | "wss")
            .then(|| WsConnect::new(self.url.as_str()).with_max_retries(0))
    }

    /// Makes one call.
    pub async fn call<P: RpcSend>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<Box<RawValue>, CallError> {
        let started = Instant::now();
        // Boxed: the transport's state is large, and every future above would carry it.
        let request = Box::pin(self.request(method, params));
        let reply = tokio::time::timeout(REPLY_TIMEOUT, request).await;
        let result = match reply {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(classify(error)),
            Err(_) => Err(CallError::Unreachable(format!(
                "no reply to {method} within {} s",
                REPLY_TIMEOUT.as_secs()
            ))),
        };
        if let Err(CallError::Unreachable(_)) = &result {
            self.disconnect();
        }
        let outcome = result.as_ref().map_or_else(CallError::outcome, |_| "ok");
        metrics::rpc_request(&self.label, method, outcome, started.elapsed());
        result
    }

    /// [`Self::call`] with every failure as one the follower knows how to handle.
    pub async fn ask<P: RpcSend>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<Box<RawValue>, IndexError> {
        let result = self.call(method, params).await;
        result.map_err(|error| self.failure(method, error))
    }

    /// A failed call as an error that names the node and the reaction.
    pub(crate) fn failure(&self, method: &'static str, error: CallError) -> IndexError {
        let label = &self.label;
        IndexError::Transient(match error {
            CallError::Unsupported => format!("node {label} does not support {method}"),
            CallError::Refused { code, message } => {
                format!("node {label} refused {method}: {message} ({code})")
            }
            CallError::Unreachable(reason) => format!("node {label} cannot be reached: {reason}"),
            CallError::Busy(pause) => {
                return IndexError::Busy {
                    node: label.clone(),
                    pause: pause.min(LONGEST_REQUESTED_PAUSE),
                };
            }
        })
    }

    async fn request<P: RpcSend>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<Box<RawValue>, TransportError> {
        let client = self.connect().await?;
        client.request::<P, Box<RawValue>>(method, params).await
    }

    async fn connect(&self) -> Result<RpcClient, TransportError> {
        if let Some(client) = self.connected() {
            return Ok(client);
        }
        let client = match self.websocket() {
            Some(websocket) => ClientBuilder::default().pubsub(Once(websocket)).await?,
            None => ClientBuilder::default().http(self.url.clone()),
        };
        *self.lock() = Some(client.clone());
        Ok(client)
    }

    fn connected(&self) -> Option<RpcClient> {
        self.lock().clone()
    }

    fn disconnect(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<RpcClient>> {
        // A panic while the slot was held cannot have left it half written.
        self.client
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn classify(error: TransportError) -> CallError {
    match error {
        RpcError::ErrorResp(payload) if UNSUPPORTED_CODES.contains(&payload.code) => {
            CallError::Unsupported
        }
        RpcError::ErrorResp(payload) => CallError::Refused {
            code: payload.code,
            message: shorten(&payload.message),
        },
        RpcError::DeserError { err, .. } => {
            CallError::Unreachable(format!("the reply is not JSON-RPC: {err}"))
        }
        RpcError::Transport(TransportErrorKind::HttpErrorWithRetryAfter {
            retry_after, ..
        }) => CallError::Busy(retry_after),
        RpcError::Transport(TransportErrorKind::HttpError(error)) => {
            CallError::Unreachable(format!("HTTP status {}", error.status))
        }
        other => CallError::Unreachable(shorten(&sources(&other))),
    }
}

/// An error with its causes: the outermost alone often says only "error sending request".
fn sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn shorten(text: &str) -> String {
    // A URL in a message may hold a key: reqwest adds "for url (…)".
    let text = match text.split_once(" for url (") {
        Some((before, after)) => {
            let rest = after.split_once(')').map_or("", |(_, rest)| rest);
            format!("{before}{rest}")
        }
        None => text.to_owned(),
    };
    match text.char_indices().nth(MESSAGE_LIMIT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_out_of_a_message_and_its_cause_is_kept() {
        let message = "error sending request for url (http://u:p@h/key): connection refused";
        assert_eq!(
            shorten(message),
            "error sending request: connection refused"
        );
        assert!(shorten(&"x".repeat(1_000)).chars().count() <= MESSAGE_LIMIT + 1);
    }
}
