//! What can be wrong with a block, and what to do about it.

use alloy::primitives::{Address, B256};

/// The first thing about a block that did not match.
///
/// A failed proof is never "no data": the caller fetches the block elsewhere. [`Self::kind`] is a
/// short stable word for metrics.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VerifyError {
    /// A field that the block's hash cannot do without is missing or malformed.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// Which reply.
        what: &'static str,
        /// The parser's words.
        reason: String,
    },
    /// A transaction of a type we do not know how to hash.
    #[error(
        "transaction {index} has type {ty:#04x}: types 0 to 4 are supported, and a block with \
         another one cannot be proven"
    )]
    UnsupportedTransaction {
        /// Position in the block.
        index: usize,
        /// EIP-2718 type byte.
        ty: u8,
    },
    /// The header does not hash to the claimed hash.
    #[error("header hashes to {computed}, not to {claimed}")]
    HeaderHash {
        /// What the node said.
        claimed: B256,
        /// What its header hashes to.
        computed: B256,
    },
    /// A transaction does not hash to its claimed hash.
    #[error("transaction {index} hashes to {computed}, not to {claimed}")]
    TransactionHash {
        /// Position in the block.
        index: usize,
        /// What the node said.
        claimed: B256,
        /// What its fields hash to.
        computed: B256,
    },
    /// The transactions are not those the header commits to.
    #[error("transactions root is {computed}, the header says {header}")]
    TransactionsRoot {
        /// The header's root.
        header: B256,
        /// The root of the list.
        computed: B256,
    },
    /// The signature does not recover to the claimed sender, or to any.
    #[error("transaction {index} was signed by {recovered:?}, not by {claimed}")]
    Sender {
        /// Position in the block.
        index: usize,
        /// What the node said.
        claimed: Address,
        /// What the signature recovers to.
        recovered: Option<Address>,
    },
    /// The withdrawals are not those the header commits to.
    #[error("withdrawals root is {computed:?}, the header says {header:?}")]
    WithdrawalsRoot {
        /// The header's root.
        header: Option<B256>,
        /// The root of the list; `None` without a list.
        computed: Option<B256>,
    },
    /// The uncles are not those the header commits to.
    #[error("uncles hash is {computed}, the header says {header}")]
    UnclesHash {
        /// The header's hash.
        header: B256,
        /// The hash of the list.
        computed: B256,
    },
    /// Receipts of another block or another transaction: usually a node that answers before it has
    /// indexed its new head.
    #[error("receipt {index} belongs to another block or transaction")]
    ForeignReceipt {
        /// Position in the reply.
        index: usize,
    },
    /// Not one receipt for each transaction.
    #[error("{receipts} receipts for {transactions} transactions")]
    ReceiptCount {
        /// How many came.
        receipts: usize,
        /// How many were due.
        transactions: usize,
    },
    /// The receipts are not those the header commits to.
    #[error("receipts root is {computed}, the header says {header}")]
    ReceiptsRoot {
        /// The header's root.
        header: B256,
        /// The root of the list.
        computed: B256,
    },
    /// The logs do not add up to the header's bloom.
    #[error("the logs do not add up to the header's bloom")]
    LogsBloom,
}

impl VerifyError {
    /// A short stable word for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::UnsupportedTransaction { .. } => "unsupported_transaction",
            Self::HeaderHash { .. } => "header_hash",
            Self::TransactionHash { .. } => "transaction_hash",
            Self::TransactionsRoot { .. } => "transactions_root",
            Self::Sender { .. } => "sender",
            Self::WithdrawalsRoot { .. } => "withdrawals_root",
            Self::UnclesHash { .. } => "uncles_hash",
            Self::ForeignReceipt { .. } => "foreign_receipt",
            Self::ReceiptCount { .. } => "receipt_count",
            Self::ReceiptsRoot { .. } => "receipts_root",
            Self::LogsBloom => "logs_bloom",
        }
    }
}
