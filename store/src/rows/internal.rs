//! Rows of `internal_transfers`.

use crate::pg::table;
use alloy::primitives::Address;
use chain::Wei;

table! {
    /// A call within a transaction that moved native coin, created a contract or destroyed one.
    InternalTransferRow in "internal_transfers" {
        /// Height.
        block_number: u64,
        /// Gas it was given.
        gas: Option<u64>,
        /// Gas it used.
        gas_used: Option<u64>,
        /// Position of its transaction.
        tx_index: u32,
        /// Position in the order of execution.
        trace_index: u32,
        /// 1 = call, 2 = create, 3 = create2, 4 = self-destruct.
        kind: u8,
        /// Who called, created or was destroyed.
        from_address: Address,
        /// Who was called or created, or got what the destroyed one had.
        to_address: Address,
        /// Positions of the calls that lead here, joined by `_`.
        trace_id: String,
        /// Wei moved.
        value: Wei,
    }
}
