//! Blocks from nodes.
//!
//! In: which block. Out: what the node sent about it, or an error that names the reaction. A block's
//! parts come from one node. After a failure the next node takes over; what each node can do is found
//! out at start. Never decides whether a block is right: that is the verifier's.

use crate::{
    error::IndexError,
    node::{CallError, Node},
    tip::{Tag, Tip},
};
use alloy::primitives::{B256, U64};
use chain::wire;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use url::Url;

/// How long a node that is only compared with others may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Receipts asked for at once where a node only gives them one by one.
const RECEIPTS_AT_ONCE: usize = 16;

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

/// What the follower needs of a block before it is parsed in full.
#[derive(Deserialize)]
struct Outline {
    hash: B256,
    #[serde(default)]
    uncles: Vec<B256>,
    #[serde(default)]
    transactions: Vec<TransactionHash>,
}

#[derive(Deserialize)]
struct TransactionHash {
    hash: B256,
}

/// The nodes, one of which is asked at a time.
#[derive(Debug)]
pub struct Source {
    nodes: Vec<Arc<Node>>,
    current: AtomicUsize,
    receipts_by_block: Vec<AtomicBool>,
    verified: Vec<AtomicBool>,
}

impl Source {
    /// A source over one or more nodes, in order of preference.
    #[must_use]
    pub fn new(urls: &[Url]) -> Self {
        Self {
            nodes: urls.iter().cloned().map(Node::new).map(Arc::new).collect(),
            current: AtomicUsize::new(0),
            receipts_by_block: urls.iter().map(|_| AtomicBool::new(true)).collect(),
            verified: urls.iter().map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    fn current(&self) -> (usize, &Node) {
        let index = self.current.load(Ordering::Relaxed) % self.nodes.len();
        (index, &self.nodes[index])
    }

    /// The node that is asked now.
    #[must_use]
    pub fn node(&self) -> &Node {
        self.current().1
    }

    /// Whether the current node was found to follow our chain; its place in the list otherwise.
    pub(crate) fn unverified(&self) -> Option<usize> {
        let index = self.current().0;
        (!self.verified[index].load(Ordering::Relaxed)).then_some(index)
    }

    pub(crate) fn set_verified(&self, index: usize) {
        self.verified[index].store(true, Ordering::Relaxed);
    }

    pub(crate) fn use_node(&self, index: usize) {
        self.current.store(index, Ordering::Relaxed);
    }

    /// Turns to the first node that follows our chain; false when there is none.
    pub(crate) fn use_first_verified(&self) -> bool {
        let first = self.verified.iter().position(|v| v.load(Ordering::Relaxed));
        if let Some(index) = first {
            self.use_node(index);
        }
        first.is_some()
    }

    /// Turns to the node whose head is highest, if that is at least `least`; returns that head.
    pub(crate) async fn turn_to_a_higher_head(&self, least: u64) -> Option<u64> {
        let current = self.current().0;
        let others = self.nodes.iter().enumerate();
        let others = others.filter(|(index, _)| *index != current);
        let heads = others.map(|(index, node)| async move {
            let asked = node.call("eth_blockNumber", ());
            let raw = tokio::time::timeout(PROBE_PATIENCE, asked)
                .await
                .ok()?
                .ok()?;
            let head: U64 = serde_json::from_str(raw.get()).ok()?;
            Some((head.saturating_to::<u64>(), index))
        });
        let heads = futures::future::join_all(heads).await;
        let (head, index) = heads.into_iter().flatten().max()?;
        if head < least {
            return None;
        }
        self.use_node(index);
        tracing::warn!(
            node = self.nodes[current].label(),
            node.next = self.nodes[index].label(),
            node.head = head,
            "the node is behind another one: turning to that"
        );
        Some(head)
    }

    /// Turns to the next node, unless somebody already did since `failed` was asked.
    pub fn fail_over(&self, failed: &str) {
        let (index, node) = self.current();
        if self.nodes.len() > 1 && node.label() == failed {
            let next = (index + 1) % self.nodes.len();
            let turned =
                self.current
                    .compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
            if turned.is_ok() {
                let to = self.nodes[next].label();
                tracing::warn!(node = failed, node.next = to, "turning to the next node");
            }
        }
    }

    /// The header behind a number or a tag; `None` when the node has none.
    pub async fn find_header(&self, id: &str) -> Result<Option<Tip>, IndexError> {
        let node = self.node();
        let raw = node.ask("eth_getBlockByNumber", (id, false)).await?;
        parse(node, "eth_getBlockByNumber", &raw)
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
        let node = &self.nodes[index];
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
        let node = &self.nodes[index];
        match node.call("eth_getBlockReceipts", ("latest",)).await {
            Err(CallError::Unsupported) => {
                self.receipts_by_block[index].store(false, Ordering::Relaxed);
            }
            Err(error) if !error.is_an_answer() => {
                return Err(node.failure("eth_getBlockReceipts", error));
            }
            // Refused or not there yet: it has the call, whatever it says to this one.
            Ok(_) | Err(_) => {}
        }
        Ok(self.receipts_by_block[index].load(Ordering::Relaxed))
    }

    /// Fetches a block with its receipts and uncle headers from the current node.
    pub async fn fetch(&self, block: Block) -> Result<RawBlock, IndexError> {
        let (index, node) = self.current();
        let (raw, receipts) = if self.receipts_by_block[index].load(Ordering::Relaxed) {
            futures::try_join!(
                fetch_block(node, block),
                self.fetch_receipts(index, node, block)
            )?
        } else {
            (fetch_block(node, block).await?, None)
        };
        let outline: Outline = parse(node, "block", &raw)?;
        let receipts = match receipts {
            Some(receipts) => receipts,
            None => receipts_one_by_one(node, &outline.transactions).await?,
        };
        Ok(RawBlock {
            node: node.label().to_owned(),
            uncles: fetch_uncles(node, &outline).await?,
            block: raw,
            receipts,
        })
    }

    /// The receipts of a block in one call; `None` when the node turns out not to have that call.
    async fn fetch_receipts(
        &self,
        index: usize,
        node: &Node,
        block: Block,
    ) -> Result<Option<Box<RawValue>>, IndexError> {
        let id = match block {
            Block::Number(number) => json!(U64::from(number)),
            Block::Hash(hash) => json!(hash),
        };
        let label = node.label();
        match node.call("eth_getBlockReceipts", (id,)).await {
            Ok(raw) if raw.get() == "null" => {
                Err(not_yet(node, format!("receipts of block {block}")))
            }
            Ok(raw) => Ok(Some(raw)),
            Err(CallError::Unsupported) => {
                self.receipts_by_block[index].store(false, Ordering::Relaxed);
                tracing::info!(
                    node = label,
                    "no eth_getBlockReceipts: receipts are fetched one by one"
                );
                Ok(None)
            }
            // Just after the head some nodes refuse rather than say null.
            Err(error) => Err(node.failure("eth_getBlockReceipts", error)),
        }
    }
}

async fn fetch_block(node: &Node, block: Block) -> Result<Box<RawValue>, IndexError> {
    let raw = match block {
        Block::Number(number) => {
            node.ask("eth_getBlockByNumber", (U64::from(number), true))
                .await?
        }
        Block::Hash(hash) => node.ask("eth_getBlockByHash", (hash, true)).await?,
    };
    if raw.get() == "null" {
        return Err(not_yet(node, format!("block {block}")));
    }
    Ok(raw)
}

async fn receipts_one_by_one(
    node: &Node,
    transactions: &[TransactionHash],
) -> Result<Box<RawValue>, IndexError> {
    let hashes: Vec<B256> = transactions
        .iter()
        .map(|transaction| transaction.hash)
        .collect();
    let receipts: Vec<Box<RawValue>> = stream::iter(hashes)
        .map(|hash| async move {
            let raw = node.ask("eth_getTransactionReceipt", (hash,)).await?;
            if raw.get() == "null" {
                return Err(not_yet(node, format!("the receipt of transaction {hash}")));
            }
            Ok(raw)
        })
        .buffered(RECEIPTS_AT_ONCE)
        .try_collect()
        .await?;
    let list: Vec<&str> = receipts.iter().map(|receipt| receipt.get()).collect();
    RawValue::from_string(format!("[{}]", list.join(",")))
        .map_err(|error| IndexError::Transient(error.to_string()))
}

/// The uncle headers of a block; `None` where it has none or the node does not serve them.
async fn fetch_uncles(
    node: &Node,
    outline: &Outline,
) -> Result<Option<Vec<Box<RawValue>>>, IndexError> {
    const METHOD: &str = "eth_getUncleByBlockHashAndIndex";
    if outline.uncles.is_empty() {
        return Ok(None);
    }
    let mut headers = Vec::with_capacity(outline.uncles.len());
    for index in 0..outline.uncles.len() {
        match node.call(METHOD, (outline.hash, U64::from(index))).await {
            Ok(raw) if raw.get() != "null" => headers.push(raw),
            // Null or refused: pruned, or never served.
            Ok(_) => return Ok(None),
            Err(error) if error.is_an_answer() => return Ok(None),
            Err(error) => return Err(node.failure(METHOD, error)),
        }
    }
    Ok(Some(headers))
}

fn not_yet(node: &Node, what: String) -> IndexError {
    IndexError::NotYet {
        node: node.label().to_owned(),
        what,
    }
}

fn parse<'a, T: Deserialize<'a>>(
    node: &Node,
    what: &'static str,
    raw: &'a RawValue,
) -> Result<T, IndexError> {
    serde_json::from_str(raw.get()).map_err(|error| IndexError::Unproven {
        node: node.label().to_owned(),
        number: what.to_owned(),
        error: Box::new(chain::VerifyError::Malformed {
            what,
            reason: error.to_string(),
        }),
    })
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
