//! Rows of `address_activity`.

use super::TransactionRow;
use crate::pg::table;
use alloy::primitives::Address;

/// What an address was in a transaction; roles of one row add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sent the transaction.
    Sender,
    /// It received the transaction.
    Recipient,
    /// It was created by the transaction.
    Created,
}

impl Role {
    /// The bit of this role in `address_activity.roles`.
    #[must_use]
    pub const fn bit(self) -> u8 {
        match self {
            Self::Sender => 1,
            Self::Recipient => 2,
            Self::Created => 4,
        }
    }
}

table! {
    /// That an address took part in a transaction.
    ActivityRow in "address_activity" {
        /// Height.
        block_number: u64,
        /// Position in the block.
        tx_index: u32,
        /// Sum of [`Role::bit`]s.
        roles: u8,
        /// The address.
        address: Address,
    }
}

/// One row for each distinct address of a transaction.
pub(super) fn of(tx: &TransactionRow) -> Vec<ActivityRow> {
    let mut rows: Vec<ActivityRow> = Vec::with_capacity(2);
    let parts = [
        (Some(tx.from_address), Role::Sender),
        (tx.to_address, Role::Recipient),
        (tx.contract_address, Role::Created),
    ];
    for (address, role) in parts {
        let Some(address) = address else { continue };
        if let Some(row) = rows.iter_mut().find(|row| row.address == address) {
            row.roles |= role.bit();
        } else {
            rows.push(ActivityRow {
                block_number: tx.block_number,
                tx_index: tx.tx_index,
                roles: role.bit(),
                address,
            });
        }
    }
    rows
}
