//! Wallets.

use super::{InternalHistory, checksum, checksum_opt, rfc3339};
use alloy::primitives::{Address, B256};
use chain::Wei;
use serde::Serialize;

/// What is known of an address.
#[derive(Clone, Debug, Serialize)]
pub struct WalletView {
    /// The address.
    #[serde(with = "checksum")]
    pub address: Address,
    /// The newest balance that is known; none while none is.
    pub balance: Option<KnownBalance>,
    /// Tokens of which it has some.
    pub token_count: u64,
    /// ERC-721 and ERC-1155 ids of which it has some.
    pub nft_count: u64,
    /// What it took part in.
    pub counters: WalletCounters,
    /// Lowest height from which all blocks up to the head are counted; none while the head is not.
    pub counted_from: Option<u64>,
    /// Whether that is all that belongs to the index.
    pub history_complete: bool,
    /// How complete internal transfers are.
    #[serde(flatten)]
    pub internal: InternalHistory,
    /// The first block with a transaction of it; none when there is none.
    pub first_seen: Option<Seen>,
    /// The last one.
    pub last_seen: Option<Seen>,
    /// Whether there is a contract; none while its code was not read.
    pub is_contract: Option<bool>,
    /// What is known of its code and where it came from; none where there is nothing of either.
    pub contract: Option<ContractView>,
}

/// What an address took part in: counted, never estimated.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WalletCounters {
    /// Transactions that it sent, that were sent to it or that created it.
    pub transactions: u64,
    /// Transactions that it sent.
    pub sent: u64,
    /// Transactions that were sent to it.
    pub received: u64,
    /// Token transfers from or to it.
    pub transfers: u64,
    /// Internal transfers from or to it.
    pub internal: u64,
}

/// A native balance that was read from a node.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct KnownBalance {
    /// Wei.
    pub amount: Wei,
    /// The block after which it was this.
    pub block_number: u64,
    /// Whether an account proof (EIP-1186) showed it.
    pub proven: bool,
}

/// A block in which an address was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    block_number: u64,
    timestamp: u64,
    time: String,
}

impl Seen {
    /// A block with its time.
    #[must_use]
    pub fn new(block_number: u64, timestamp: u64) -> Self {
        Self {
            block_number,
            timestamp,
            time: rfc3339(timestamp),
        }
    }
}

/// Code, and where it came from.
#[derive(Clone, Debug, Serialize)]
pub struct ContractView {
    /// Bytes; none while unknown.
    pub code_size: Option<u64>,
    /// Its hash.
    pub code_hash: Option<B256>,
    /// The kind of proxy it is; none for none.
    pub proxy: Option<String>,
    /// What the proxy stands for.
    #[serde(with = "checksum_opt")]
    pub implementation: Option<Address>,
    /// The transaction that created it; none while unknown.
    pub creation: Option<CreationView>,
}

/// The transaction that created a contract.
#[derive(Clone, Debug, Serialize)]
pub struct CreationView {
    /// Its hash.
    pub transaction_hash: B256,
    /// Height.
    pub block_number: u64,
    /// Who created it: the transaction's sender, or the contract that did.
    #[serde(with = "checksum")]
    pub creator: Address,
    /// Whether a contract did, in a call within the transaction.
    pub by_contract: bool,
}
