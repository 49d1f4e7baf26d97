//! One block as a node would tell it: bodies kept as text, with the places of their parts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use alloy::primitives::B256;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{Json, place_of, quantity};
use crate::text::Listed;
use crate::trace::{self, CallFrame};

/// Why a text cannot be a canned block.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The block, its receipts or its uncles are not the JSON that a node answers with.
    #[error("{what} cannot be read: {source}")]
    Unreadable {
        /// What was being read.
        what: &'static str,
        /// What serde said.
        source: serde_json::Error,
    },
    /// Receipts are matched with transactions by position, so there must be as many.
    #[error("block {number} has {transactions} transactions and {receipts} receipts")]
    ReceiptCount {
        /// The block's height.
        number: u64,
        /// Transactions in the block.
        transactions: usize,
        /// Receipts given for it.
        receipts: usize,
    },
}

/// One transaction of a canned block.
#[derive(Debug, Clone)]
pub struct CannedTransaction {
    /// The transaction's hash, as the block states it.
    pub hash: B256,
    /// What `eth_getTransactionByHash` answers (a slice of the block).
    pub body: Json,
    /// What `eth_getTransactionReceipt` answers (a slice of the receipts), when there are any.
    pub receipt: Option<Json>,
}

/// A block in the form in which it is served. Nothing is checked against the hash: it may lie.
#[derive(Debug, Clone)]
pub struct CannedBlock {
    /// Height.
    pub number: u64,
    /// Hash, as stated.
    pub hash: B256,
    /// Parent's hash, as stated.
    pub parent_hash: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// The bare result of `eth_getBlockByNumber(n, true)`.
    pub block: Json,
    /// The bare result of `eth_getBlockReceipts`; `None` makes the node answer null.
    pub receipts: Option<Json>,
    /// Transactions in block order.
    pub transactions: Vec<CannedTransaction>,
    /// Number of uncles that the block names.
    pub uncle_count: usize,
    /// Uncle headers, when they are known; without them the node answers null for each.
    pub uncles: Vec<Json>,
    /// Where the block's text has its transaction list, for the reply that carries hashes only.
    transaction_list: Range<usize>,
    with_hashes: OnceLock<Json>,
    header: OnceLock<Json>,
    /// What each transaction did within, where that is known.
    calls: Option<Arc<[CallFrame]>>,
    call_tracer: OnceLock<Json>,
}

