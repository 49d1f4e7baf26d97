//! JSON-RPC replies as nodes send them.
//!
//! Nodes differ: a field may be absent (`baseFeePerGas` before London on Besu, `yParity` on legacy
//! transactions), kept (`totalDifficulty`) or of another type. A field that is absent is `None`,
//! a field nobody needs is skipped; only what the block's hash cannot do without is an error.

use alloy::{
    consensus::Header,
    eips::{eip2930::AccessList, eip4895::Withdrawal, eip7702::SignedAuthorization},
    primitives::{Address, B64, B256, Bloom, Bytes, U256},
    serde::quantity,
};
use serde::{Deserialize, Deserializer, de};
use std::marker::PhantomData;

/// A header, alone (an uncle) or within [`Block`].
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockHeader {
    /// The hash the node claims.
    pub hash: B256,
    parent_hash: B256,
    sha3_uncles: B256,
    #[serde(alias = "coinbase")]
    miner: Address,
    state_root: B256,
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
    difficulty: U256,
    #[serde(with = "quantity")]
    number: u64,
    #[serde(with = "quantity")]
    gas_limit: u64,
    #[serde(with = "quantity")]
    gas_used: u64,
    #[serde(with = "quantity")]
    timestamp: u64,
    extra_data: Bytes,
    #[serde(default)]
    mix_hash: B256,
    #[serde(default)]
    nonce: B64,
    #[serde(default, with = "quantity::opt")]
    base_fee_per_gas: Option<u64>,
    #[serde(default)]
    withdrawals_root: Option<B256>,
    #[serde(default, with = "quantity::opt")]
    blob_gas_used: Option<u64>,
    #[serde(default, with = "quantity::opt")]
    excess_blob_gas: Option<u64>,
    #[serde(default)]
    parent_beacon_block_root: Option<B256>,
    #[serde(default)]
    requests_hash: Option<B256>,
    #[serde(default)]
    block_access_list_hash: Option<B256>,
    #[serde(default, with = "quantity::opt")]
    slot_number: Option<u64>,
}

impl From<BlockHeader> for Header {
    fn from(wire: BlockHeader) -> Self {
        Self {
            parent_hash: wire.parent_hash,
            ommers_hash: wire.sha3_uncles,
            beneficiary: wire.miner,
            state_root: wire.state_root,
            transactions_root: wire.transactions_root,
            receipts_root: wire.receipts_root,
            logs_bloom: wire.logs_bloom,
            difficulty: wire.difficulty,
            number: wire.number,
            gas_limit: wire.gas_limit,
            gas_used: wire.gas_used,
            timestamp: wire.timestamp,
            extra_data: wire.extra_data,
            mix_hash: wire.mix_hash,
            nonce: wire.nonce,
            base_fee_per_gas: wire.base_fee_per_gas,
            withdrawals_root: wire.withdrawals_root,
            blob_gas_used: wire.blob_gas_used,
            excess_blob_gas: wire.excess_blob_gas,
            parent_beacon_block_root: wire.parent_beacon_block_root,
            requests_hash: wire.requests_hash,
            block_access_list_hash: wire.block_access_list_hash,
            slot_number: wire.slot_number,
        }
    }
}

/// `eth_getBlockByNumber(n, true)`.
#[derive(Debug, Clone, Deserialize)]
pub struct Block {
    /// The header fields, which stand beside the lists in the reply.
    #[serde(flatten)]
    pub header: BlockHeader,
    /// Transactions in order.
    #[serde(deserialize_with = "no_nulls")]
    pub transactions: Vec<Transaction>,
    /// Hashes of the uncles.
    #[serde(default)]
    pub uncles: Vec<B256>,
    /// Withdrawals, from Shanghai on.
    #[serde(default, deserialize_with = "no_nulls_opt")]
    pub withdrawals: Option<Vec<Withdrawal>>,
}

/// A transaction of any supported type; which fields must be there depends on `type`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    pub(crate) hash: B256,
    #[serde(rename = "type", default, with = "quantity::opt")]
    pub(crate) ty: Option<u8>,
    pub(crate) from: Address,
    #[serde(default)]
    pub(crate) to: Option<Address>,
    #[serde(with = "quantity")]
    pub(crate) nonce: u64,
    #[serde(with = "quantity")]
    pub(crate) gas: u64,
    pub(crate) value: U256,
    #[serde(default)]
    pub(crate) input: Option<Bytes>,
    /// The older name of `input`; some nodes send both.
    #[serde(default)]
    pub(crate) data: Option<Bytes>,
    #[serde(default, with = "quantity::opt")]
    pub(crate) gas_price: Option<u128>,
    #[serde(default, with = "quantity::opt")]
    pub(crate) max_fee_per_gas: Option<u128>,
    #[serde(default, with = "quantity::opt")]
    pub(crate) max_priority_fee_per_gas: Option<u128>,
    #[serde(default, with = "quantity::opt")]
    pub(crate) max_fee_per_blob_gas: Option<u128>,
    #[serde(default, with = "quantity::opt")]
    pub(crate) chain_id: Option<u64>,
    #[serde(default)]
    pub(crate) access_list: Option<AccessList>,
    #[serde(default)]
    pub(crate) blob_versioned_hashes: Option<Vec<B256>>,
    #[serde(default)]
    pub(crate) authorization_list: Option<Vec<SignedAuthorization>>,
    #[serde(default, with = "quantity::opt")]
    pub(crate) y_parity: Option<u64>,
    #[serde(default, with = "quantity::opt")]
    pub(crate) v: Option<u128>,
    #[serde(default)]
    pub(crate) r: Option<U256>,
    #[serde(default)]
    pub(crate) s: Option<U256>,
}

/// An entry of `eth_getBlockReceipts`, or `eth_getTransactionReceipt`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Hash of the block the node means.
    pub block_hash: B256,
    /// Hash of the transaction.
    pub transaction_hash: B256,
    #[serde(default, with = "quantity::opt")]
    pub(crate) status: Option<u8>,
    #[serde(default)]
    pub(crate) root: Option<B256>,
    #[serde(with = "quantity")]
    pub(crate) cumulative_gas_used: u64,
    #[serde(default, with = "quantity::opt")]
    pub(crate) blob_gas_price: Option<u128>,
    #[serde(deserialize_with = "no_nulls")]
    pub(crate) logs: Vec<Log>,
}

/// A log of a receipt: what the receipts root covers, and nothing else.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Log {
    pub(crate) address: Address,
    pub(crate) topics: Vec<B256>,
    pub(crate) data: Bytes,
}

/// A list whose elements must not be null; the error names the first that is.
fn no_nulls<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Elements<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Elements<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list of objects")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut out = Vec::with_capacity(seq.size_hint().unwrap_or(0));
            while let Some(element) = seq.next_element::<Option<T>>()? {
                let element = element
                    .ok_or_else(|| de::Error::custom(format!("element {} is null", out.len())))?;
                out.push(element);
            }
            Ok(out)
        }
    }

    deserializer.deserialize_seq(Elements(PhantomData))
}

/// [`no_nulls`] for a list that may itself be null.
fn no_nulls_opt<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct List<T>(Vec<T>);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            no_nulls(deserializer).map(Self)
        }
    }

    Ok(Option::<List<T>>::deserialize(deserializer)?.map(|list| list.0))
}
