//! Events: what a commit announces, from the outbox to the channels of Redis.
//!
//! A payload is whole, since what it announces may have been dropped again by the time it is sent.

use crate::{
    cache::Head,
    rows::{BlockRow, TransactionRow},
    state::BlockRef,
    view::{checksum, checksum_opt},
};
use alloy::primitives::{Address, B256};
use chain::Wei;
use serde::{Deserialize, Serialize};

/// Channel of [`BlockEvent`]s.
pub const BLOCKS: &str = "blocks";
/// Channel of [`TransactionEvent`]s.
pub const TRANSACTIONS: &str = "transactions";
/// Channel of [`ReorgEvent`]s.
pub const REORGS: &str = "reorgs";

/// What one row of the outbox says; the head is the one after the commit that wrote it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The head, without its sequence number, which is the row's id.
    pub head: Head,
    /// A reorg, which comes before the blocks of its branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reorg: Option<ReorgEvent>,
    /// New canonical blocks in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<BlockEvent>,
}

impl Event {
    /// The outbox's word for it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match (&self.reorg, self.blocks.is_empty()) {
            (Some(_), _) => "reorg",
            (None, false) => "blocks",
            (None, true) => "finality",
        }
    }
}

/// A block became canonical.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEvent {
    /// Height.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Hash of the block below.
    pub parent_hash: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Beneficiary.
    #[serde(with = "checksum")]
    pub miner: Address,
    /// Gas used.
    pub gas_used: u64,
    /// Transactions, sent on their own channel.
    pub transactions: Vec<TransactionEvent>,
}

impl BlockEvent {
    /// The event of a block; `transactions` are exactly its own.
    #[must_use]
    pub fn new(block: &BlockRow, transactions: &[TransactionRow]) -> Self {
        Self {
            number: block.number,
            hash: block.hash,
            parent_hash: block.parent_hash,
            timestamp: block.timestamp,
            miner: block.miner,
            gas_used: block.gas_used,
            transactions: transactions.iter().map(TransactionEvent::new).collect(),
        }
    }
}

/// A transaction became canonical.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionEvent {
    /// Hash.
    pub hash: B256,
    /// Position in the block.
    pub transaction_index: u32,
    /// Sender.
    #[serde(with = "checksum")]
    pub from: Address,
    /// Recipient; none for a creation.
    #[serde(with = "checksum_opt")]
    pub to: Option<Address>,
    /// Contract it created.
    #[serde(with = "checksum_opt")]
    pub contract_address: Option<Address>,
    /// Wei sent.
    pub value: Wei,
    /// Success; none before Byzantium.
    pub success: Option<bool>,
}

impl TransactionEvent {
    fn new(row: &TransactionRow) -> Self {
        Self {
            hash: row.hash,
            transaction_index: row.tx_index,
            from: row.from_address,
            to: row.to_address,
            contract_address: row.contract_address,
            value: row.value,
            success: row.status,
        }
    }
}

/// A reorg was followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReorgEvent {
    /// Number of the reorg: the fork epoch that it began.
    pub id: u64,
    /// Newest block that both branches share.
    pub ancestor: BlockRef,
    /// Head before.
    pub old_head: BlockRef,
    /// Head after.
    pub new_head: BlockRef,
    /// Dropped blocks, oldest first.
    pub dropped: Vec<BlockRef>,
}

/// A message on a channel: where it comes from, and the event itself.
#[derive(Debug, Serialize)]
struct Message<'a, T> {
    seq: i64,
    chain_id: u64,
    #[serde(flatten)]
    event: &'a T,
}

/// A block without its transactions, as it is sent on [`BLOCKS`].
#[derive(Serialize)]
struct BlockMessage<'a> {
    number: u64,
    hash: &'a B256,
    parent_hash: &'a B256,
    timestamp: u64,
    #[serde(with = "checksum")]
    miner: Address,
    gas_used: u64,
    transaction_count: usize,
}

/// A transaction with its block, as it is sent on [`TRANSACTIONS`].
#[derive(Serialize)]
struct TransactionMessage<'a> {
    block_number: u64,
    block_hash: &'a B256,
    #[serde(flatten)]
    transaction: &'a TransactionEvent,
}

/// The channel messages of an event, in the order in which they are sent: the reorg, then each
/// block followed by its transactions.
pub fn messages(
    seq: i64,
    chain_id: u64,
    event: &Event,
) -> Result<Vec<(&'static str, String)>, serde_json::Error> {
    fn json<T: Serialize>(seq: i64, chain_id: u64, event: &T) -> serde_json::Result<String> {
        serde_json::to_string(&Message {
            seq,
            chain_id,
            event,
        })
    }
    let mut out = Vec::new();
    if let Some(reorg) = &event.reorg {
        out.push((REORGS, json(seq, chain_id, reorg)?));
    }
    for block in &event.blocks {
        let message = BlockMessage {
            number: block.number,
            hash: &block.hash,
            parent_hash: &block.parent_hash,
            timestamp: block.timestamp,
            miner: block.miner,
            gas_used: block.gas_used,
            transaction_count: block.transactions.len(),
        };
        out.push((BLOCKS, json(seq, chain_id, &message)?));
        for transaction in &block.transactions {
            let message = TransactionMessage {
                block_number: block.number,
                block_hash: &block.hash,
                transaction,
            };
            out.push((TRANSACTIONS, json(seq, chain_id, &message)?));
        }
    }
    Ok(out)
}
