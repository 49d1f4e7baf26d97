//! The kinds of transactions there are, and how often each comes.

use rand::Rng;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Moves ETH: type 0.
    LegacyTransfer,
    /// Moves ETH and has an access list (EIP-2930): type 1.
    AccessListTransfer,
    /// Moves ETH (EIP-1559): type 2.
    Transfer,
    /// Moves nothing, with a message as call data.
    Message,
    /// Delegates an account to code (EIP-7702): type 4.
    Delegation,
    /// Creates a contract.
    Creation,
    /// Moves tokens.
    TokenTransfer,
    /// Allows another account to move tokens.
    TokenApproval,
    /// Moves tokens of another account; reverts when that one has not allowed it yet.
    TokenTransferFrom,
    /// Moves more tokens than there are: reverts.
    Revert,
    /// Moves tokens with too little gas: fails without a reason.
    OutOfGas,
    /// Mints an ERC-721 token, or moves one.
    Collectible,
    /// Mints or moves ERC-1155 tokens: a batch, or some of one id.
    Items,
    /// Wraps coin, unwraps it or moves what is wrapped.
    Wrapping,
    /// Pays several recipients through a contract: internal transfers, some of them reverted.
    Payment,
    /// Calls a token behind a proxy.
    ProxiedToken,
    /// Has a factory create a contract.
    FactoryCreation,
    /// Creates a contract that destroys itself.
    SelfDestruct,
}

/// Kinds with their weights; tokens move most, as on public networks.
const WEIGHTS: [(Kind, u32); 18] = [
    (Kind::TokenTransfer, 32),
    (Kind::Transfer, 24),
    (Kind::LegacyTransfer, 10),
    (Kind::AccessListTransfer, 6),
    (Kind::TokenApproval, 6),
    (Kind::TokenTransferFrom, 6),
    (Kind::Revert, 5),
    (Kind::Message, 4),
    (Kind::Delegation, 3),
    (Kind::OutOfGas, 3),
    (Kind::Creation, 1),
    (Kind::Collectible, 8),
    (Kind::Items, 6),
    (Kind::Wrapping, 6),
    (Kind::Payment, 4),
    (Kind::ProxiedToken, 3),
    (Kind::FactoryCreation, 2),
    (Kind::SelfDestruct, 1),
];

impl Kind {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        WEIGHTS.iter().map(|(kind, _)| *kind)
    }

    pub(super) fn pick(random: &mut impl Rng) -> Self {
        let total: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut left = random.random_range(0..total);
        for (kind, weight) in WEIGHTS {
            if left < weight {
                return kind;
            }
            left -= weight;
        }
        // The weights add up to the total, so one of them was reached.
        Self::Transfer
    }
}
