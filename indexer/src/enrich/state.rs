//! Calls about the state after a block.
//!
//! In: calls, and at which block. Out: the replies in order. As many go into one request as the node
//! takes. A refusal of a single call is its answer; what is the node's condition ends the whole.

use super::patient::PatientNode;
use crate::{
    error::IndexError,
    node::{Call, REPLY_TIMEOUT},
    nodes::reply::{CallError, Reply},
};
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use serde::de::DeserializeOwned;
use serde_json::{Value, json, value::RawValue};
use std::time::Duration;
use store::state::BlockRef;

/// Calls in one request, at most: a proof is some kilobytes long.
const MOST_CALLS: usize = 100;

/// A request that takes the node longer is too large: a head that comes meanwhile waits for it. Few calls
/// are never too many, since of them it is the way to the node that takes long.
const LONG: Duration = Duration::from_millis(250);
const FEW_CALLS: usize = 10;

/// Why state was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The node has no such method.
    #[error("the node has no such method")]
    Unavailable,
    /// The node does not tell of the state after this block.
    #[error("the node does not tell of the state after block {0}")]
    Missing(u64),
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] IndexError),
}

impl From<sqlx::Error> for StateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// How blocks are named to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By hash (EIP-1898).
    Hash,
    /// By number, where the node does not take hashes: what it then has there is compared.
    Number,
}

impl Naming {
    pub(crate) fn name(self, block: BlockRef) -> Value {
        match self {
            Self::Hash => json!({ "blockHash": block.hash }),
            Self::Number => json!(U64::from(block.number)),
        }
    }
}

/// How many calls the node takes in one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    calls: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { calls: MOST_CALLS }
    }
}

impl Batch {
    /// Makes all calls. Replies are results, or refusals of single calls.
    pub(crate) async fn ask(
        &mut self,
        node: &PatientNode<'_>,
        calls: &[Call],
    ) -> Result<Vec<Reply>, IndexError> {
        let mut replies = Vec::with_capacity(calls.len());
        while replies.len() < calls.len() {
            let rest = &calls[replies.len()..];
            let part = &rest[..rest.len().min(self.calls)];
            let (part_replies, took) = node.batch(part).await;
            match part_replies {
                Ok(part_replies) => {
                    let whole = take(node, part_replies, &mut replies)?;
                    self.learn(part.len(), whole, took);
                }
                Err(CallError::TooLarge(_) | CallError::TimedOut(_)) if part.len() > 1 => {
                    self.calls = part.len() / 2;
                }
                Err(error) => return Err(node.failure("batch", error)),
            }
        }
        Ok(replies)
    }

    /// So many calls were all answered or not, and kept the node busy for so long, where that is known.
    fn learn(&mut self, calls: usize, all: bool, took: Option<Duration>) {
        if !all {
            self.calls = (calls / 2).max(1);
        } else if took.is_some_and(|took| took > LONG) {
            self.calls = self.calls.min((calls / 2).max(FEW_CALLS));
        } else if calls == self.calls && took.is_none_or(|took| took < LONG / 2) {
            self.calls = (self.calls + self.calls / 8 + 1).min(MOST_CALLS);
        }
    }
}

/// Takes replies up to the first that was too much beside the others; whether that was all. One that is
/// too much by itself is the answer to its call.
fn take(
    node: &PatientNode<'_>,
    replies: Vec<Reply>,
    taken: &mut Vec<Reply>,
) -> Result<bool, IndexError> {
    let alone = replies.len() == 1;
    for reply in replies {
        match reply {
            Err(CallError::TooLarge(_) | CallError::TimedOut(_)) if !alone => return Ok(false),
            Err(
                error @ (CallError::Busy(_) | CallError::Unreachable(_) | CallError::Garbled(_)),
            ) => return Err(node.failure("batch", error)),
            reply => taken.push(reply),
        }
    }
    Ok(true)
}

/// Parses a result; `None` for what is of another kind.
pub(crate) fn read<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// Whether a node tells of the state after a block, named in any way.
pub(crate) async fn has_state(node: &PatientNode<'_>, block: &Value) -> Result<bool, StateError> {
    let params = json!([Address::ZERO, block]);
    match node
        .call_within(REPLY_TIMEOUT, "eth_getBalance", params)
        .await
    {
        Ok(raw) => Ok(read::<U256>(&raw).is_some()),
        Err(CallError::Unsupported) => Err(StateError::Unavailable),
        Err(CallError::Refused { .. } | CallError::Pruned(_)) => Ok(false),
        Err(error) => Err(node.failure("eth_getBalance", error).into()),
    }
}

/// How a node wants blocks to be named, found out with one of which it has the state.
pub(crate) async fn find_naming(
    node: &PatientNode<'_>,
    head: BlockRef,
) -> Result<Naming, StateError> {
    for naming in [Naming::Hash, Naming::Number] {
        if has_state(node, &naming.name(head)).await?
            && (naming == Naming::Hash || has_block(node, head).await?)
        {
            return Ok(naming);
        }
    }
    Err(StateError::Missing(head.number))
}

/// Whether a node has this very block at its height.
pub(crate) async fn has_block(node: &PatientNode<'_>, block: BlockRef) -> Result<bool, IndexError> {
    #[derive(serde::Deserialize)]
    struct Header {
        hash: B256,
    }
    let params = json!([U64::from(block.number), false]);
    let raw = node.ask("eth_getBlockByNumber", params).await?;
    let header: Option<Header> = read::<Option<Header>>(&raw).flatten();
    Ok(header.is_some_and(|header| header.hash == block.hash))
}

/// A contract's answer to a call with so much gas, or that it gave none.
pub(crate) fn eth_call(to: Address, input: &[u8], gas: u64, block: &Value) -> Call {
    let call = json!({ "to": to, "data": Bytes::copy_from_slice(input), "gas": U64::from(gas) });
    Call {
        method: "eth_call",
        params: json!([call, block]),
    }
}

/// The bytes of a reply; none where the contract reverted, had too little gas, or said something else.
pub(crate) fn bytes_of(reply: Reply) -> Bytes {
    let bytes = reply.ok().and_then(|raw| read::<Bytes>(&raw));
    bytes.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_the_node_answers_at_once() {
        let mut batch = Batch::default();
        // A node that needs a hundredth of a second for each call.
        for _ in 0..20 {
            let calls = u32::try_from(batch.calls).expect("few");
            batch.learn(batch.calls, true, Some(Duration::from_millis(10) * calls));
        }
        assert!((FEW_CALLS..=25).contains(&batch.calls), "{batch:?}");
        for _ in 0..20 {
            batch.learn(batch.calls, true, Some(2 * LONG));
        }
        assert_eq!(batch.calls, FEW_CALLS, "far away is not slow");
        batch.learn(FEW_CALLS, false, None);
        assert_eq!(batch.calls, FEW_CALLS / 2, "refused is refused");
        for _ in 0..40 {
            batch.learn(batch.calls, true, None);
        }
        assert_eq!(batch.calls, MOST_CALLS);
    }

    #[test]
    fn the_rest_of_the_calls_teaches_nothing_about_more() {
        let mut batch = Batch { calls: 40 };
        batch.learn(3, true, Some(Duration::from_millis(1)));
        assert_eq!(batch.calls, 40);
    }
}
