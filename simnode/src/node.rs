//! One call from its arrival to its answer: counted, spoiled by a fault or answered from the chain.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use futures::future::join_all;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::chain::CannedChain;
use crate::faults::{Edit, Fault, Faults};
use crate::json::{Json, parse_quantity};
use crate::limits::{Limits, Refused};
use crate::methods::{self, Answer, Receipts, RpcError};
use crate::requests::Requests;
use crate::wire::Call;

/// Answers a method that the node does not know by itself, or replaces one that it does.
pub(crate) type Responder = Arc<dyn Fn(&[Value]) -> Result<Json, RpcError> + Send + Sync>;

/// What HTTP and WebSocket handlers share. Outlives a stop, so a node comes back as it was.
pub(crate) struct Node {
    pub(crate) chain: CannedChain,
    pub(crate) faults: Faults,
    pub(crate) requests: Requests,
    pub(crate) responders: RwLock<HashMap<String, Responder>>,
    pub(crate) limits: Limits,
    pub(crate) sockets: Mutex<SocketSwitches>,
    next_subscription: AtomicU64,
}

/// Reach every socket that is open; a new socket takes the switches as they are then.
#[derive(Clone, Default)]
pub(crate) struct SocketSwitches {
    pub(crate) mute: CancellationToken,
    pub(crate) close: CancellationToken,
}

/// The subscriptions of one socket.
#[derive(Default)]
pub(crate) struct Subscriptions(Mutex<HashSet<u64>>);

impl Subscriptions {
    pub(crate) fn add(&self, id: u64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
    }

    pub(crate) fn list(&self) -> Vec<u64> {
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().copied().collect()
    }

    fn remove(&self, id: u64) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id)
    }
}

/// A call that was dealt with.
pub(crate) struct Handled {
    pub(crate) answer: Answer,
    /// A fault of the transport, for the handler to act out on the whole reply.
    pub(crate) spoiled: Option<Fault>,
    /// Notifications begin once the reply is on its way: no client gets one for an id it never saw.
    pub(crate) subscribed: Option<u64>,
}

impl Handled {
    fn new(answer: Answer) -> Self {
        Self {
            answer,
            spoiled: None,
            subscribed: None,
        }
    }
}

impl Node {
    pub(crate) fn new(chain: CannedChain) -> Self {
        Self {
            chain,
            faults: Faults::default(),
            requests: Requests::default(),
            responders: RwLock::default(),
            limits: Limits::default(),
            sockets: Mutex::default(),
            next_subscription: AtomicU64::new(1),
        }
    }

    /// Deals with the calls of a batch, all at once.
    pub(crate) async fn handle_all(
        &self,
        calls: &[Call],
        socket: Option<&Subscriptions>,
    ) -> Result<Vec<Handled>, Refused> {
        self.requests.batch(calls.len());
        self.limits.check_batch(calls.len())?;
        let mut handled = join_all(calls.iter().map(|call| self.handle(call, socket))).await;
        self.limits.shorten(handled.iter_mut());
        Ok(handled)
    }

    /// Deals with a call that came alone.
    pub(crate) async fn handle_one(&self, call: &Call, socket: Option<&Subscriptions>) -> Handled {
        let mut handled = self.handle(call, socket).await;
        self.limits.shorten(std::iter::once(&mut handled));
        handled
    }

    /// Deals with one call; `socket` holds the subscriptions when it came over a WebSocket.
    async fn handle(&self, call: &Call, socket: Option<&Subscriptions>) -> Handled {
        self.requests.call(&call.method);
        let drawn = self.faults.draw(&call.method);
        if !drawn.delay.is_zero() {
            tokio::time::sleep(drawn.delay).await;
        }
        let answer = |behind, receipts| self.answer(call, socket, behind, receipts);
        match drawn.fault {
            None => answer(0, Receipts::True),
            Some(Fault::Null) => Handled::new(Ok(Json::null())),
            Some(Fault::Unsupported) => Handled::new(Err(RpcError::method_not_found(&call.method))),
            Some(Fault::Error { code, message }) => Handled::new(Err(RpcError { code, message })),
            Some(Fault::StaleHead(behind)) => answer(behind, Receipts::True),
            Some(Fault::ReceiptsOfAnotherBlock) => answer(0, Receipts::OfAnotherBlock),
            Some(Fault::Edit(edit)) => edited(answer(0, Receipts::True), &edit),
            Some(Fault::SilentSubscription) => {
                let mut handled = answer(0, Receipts::True);
                handled.subscribed = None;
                handled
            }
            Some(Fault::Latency(_)) => unreachable!("latency is drawn as a delay"),
            Some(
                spoiled @ (Fault::TooManyRequests { .. }
                | Fault::Status(_)
                | Fault::NeverAnswer
                | Fault::TruncatedBody
                | Fault::CutConnection),
            ) => Handled {
                spoiled: Some(spoiled),
                ..answer(0, Receipts::True)
            },
        }
    }

