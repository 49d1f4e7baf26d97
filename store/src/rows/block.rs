//! Rows of `blocks`, `withdrawals`, `block_stats` and `block_lookup`.

use super::{ActivityRow, count};
use crate::pg::{Timestamp, table};
use alloy::{
    consensus::Transaction as _,
    primitives::{Address, B64, B256, Bloom, Bytes, U256},
};
use chain::{ProvenBlock, Wei};
use std::collections::HashSet;

table! {
    /// A header of the canonical chain.
    BlockRow in "blocks" {
        /// Height.
        number: u64,
        /// Seconds since 1970.
        timestamp: u64,
        /// Most gas its transactions may use.
        gas_limit: u64,
        /// Gas its transactions used.
        gas_used: u64,
        /// Bytes of its RLP encoding.
        size: Option<u64>,
        /// Gas used by blobs (EIP-4844).
        blob_gas_used: Option<u64>,
        /// Running excess of blob gas (EIP-4844).
        excess_blob_gas: Option<u64>,
        /// Slot (EIP-7843).
        slot_number: Option<u64>,
        /// Number of transactions.
        tx_count: u32,
        /// Number of logs.
        log_count: u32,
        /// Whether the uncle hashes were recomputed.
        uncles_proven: bool,
        /// Hash under the consensus' rule.
        hash: B256,
        /// Hash of the block below.
        parent_hash: B256,
        /// Commitment to the uncles.
        sha3_uncles: B256,
        /// Beneficiary; on BFT chains the proposer.
        miner: Address,
        /// State root.
        state_root: B256,
        /// Transactions root.
        transactions_root: B256,
        /// Receipts root.
        receipts_root: B256,
        /// Bloom of all logs.
        logs_bloom: Bloom,
        /// Extra data with all seals.
        extra_data: Bytes,
        /// Mix hash; randomness after the merge.
        mix_hash: B256,
        /// Proof-of-work nonce.
        nonce: B64,
        /// Withdrawals root (EIP-4895).
        withdrawals_root: Option<B256>,
        /// Parent beacon block root (EIP-4788).
        parent_beacon_block_root: Option<B256>,
        /// Hash of the requests (EIP-7685).
        requests_hash: Option<B256>,
        /// Hash of the block access list (EIP-7928).
        block_access_list_hash: Option<B256>,
        /// Hashes of the uncles.
        uncles: Vec<B256>,
        /// Difficulty.
        difficulty: Wei,
        /// Wei per gas (EIP-1559).
        base_fee_per_gas: Option<Wei>,
    }
}

impl BlockRow {
    /// The row of a block.
    #[must_use]
    pub fn new(block: &ProvenBlock) -> Self {
        let header = &block.header;
        let logs = block.transactions.iter().map(|tx| tx.receipt.logs.len());
        Self {
            number: header.number,
            timestamp: header.timestamp,
            gas_limit: header.gas_limit,
            gas_used: header.gas_used,
            size: block.size,
            blob_gas_used: header.blob_gas_used,
            excess_blob_gas: header.excess_blob_gas,
            slot_number: header.slot_number,
            tx_count: count(block.transactions.len()),
            log_count: count(logs.sum()),
            uncles_proven: block.uncles_proven,
            hash: block.hash,
            parent_hash: header.parent_hash,
            sha3_uncles: header.ommers_hash,
            miner: header.beneficiary,
            state_root: header.state_root,
            transactions_root: header.transactions_root,
            receipts_root: header.receipts_root,
            logs_bloom: header.logs_bloom,
            extra_data: header.extra_data.clone(),
            mix_hash: header.mix_hash,
            nonce: header.nonce,
            withdrawals_root: header.withdrawals_root,
            parent_beacon_block_root: header.parent_beacon_block_root,
            requests_hash: header.requests_hash,
            block_access_list_hash: header.block_access_list_hash,
            uncles: block.uncles.clone(),
            difficulty: Wei(header.difficulty),
            base_fee_per_gas: header.base_fee_per_gas.map(Wei::from),
        }
    }
}

