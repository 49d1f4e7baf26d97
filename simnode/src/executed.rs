//! A transaction with what became of it.

use alloy::consensus::{
    Eip658Value, EthereumTxEnvelope, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _,
    TxEip4844,
};
use alloy::primitives::{Address, Bloom, Log};

/// A signed transaction of any type; blobs stay with the consensus layer.
pub type Transaction = EthereumTxEnvelope<TxEip4844>;

/// A transaction of a block, its sender, and its receipt with what the receipt commits to.
#[derive(Debug, Clone)]
pub(crate) struct Executed {
    pub(crate) envelope: Transaction,
    pub(crate) from: Address,
    /// Gas of this transaction alone.
    pub(crate) gas_used: u64,
    /// Its `cumulative_gas_used` is right once the block is sealed.
    pub(crate) receipt: Receipt,
    pub(crate) bloom: Bloom,
}

impl Executed {
    /// With the bloom computed from the logs.
    pub(crate) fn new(
        envelope: Transaction,
        from: Address,
        gas_used: u64,
        succeeds: bool,
        logs: Vec<Log>,
    ) -> Self {
        let bloom = logs.iter().collect();
        Self::with_bloom(envelope, from, gas_used, succeeds, (logs, bloom))
    }

    /// With a bloom that is known to be that of the logs.
    pub(crate) fn with_bloom(
        envelope: Transaction,
        from: Address,
        gas_used: u64,
        succeeds: bool,
        (logs, bloom): (Vec<Log>, Bloom),
    ) -> Self {
        let receipt = Receipt {
            status: Eip658Value::Eip658(succeeds),
            cumulative_gas_used: 0,
            logs,
        };
        Self {
            envelope,
            from,
            gas_used,
            receipt,
            bloom,
        }
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.receipt.status.coerce_status()
    }

    /// The address of the contract that it created: keccak of sender and nonce (yellow paper, 7).
    pub(crate) fn created(&self) -> Option<Address> {
        let creates = self.envelope.is_create() && self.succeeded();
        creates.then(|| self.from.create(self.envelope.nonce()))
    }

    /// The receipt as it is hashed (EIP-2718).
    pub(crate) fn hashed_receipt(&self) -> ReceiptEnvelope {
        let receipt = ReceiptWithBloom {
            receipt: self.receipt.clone(),
            logs_bloom: self.bloom,
        };
        ReceiptEnvelope::from_typed(self.envelope.tx_type(), receipt)
    }
}

/// Fills in the cumulative gas of every receipt; returns the block's.
pub(crate) fn accumulate_gas(executed: &mut [Executed]) -> u64 {
    let mut cumulative = 0;
    for one in executed {
        cumulative += one.gas_used;
        one.receipt.cumulative_gas_used = cumulative;
    }
    cumulative
}
