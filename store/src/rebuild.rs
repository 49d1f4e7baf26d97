//! From rows back to what was hashed: the inverse of [`crate::rows`].
//!
//! The database alone must be able to prove itself, so every field that a hash covers is stored, and
//! this puts them back together. Pure, like its inverse; `doctor` stands on it.

use crate::rows::{BlockRow, LogRow, TransactionRow, WithdrawalRow};
use alloy::{
    consensus::{
        Eip658Value, EthereumTypedTransaction, Header, Receipt, TxEip1559, TxEip2930, TxEip4844,
        TxEip7702, TxLegacy,
    },
    eips::{eip2930::AccessList, eip4895::Withdrawal},
    primitives::{Address, Log, LogData, Signature, TxKind, U256},
};
use chain::{Body, ClaimedReceipt, Transaction, Uncles, Wei};

/// A row that no block can have led to.
#[derive(Debug, thiserror::Error)]
#[error("{table} row of block {block_number}: {column} is missing or out of range")]
pub struct RebuildError {
    /// The table.
    pub table: &'static str,
    /// Height.
    pub block_number: u64,
    /// The column.
    pub column: &'static str,
}

/// A block with its receipts, as its rows claim it to be.
pub fn block(
    row: &BlockRow,
    withdrawals: &[WithdrawalRow],
    transactions: &[TransactionRow],
    logs: &[LogRow],
) -> Result<(Body, Vec<ClaimedReceipt>), RebuildError> {
    let mut logs = logs;
    let mut receipts = Vec::with_capacity(transactions.len());
    for row in transactions {
        let count = usize::try_from(row.log_count).unwrap_or(usize::MAX);
        let (own, rest) = logs.split_at(count.min(logs.len()));
        logs = rest;
        receipts.push(receipt(row, own)?);
    }
    let body = Body {
        hash: row.hash,
        header: header(row)?,
        senders: transactions.iter().map(|tx| tx.from_address).collect(),
        transactions: transactions
            .iter()
            .map(transaction)
            .collect::<Result<_, _>>()?,
        uncles: Uncles::Hashes(row.uncles.clone()),
        withdrawals: row
            .withdrawals_root
            .map(|_| withdrawals.iter().map(withdrawal).collect()),
    };
    Ok((body, receipts))
}

fn header(row: &BlockRow) -> Result<Header, RebuildError> {
    let base_fee = row.base_fee_per_gas.map(|fee| {
        u64::try_from(fee.0).map_err(|_| RebuildError {
            table: "blocks",
            block_number: row.number,
            column: "base_fee_per_gas",
        })
    });
    Ok(Header {
        parent_hash: row.parent_hash,
        ommers_hash: row.sha3_uncles,
        beneficiary: row.miner,
        state_root: row.state_root,
        transactions_root: row.transactions_root,
        receipts_root: row.receipts_root,
        logs_bloom: row.logs_bloom,
        difficulty: row.difficulty.0,
        number: row.number,
        gas_limit: row.gas_limit,
        gas_used: row.gas_used,
        timestamp: row.timestamp,
        extra_data: row.extra_data.clone(),
        mix_hash: row.mix_hash,
        nonce: row.nonce,
        base_fee_per_gas: base_fee.transpose()?,
        withdrawals_root: row.withdrawals_root,
        blob_gas_used: row.blob_gas_used,
        excess_blob_gas: row.excess_blob_gas,
        parent_beacon_block_root: row.parent_beacon_block_root,
        requests_hash: row.requests_hash,
        block_access_list_hash: row.block_access_list_hash,
        slot_number: row.slot_number,
    })
}

fn withdrawal(row: &WithdrawalRow) -> Withdrawal {
    Withdrawal {
        index: row.withdrawal_index,
        validator_index: row.validator_index,
        address: row.address,
        amount: row.amount_gwei,
    }
}

/// Columns of a transaction that its type cannot do without.
struct Columns<'a>(&'a TransactionRow);

