//! A block after proof.

use crate::HashRule;
use alloy::{
    consensus::{EthereumTxEnvelope, Header, TxEip4844},
    eips::eip4895::Withdrawal,
    primitives::{Address, B256, Log},
};

/// A signed transaction of type 0 to 4, without blob sidecars.
pub type Transaction = EthereumTxEnvelope<TxEip4844>;

/// A block every byte of which was recomputed from its header (as far as the checks asked for).
#[derive(Clone, Debug)]
pub struct ProvenBlock {
    /// The header as the node served it; on BFT chains with all its seals.
    pub header: Header,
    /// The block's hash under its consensus' rule.
    pub hash: B256,
    /// Which rule that was.
    pub rule: HashRule,
    /// Hashes of the uncle headers, in order.
    pub uncles: Vec<B256>,
    /// Whether `uncles` was recomputed: true for an empty list, or when the node served the uncle
    /// headers and they hash to `sha3Uncles`.
    pub uncles_proven: bool,
    /// Length of the block's RLP encoding in bytes; `None` when uncle headers are not to be had.
    pub size: Option<u64>,
    /// Withdrawals (EIP-4895); `None` before Shanghai.
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// Transactions with their receipts, in order.
    pub transactions: Vec<ProvenTransaction>,
}

impl ProvenBlock {
    /// The block's height.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.header.number
    }
}

/// A transaction and its receipt, as included in one block.
#[derive(Clone, Debug)]
pub struct ProvenTransaction {
    /// The signed transaction.
    pub envelope: Transaction,
    /// Who signed it.
    pub sender: Address,
    /// What became of it.
    pub receipt: ProvenReceipt,
}

/// What became of a transaction.
#[derive(Clone, Debug)]
pub struct ProvenReceipt {
    /// Success, from Byzantium on (EIP-658).
    pub status: Option<bool>,
    /// The intermediate state root, before Byzantium.
    pub state_root: Option<B256>,
    /// Gas used in the block up to and including this transaction.
    pub cumulative_gas_used: u64,
    /// Gas used by this transaction: the difference of two cumulative values.
    pub gas_used: u64,
    /// Wei paid per unit of gas (EIP-1559).
    pub effective_gas_price: u128,
    /// The contract this transaction created at its top level; none when it failed.
    pub contract_address: Option<Address>,
    /// Gas taken by blobs (EIP-4844): 131,072 each.
    pub blob_gas_used: Option<u64>,
    /// Wei paid per unit of blob gas.
    pub blob_gas_price: Option<u128>,
    /// Position of this receipt's first log in the block.
    pub first_log_index: u32,
    /// Logs in order.
    pub logs: Vec<Log>,
}