table! {
    /// A withdrawal from the consensus layer.
    WithdrawalRow in "withdrawals" {
        /// Height.
        block_number: u64,
        /// Number of the withdrawal, counted by the consensus layer.
        withdrawal_index: u64,
        /// Validator.
        validator_index: u64,
        /// Amount in gwei.
        amount_gwei: u64,
        /// Position in the block.
        position: u32,
        /// Recipient.
        address: Address,
    }
}

/// The withdrawals of a block.
pub(super) fn withdrawals_of(block: &ProvenBlock) -> impl Iterator<Item = WithdrawalRow> {
    let withdrawals = block.withdrawals.iter().flatten().enumerate();
    withdrawals.map(|(position, withdrawal)| WithdrawalRow {
        block_number: block.number(),
        withdrawal_index: withdrawal.index,
        validator_index: withdrawal.validator_index,
        amount_gwei: withdrawal.amount,
        position: count(position),
        address: withdrawal.address,
    })
}

table! {
    /// Where to look for a block hash.
    BlockLookupRow in "block_lookup" {
        /// First eight bytes of the hash.
        hash_prefix: i64,
        /// Height.
        block_number: u64,
    }
}

table! {
    /// Network metrics of one block.
    BlockStatsRow in "block_stats" {
        /// The block's own time.
        time: Timestamp,
        /// Height.
        number: u64,
        /// Gas used.
        gas_used: u64,
        /// Gas limit.
        gas_limit: u64,
        /// Bytes of the RLP encoding.
        size: Option<u64>,
        /// Transactions.
        tx_count: u32,
        /// Transactions that failed.
        failed_tx_count: u32,
        /// Logs.
        log_count: u32,
        /// Transactions that succeeded and moved a value.
        native_transfers: u32,
        /// Token transfers, one for each item of a batch.
        token_transfers: u32,
        /// Contracts created at the top level.
        contracts_created: u32,
        /// Distinct addresses that took part.
        active_addresses: u32,
        /// Wei per gas.
        base_fee_per_gas: Option<Wei>,
        /// Wei burnt.
        burnt_fees: Wei,
        /// Wei paid in fees.
        fees: Wei,
    }
}

impl BlockStatsRow {
    /// The metrics of a block; `activity` holds exactly its address activity.
    pub(super) fn new(
        block: &ProvenBlock,
        activity: &[ActivityRow],
        token_transfers: usize,
    ) -> Self {
        let transactions = &block.transactions;
        let header = &block.header;
        let tally = |test: &dyn Fn(&chain::ProvenTransaction) -> bool| {
            count(transactions.iter().filter(|tx| test(tx)).count())
        };
        let logs = transactions.iter().map(|tx| tx.receipt.logs.len());
        let addresses: HashSet<Address> = activity.iter().map(|row| row.address).collect();
        let fees = transactions
            .iter()
            .map(|tx| U256::from(tx.receipt.effective_gas_price) * U256::from(tx.receipt.gas_used));
        let base_fee = header.base_fee_per_gas;
        let burnt = U256::from(base_fee.unwrap_or(0)) * U256::from(header.gas_used);
        Self {
            time: Timestamp(header.timestamp),
            number: header.number,
            gas_used: header.gas_used,
            gas_limit: header.gas_limit,
            size: block.size,
            tx_count: count(transactions.len()),
            failed_tx_count: tally(&|tx| tx.receipt.status == Some(false)),
            log_count: count(logs.sum()),
            native_transfers: tally(&|tx| {
                tx.receipt.status != Some(false) && !tx.envelope.value().is_zero()
            }),
            token_transfers: count(token_transfers),
            contracts_created: tally(&|tx| tx.receipt.contract_address.is_some()),
            active_addresses: count(addresses.len()),
            base_fee_per_gas: base_fee.map(Wei::from),
            burnt_fees: Wei(burnt),
            fees: Wei(fees.fold(U256::ZERO, U256::saturating_add)),
        }
    }
}
