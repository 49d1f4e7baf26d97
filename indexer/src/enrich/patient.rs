//! The node as readings ask it: each request waits until the head does not need the node.

use crate::{
    error::IndexError,
    node::{Call, Node, REPLY_TIMEOUT},
    nodes::reply::{CallError, Reply},
    precedence::Precedence,
    source::Source,
};
use alloy::rpc::json_rpc::RpcSend;
use serde_json::value::RawValue;
use std::time::Duration;

/// A node that is asked when the head does not need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PatientNode<'a> {
    node: &'a Node,
    precedence: &'a Precedence,
}

impl<'a> PatientNode<'a> {
    /// One of the nodes.
    pub(super) fn new(source: &'a Source, index: usize) -> Self {
        Self {
            node: &source.nodes()[index],
            precedence: &source.pool.precedence,
        }
    }

    /// The node that is followed.
    pub(super) fn followed(source: &'a Source) -> Self {
        Self::new(source, source.current().0)
    }

    pub(super) fn label(&self) -> &'a str {
        self.node.label()
    }

    pub(super) fn failure(&self, method: &'static str, error: CallError) -> IndexError {
        self.node.failure(method, error)
    }

    /// Makes one call that may take so long.
    pub(super) async fn call_within<P: RpcSend>(
        &self,
        patience: Duration,
        method: &'static str,
        params: P,
    ) -> Reply {
        let _turn = self.precedence.turn().await;
        self.node.call_within(patience, method, params).await
    }

    /// Makes one call; every failure is one that readings know how to handle.
    pub(super) async fn ask<P: RpcSend>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<Box<RawValue>, IndexError> {
        let reply = self.call_within(REPLY_TIMEOUT, method, params).await;
        reply.map_err(|error| self.failure(method, error))
    }

    /// Makes several calls in one request. Also says how long that took the node, where it had nothing
    /// else to do.
    pub(super) async fn batch(
        &self,
        calls: &[Call],
    ) -> (Result<Vec<Reply>, CallError>, Option<Duration>) {
        let turn = self.precedence.turn().await;
        let replies = match calls {
            [call] => Ok(vec![
                self.node
                    .call_within(REPLY_TIMEOUT, call.method, &call.params)
                    .await,
            ]),
            _ => self.node.batch(REPLY_TIMEOUT, calls).await,
        };
        (replies, turn.took())
    }
}
