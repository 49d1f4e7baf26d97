//! What a header says of its body, computed.

use alloy::consensus::proofs::{
    calculate_receipt_root, calculate_transaction_root, calculate_withdrawals_root,
};
use alloy::consensus::{Header, ReceiptEnvelope, Transaction as _};
use alloy::eips::eip4895::Withdrawal;
use alloy::primitives::Bloom;
use alloy::rlp::{Encodable as _, Header as RlpHeader};

use crate::executed::{Executed, Transaction, accumulate_gas};

/// Fills in roots, bloom and gas, and the cumulative gas of the receipts. The hash comes after.
pub(crate) fn commit_to(
    header: &mut Header,
    executed: &mut [Executed],
    withdrawals: Option<&[Withdrawal]>,
) {
    header.gas_used = accumulate_gas(executed);
    let transactions: Vec<&Transaction> = executed.iter().map(|one| &one.envelope).collect();
    header.transactions_root = calculate_transaction_root(&transactions);
    let receipts: Vec<ReceiptEnvelope> = executed.iter().map(Executed::hashed_receipt).collect();
    header.receipts_root = calculate_receipt_root(&receipts);
    header.logs_bloom = executed
        .iter()
        .fold(Bloom::ZERO, |bloom, one| bloom | one.bloom);
    header.withdrawals_root = withdrawals.map(calculate_withdrawals_root);
    if header.excess_blob_gas.is_some() {
        let blobs = executed
            .iter()
            .filter_map(|one| one.envelope.blob_gas_used());
        header.blob_gas_used = Some(blobs.sum());
    }
}

/// Bytes of the transactions as they stand in a block: typed ones with the header of a string.
pub(crate) fn transactions_length(executed: &[Executed]) -> usize {
    executed.iter().map(|one| one.envelope.length()).sum()
}

/// Bytes of the block's RLP: `[header, transactions, uncles, withdrawals?]`.
pub(crate) fn size(
    header: &Header,
    transactions_length: usize,
    withdrawals: Option<&[Withdrawal]>,
) -> u64 {
    let list = |payload_length| {
        let header = RlpHeader {
            list: true,
            payload_length,
        };
        header.length_with_payload()
    };
    let withdrawals = withdrawals.map_or(0, |all| {
        list(all.iter().map(Withdrawal::length).sum::<usize>())
    });
    let whole = list(header.length() + list(transactions_length) + list(0) + withdrawals);
    u64::try_from(whole).unwrap_or(u64::MAX)
}