impl Columns<'_> {
    fn missing(&self, column: &'static str) -> RebuildError {
        RebuildError {
            table: "transactions",
            block_number: self.0.block_number,
            column,
        }
    }

    fn fee(&self, column: &'static str, fee: Option<Wei>) -> Result<u128, RebuildError> {
        fee.and_then(|fee| u128::try_from(fee.0).ok())
            .ok_or_else(|| self.missing(column))
    }

    fn gas_price(&self) -> Result<u128, RebuildError> {
        self.fee("gas_price", self.0.gas_price)
    }

    fn max_fee(&self) -> Result<u128, RebuildError> {
        self.fee("max_fee_per_gas", self.0.max_fee_per_gas)
    }

    fn max_priority_fee(&self) -> Result<u128, RebuildError> {
        self.fee("max_priority_fee_per_gas", self.0.max_priority_fee_per_gas)
    }

    fn chain_id(&self) -> Result<u64, RebuildError> {
        self.0.chain_id.ok_or_else(|| self.missing("chain_id"))
    }

    fn to(&self) -> Result<Address, RebuildError> {
        self.0.to_address.ok_or_else(|| self.missing("to_address"))
    }

    fn access_list(&self) -> AccessList {
        let list = self.0.access_list.as_ref();
        list.map(|json| json.0.clone()).unwrap_or_default()
    }
}

fn transaction(row: &TransactionRow) -> Result<Transaction, RebuildError> {
    let columns = Columns(row);
    let kind = row.to_address.map_or(TxKind::Create, TxKind::Call);
    let (nonce, gas_limit, value) = (row.nonce, row.gas_limit, row.value.0);
    let input = row.input.clone();
    let typed = match row.tx_type {
        0 => EthereumTypedTransaction::Legacy(TxLegacy {
            chain_id: row.chain_id,
            nonce,
            gas_price: columns.gas_price()?,
            gas_limit,
            to: kind,
            value,
            input,
        }),
        1 => EthereumTypedTransaction::Eip2930(TxEip2930 {
            chain_id: columns.chain_id()?,
            nonce,
            gas_price: columns.gas_price()?,
            gas_limit,
            to: kind,
            value,
            access_list: columns.access_list(),
            input,
        }),
        2 => EthereumTypedTransaction::Eip1559(TxEip1559 {
            chain_id: columns.chain_id()?,
            nonce,
            gas_limit,
            max_fee_per_gas: columns.max_fee()?,
            max_priority_fee_per_gas: columns.max_priority_fee()?,
            to: kind,
            value,
            access_list: columns.access_list(),
            input,
        }),
        3 => EthereumTypedTransaction::Eip4844(TxEip4844 {
            chain_id: columns.chain_id()?,
            nonce,
            gas_limit,
            max_fee_per_gas: columns.max_fee()?,
            max_priority_fee_per_gas: columns.max_priority_fee()?,
            to: columns.to()?,
            value,
            access_list: columns.access_list(),
            blob_versioned_hashes: row.blob_versioned_hashes.clone().unwrap_or_default(),
            max_fee_per_blob_gas: columns.fee("max_fee_per_blob_gas", row.max_fee_per_blob_gas)?,
            input,
        }),
        4 => EthereumTypedTransaction::Eip7702(TxEip7702 {
            chain_id: columns.chain_id()?,
            nonce,
            gas_limit,
            max_fee_per_gas: columns.max_fee()?,
            max_priority_fee_per_gas: columns.max_priority_fee()?,
            to: columns.to()?,
            value,
            access_list: columns.access_list(),
            authorization_list: row
                .authorization_list
                .as_ref()
                .map(|json| json.0.clone())
                .unwrap_or_default(),
            input,
        }),
        _ => return Err(columns.missing("tx_type")),
    };
    let signature = Signature::new(
        U256::from_be_bytes(row.r.0),
        U256::from_be_bytes(row.s.0),
        row.y_parity,
    );
    Ok(Transaction::new_unchecked(typed, signature, row.hash))
}

fn receipt(row: &TransactionRow, logs: &[LogRow]) -> Result<ClaimedReceipt, RebuildError> {
    let status = match (row.status, row.state_root) {
        (Some(success), _) => Eip658Value::Eip658(success),
        (None, Some(root)) => Eip658Value::PostState(root),
        (None, None) => return Err(Columns(row).missing("status")),
    };
    let price = row
        .blob_gas_price
        .and_then(|price| u128::try_from(price.0).ok());
    Ok(ClaimedReceipt {
        receipt: Receipt {
            status,
            cumulative_gas_used: row.cumulative_gas_used,
            logs: logs.iter().map(log).collect(),
        },
        blob_gas_price: price,
    })
}

fn log(row: &LogRow) -> Log {
    Log {
        address: row.address,
        data: LogData::new_unchecked(row.topics().collect(), row.data.clone()),
    }
}
