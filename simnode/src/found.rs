//! A block that a request found, canned or written on request.

use std::sync::Arc;

use alloy::primitives::B256;

use crate::block::{CannedBlock, CannedTransaction};
use crate::json::Json;
use crate::load::LoadChain;

/// A block, or the place of one in a load chain.
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    Canned(&'a Arc<CannedBlock>),
    Load {
        chain: &'a LoadChain,
        number: u64,
        hash: B256,
    },
}

impl Found<'_> {
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Canned(block) => block.number,
            Self::Load { number, .. } => *number,
        }
    }

    pub(crate) fn hash(&self) -> B256 {
        match self {
            Self::Canned(block) => block.hash,
            Self::Load { hash, .. } => *hash,
        }
    }

    /// With whole transactions.
    pub(crate) fn block(&self) -> Option<Json> {
        match self {
            Self::Canned(block) => Some(block.block.clone()),
            Self::Load { chain, number, .. } => chain.block(*number),
        }
    }

    /// With the hashes of the transactions.
    pub(crate) fn with_hashes(&self) -> Option<Json> {
        Some(self.canned()?.with_hashes())
    }

    pub(crate) fn receipts(&self) -> Option<Json> {
        match self {
            Self::Canned(block) => block.receipts.clone(),
            Self::Load { chain, number, .. } => chain.receipts(*number),
        }
    }

    pub(crate) fn uncle_count(&self) -> usize {
        match self {
            Self::Canned(block) => block.uncle_count,
            Self::Load { .. } => 0,
        }
    }

    pub(crate) fn uncle(&self, index: usize) -> Option<Json> {
        match self {
            Self::Canned(block) => block.uncles.get(index).cloned(),
            Self::Load { .. } => None,
        }
    }

    pub(crate) fn first_transaction(&self) -> Option<CannedTransaction> {
        self.canned()?.transactions.first().cloned()
    }

    /// Written out when it is not yet.
    pub(crate) fn canned(&self) -> Option<Arc<CannedBlock>> {
        match self {
            Self::Canned(block) => Some(Arc::clone(block)),
            Self::Load { chain, number, .. } => chain.canned(*number).map(Arc::new),
        }
    }

    /// Enough for an announcement.
    pub(crate) fn announced(&self) -> Option<Arc<CannedBlock>> {
        match self {
            Self::Canned(block) => Some(Arc::clone(block)),
            Self::Load { chain, number, .. } => chain.announced(*number).map(Arc::new),
        }
    }
}
