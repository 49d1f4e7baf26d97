//! The block hash under each consensus, against real headers and against RLP written out by hand.

use crate::{
    claims::{number, optional, parse},
    rlp_chain::{prove_linked, read},
};
use alloy::{
    consensus::Header,
    primitives::{Address, B256, Bytes, U256, keccak256},
};
use chain::{BFT_MIX_HASH, HashRule, wire};
use proptest::prelude::*;
use serde_json::Value;
use simnode::fixtures::{Fixtures, RlpFile};

/// A byte string in RLP (yellow paper, appendix B).
fn string(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        [byte] if *byte < 0x80 => vec![*byte],
        _ => [prefix(0x80, bytes.len()), bytes.to_vec()].concat(),
    }
}

/// A list of items that are encoded already.
fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let payload = items.concat();
    [prefix(0xc0, payload.len()), payload].concat()
}

fn prefix(offset: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    if length < 56 {
        return vec![offset + u8::try_from(length).expect("under 56")];
    }
    let width = u8::try_from(bytes.len()).expect("at most 8");
    [&[offset + 55 + width], bytes].concat()
}

/// A number: big-endian without leading zeros.
fn scalar(value: U256) -> Vec<u8> {
    string(&value.to_be_bytes_trimmed_vec())
}

/// The hash of a header with another `extraData`, with every field written out in its order.
fn hash_by_hand(header: &Header, extra: &[u8]) -> B256 {
    let mut fields = vec![
        string(header.parent_hash.as_slice()),
        string(header.ommers_hash.as_slice()),
        string(header.beneficiary.as_slice()),
        string(header.state_root.as_slice()),
        string(header.transactions_root.as_slice()),
        string(header.receipts_root.as_slice()),
        string(header.logs_bloom.as_slice()),
        scalar(header.difficulty),
        scalar(U256::from(header.number)),
        scalar(U256::from(header.gas_limit)),
        scalar(U256::from(header.gas_used)),
        scalar(U256::from(header.timestamp)),
        string(extra),
        string(header.mix_hash.as_slice()),
        string(header.nonce.as_slice()),
    ];
    fields.extend(header.base_fee_per_gas.map(|fee| scalar(U256::from(fee))));
    let root = header.withdrawals_root;
    fields.extend(root.map(|root| string(root.as_slice())));
    keccak256(list(&fields))
}

fn bft_header(extra: Vec<u8>) -> Header {
    Header {
        number: 7,
        difficulty: U256::from(1),
        gas_limit: 30_000_000,
        timestamp: 1_700_000_000,
        beneficiary: Address::repeat_byte(0x11),
        mix_hash: BFT_MIX_HASH,
        extra_data: extra.into(),
        ..Header::default()
    }
}

/// The parts of a QBFT header's extra data.
#[derive(Clone)]
struct Qbft {
    validators: Vec<Address>,
    vote: Vec<u8>,
    round: u32,
    seals: Vec<[u8; 65]>,
}

impl Qbft {
    fn some() -> Self {
        Self {
            validators: vec![Address::repeat_byte(1), Address::repeat_byte(2)],
            vote: list(&[]),
            round: 0,
            seals: vec![[7; 65], [8; 65]],
        }
    }

    fn extra(&self) -> Vec<u8> {
        let validators: Vec<_> = self.validators.iter().map(|v| string(v.as_ref())).collect();
        let seals: Vec<_> = self.seals.iter().map(|seal| string(seal)).collect();
        list(&[
            string(&[0; 32]),
            list(&validators),
            self.vote.clone(),
            scalar(U256::from(self.round)),
            list(&seals),
        ])
    }

    fn header(&self) -> Header {
        bft_header(self.extra())
    }
}

#[test]
fn recorded_headers_hash_as_their_chains_say_each_by_its_rule() {
    let Some(fixtures) =
        Fixtures::find_or_say("recorded_headers_hash_as_their_chains_say_each_by_its_rule")
    else {
        return;
    };
    let mut kinds = Vec::new();
    for recorded in fixtures.bft_headers().unwrap() {
        let json: Value = parse(recorded.header.get());
        let header: Header = parse::<wire::BlockHeader>(recorded.header.get()).into();
        let expected = match recorded.kind.as_str() {
            "ibft2" => HashRule::Ibft2,
            "qbft-genesis" | "clique" => HashRule::Plain,
            other => panic!("no rule is expected for {other}"),
        };
        assert_eq!(HashRule::of(&header), expected, "{}", recorded.note);
        let hash = HashRule::hash(&header);
        assert_eq!(Some(hash), optional(&json, "hash"), "{}", recorded.note);
        assert_eq!(header.number, number(&json["number"]));
        kinds.push(recorded.kind);
    }
    assert_eq!(kinds, ["ibft2", "ibft2", "qbft-genesis", "clique"]);
}

