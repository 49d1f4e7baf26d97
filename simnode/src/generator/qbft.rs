//! QBFT: extra data, and the two hashes of one header.
//!
//! Extra data is RLP `[vanity, validators, vote, round, seals]`. Validators sign the header with the round
//! and without seals; the block's hash leaves the round out as well, so that it does not depend on how
//! often the validators had to try (Besu's `QbftExtraDataCodec`, "QBFT Formal Specification").

use alloy::consensus::Header;
use alloy::primitives::{Address, B256, Bytes, b256, keccak256};
use alloy::rlp::{Encodable, Header as RlpHeader};

use crate::account::Account;

/// Marks a header of the BFT family (EIP-650).
pub(crate) const MIX_HASH: B256 =
    b256!("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365");

/// What Besu writes for a vote to add a validator; one to drop it is an empty string.
const ADD: u8 = 0xff;

/// The parts of extra data, but for the seals.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    pub(crate) vanity: [u8; 32],
    pub(crate) validators: Vec<Address>,
    /// Whom the proposer votes about, and whether to add.
    pub(crate) vote: Option<(Address, bool)>,
    pub(crate) round: u32,
}

impl Extra {
    fn encode(&self, round: u32, seals: &[[u8; 65]]) -> Bytes {
        let vote = match self.vote {
            None => Vec::new(),
            Some((whom, true)) => vec![item(&whom), item(&ADD)],
            Some((whom, false)) => vec![item(&whom), item(&[0_u8; 0].as_slice())],
        };
        let validators: Vec<_> = self.validators.iter().map(item).collect();
        let seals: Vec<_> = seals.iter().map(|seal| item(&seal.as_slice())).collect();
        list(&[
            item(&self.vanity),
            list(&validators),
            list(&vote),
            item(&round),
            list(&seals),
        ])
        .into()
    }
}

/// Seals a header by so many of the validators; returns the block's hash.
pub(crate) fn seal(header: &mut Header, extra: &Extra, signers: &[&Account]) -> B256 {
    let hash_with = |extra_data: Bytes| {
        let header = Header {
            extra_data,
            ..header.clone()
        };
        keccak256(alloy::rlp::encode(&header))
    };
    let signed = hash_with(extra.encode(extra.round, &[]));
    let block = hash_with(extra.encode(0, &[]));
    let seals: Vec<[u8; 65]> = signers.iter().map(|one| committed(one, signed)).collect();
    header.extra_data = extra.encode(extra.round, &seals);
    block
}

/// `r`, `s`, and the parity as 0 or 1.
fn committed(validator: &Account, hash: B256) -> [u8; 65] {
    let signature = validator.sign(hash);
    let mut seal = signature.as_bytes();
    seal[64] = u8::from(signature.v());
    seal
}

fn item(value: &impl Encodable) -> Vec<u8> {
    alloy::rlp::encode(value)
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload_length = items.iter().map(Vec::len).sum();
    let mut out = Vec::with_capacity(payload_length + 9);
    let header = RlpHeader {
        list: true,
        payload_length,
    };
    header.encode(&mut out);
    out.extend(items.iter().flatten());
    out
}
