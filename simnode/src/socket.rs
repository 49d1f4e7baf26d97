//! JSON-RPC over WebSocket, with `newHeads` notifications.
//!
//! Calls of one socket are answered concurrently, as by a real node: a slow one holds up no other.
//! A head that moves while a subscription's reply is being sent may go unannounced to it.

use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use crate::block::CannedBlock;
use crate::faults::Fault;
use crate::http::first_half;
use crate::limits::Refused;
use crate::methods::RpcError;
use crate::node::{Handled, Node, Subscriptions};
use crate::wire::{self, Call, Reply, Request, notification, write_batch, write_reply};

/// What becomes of one message.
enum Outcome {
    /// Sent, and the notifications of these subscriptions begin.
    Text(String, Vec<u64>),
    Never,
    Close,
}

pub(crate) async fn upgrade(State(node): State<Arc<Node>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| serve(socket, node))
}

async fn serve(mut socket: WebSocket, node: Arc<Node>) {
    node.requests.socket();
    let switches = node
        .sockets
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let subscriptions = Arc::new(Subscriptions::default());
    let mut heads = node.chain.heads();
    let mut answers: JoinSet<Outcome> = JoinSet::new();
    loop {
        tokio::select! {
            // In this order: a socket that was muted must not let one more head slip through.
            biased;
            // Dropped without a closing handshake, as when a node dies.
            () = switches.close.cancelled() => return,
            // Neither reads nor writes again, not even a pong: what a dead route looks like.
            () = switches.mute.cancelled() => switches.close.cancelled().await,
            head = heads.recv() => match head {
                Ok(head) => {
                    if notify(&mut socket, &subscriptions, &head).await.is_err() {
                        return;
                    }
                }
                // A socket that cannot keep up misses heads, as with a real node.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            Some(reply) = answers.join_next(), if !answers.is_empty() => match reply {
                Ok(Outcome::Text(text, subscribed)) => {
                    if socket.send(Message::Text(text.into())).await.is_err() {
                        return;
                    }
                    for id in subscribed {
                        subscriptions.add(id);
                    }
                }
                Ok(Outcome::Never) => {}
                Ok(Outcome::Close) | Err(_) => return,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    let (node, subscriptions) = (Arc::clone(&node), Arc::clone(&subscriptions));
                    answers.spawn(async move { answer(&node, &subscriptions, &text).await });
                }
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        }
    }
}

async fn notify(
    socket: &mut WebSocket,
    subscriptions: &Subscriptions,
    head: &CannedBlock,
) -> Result<(), axum::Error> {
    for id in subscriptions.list() {
        let text = notification(id, head.header().as_str());
        socket.send(Message::Text(text.into())).await?;
    }
    Ok(())
}

async fn answer(node: &Node, subscriptions: &Subscriptions, text: &str) -> Outcome {
    match wire::parse(text) {
        Ok(Request::One(call)) => {
            let mut handled = node.handle_one(&call, Some(subscriptions)).await;
            told(&mut handled);
            let mut reply = Reply::default();
            write_reply(&mut reply, call.id.as_deref(), &handled.answer);
            spoil(reply, &[handled])
        }
        Ok(Request::Batch(calls)) => batch(node, subscriptions, &calls).await,
        Err(error) => failed(None, error),
    }
}

async fn batch(node: &Node, subscriptions: &Subscriptions, calls: &[Call]) -> Outcome {
    match node.handle_all(calls, Some(subscriptions)).await {
        Ok(mut handled) => {
            handled.iter_mut().for_each(told);
            let answers = handled.iter().map(|one| &one.answer);
            spoil(write_batch(calls.iter().zip(answers)), &handled)
        }
        Err(Refused::Whole(error)) => failed(None, error),
        Err(Refused::First(error)) => failed(calls.first(), error),
        Err(Refused::Status(status)) => {
            let code = i64::from(status.as_u16());
            failed(None, RpcError::new(code, "Payload Too Large"))
        }
    }
}

/// Acts out what a socket can: silence, a half message, a closed connection.
fn spoil(reply: Reply, handled: &[Handled]) -> Outcome {
    let text = reply.into_text();
    let subscribed = handled.iter().filter_map(|one| one.subscribed).collect();
    match handled.iter().find_map(|one| one.spoiled.as_ref()) {
        Some(Fault::NeverAnswer) => Outcome::Never,
        Some(Fault::CutConnection) => Outcome::Close,
        Some(Fault::TruncatedBody) => Outcome::Text(first_half(&text).to_owned(), Vec::new()),
        Some(_) => Outcome::Text(text, Vec::new()),
        None => Outcome::Text(text, subscribed),
    }
}

/// HTTP statuses have no other form on a socket.
fn told(handled: &mut Handled) {
    let (code, message) = match handled.spoiled {
        Some(Fault::TooManyRequests { .. }) => (429, "Too Many Requests"),
        Some(Fault::Status(status)) => (i64::from(status), "error"),
        _ => return,
    };
    handled.answer = Err(RpcError::new(code, message));
}

/// An error instead of a reply: without an id, or as a batch of one for this call.
fn failed(call: Option<&Call>, error: RpcError) -> Outcome {
    let answer = Err(error);
    let reply = if let Some(call) = call {
        write_batch(std::iter::once((call, &answer)))
    } else {
        let mut reply = Reply::default();
        write_reply(&mut reply, None, &answer);
        reply
    };
    Outcome::Text(reply.into_text(), Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::CannedChain;
    use crate::limits::BatchRefusal;

    #[tokio::test]
    async fn a_batch_that_is_too_large_is_refused_over_a_socket_too() {
        let node = Node::new(CannedChain::new(1));
        let one = r#"{"jsonrpc":"2.0","id":4,"method":"eth_chainId","params":[]}"#;
        let batch = format!("[{one},{one}]");
        for (refusal, expected) in [
            (
                BatchRefusal::InList,
                r#"[{"jsonrpc":"2.0","id":4,"error":{"code":-32600,"#,
            ),
            (
                BatchRefusal::LimitExceeded,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"#,
            ),
            (
                BatchRefusal::PayloadTooLarge,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":413,"#,
            ),
        ] {
            node.limits.set_batch(Some((1, refusal)));
            match answer(&node, &Subscriptions::default(), &batch).await {
                Outcome::Text(told, subscribed) => {
                    assert!(told.starts_with(expected), "{refusal:?}: {told}");
                    assert!(subscribed.is_empty());
                }
                Outcome::Never | Outcome::Close => panic!("{refusal:?} is told"),
            }
        }
    }
}