#[test]
fn ibft1_blocks_link_by_the_hash_without_committed_seals() {
    let Some(fixtures) =
        Fixtures::find_or_say("ibft1_blocks_link_by_the_hash_without_committed_seals")
    else {
        return;
    };
    let blocks = read(&fixtures, RlpFile::Ibft1);
    let proven = prove_linked(&blocks);
    assert_eq!(proven.len(), 101);
    for (block, proven) in blocks.iter().zip(&proven) {
        let header = &block.block.header;
        let genesis = header.number == 0;
        let expected = [HashRule::Ibft1, HashRule::Plain][usize::from(genesis)];
        assert_eq!(proven.rule, expected, "block {}", header.number);
        assert_eq!(
            header.hash_slow() == proven.hash,
            genesis,
            "only block 0 hashes as it stands"
        );
    }
}

#[test]
fn a_qbft_hash_is_that_of_the_header_with_round_zero_and_no_seals() {
    let mut qbft = Qbft::some();
    qbft.round = 3;
    let bare = Qbft {
        round: 0,
        seals: vec![],
        ..qbft.clone()
    };
    let mut header = qbft.header();
    assert_eq!(HashRule::of(&header), HashRule::Qbft);
    let by_hand = hash_by_hand(&header, &bare.extra());
    assert_eq!(HashRule::hash(&header), by_hand);
    assert_ne!(header.hash_slow(), by_hand, "the seals are not hashed");
    // Free-gas networks write a base fee of zero from London on.
    header.base_fee_per_gas = Some(0);
    assert_eq!(
        HashRule::hash(&header),
        hash_by_hand(&header, &bare.extra())
    );
    assert_ne!(HashRule::hash(&header), by_hand, "the fee is hashed");
}

#[test]
fn qbft_seals_and_round_do_not_change_the_hash_and_all_else_does() {
    let some = Qbft::some();
    let hash = HashRule::hash(&some.header());
    let vote = list(&[string(&[3; 20]), vec![0x81, 0xff]]);
    let with = |edit: fn(&mut Qbft)| {
        let mut edited = some.clone();
        edit(&mut edited);
        HashRule::hash(&edited.header())
    };
    assert_eq!(with(|qbft| qbft.round = 1), hash);
    assert_eq!(with(|qbft| qbft.round = 0x01_0000), hash);
    assert_eq!(with(|qbft| qbft.seals.reverse()), hash);
    assert_eq!(with(|qbft| qbft.seals.clear()), hash);
    assert_ne!(with(|qbft| qbft.validators.reverse()), hash);
    assert_ne!(with(|qbft| qbft.validators.truncate(1)), hash);
    let voting = Qbft {
        vote,
        ..some.clone()
    };
    assert_ne!(HashRule::hash(&voting.header()), hash);
    let mut later = some.header();
    later.timestamp += 1;
    assert_ne!(HashRule::hash(&later), hash);
}

#[test]
fn a_qbft_chain_that_takes_validators_from_a_contract_is_hashed_by_the_same_rule() {
    let qbft = Qbft {
        validators: vec![],
        ..Qbft::some()
    };
    let bare = Qbft {
        seals: vec![],
        ..qbft.clone()
    };
    let header = qbft.header();
    assert_eq!(HashRule::of(&header), HashRule::Qbft);
    assert_eq!(
        HashRule::hash(&header),
        hash_by_hand(&header, &bare.extra())
    );
}

#[test]
fn an_ibft2_hash_leaves_round_and_seals_out() {
    let parts = [string(&[0; 32]), list(&[string(&[1; 20])]), string(&[])];
    let hashed = list(&parts);
    for round in [[0, 0, 0, 0], [0, 0, 0, 9]] {
        let tail = [string(&round), list(&[string(&[7; 65])])];
        let header = bft_header(list(&[parts.as_slice(), &tail].concat()));
        assert_eq!(HashRule::of(&header), HashRule::Ibft2);
        assert_eq!(HashRule::hash(&header), hash_by_hand(&header, &hashed));
    }
}

