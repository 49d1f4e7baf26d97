//! A generated block: its header, its bodies as text, and the state that its children go on from.

use alloy::consensus::Header;
use alloy::eips::eip4895::Withdrawal;
use alloy::eips::eip7840::BlobParams;
use alloy::primitives::{B256, U256};

use super::{Profile, trace};
use crate::block::{CannedBlock, Stated};
use crate::executed::Executed;
use crate::seal;
use crate::text::{self, Place, Rest};

/// A block with its receipts, as a node would tell them.
#[derive(Clone, Debug)]
pub struct GeneratedBlock {
    /// Its header.
    pub header: Header,
    /// Its hash, by the rule of its chain.
    pub hash: B256,
    pub(super) state: State,
    canned: CannedBlock,
}

/// What a block leaves to its children, on its own branch.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The next nonce of every account.
    pub(super) nonces: Vec<u64>,
    /// The next withdrawal's index.
    pub(super) withdrawals: u64,
}

impl GeneratedBlock {
    /// In the form in which the node serves it. Cheap: the bodies are shared.
    #[must_use]
    pub fn canned(&self) -> CannedBlock {
        self.canned.clone()
    }

    /// Height.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Writes a sealed block down.
    pub(super) fn write(
        profile: Profile,
        (header, hash): (Header, B256),
        executed: &[Executed],
        withdrawals: Option<&[Withdrawal]>,
        state: State,
    ) -> Self {
        let rest = Rest {
            size: seal::size(&header, seal::transactions_length(executed), withdrawals),
            total_difficulty: profile.is_qbft().then(|| U256::from(header.number + 1)),
            withdrawals,
        };
        let blob_gas_price = header.blob_fee(BlobParams::prague());
        let place = Place::new(&header, hash, blob_gas_price);
        let (block, transaction_list) = text::block(&place, &rest, executed);
        let receipts = text::receipts(&place, executed);
        let stated = Stated {
            number: header.number,
            hash,
            parent_hash: header.parent_hash,
            timestamp: header.timestamp,
        };
        let hashes = executed.iter().map(|one| *one.envelope.tx_hash());
        let canned = CannedBlock::written(&stated, (block, transaction_list), receipts, hashes)
            .with_calls(executed.iter().map(trace::of).collect());
        Self {
            header,
            hash,
            state,
            canned,
        }
    }
}
