//! Which fork's rules and which consensus a generated chain follows.

use alloy::consensus::{EMPTY_OMMER_ROOT_HASH, Header, TxType};
use alloy::eips::{eip1559::BaseFeeParams, eip7685::EMPTY_REQUESTS_HASH, eip7840::BlobParams};
use alloy::primitives::{Address, B256, U256};
use rand::{Rng as _, rngs::StdRng};

use super::qbft;

/// Wei per gas of block 0 where there is a base fee; blocks below half their limit lower it.
const FIRST_BASE_FEE: u64 = 1_000_000_000;

/// Excess blob gas of block 0: a price above one wei, which then falls for some 75 blocks.
const FIRST_EXCESS_BLOB_GAS: u64 = 60_000_000;

/// Gas of a block. Generated blocks use less than half, so that the base fee never rises (EIP-1559).
const GAS_LIMIT: u64 = 60_000_000;

/// Rules of a generated chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Proof of work before London: types 0 and 1, no base fee.
    Berlin,
    /// Proof of work with a base fee: types 0 to 2.
    London,
    /// Proof of stake as on public networks: types 0 to 4, withdrawals, blob gas, requests hash.
    Prague,
    /// Besu's QBFT without a base fee: types 0 and 1, gas often for free.
    Qbft,
    /// Besu's QBFT with `zeroBaseFee` and empty withdrawals: types 0 to 2.
    QbftZeroBaseFee,
}

impl Profile {
    /// Every one of them.
    pub const ALL: [Self; 5] = [
        Self::Berlin,
        Self::London,
        Self::Prague,
        Self::Qbft,
        Self::QbftZeroBaseFee,
    ];

    /// Whether validators seal the blocks.
    pub fn is_qbft(self) -> bool {
        matches!(self, Self::Qbft | Self::QbftZeroBaseFee)
    }

    pub(crate) fn types(self) -> &'static [TxType] {
        use TxType::{Eip1559, Eip2930, Eip4844, Eip7702, Legacy};
        match self {
            Self::Berlin | Self::Qbft => &[Legacy, Legacy, Eip2930],
            Self::London | Self::QbftZeroBaseFee => &[Legacy, Eip2930, Eip1559, Eip1559],
            Self::Prague => &[Legacy, Legacy, Eip2930, Eip1559, Eip1559, Eip4844, Eip7702],
        }
    }

    /// Least wei per gas that transactions offer: no block asks for more.
    pub(crate) fn least_price(self) -> u128 {
        if self.is_qbft() { 0 } else { 2_000_000_000 }
    }

    pub(crate) fn genesis(self) -> Header {
        let mut header = Header {
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            gas_limit: GAS_LIMIT,
            timestamp: 1_700_000_000,
            difficulty: U256::from(u8::from(self != Self::Prague)),
            ..Header::default()
        };
        header.base_fee_per_gas = match self {
            Self::Berlin | Self::Qbft => None,
            Self::London | Self::Prague => Some(FIRST_BASE_FEE),
            Self::QbftZeroBaseFee => Some(0),
        };
        if self.is_qbft() {
            header.mix_hash = qbft::MIX_HASH;
        }
        if self == Self::Prague {
            header.excess_blob_gas = Some(FIRST_EXCESS_BLOB_GAS);
            header.blob_gas_used = Some(0);
            header.parent_beacon_block_root = Some(B256::ZERO);
            header.requests_hash = Some(EMPTY_REQUESTS_HASH);
        }
        header
    }

    /// A header on another, but for its body and, under QBFT, its proposer and seals.
    pub(crate) fn child(self, random: &mut StdRng, parent: &Header, parent_hash: B256) -> Header {
        let mut header = Header {
            parent_hash,
            number: parent.number + 1,
            timestamp: parent.timestamp + random.random_range(1..30),
            beneficiary: Address::with_last_byte(random.random_range(0x40..0x44)),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            state_root: B256::from(random.random::<[u8; 32]>()),
            extra_data: random.random::<[u8; 8]>().to_vec().into(),
            gas_limit: parent.gas_limit,
            mix_hash: B256::from(random.random::<[u8; 32]>()),
            ..Header::default()
        };
        match self {
            Self::Berlin | Self::London => {
                header.difficulty = U256::from(random.random_range(1..1_u64 << 50));
                header.nonce = random.random::<[u8; 8]>().into();
            }
            Self::Qbft | Self::QbftZeroBaseFee => {
                header.difficulty = U256::from(1);
                header.mix_hash = qbft::MIX_HASH;
            }
            Self::Prague => {
                header.excess_blob_gas = parent.next_block_excess_blob_gas(BlobParams::prague());
                header.parent_beacon_block_root = Some(B256::from(random.random::<[u8; 32]>()));
                header.requests_hash = Some(EMPTY_REQUESTS_HASH);
            }
        }
        header.base_fee_per_gas = match self {
            Self::QbftZeroBaseFee => Some(0),
            _ => parent.next_block_base_fee(BaseFeeParams::ethereum()),
        };
        header
    }

    /// Whether blocks have a list of withdrawals (EIP-4895).
    pub(crate) fn has_withdrawals(self) -> bool {
        matches!(self, Self::Prague | Self::QbftZeroBaseFee)
    }
}