/// What a block says of itself outside its body.
pub(crate) struct Stated {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent_hash: B256,
    pub(crate) timestamp: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Skeleton<'a> {
    #[serde(deserialize_with = "quantity")]
    number: u64,
    hash: B256,
    parent_hash: B256,
    #[serde(deserialize_with = "quantity")]
    timestamp: u64,
    #[serde(borrow)]
    transactions: &'a RawValue,
    #[serde(borrow, default)]
    uncles: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct HashOnly {
    hash: B256,
}

impl CannedBlock {
    /// Takes the bare results of `eth_getBlockByNumber(n, true)` and `eth_getBlockReceipts`.
    ///
    /// # Errors
    /// When a text is not such a result, or the numbers of transactions and receipts differ.
    pub fn from_json(
        block: impl Into<Arc<str>>,
        receipts: Option<&str>,
    ) -> Result<Self, BlockError> {
        let block = Json::from(block.into());
        let skeleton: Skeleton<'_> = read("the block", block.as_str())?;
        let items: Vec<&RawValue> = read("the transaction list", skeleton.transactions.get())?;
        let receipts = receipts.map(Json::from);
        let parts: Option<Vec<&RawValue>> = receipts
            .as_ref()
            .map(|receipts| read("the receipts", receipts.as_str()))
            .transpose()?;
        if let Some(parts) = parts.as_ref().filter(|parts| parts.len() != items.len()) {
            return Err(BlockError::ReceiptCount {
                number: skeleton.number,
                transactions: items.len(),
                receipts: parts.len(),
            });
        }
        let receipt_at = |index: usize| {
            let part = parts.as_ref()?.get(index)?;
            Some(receipts.as_ref()?.part(part.get()))
        };
        let transactions = items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                Ok(CannedTransaction {
                    hash: transaction_hash(item.get())?,
                    body: block.part(item.get()),
                    receipt: receipt_at(index),
                })
            })
            .collect::<Result<_, BlockError>>()?;
        Ok(Self {
            number: skeleton.number,
            hash: skeleton.hash,
            parent_hash: skeleton.parent_hash,
            timestamp: skeleton.timestamp,
            transaction_list: place_of(block.as_str(), skeleton.transactions.get()).unwrap_or(0..0),
            uncle_count: skeleton.uncles.len(),
            uncles: Vec::new(),
            transactions,
            receipts,
            block,
            with_hashes: OnceLock::new(),
            header: OnceLock::new(),
            calls: None,
            call_tracer: OnceLock::new(),
        })
    }

    /// A block that was written here, so that nothing needs to be read back.
    pub(crate) fn written(
        stated: &Stated,
        (block, transaction_list): (Listed, Range<usize>),
        receipts: Listed,
        hashes: impl Iterator<Item = B256>,
    ) -> Self {
        let parts = block.parts.into_iter().zip(receipts.parts);
        let transactions = hashes.zip(parts).map(|(hash, (body, receipt))| {
            let (body, receipt) = (block.text.slice(body), receipts.text.slice(receipt));
            CannedTransaction {
                hash,
                body,
                receipt: Some(receipt),
            }
        });
        Self {
            number: stated.number,
            hash: stated.hash,
            parent_hash: stated.parent_hash,
            timestamp: stated.timestamp,
            transactions: transactions.collect(),
            transaction_list,
            uncle_count: 0,
            uncles: Vec::new(),
            receipts: Some(receipts.text),
            block: block.text,
            with_hashes: OnceLock::new(),
            header: OnceLock::new(),
            calls: None,
            call_tracer: OnceLock::new(),
        }
    }

    /// The same block, answering `eth_getUncleByBlockHashAndIndex` with these headers.
    #[must_use]
    pub fn with_uncles(mut self, uncles: impl IntoIterator<Item = Arc<str>>) -> Self {
        self.uncles = uncles.into_iter().map(Json::from).collect();
        self.uncle_count = self.uncle_count.max(self.uncles.len());
        self
    }

    /// The same block, told as `callTracer` answered, one trace for each transaction.
    ///
    /// # Errors
    /// When the text is no such answer.
    pub fn with_traces(self, call_tracer: &str) -> Result<Self, BlockError> {
        #[derive(Deserialize)]
        struct Traced {
            result: CallFrame,
        }
        let traced: Vec<Traced> = read("the traces", call_tracer)?;
        let block = self.with_calls(traced.into_iter().map(|one| one.result).collect());
        block.call_tracer.get_or_init(|| Json::from(call_tracer));
        Ok(block)
    }

    /// The same block, whose transactions did this, each being the top of its calls.
    #[must_use]
    pub fn with_calls(mut self, calls: Vec<CallFrame>) -> Self {
        self.calls = Some(calls.into());
        self.call_tracer = OnceLock::new();
        self
    }

    /// A block 0 made of nothing but a hash and a time, for chains whose canned range starts later.
    ///
    /// Every field that a typed client insists on is present and empty; the hash does not fit them.
    pub fn bare_genesis(hash: B256, timestamp: u64) -> Self {
        let block = serde_json::json!({
            "number": "0x0",
            "hash": hash,
            "parentHash": B256::ZERO,
            "timestamp": format!("{timestamp:#x}"),
            "sha3Uncles": alloy::consensus::EMPTY_OMMER_ROOT_HASH,
            "transactionsRoot": alloy::consensus::EMPTY_ROOT_HASH,
            "receiptsRoot": alloy::consensus::EMPTY_ROOT_HASH,
            "stateRoot": B256::ZERO,
            "logsBloom": alloy::primitives::Bloom::ZERO,
            "miner": alloy::primitives::Address::ZERO,
            "mixHash": B256::ZERO,
            "nonce": "0x0000000000000000",
            "difficulty": "0x1",
            "totalDifficulty": "0x1",
            "extraData": "0x",
            "gasLimit": "0x1c9c380",
            "gasUsed": "0x0",
            "size": "0x200",
            "transactions": [],
            "uncles": [],
        });
        Self::from_json(block.to_string(), Some("[]"))
            .unwrap_or_else(|error| unreachable!("the text above is a block: {error}"))
    }

    /// The reply to `eth_getBlockByNumber(n, false)`: made at the first request, then kept.
    pub(crate) fn with_hashes(&self) -> Json {
        let splice = || {
            let text = self.block.as_str();
            let Range { start, end } = self.transaction_list;
            let quoted = self
                .transactions
                .iter()
                .map(|tx| format!("\"{}\"", tx.hash));
            let hashes = quoted.collect::<Vec<_>>().join(",");
            let (before, after) = (&text[..start], &text[end..]);
            Json::from(format!("{before}[{hashes}]{after}"))
        };
        self.with_hashes.get_or_init(splice).clone()
    }

    /// The reply to `debug_traceBlockByHash` with `callTracer`; `None` where nothing was traced.
    pub(crate) fn call_tracer(&self) -> Option<Json> {
        let calls = self.calls.as_ref()?;
        let write = || Json::from(&trace::call_tracer(self.traced(calls)));
        Some(self.call_tracer.get_or_init(write).clone())
    }

    /// The reply to `trace_block`; `None` where nothing was traced.
    pub(crate) fn flat_traces(&self) -> Option<Json> {
        let transactions = self.traced(self.calls.as_ref()?);
        let told = trace::flat_traces((self.number, self.hash), transactions);
        Some(Json::from(&told))
    }

    fn traced<'a>(&'a self, calls: &'a [CallFrame]) -> impl Iterator<Item = (B256, &'a CallFrame)> {
        let hashes = self.transactions.iter().map(|transaction| transaction.hash);
        hashes.zip(calls)
    }

    /// What a `newHeads` notification carries: the block without its lists.
    pub(crate) fn header(&self) -> Json {
        let strip = || {
            let fields: Result<BTreeMap<&str, &RawValue>, _> =
                serde_json::from_str(self.block.as_str());
            let mut fields = fields.unwrap_or_default();
            fields.retain(|name, _| !matches!(*name, "transactions" | "uncles" | "withdrawals"));
            serde_json::to_string(&fields).map_or_else(|_| Json::null(), Json::from)
        };
        self.header.get_or_init(strip).clone()
    }
}

/// Blocks may carry whole transactions or, in some recordings, their hashes only.
fn transaction_hash(item: &str) -> Result<B256, BlockError> {
    if item.starts_with('"') {
        return read("a transaction hash", item);
    }
    read::<HashOnly>("a transaction", item).map(|found| found.hash)
}

fn read<'a, T: Deserialize<'a>>(what: &'static str, text: &'a str) -> Result<T, BlockError> {
    serde_json::from_str(text).map_err(|source| BlockError::Unreadable { what, source })
}