#[test]
fn an_ibft1_hash_keeps_the_proposers_seal_and_drops_the_others() {
    let extra = |committed: &[Vec<u8>]| {
        let validators = list(&[string(&[1; 20])]);
        let sealed = list(&[validators, string(&[6; 65]), list(committed)]);
        [vec![0; 32], sealed].concat()
    };
    let header = bft_header(extra(&[string(&[7; 65])]));
    assert_eq!(HashRule::of(&header), HashRule::Ibft1);
    assert_eq!(HashRule::hash(&header), hash_by_hand(&header, &extra(&[])));
}

#[test]
fn a_clique_header_and_every_block_0_are_hashed_as_they_stand() {
    let clique = Header {
        mix_hash: B256::ZERO,
        ..bft_header([[0; 32].as_slice(), &[1; 20], &[9; 65]].concat())
    };
    let genesis = Header {
        number: 0,
        ..Qbft::some().header()
    };
    for header in [clique, genesis] {
        assert_eq!(HashRule::of(&header), HashRule::Plain);
        let by_hand = hash_by_hand(&header, &header.extra_data);
        assert_eq!(HashRule::hash(&header), by_hand);
        let altered = Header {
            extra_data: Bytes::from([header.extra_data.as_ref(), &[1]].concat()),
            ..header
        };
        assert_ne!(HashRule::hash(&altered), by_hand, "all of it is hashed");
    }
}

#[test]
fn extra_data_of_another_shape_is_hashed_as_it_stands() {
    let qbft = Qbft::some().extra();
    let items = |count: usize| list(&vec![string(&[1]); count]);
    let vanity = vec![0; 32];
    // 0xf8 and the payload's length in one byte, which now says one byte less than there is.
    let mut short = qbft.clone();
    assert_eq!(short[0], 0xf8);
    short[1] -= 1;
    let shapes = [
        short,
        items(4),
        items(6),
        [qbft.clone(), vec![0x80]].concat(),
        qbft[..qbft.len() - 1].to_vec(),
        [vanity.clone(), items(2)].concat(),
        [vanity.clone(), items(4)].concat(),
        vanity,
        vec![],
    ];
    for extra in shapes {
        let header = bft_header(extra);
        assert_eq!(HashRule::of(&header), HashRule::Plain);
        assert_eq!(HashRule::hash(&header), header.hash_slow());
    }
}

proptest! {
    #[test]
    fn no_extra_data_can_panic_the_hash(extra in proptest::collection::vec(any::<u8>(), 0..200)) {
        let header = bft_header(extra);
        let hash = HashRule::hash(&header);
        if HashRule::of(&header) == HashRule::Plain {
            prop_assert_eq!(hash, header.hash_slow());
        }
    }

    #[test]
    fn no_damaged_bft_extra_data_can_panic_the_hash(
        ibft1 in any::<bool>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        length in any::<prop::sample::Index>(),
    ) {
        let mut extra = if ibft1 {
            let lists = list(&[list(&[]), string(&[6; 65]), list(&[string(&[7; 65])])]);
            [vec![0; 32], lists].concat()
        } else {
            Qbft::some().extra()
        };
        let place = place.index(extra.len());
        extra[place] = byte;
        extra.truncate(length.index(extra.len()) + 1);
        let header = bft_header(extra);
        prop_assert_eq!(HashRule::hash(&header), HashRule::hash(&header.clone()));
    }

    #[test]
    fn whatever_the_validators_the_round_and_seals_stay_outside_of_the_qbft_hash(
        validators in proptest::collection::vec(any::<[u8; 20]>(), 0..8),
        round in any::<u32>(),
        seals in 0_usize..8,
    ) {
        let bare = Qbft {
            validators: validators.into_iter().map(Address::from).collect(),
            seals: vec![],
            ..Qbft::some()
        };
        let sealed = Qbft { round, seals: vec![[5; 65]; seals], ..bare.clone() };
        let header = sealed.header();
        prop_assert_eq!(HashRule::of(&header), HashRule::Qbft);
        prop_assert_eq!(HashRule::hash(&header), hash_by_hand(&header, &bare.extra()));
    }
}
