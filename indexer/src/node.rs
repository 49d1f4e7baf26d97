//! One node: a JSON-RPC endpoint over HTTP or WebSocket.
//!
//! In: method and parameters. Out: the raw JSON of the result, or an error that says what to do. A
//! connection is made when it is first needed and made again after it broke. Never retries by
//! itself: whether to wait, to ask another node or to give up is the caller's decision.

use crate::{
    error::IndexError,
    metrics,
    nodes::{
        reply::{CallError, Reply, read, sort},
        standing::LONGEST_REQUESTED_PAUSE,
    },
};
use alloy::{
    pubsub::{ConnectionHandle, PubSubConnect},
    rpc::{
        client::{ClientBuilder, RpcClient},
        json_rpc::{RequestPacket, RpcSend},
    },
    transports::{TransportError, TransportErrorKind, TransportResult, ws::WsConnect},
};
use serde_json::{Value, value::RawValue};
use std::{
    future::Future,
    sync::Mutex,
    time::{Duration, Instant},
};
use tower::Service as _;
use url::Url;

/// How long a node may take for one reply. Blocks of a busy chain take seconds on a slow node; a
/// node that needs longer is as good as gone.
pub(crate) const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause after "too many requests" where the node does not name one.
const UNNAMED_PAUSE: Duration = Duration::from_secs(1);

/// A call that is made together with others.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) params: Value,
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

    /// The nodes of a list. Two on one host, with different keys, have different labels.
    pub(crate) fn list(urls: &[Url]) -> Vec<std::sync::Arc<Self>> {
        let mut nodes: Vec<std::sync::Arc<Self>> = Vec::with_capacity(urls.len());
        for url in urls {
            let mut node = Self::new(url.clone());
            let plain = node.label.clone();
            let mut count = 1;
            while nodes.iter().any(|other| other.label == node.label) {
                count += 1;
                node.label = format!("{plain}#{count}");
            }
            nodes.push(std::sync::Arc::new(node));
        }
        nodes
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
        self.call_within(REPLY_TIMEOUT, method, params).await
    }

    /// Makes one call that may take so long.
    pub(crate) async fn call_within<P: RpcSend>(
        &self,
        patience: Duration,
        method: &'static str,
        params: P,
    ) -> Reply {
        // Boxed: the transport's state is large, and every future above would carry it.
        let request = Box::pin(async {
            let client = self.connect().await?;
            client.request::<P, Box<RawValue>>(method, params).await
        });
        self.timed(patience, method, async { request.await.map_err(read) })
            .await
    }

    /// Makes several calls in one request over HTTP, one after the other without waiting over
    /// WebSocket. Results are in the order of the calls.
    pub(crate) async fn batch(
        &self,
        patience: Duration,
        calls: &[Call],
    ) -> Result<Vec<Reply>, CallError> {
        let request = Box::pin(async {
            let client = self.connect().await.map_err(read)?;
            let mut ids = Vec::with_capacity(calls.len());
            let mut packet = RequestPacket::with_capacity(calls.len());
            for call in calls {
                let request = client.make_request(call.method, &call.params);
                ids.push(request.meta.id.clone());
                packet.push(request.serialize().map_err(|error| {
                    CallError::Garbled(format!("parameters that are no JSON: {error}"))
                })?);
            }
            let sent = client.transport().clone().call(packet);
            sort(&ids, sent.await.map_err(read)?)
        });
        self.timed(patience, "batch", request).await
    }

    async fn timed<T>(
        &self,
        patience: Duration,
        method: &'static str,
        request: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let started = Instant::now();
        let reply = tokio::time::timeout(patience, request).await;
        let result = reply.unwrap_or_else(|_| {
            Err(CallError::TimedOut(format!(
                "no reply to {method} within {} s",
                patience.as_secs()
            )))
        });
        if result.as_ref().is_err_and(CallError::breaks_the_connection) {
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
            CallError::TooLarge(message) => format!(
                "node {label} refused {method} as too large: {message}: raise the node's limits, or \
                 use another node"
            ),
            CallError::Pruned(message) => {
                format!("node {label} has pruned what {method} asks for: {message}")
            }
            CallError::Unreachable(reason)
            | CallError::TimedOut(reason)
            | CallError::Garbled(reason) => format!("node {label} cannot be reached: {reason}"),
            CallError::Busy(pause) => {
                return IndexError::Busy {
                    node: label.clone(),
                    pause: pause.unwrap_or(UNNAMED_PAUSE).min(LONGEST_REQUESTED_PAUSE),
                };
            }
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_one_host_have_names_of_their_own() {
        let url = |path: &str| format!("https://h.example/{path}").parse().expect("a URL");
        let nodes = Node::list(&[url("key1"), url("key2"), url("key3")]);
        let labels: Vec<&str> = nodes.iter().map(|node| node.label()).collect();
        assert_eq!(
            labels,
            ["h.example:443", "h.example:443#2", "h.example:443#3"]
        );
    }
}
