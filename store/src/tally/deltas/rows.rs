//! What blocks add to the counters, a row type for each query of `delta_*.sql`.

use crate::pg::{Signed, table};
use alloy::primitives::Address;
use chain::Wei;

table! {
    /// What is added to a row of `address_totals`.
    AddressDelta in "address_totals" {
        /// The address.
        address: Address,
        /// Its bucket of heights.
        bucket: u64,
        /// Transactions it took part in.
        tx_count: u64,
        /// Transactions it sent.
        sent_count: u64,
        /// Transactions it received.
        received_count: u64,
        /// Transactions that created it.
        created_count: u64,
        /// Token transfers from or to it.
        transfer_count: u64,
        /// Token transfers of it.
        emitted_count: u64,
    }
}

table! {
    /// What is added to a row of `token_balances`.
    BalanceDelta in "token_balances" {
        /// Whose balance.
        holder: Address,
        /// Of which token.
        token: Address,
        /// Base units.
        delta: Signed,
    }
}

table! {
    /// What is added to a row of `token_totals`, holders left out.
    TokenDelta in "token_totals" {
        /// The contract.
        token: Address,
        /// ERC-20 transfers.
        erc20_count: u64,
        /// ERC-721 transfers.
        erc721_count: u64,
        /// ERC-1155 transfers.
        erc1155_count: u64,
        /// Deposits and withdrawals.
        wrap_count: u64,
        /// Base units that came from the zero address.
        minted: Wei,
        /// Base units that went to it.
        burnt: Wei,
    }
}

table! {
    /// What is added to a row of `nft_balances`.
    NftDelta in "nft_balances" {
        /// The contract.
        token: Address,
        /// Which token.
        token_id: Wei,
        /// Whose balance.
        holder: Address,
        /// Units.
        delta: Signed,
    }
}

table! {
    /// What is added to a row of `token_instances`, holders left out.
    InstanceDelta in "token_instances" {
        /// The contract.
        token: Address,
        /// Which token.
        token_id: Wei,
        /// Transfers.
        transfer_count: u64,
        /// Units that came from the zero address.
        minted: Wei,
        /// Units that went to it.
        burnt: Wei,
    }
}

/// What some blocks add, as rows in the order of their keys.
#[derive(Clone, Debug, Default)]
pub struct SortedDeltas {
    pub(in crate::tally) addresses: Vec<AddressDelta>,
    pub(in crate::tally) balances: Vec<BalanceDelta>,
    pub(in crate::tally) tokens: Vec<TokenDelta>,
    pub(in crate::tally) nfts: Vec<NftDelta>,
    pub(in crate::tally) instances: Vec<InstanceDelta>,
}
