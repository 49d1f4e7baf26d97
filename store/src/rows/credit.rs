//! Rows of `block_credits`: native coin that moves outside of transactions' values.

use crate::pg::table;
use alloy::primitives::{Address, U256};
use chain::{ProvenBlock, Wei};
use std::collections::BTreeMap;

/// Why a block credits an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// Fees of the block's transactions, to its producer; what is burnt is left out.
    Fees,
    /// Withdrawals from the consensus layer (EIP-4895).
    Withdrawals,
}

impl Credit {
    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Fees => 1,
            Self::Withdrawals => 2,
        }
    }
}

table! {
    /// What a block credits to an address.
    BlockCreditRow in "block_credits" {
        /// Height.
        block_number: u64,
        /// [`Credit::number`].
        kind: u8,
        /// Who is credited.
        address: Address,
        /// Wei.
        amount: Wei,
    }
}

/// Clique and BFT blocks have a difficulty of 0 to 2; from here on there is work, and a static reward.
const LEAST_WORK: u64 = 3;

/// Wei in a gwei, the unit of withdrawals.
const GWEI: u64 = 1_000_000_000;

/// The credits of a block: its fees, and one row for each address that withdrawals go to.
pub(super) fn credits_of(block: &ProvenBlock) -> Vec<BlockCreditRow> {
    let header = &block.header;
    let base_fee = u128::from(header.base_fee_per_gas.unwrap_or(0));
    let fees = block
        .transactions
        .iter()
        .map(|tx| {
            let tip = tx.receipt.effective_gas_price.saturating_sub(base_fee);
            U256::from(tip) * U256::from(tx.receipt.gas_used)
        })
        .fold(U256::ZERO, U256::saturating_add);
    let mut credits = Vec::new();
    let row = |address, credit: Credit, amount| BlockCreditRow {
        block_number: header.number,
        kind: credit.number(),
        address,
        amount: Wei(amount),
    };
    let works = header.difficulty >= U256::from(LEAST_WORK) && header.number > 0;
    if !fees.is_zero() || works {
        credits.push(row(header.beneficiary, Credit::Fees, fees));
    }
    let mut withdrawn: BTreeMap<Address, U256> = BTreeMap::new();
    for withdrawal in block.withdrawals.iter().flatten() {
        *withdrawn.entry(withdrawal.address).or_default() +=
            U256::from(withdrawal.amount) * U256::from(GWEI);
    }
    let withdrawn = withdrawn
        .into_iter()
        .filter(|(_, amount)| !amount.is_zero());
    credits.extend(withdrawn.map(|(address, amount)| row(address, Credit::Withdrawals, amount)));
    credits
}
