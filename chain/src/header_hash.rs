//! The hash of a block header under each consensus.
//!
//! Proof of work, proof of stake and Clique hash the header as it stands. The BFT family collects
//! its committed seals after the hash is fixed, so the seals (and for some the round) are left out
//! of what is hashed. Which rule holds is a function of the header alone, and a wrong choice can
//! only produce a hash that nothing links to: there is nothing to configure and nothing to trust.

use alloy::{
    consensus::Header,
    primitives::{B256, Bytes, b256, keccak256},
    rlp::Header as RlpHeader,
};

/// The mix hash that marks a header of the BFT family: the text "ctical byzantine fault tolerance"
/// (EIP-650).
pub const BFT_MIX_HASH: B256 =
    b256!("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365");

/// Bytes of vanity before the RLP part of IBFT 1 extra data.
const IBFT1_VANITY: usize = 32;

/// Which part of `extraData` is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashRule {
    /// The header as it stands: proof of work, proof of stake, Clique, and block 0 of every chain.
    Plain,
    /// QBFT: `[vanity, validators, vote, round = 0, seals = []]`.
    Qbft,
    /// IBFT 2.0: `[vanity, validators, vote]`.
    Ibft2,
    /// IBFT 1: vanity, then `[validators, proposer seal, committed seals = []]`.
    Ibft1,
}

impl HashRule {
    /// The rule for this header.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self::with_extra(header).0
    }

    /// The hash of the header under its own rule.
    #[must_use]
    pub fn hash(header: &Header) -> B256 {
        match Self::with_extra(header).1 {
            None => header.hash_slow(),
            Some(extra_data) => {
                let hashed = Header {
                    extra_data,
                    ..header.clone()
                };
                keccak256(alloy::rlp::encode(&hashed))
            }
        }
    }

    /// The rule, and the extra data to hash where it differs from the header's own.
    fn with_extra(header: &Header) -> (Self, Option<Bytes>) {
        if header.mix_hash != BFT_MIX_HASH || header.number == 0 {
            return (Self::Plain, None);
        }
        if let Some([vanity, validators, vote, round, _seals]) = list_items(&header.extra_data) {
            // IBFT 2.0 writes the round as four bytes, QBFT as a scalar without leading zeros.
            return if matches!(round, [0x84, 0, ..]) {
                (Self::Ibft2, Some(list(&[vanity, validators, vote])))
            } else {
                let zero: &[u8] = &[0x80];
                let no_seals: &[u8] = &[0xc0];
                (
                    Self::Qbft,
                    Some(list(&[vanity, validators, vote, zero, no_seals])),
                )
            };
        }
        if let Some((vanity, rest)) = header.extra_data.split_at_checked(IBFT1_VANITY)
            && let Some([validators, proposer_seal, _committed]) = list_items(rest)
        {
            let sealed = list(&[validators, proposer_seal, &[0xc0]]);
            return (Self::Ibft1, Some([vanity, &sealed].concat().into()));
        }
        (Self::Plain, None)
    }
}

/// The raw encodings of a list's items, when `rlp` is exactly one list of `N` items.
fn list_items<const N: usize>(rlp: &[u8]) -> Option<[&[u8]; N]> {
    let mut rest = rlp;
    let header = RlpHeader::decode(&mut rest).ok()?;
    if !header.list || rest.len() != header.payload_length {
        return None;
    }
    let mut items: [&[u8]; N] = [&[]; N];
    for item in &mut items {
        let start = rest;
        let inner = RlpHeader::decode(&mut rest).ok()?;
        rest = rest.get(inner.payload_length..)?;
        *item = &start[..start.len() - rest.len()];
    }
    rest.is_empty().then_some(items)
}

/// Encodes a list of items that are encoded already.
fn list(items: &[&[u8]]) -> Bytes {
    let payload_length = items.iter().map(|item| item.len()).sum();
    let mut out = Vec::with_capacity(payload_length + 9);
    RlpHeader {
        list: true,
        payload_length,
    }
    .encode(&mut out);
    for item in items {
        out.extend_from_slice(item);
    }
    out.into()
}
