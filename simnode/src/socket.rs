//! JSON-RPC over WebSocket, with `newHeads` notifications.
//!
//! Calls of one socket are answered concurrently, as by a real node: a slow one holds up no other.
//! A head that moves while a subscription's reply is being sent may go unannounced to it.

use std::sync::{Arc, PoisonError};

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures::future::join_all;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use crate::block::CannedBlock;
use crate::faults::Fault;
use crate::http::{batch_text, first_half};
use crate::methods::RpcError;
use crate::node::{Handled, Node, Subscriptions};
use crate::wire::{self, Request, notification, write_reply};

/// What becomes of one message.
enum Reply {
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
    let mut answers: JoinSet<Reply> = JoinSet::new();
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
                Ok(Reply::Text(text, subscribed)) => {
                    if socket.send(Message::Text(text.into())).await.is_err() {
                        return;
                    }
                    for id in subscribed {
                        subscriptions.add(id);
                    }
                }
                Ok(Reply::Never) => {}
                Ok(Reply::Close) | Err(_) => return,
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

async fn answer(node: &Node, subscriptions: &Subscriptions, text: &str) -> Reply {
    let (text, handled) = match wire::parse(text) {
        Ok(Request::One(call)) => {
            let handled = node.handle(&call, Some(subscriptions)).await;
            let answer = match as_error(handled.spoiled.as_ref()) {
                Some(error) => &Err(error),
                None => &handled.answer,
            };
            let mut text = String::new();
            write_reply(&mut text, call.id.as_deref(), answer);
            (text, vec![handled])
        }
        Ok(Request::Batch(calls)) => match node.check_batch(calls.len()) {
            Ok(()) => {
                let handle = |call| node.handle(call, Some(subscriptions));
                let mut handled = join_all(calls.iter().map(handle)).await;
                for one in &mut handled {
                    if let Some(error) = as_error(one.spoiled.as_ref()) {
                        one.answer = Err(error);
                    }
                }
                (batch_text(&calls, &handled), handled)
            }
            Err(error) => return failed(error),
        },
        Err(error) => return failed(error),
    };
    spoil(text, &handled)
}

/// Acts out what a socket can: silence, a half message, a closed connection.
fn spoil(text: String, handled: &[Handled]) -> Reply {
    let subscribed = handled.iter().filter_map(|one| one.subscribed).collect();
    match handled.iter().find_map(|one| one.spoiled.as_ref()) {
        Some(Fault::NeverAnswer) => Reply::Never,
        Some(Fault::CutConnection) => Reply::Close,
        Some(Fault::TruncatedBody) => Reply::Text(first_half(&text).to_owned(), Vec::new()),
        Some(_) => Reply::Text(text, Vec::new()),
        None => Reply::Text(text, subscribed),
    }
}

/// HTTP statuses have no other form on a socket.
fn as_error(spoiled: Option<&Fault>) -> Option<RpcError> {
    match spoiled? {
        Fault::TooManyRequests { .. } => Some(RpcError::new(429, "Too Many Requests")),
        Fault::Status(status) => Some(RpcError::new(i64::from(*status), "error")),
        _ => None,
    }
}

fn failed(error: RpcError) -> Reply {
    let mut text = String::new();
    write_reply(&mut text, None, &Err(error));
    Reply::Text(text, Vec::new())
}
