//! What clients see.
//!
//! Amounts are decimal strings in base units; heights, counts and timestamps are numbers; hashes are
//! lower-case hex; addresses carry their checksum (EIP-55); times are RFC 3339 in UTC.

use crate::rows::{BlockRow, LogRow, TransactionRow, WithdrawalRow};
use alloy::{
    eips::{eip2930::AccessList, eip7702::SignedAuthorization},
    primitives::{Address, B64, B256, Bloom, Bytes, U256},
};
use chain::Wei;
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

mod internal;
mod token;
mod transfer;
mod wallet;

pub use internal::{Completeness, InternalHistory, InternalTransferView, TraceView};
pub use token::{
    HeldInstanceView, HeldTokenView, HolderView, InstanceView, TokenStandard, TokenSummary,
    TokenView,
};
pub use transfer::{TransactionContext, TransferView};
pub use wallet::{ContractView, CreationView, KnownBalance, Seen, WalletCounters, WalletView};

pub use alloy::serde::checksum;

/// [`checksum`] for an address that may be absent.
pub mod checksum_opt {
    use alloy::primitives::Address;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the address with its checksum, or null.
    pub fn serialize<S: Serializer>(
        address: &Option<Address>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => serializer.serialize_str(&address.to_checksum(None)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads an address in any case, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Address>, D::Error> {
        Option::deserialize(deserializer)
    }
}

/// Seconds since 1970 as RFC 3339 in UTC; empty for a time that no calendar names.
#[must_use]
pub fn rfc3339(timestamp: u64) -> String {
    i64::try_from(timestamp)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// Seconds since 1970 from RFC 3339; none for anything else, and for times before.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp()).ok()
}

/// A block in a list.
#[derive(Clone, Debug, Serialize)]
pub struct BlockSummary {
    number: u64,
    hash: B256,
    parent_hash: B256,
    timestamp: u64,
    time: String,
    #[serde(with = "checksum")]
    miner: Address,
    gas_limit: u64,
    gas_used: u64,
    base_fee_per_gas: Option<Wei>,
    size: Option<u64>,
    transaction_count: u32,
    log_count: u32,
}

impl From<&BlockRow> for BlockSummary {
    fn from(row: &BlockRow) -> Self {
        Self {
            number: row.number,
            hash: row.hash,
            parent_hash: row.parent_hash,
            timestamp: row.timestamp,
            time: rfc3339(row.timestamp),
            miner: row.miner,
            gas_limit: row.gas_limit,
            gas_used: row.gas_used,
            base_fee_per_gas: row.base_fee_per_gas,
            size: row.size,
            transaction_count: row.tx_count,
            log_count: row.log_count,
        }
    }
}

/// A block with every field.
#[derive(Clone, Debug, Serialize)]
pub struct BlockView {
    #[serde(flatten)]
    summary: BlockSummary,
    canonical: bool,
    /// The reorg that dropped it; none for a canonical block.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_by: Option<DroppedBy>,
    difficulty: Wei,
    extra_data: Bytes,
    mix_hash: B256,
    nonce: B64,
    sha3_uncles: B256,
    uncles: Vec<B256>,
    uncles_proven: bool,
    state_root: B256,
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
    blob_gas_used: Option<u64>,
    excess_blob_gas: Option<u64>,
    parent_beacon_block_root: Option<B256>,
    requests_hash: Option<B256>,
    block_access_list_hash: Option<B256>,
    slot_number: Option<u64>,
    withdrawals_root: Option<B256>,
    withdrawals: Option<Vec<WithdrawalView>>,
}

impl BlockView {
    /// A block with its withdrawals.
    #[must_use]
    pub fn new(
        row: BlockRow,
        withdrawals: Vec<WithdrawalRow>,
        dropped_by: Option<DroppedBy>,
    ) -> Self {
        let withdrawals = withdrawals.into_iter().map(WithdrawalView::from).collect();
        Self {
            summary: BlockSummary::from(&row),
            canonical: dropped_by.is_none(),
            dropped_by,
            difficulty: row.difficulty,
            extra_data: row.extra_data,
            mix_hash: row.mix_hash,
            nonce: row.nonce,
            sha3_uncles: row.sha3_uncles,
            uncles: row.uncles,
            uncles_proven: row.uncles_proven,
            state_root: row.state_root,
            transactions_root: row.transactions_root,
            receipts_root: row.receipts_root,
            logs_bloom: row.logs_bloom,
            blob_gas_used: row.blob_gas_used,
            excess_blob_gas: row.excess_blob_gas,
            parent_beacon_block_root: row.parent_beacon_block_root,
            requests_hash: row.requests_hash,
            block_access_list_hash: row.block_access_list_hash,
            slot_number: row.slot_number,
            withdrawals: row.withdrawals_root.map(|_| withdrawals),
            withdrawals_root: row.withdrawals_root,
        }
    }
}

/// A withdrawal; the amount is in wei here as everywhere.
#[derive(Clone, Debug, Serialize)]
pub struct WithdrawalView {
    index: u64,
    validator_index: u64,
    #[serde(with = "checksum")]
    address: Address,
    amount: Wei,
}

impl From<WithdrawalRow> for WithdrawalView {
    fn from(row: WithdrawalRow) -> Self {
        const WEI_PER_GWEI: u64 = 1_000_000_000;
        Self {
            index: row.withdrawal_index,
            validator_index: row.validator_index,
            address: row.address,
            amount: Wei(U256::from(row.amount_gwei) * U256::from(WEI_PER_GWEI)),
        }
    }
}

/// The reorg that dropped something.
#[derive(Clone, Debug, Serialize)]
pub struct DroppedBy {
    /// Number of the reorg.
    pub reorg: u64,
    /// Newest block that both branches share.
    pub ancestor_number: u64,
    /// When it was followed, RFC 3339.
    pub time: String,
}

/// Where a transaction was before a reorg dropped it.
#[derive(Clone, Debug, Serialize)]
pub struct DroppedInclusion {
    /// Height of the dropped block.
    pub block_number: u64,
    /// Its hash.
    pub block_hash: B256,
    /// Position in it.
    pub transaction_index: u32,
    /// The reorg that dropped it.
    pub dropped_by: DroppedBy,
}

/// The block that a transaction is shown with.
#[derive(Clone, Copy, Debug)]
pub struct BlockContext {
    /// Hash.
    pub hash: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
}

/// A transaction in a list.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionSummary {
    hash: B256,
    block_number: u64,
    block_hash: B256,
    transaction_index: u32,
    timestamp: u64,
    time: String,
    #[serde(rename = "type")]
    tx_type: u8,
    #[serde(with = "checksum")]
    from: Address,
    #[serde(with = "checksum_opt")]
    to: Option<Address>,
    #[serde(with = "checksum_opt")]
    contract_address: Option<Address>,
    /// First four bytes of the input: the function called; none for a plain transfer or a creation.
    method: Option<Bytes>,
    value: Wei,
    nonce: u64,
    status: Status,
    gas_limit: u64,
    gas_used: u64,
    effective_gas_price: Wei,
    /// Wei paid: gas used × effective price, and the same for blobs.
    fee: Wei,
    log_count: u32,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It succeeded.
    Success,
    /// It failed: its gas was paid and nothing else happened.
    Failed,
    /// The receipt is from before Byzantium and does not say.
    Unknown,
}

impl TransactionSummary {
    /// A transaction within its block.
    #[must_use]
    pub fn new(row: &TransactionRow, block: BlockContext) -> Self {
        let gas = row.effective_gas_price.0 * U256::from(row.gas_used);
        let blob_price = row.blob_gas_price.unwrap_or_default().0;
        let blobs = blob_price * U256::from(row.blob_gas_used.unwrap_or(0));
        let method = row.to_address.and_then(|_| row.input.get(..4));
        Self {
            hash: row.hash,
            block_number: row.block_number,
            block_hash: block.hash,
            transaction_index: row.tx_index,
            timestamp: block.timestamp,
            time: rfc3339(block.timestamp),
            tx_type: row.tx_type,
            from: row.from_address,
            to: row.to_address,
            contract_address: row.contract_address,
            method: method.map(Bytes::copy_from_slice),
            value: row.value,
            nonce: row.nonce,
            status: match row.status {
                Some(true) => Status::Success,
                Some(false) => Status::Failed,
                None => Status::Unknown,
            },
            gas_limit: row.gas_limit,
            gas_used: row.gas_used,
            effective_gas_price: row.effective_gas_price,
            fee: Wei(gas.saturating_add(blobs)),
            log_count: row.log_count,
        }
    }
}

/// A transaction with every field, its receipt and its history.
#[derive(Clone, Debug, Serialize)]
pub struct TransactionView {
    #[serde(flatten)]
    summary: TransactionSummary,
    canonical: bool,
    /// Inclusions that reorgs dropped, newest first.
    dropped: Vec<DroppedInclusion>,
    chain_id: Option<u64>,
    gas_price: Option<Wei>,
    max_fee_per_gas: Option<Wei>,
    max_priority_fee_per_gas: Option<Wei>,
    max_fee_per_blob_gas: Option<Wei>,
    cumulative_gas_used: u64,
    first_log_index: u32,
    state_root: Option<B256>,
    blob_gas_used: Option<u64>,
    blob_gas_price: Option<Wei>,
    blob_versioned_hashes: Option<Vec<B256>>,
    access_list: Option<AccessList>,
    authorization_list: Option<Vec<SignedAuthorization>>,
    input: Bytes,
    v: u64,
    r: B256,
    s: B256,
}

impl TransactionView {
    /// A transaction within its block, or within the block it was dropped from last.
    #[must_use]
    pub fn new(
        row: TransactionRow,
        block: BlockContext,
        canonical: bool,
        dropped: Vec<DroppedInclusion>,
    ) -> Self {
        // The list is stored only when it has entries; for the types that have one it is shown.
        let access_list = row.access_list.clone().map(|json| json.0);
        Self {
            summary: TransactionSummary::new(&row, block),
            canonical,
            dropped,
            chain_id: row.chain_id,
            gas_price: row.gas_price,
            max_fee_per_gas: row.max_fee_per_gas,
            max_priority_fee_per_gas: row.max_priority_fee_per_gas,
            max_fee_per_blob_gas: row.max_fee_per_blob_gas,
            cumulative_gas_used: row.cumulative_gas_used,
            first_log_index: row.first_log_index,
            state_root: row.state_root,
            blob_gas_used: row.blob_gas_used,
            blob_gas_price: row.blob_gas_price,
            v: row.v(),
            blob_versioned_hashes: row.blob_versioned_hashes,
            access_list: access_list.or_else(|| (row.tx_type > 0).then(AccessList::default)),
            authorization_list: row.authorization_list.map(|json| json.0),
            input: row.input,
            r: row.r,
            s: row.s,
        }
    }
}

/// A log.
#[derive(Clone, Debug, Serialize)]
pub struct LogView {
    log_index: u32,
    transaction_index: u32,
    block_number: u64,
    #[serde(with = "checksum")]
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

impl From<LogRow> for LogView {
    fn from(row: LogRow) -> Self {
        Self {
            log_index: row.log_index,
            transaction_index: row.tx_index,
            block_number: row.block_number,
            address: row.address,
            topics: row.topics().collect(),
            data: row.data,
        }
    }
}