    fn answer(
        &self,
        call: &Call,
        socket: Option<&Subscriptions>,
        behind: u64,
        receipts: Receipts,
    ) -> Handled {
        if let Some(respond) = self.responder(&call.method) {
            return Handled::new(respond(call.params()));
        }
        match (call.method.as_str(), socket) {
            ("eth_subscribe", Some(_)) => self.subscribe(call.params()),
            ("eth_unsubscribe", Some(subscriptions)) => {
                let id = call
                    .params()
                    .first()
                    .and_then(Value::as_str)
                    .and_then(parse_quantity);
                let ended = id.is_some_and(|id| subscriptions.remove(id));
                Handled::new(Ok(Json::from(if ended { "true" } else { "false" })))
            }
            (method, _) => Handled::new(self.chain.read(behind, |view| {
                methods::answer(view, method, call.params(), receipts)
            })),
        }
    }

    fn subscribe(&self, params: &[Value]) -> Handled {
        if params.first().and_then(Value::as_str) != Some("newHeads") {
            return Handled::new(Err(RpcError::invalid_params(
                "only newHeads can be subscribed to",
            )));
        }
        let id = self.next_subscription.fetch_add(1, Ordering::Relaxed);
        Handled {
            subscribed: Some(id),
            ..Handled::new(Ok(Json::quantity(id)))
        }
    }

    fn responder(&self, method: &str) -> Option<Responder> {
        let responders = self
            .responders
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        responders.get(method).cloned()
    }
}

/// The only place where a result is parsed and serialised again: tampering is meant to be rare.
fn edited(mut handled: Handled, edit: &Edit) -> Handled {
    if let Ok(body) = &handled.answer {
        let mut value = serde_json::from_str(body.as_str()).unwrap_or(Value::Null);
        edit(&mut value);
        handled.answer = Ok(Json::from(&value));
    }
    handled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Request};

    async fn ask(node: &Node, socket: Option<&Subscriptions>, text: &str) -> Handled {
        match wire::parse(text) {
            Ok(Request::One(call)) => node.handle(&call, socket).await,
            other => panic!("one call was meant: {other:?}"),
        }
    }

    fn told(handled: &Handled) -> Result<&str, i64> {
        handled
            .answer
            .as_ref()
            .map(Json::as_str)
            .map_err(|error| error.code)
    }

    #[tokio::test]
    async fn a_subscription_ends_once_and_exists_on_its_own_socket_only() {
        let node = Node::new(CannedChain::new(1));
        let (socket, other) = (Subscriptions::default(), Subscriptions::default());
        let subscribe = r#"{"id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
        let handled = ask(&node, Some(&socket), subscribe).await;
        assert_eq!(
            (told(&handled), handled.subscribed),
            (Ok("\"0x1\""), Some(1))
        );
        assert!(socket.list().is_empty(), "begins when the reply was sent");
        socket.add(1);
        let end = r#"{"id":2,"method":"eth_unsubscribe","params":["0x1"]}"#;
        assert_eq!(told(&ask(&node, Some(&other), end).await), Ok("false"));
        assert_eq!(told(&ask(&node, Some(&socket), end).await), Ok("true"));
        assert_eq!(told(&ask(&node, Some(&socket), end).await), Ok("false"));
        assert!(socket.list().is_empty());
    }

    #[tokio::test]
    async fn only_new_heads_can_be_subscribed_to_and_only_over_a_socket() {
        let node = Node::new(CannedChain::new(1));
        let socket = Subscriptions::default();
        let logs = r#"{"id":1,"method":"eth_subscribe","params":["logs"]}"#;
        assert_eq!(told(&ask(&node, Some(&socket), logs).await), Err(-32602));
        let heads = r#"{"id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
        assert_eq!(told(&ask(&node, None, heads).await), Err(-32601));
    }
}
