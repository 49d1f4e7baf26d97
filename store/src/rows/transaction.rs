//! Rows of `transactions`, `logs` and `tx_lookup`.

use super::count;
use crate::pg::{Json, table};
use alloy::{
    consensus::{Transaction as _, Typed2718 as _},
    eips::{eip2930::AccessList, eip7702::SignedAuthorization},
    primitives::{Address, B256, Bytes, Log},
};
use chain::{ProvenTransaction, Wei};

table! {
    /// A transaction with its receipt, as included in one block.
    TransactionRow in "transactions" {
        /// Height of the block.
        block_number: u64,
        /// Sender's nonce.
        nonce: u64,
        /// Most gas it may use.
        gas_limit: u64,
        /// Gas it used.
        gas_used: u64,
        /// Gas used in the block so far, its own included.
        cumulative_gas_used: u64,
        /// Chain id that was signed.
        chain_id: Option<u64>,
        /// Gas taken by blobs.
        blob_gas_used: Option<u64>,
        /// Position in the block.
        tx_index: u32,
        /// Position of its first log in the block.
        first_log_index: u32,
        /// Number of its logs.
        log_count: u32,
        /// EIP-2718 type.
        tx_type: u8,
        /// Success (EIP-658).
        status: Option<bool>,
        /// Parity of the signature.
        y_parity: bool,
        /// Hash.
        hash: B256,
        /// Sender.
        from_address: Address,
        /// Recipient; none for a creation.
        to_address: Option<Address>,
        /// Contract it created.
        contract_address: Option<Address>,
        /// State root after it (before Byzantium).
        state_root: Option<B256>,
        /// Signature r.
        r: B256,
        /// Signature s.
        s: B256,
        /// Input.
        input: Bytes,
        /// Wei sent.
        value: Wei,
        /// Wei per gas as paid.
        effective_gas_price: Wei,
        /// Wei per gas as signed (types 0 and 1).
        gas_price: Option<Wei>,
        /// Most wei per gas (from type 2 on).
        max_fee_per_gas: Option<Wei>,
        /// Most wei per gas for the block's producer (from type 2 on).
        max_priority_fee_per_gas: Option<Wei>,
        /// Most wei per blob gas (type 3).
        max_fee_per_blob_gas: Option<Wei>,
        /// Wei per blob gas as paid.
        blob_gas_price: Option<Wei>,
        /// Versioned hashes of its blobs (type 3).
        blob_versioned_hashes: Option<Vec<B256>>,
        /// Access list; none when empty.
        access_list: Option<Json<AccessList>>,
        /// Authorizations (type 4).
        authorization_list: Option<Json<Vec<SignedAuthorization>>>,
    }
}

impl TransactionRow {
    /// The row of a transaction at a position.
    #[must_use]
    pub fn new(block_number: u64, tx_index: u32, transaction: &ProvenTransaction) -> Self {
        let ProvenTransaction {
            envelope: tx,
            sender,
            receipt,
        } = transaction;
        let signature = tx.signature();
        let dynamic_fee = tx.is_dynamic_fee();
        let access_list = tx.access_list().filter(|list| !list.is_empty());
        Self {
            block_number,
            nonce: tx.nonce(),
            gas_limit: tx.gas_limit(),
            gas_used: receipt.gas_used,
            cumulative_gas_used: receipt.cumulative_gas_used,
            chain_id: tx.chain_id(),
            blob_gas_used: receipt.blob_gas_used,
            tx_index,
            first_log_index: receipt.first_log_index,
            log_count: count(receipt.logs.len()),
            tx_type: tx.ty(),
            status: receipt.status,
            y_parity: signature.v(),
            hash: *tx.hash(),
            from_address: *sender,
            to_address: tx.to(),
            contract_address: receipt.contract_address,
            state_root: receipt.state_root,
            r: signature.r().into(),
            s: signature.s().into(),
            input: tx.input().clone(),
            value: Wei(tx.value()),
            effective_gas_price: receipt.effective_gas_price.into(),
            gas_price: tx.gas_price().map(Wei::from),
            max_fee_per_gas: dynamic_fee.then(|| tx.max_fee_per_gas().into()),
            max_priority_fee_per_gas: tx.max_priority_fee_per_gas().map(Wei::from),
            max_fee_per_blob_gas: tx.max_fee_per_blob_gas().map(Wei::from),
            blob_gas_price: receipt.blob_gas_price.map(Wei::from),
            blob_versioned_hashes: tx.blob_versioned_hashes().map(<[B256]>::to_vec),
            access_list: access_list.cloned().map(Json),
            authorization_list: tx.authorization_list().map(|list| Json(list.to_vec())),
        }
    }

    /// The signature's `v` as nodes show it: parity for typed transactions, EIP-155 for legacy ones.
    #[must_use]
    pub fn v(&self) -> u64 {
        let parity = u64::from(self.y_parity);
        match (self.tx_type, self.chain_id) {
            (0, Some(chain_id)) => chain_id.saturating_mul(2).saturating_add(35 + parity),
            (0, None) => 27 + parity,
            _ => parity,
        }
    }
}

table! {
    /// Where to look for a transaction hash.
    TxLookupRow in "tx_lookup" {
        /// First eight bytes of the hash.
        hash_prefix: i64,
        /// Height.
        block_number: u64,
        /// Position in the block.
        tx_index: u32,
    }
}

table! {
    /// A log.
    LogRow in "logs" {
        /// Height.
        block_number: u64,
        /// Position in the block.
        log_index: u32,
        /// Position of its transaction.
        tx_index: u32,
        /// Contract that emitted it.
        address: Address,
        /// First topic: for most logs, the event's signature.
        topic0: Option<B256>,
        /// Second topic.
        topic1: Option<B256>,
        /// Third topic.
        topic2: Option<B256>,
        /// Fourth topic.
        topic3: Option<B256>,
        /// Data.
        data: Bytes,
    }
}

impl LogRow {
    /// The topics that are there, in order.
    pub fn topics(&self) -> impl Iterator<Item = B256> {
        [self.topic0, self.topic1, self.topic2, self.topic3]
            .into_iter()
            .flatten()
    }
}

/// The logs of a transaction, numbered from its first.
pub(super) fn logs_of(row: &TransactionRow, logs: &[Log]) -> Vec<LogRow> {
    (row.first_log_index..)
        .zip(logs)
        .map(|(log_index, log)| {
            let topic = |position| log.topics().get(position).copied();
            LogRow {
                block_number: row.block_number,
                log_index,
                tx_index: row.tx_index,
                address: log.address,
                topic0: topic(0),
                topic1: topic(1),
                topic2: topic(2),
                topic3: topic(3),
                data: log.data.data.clone(),
            }
        })
        .collect()
}
