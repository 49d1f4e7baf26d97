//! Blocks from nodes.
//!
//! In: which block. Out: what the node sent about it, or an error that names the reaction. A block's
//! parts come from one node. What follows the chain asks one node at a time ([`crate::nodes::current`]),
//! what fetches history any that is fit ([`crate::nodes::batch`]). Never decides whether a block is
//! right: that is the verifier's.

use crate::{
    error::IndexError,
    node::Node,
    nodes::{gather::parse, pool::Pool, reply::CallError},
    tip::{Tag, Tip},
};
use alloy::{primitives::B256, rpc::json_rpc::RpcSend};
use chain::wire;
use serde_json::value::RawValue;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};
use url::Url;

/// Which block to fetch.
#[derive(Clone, Copy, Debug)]
pub enum Block {
    /// The canonical one at a height.
    Number(u64),
    /// The one with a hash.
    Hash(B256),
}

impl std::fmt::Display for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Hash(hash) => write!(f, "{hash}"),
        }
    }
}

/// What a node sent about a block, unread.
#[derive(Debug)]
pub struct RawBlock {
    /// The node it came from.
    pub node: String,
    /// The block with its transactions.
    pub block: Box<RawValue>,
    /// Its receipts, as one list.
    pub receipts: Box<RawValue>,
    /// Uncle headers, when it has uncles and the node serves them.
    pub uncles: Option<Vec<Box<RawValue>>>,
}

impl RawBlock {
    /// Length of everything in it.
    pub(crate) fn bytes(&self) -> u64 {
        let uncles = self.uncles.iter().flatten().map(|uncle| uncle.get().len());
        let bytes = self.block.get().len() + self.receipts.get().len() + uncles.sum::<usize>();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// The nodes. Clones are handles to the same ones.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) pool: Arc<Pool>,
}

impl Source {
    /// A source over one or more nodes, in order of preference.
    #[must_use]
    pub fn new(urls: &[Url]) -> Self {
        Self {
            pool: Arc::new(Pool::new(Node::list(urls))),
        }
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.pool.nodes
    }

    pub(crate) fn current(&self) -> (usize, &Node) {
        let index = self.pool.current.load(Ordering::Relaxed) % self.pool.nodes.len();
        (index, &self.pool.nodes[index])
    }

    /// The node that is asked now.
    #[must_use]
    pub fn node(&self) -> &Node {
        self.current().1
    }

    /// Asks a node, and remembers how that went.
    async fn ask<P: RpcSend>(
        &self,
        index: usize,
        method: &'static str,
        params: P,
    ) -> Result<Box<RawValue>, CallError> {
        let epoch = self.pool.standing(index).limits.epoch();
        let reply = self.pool.nodes[index].call(method, params).await;
        let (mut standing, now) = (self.pool.standing(index), Instant::now());
        match &reply {
            Err(CallError::Busy(pause)) => standing.busy(now, *pause, epoch),
            Err(
                CallError::Unreachable(reason)
                | CallError::TimedOut(reason)
                | CallError::Garbled(reason),
            ) => standing.failed(now, reason.clone(), epoch),
            _ => standing.answered(),
        }
        drop(standing);
        reply
    }

    /// The header behind a number or a tag; `None` when the node has none.
    pub async fn find_header(&self, id: &str) -> Result<Option<Tip>, IndexError> {
        let (index, node) = self.current();
        let raw = self.ask(index, "eth_getBlockByNumber", (id, false)).await;
        let raw = raw.map_err(|error| node.failure("eth_getBlockByNumber", error))?;
        parse(node, "eth_getBlockByNumber", &raw)
            .inspect_err(|error| self.quarantine(node.label(), &error.to_string()))
    }

    /// The node's head.
    pub async fn head(&self) -> Result<Tip, IndexError> {
        self.find_header("latest")
            .await?
            .ok_or_else(|| IndexError::NotYet {
                node: self.node().label().to_owned(),
                what: "a head".to_owned(),
            })
    }

    /// The block behind a finality tag.
    pub async fn get_tag(&self, tag: &'static str) -> Result<Tag, IndexError> {
        self.probe_tag(self.current().0, tag).await
    }

    /// What a node says to a finality tag.
    pub(crate) async fn probe_tag(
        &self,
        index: usize,
        tag: &'static str,
    ) -> Result<Tag, IndexError> {
        let node = &self.pool.nodes[index];
        match node.call("eth_getBlockByNumber", (tag, false)).await {
            Ok(raw) => {
                Ok(parse::<Option<Tip>>(node, "block", &raw)?.map_or(Tag::Nothing, Tag::Known))
            }
            // Besu under QBFT answers "Unknown block" (-39001); others refuse the tag itself. geth says
            // so when no block is final yet.
            Err(error) if error.is_an_answer() => Ok(Tag::Unsupported),
            Err(CallError::Refused { message, .. }) if message.contains("not found") => {
                Ok(Tag::Nothing)
            }
            Err(error) => Err(node.failure("eth_getBlockByNumber", error)),
        }
    }

    /// Finds out whether a node gives all receipts of a block in one call.
    pub(crate) async fn probe_receipts(&self, index: usize) -> Result<bool, IndexError> {
        let node = &self.pool.nodes[index];
        match node.call("eth_getBlockReceipts", ("latest",)).await {
            Err(CallError::Unsupported) => {
                self.pool.standing(index).receipts_by_block = false;
            }
            Err(error) if !error.is_an_answer() => {
                return Err(node.failure("eth_getBlockReceipts", error));
            }
            // Refused or not there yet: it has the call, whatever it says to this one.
            Ok(_) | Err(_) => {}
        }
        Ok(self.pool.standing(index).receipts_by_block)
    }
}

/// Parses the uncle headers of a raw block.
pub(crate) fn parse_uncles(
    uncles: Option<&[Box<RawValue>]>,
) -> Result<Option<Vec<wire::BlockHeader>>, chain::VerifyError> {
    uncles
        .map(|headers| {
            headers
                .iter()
                .map(|header| chain::parse("uncle", header.get()))
                .collect()
        })
        .transpose()
}
