//! Tokens, their holders and their ids.

use super::{checksum, checksum_opt};
use crate::read::{HeldInstance, HolderRank, Quantity};
use alloy::primitives::Address;
use chain::Wei;
use serde::{Serialize, Serializer};

/// The standard that a token's transfers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenStandard {
    /// EIP-20.
    Erc20,
    /// EIP-721.
    Erc721,
    /// EIP-1155.
    Erc1155,
}

impl TokenStandard {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Erc20, Self::Erc721, Self::Erc1155];

    /// Its name in answers, parameters and the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Erc20 => "erc20",
            Self::Erc721 => "erc721",
            Self::Erc1155 => "erc1155",
        }
    }

    /// The standard with a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A token.
#[derive(Clone, Debug, Serialize)]
pub struct TokenView {
    /// The contract.
    #[serde(with = "checksum")]
    pub address: Address,
    /// Its standard; none for a contract that only wraps the native coin.
    pub standard: Option<TokenStandard>,
    /// What it calls itself; none while unknown and where it says nothing usable.
    pub name: Option<String>,
    /// Its symbol.
    pub symbol: Option<String>,
    /// Decimals of an amount as people write it.
    pub decimals: Option<u8>,
    /// What it says its supply is, base units.
    pub total_supply: Option<Wei>,
    /// What its transfers say its supply is: minted less burnt, which may be below zero.
    pub supply: String,
    /// Transfers, one for each item of a batch.
    pub transfer_count: u64,
    /// Addresses with a balance above zero.
    pub holder_count: u64,
}

/// A token beside something of it.
#[derive(Clone, Debug, Serialize)]
pub struct TokenSummary {
    #[serde(with = "checksum")]
    address: Address,
    name: Option<String>,
    symbol: Option<String>,
    decimals: Option<u8>,
    pub(super) standard: Option<TokenStandard>,
}

impl TokenSummary {
    /// A token that may not be known yet.
    #[must_use]
    pub fn new(address: Address, token: Option<&TokenView>) -> Self {
        Self {
            address,
            name: token.and_then(|token| token.name.clone()),
            symbol: token.and_then(|token| token.symbol.clone()),
            decimals: token.and_then(|token| token.decimals),
            standard: token.and_then(|token| token.standard),
        }
    }
}

/// What a holder has of a token.
#[derive(Clone, Debug, Serialize)]
pub struct HeldTokenView {
    token: TokenSummary,
    /// Base units; pieces for ERC-721, units of all ids for ERC-1155.
    balance: Quantity,
}

impl HeldTokenView {
    /// A balance of a token that may not be known yet.
    #[must_use]
    pub fn new(address: Address, token: Option<&TokenView>, balance: Quantity) -> Self {
        Self {
            token: TokenSummary::new(address, token),
            balance,
        }
    }
}

/// What a holder has of an ERC-721 or ERC-1155 id.
#[derive(Clone, Debug, Serialize)]
pub struct HeldInstanceView {
    token: TokenSummary,
    token_id: Wei,
    /// Units; 1 for ERC-721.
    balance: Quantity,
}

impl HeldInstanceView {
    /// A balance of an id of a token that may not be known yet.
    #[must_use]
    pub fn new(key: &HeldInstance, token: Option<&TokenView>, balance: Quantity) -> Self {
        Self {
            token: TokenSummary::new(key.token, token),
            token_id: key.token_id,
            balance,
        }
    }
}

/// A holder of a token.
#[derive(Clone, Debug, Serialize)]
pub struct HolderView {
    #[serde(with = "checksum")]
    address: Address,
    balance: Quantity,
}

impl HolderView {
    /// A holder with its balance.
    #[must_use]
    pub fn new(rank: HolderRank) -> Self {
        Self {
            address: rank.holder,
            balance: rank.balance,
        }
    }
}

/// An ERC-721 or ERC-1155 id.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceView {
    /// The id.
    pub token_id: Wei,
    /// Who has it; none for ERC-1155, and for what was burnt.
    #[serde(with = "checksum_opt")]
    pub owner: Option<Address>,
    /// Units: minted less burnt.
    pub supply: String,
    /// Transfers of it.
    pub transfer_count: u64,
    /// Addresses that have some of it.
    pub holder_count: u64,
}
