//! Heads and finality tags of nodes.

use alloy::primitives::{B256, U64};
use serde::Deserialize;
use store::state::BlockRef;

/// The part of a header that following needs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tip {
    /// Hash.
    pub hash: B256,
    number: U64,
    /// Hash of the block below.
    pub parent_hash: B256,
    timestamp: U64,
    #[serde(default)]
    mix_hash: Option<B256>,
}

/// What a node says to a finality tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// The block it stands for.
    Known(Tip),
    /// The node knows the tag, and no block has it yet.
    Nothing,
    /// The node does not know the tag.
    Unsupported,
}

impl Tag {
    /// The block, when there is one.
    #[must_use]
    pub fn block(self) -> Option<BlockRef> {
        match self {
            Self::Known(tip) => Some(tip.block()),
            Self::Nothing | Self::Unsupported => None,
        }
    }
}

impl Tip {
    /// Whether a quorum of validators signed this block, which makes it final at once.
    #[must_use]
    pub fn is_bft(&self) -> bool {
        self.mix_hash == Some(chain::BFT_MIX_HASH)
    }

    /// Height.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number.saturating_to()
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn timestamp(&self) -> u64 {
        self.timestamp.saturating_to()
    }

    /// Height and hash.
    #[must_use]
    pub fn block(&self) -> BlockRef {
        BlockRef {
            number: self.number(),
            hash: self.hash,
        }
    }
}
