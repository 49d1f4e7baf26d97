//! Generated chains, proven by the indexer's own proof, and against encodings that are not ours.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use alloy::consensus::{Transaction as _, transaction::SignerRecoverable as _};
use alloy::eips::Encodable2718 as _;
use alloy::network::AnyRpcBlock;
use alloy::primitives::{Address, B256, Bytes, Signature, keccak256};
use alloy::rlp::{Decodable as _, Header as RlpHeader};
use alloy::rpc::types::{Block, TransactionReceipt};
use chain::{Checks, HashRule, Parts, ProvenBlock, ProvenReceipt};
use serde_json::{Value, json};
use tallyscan_simnode::{GENERATED_CHAIN_ID, GeneratedBlock, Generator, Profile};

const BLOCKS: usize = 300;

const EVERYTHING: Checks = Checks {
    header: true,
    roots: true,
    senders: true,
};

/// A chain of a profile from genesis, with blocks of up to six transactions, and a large one.
fn chain_of(seed: u64, profile: Profile, length: usize) -> Vec<GeneratedBlock> {
    let mut generator = Generator::new(seed, profile);
    let mut blocks = vec![generator.genesis()];
    for n in 1..length {
        let parent = blocks.last().expect("a block");
        let count = if n == 7 { 120 } else { n % 7 };
        let block = generator.child_with(parent, count);
        blocks.push(block);
    }
    blocks
}

fn prove(block: &GeneratedBlock) -> ProvenBlock {
    let (body, receipts) = texts(block);
    let parts = Parts::parse(&body, &receipts).expect("readable");
    chain::verify(parts, EVERYTHING)
        .unwrap_or_else(|error| panic!("block {}: {error}", block.number()))
}

fn texts(block: &GeneratedBlock) -> (String, String) {
    let canned = block.canned();
    let receipts = canned.receipts.expect("receipts");
    (
        canned.block.as_str().to_owned(),
        receipts.as_str().to_owned(),
    )
}

fn values(block: &GeneratedBlock) -> (Value, Value) {
    let (body, receipts) = texts(block);
    let read = |text: &str| serde_json::from_str(text).expect("JSON");
    (read(&body), read(&receipts))
}

fn hex(number: impl std::fmt::LowerHex) -> Value {
    json!(format!("{number:#x}"))
}

/// What the receipt's text says must be what was computed: no root covers these fields.
fn assert_told(told: &Value, at: &str, proven: &ProvenReceipt, gas_price: &Value) {
    let optional = |number: Option<u128>| number.map_or(Value::Null, hex);
    let status = u8::from(proven.status.expect("after Byzantium"));
    let expected = [
        ("status", hex(status)),
        ("gasUsed", hex(proven.gas_used)),
        ("cumulativeGasUsed", hex(proven.cumulative_gas_used)),
        ("effectiveGasPrice", hex(proven.effective_gas_price)),
        ("contractAddress", json!(proven.contract_address)),
        (
            "blobGasUsed",
            optional(proven.blob_gas_used.map(u128::from)),
        ),
        ("blobGasPrice", optional(proven.blob_gas_price)),
    ];
    for (field, value) in expected {
        assert_eq!(told[field], value, "{field} of {at}");
    }
    assert_eq!(told["effectiveGasPrice"], *gas_price, "{at}");
    for (n, log) in told["logs"].as_array().expect("logs").iter().enumerate() {
        let index = usize::try_from(proven.first_log_index).expect("small") + n;
        assert_eq!(log["logIndex"], hex(index), "{at}");
    }
}

#[test]
fn every_profile_makes_chains_that_the_proof_accepts_in_every_field() {
    for profile in Profile::ALL {
        let blocks = chain_of(11, profile, BLOCKS);
        let mut hashes = HashSet::new();
        let mut parent = B256::ZERO;
        for block in &blocks {
            let proven = prove(block);
            assert_eq!(
                (proven.header.parent_hash, proven.hash),
                (parent, block.hash)
            );
            assert_eq!(proven.header, block.header);
            parent = proven.hash;
            let (body, receipts) = values(block);
            assert_eq!(body["size"], hex(proven.size.expect("no uncles")));
            for (index, one) in proven.transactions.iter().enumerate() {
                let at = format!("{profile:?} block {} transaction {index}", block.number());
                assert!(hashes.insert(*one.envelope.hash()), "{at} occurred before");
                let told = &receipts[index];
                let price = &body["transactions"][index]["gasPrice"];
                assert_told(told, &at, &one.receipt, price);
            }
        }
    }
}

/// What a transaction and its receipt are examples of.
fn facts(tx: &chain::Transaction, receipt: &ProvenReceipt) -> Vec<String> {
    let failed = receipt.status == Some(false);
    assert!(
        !failed || receipt.logs.is_empty(),
        "a failure leaves no logs"
    );
    let facts = [
        (tx.is_legacy() && tx.chain_id().is_none(), "without EIP-155"),
        (tx.is_legacy() && tx.chain_id().is_some(), "with EIP-155"),
        (receipt.contract_address.is_some(), "creation"),
        (tx.is_create() && failed, "failed creation"),
        (tx.input().is_empty(), "no input"),
        (tx.input().len() > 20_000, "large input"),
        (
            tx.access_list().is_some_and(|list| !list.is_empty()),
            "access list",
        ),
        (tx.authorization_list().is_some(), "authorizations"),
        (receipt.blob_gas_price > Some(1), "blob price above one wei"),
    ];
    let facts = facts.into_iter().filter(|fact| fact.0);
    let mut facts: Vec<String> = facts.map(|fact| fact.1.to_owned()).collect();
    facts.push(format!("type {}", u8::from(tx.tx_type())));
    for log in &receipt.logs {
        let topics = log.topics();
        facts.push(format!("{} topics", topics.len()));
        let event = EVENTS
            .iter()
            .find(|event| topics.first() == Some(&keccak256(event)));
        facts.extend(event.map(|event| format!("{event} {}", topics.len())));
    }
    facts
}

const EVENTS: [&str; 6] = [
    "Transfer(address,address,uint256)",
    "Approval(address,address,uint256)",
    "TransferSingle(address,address,address,uint256,uint256)",
    "TransferBatch(address,address,address,uint256[],uint256[])",
    "Deposit(address,uint256)",
    "Withdrawal(address,uint256)",
];

#[test]
fn a_prague_chain_has_every_type_of_transaction_and_every_shape_of_log() {
    let mut seen = BTreeSet::new();
    for block in chain_of(3, Profile::Prague, BLOCKS) {
        let proven = prove(&block);
        let empty = proven.transactions.is_empty();
        seen.extend(empty.then(|| "empty block".to_owned()));
        let withdrawals = proven.withdrawals.as_deref().expect("after Shanghai");
        seen.extend((!withdrawals.is_empty()).then(|| "withdrawals".to_owned()));
        for one in &proven.transactions {
            seen.extend(facts(&one.envelope, &one.receipt));
        }
    }
    let mut expected: Vec<String> = [
        "empty block,withdrawals,without EIP-155,with EIP-155,creation,failed creation,no input",
        "large input,access list,authorizations,blob price above one wei",
    ]
    .iter()
    .flat_map(|line| line.split(','))
    .map(ToOwned::to_owned)
    .collect();
    expected.extend((0..=4).map(|count| format!("{count} topics")));
    expected.extend((0..=4).map(|ty| format!("type {ty}")));
    let topics = [3, 3, 4, 4, 2, 2];
    let events = EVENTS.iter().zip(topics);
    expected.extend(events.map(|(event, topics)| format!("{event} {topics}")));
    expected.push(format!("{} 4", EVENTS[0]));
    for what in expected {
        assert!(
            seen.contains(&what),
            "no {what} in {BLOCKS} blocks: {seen:?}"
        );
    }
}

#[test]
fn a_seed_repeats_its_chain_and_another_seed_does_not() {
    let hashes = |seed| {
        let blocks = chain_of(seed, Profile::Prague, 20);
        blocks
            .into_iter()
            .map(|block| block.hash)
            .collect::<Vec<_>>()
    };
    assert_eq!(hashes(1), hashes(1));
    assert_eq!(hashes(1)[0], hashes(2)[0], "one genesis for all");
    assert_ne!(hashes(1)[1..], hashes(2)[1..]);
    let mut generator = Generator::seeded(1);
    assert_ne!(generator.other_genesis().hash, hashes(1)[0]);
}

#[test]
fn branches_of_a_fork_share_most_transactions_and_replace_some() {
    let mut generator = Generator::seeded(8);
    let genesis = generator.genesis();
    let mut branch = || {
        let mut all = BTreeMap::new();
        let mut parent = genesis.clone();
        for _ in 0..30 {
            parent = generator.child_with(&parent, 4);
            for one in prove(&parent).transactions {
                all.insert((one.sender, one.envelope.nonce()), *one.envelope.hash());
            }
        }
        all
    };
    let (one, other) = (branch(), branch());
    let both: Vec<_> = one.keys().filter(|key| other.contains_key(key)).collect();
    let same = both.iter().filter(|key| one[**key] == other[**key]).count();
    assert!(2 * same > one.len(), "{same} of {} came back", one.len());
    assert!(same < both.len(), "no nonce was taken by another");
}

/// Alloy's own RPC types read the text, its consensus types encode it again, and the hash is the same.
#[test]
fn typed_clients_read_the_text_and_come_to_the_same_hashes() {
    for profile in [Profile::Berlin, Profile::London, Profile::Prague] {
        for generated in chain_of(21, profile, 40) {
            let (body, receipts) = texts(&generated);
            let block: Block = serde_json::from_str(&body).expect("a typed block");
            assert_eq!(block.header.inner.hash_slow(), generated.hash);
            let receipts: Vec<TransactionReceipt> =
                serde_json::from_str(&receipts).expect("typed receipts");
            let transactions = block.transactions.as_transactions().expect("whole ones");
            assert_eq!(transactions.len(), receipts.len());
            for (tx, receipt) in transactions.iter().zip(receipts) {
                let encoded = tx.inner.inner().encoded_2718();
                assert_eq!(keccak256(encoded), receipt.transaction_hash);
                let sender = tx.inner.inner().recover_signer().expect("a low signature");
                assert_eq!((sender, tx.inner.signer()), (receipt.from, receipt.from));
            }
        }
    }
}

/// The items of an RLP list, each with its header.
fn items(mut rlp: &[u8]) -> Vec<&[u8]> {
    let header = RlpHeader::decode(&mut rlp).expect("RLP");
    assert!(header.list && rlp.len() == header.payload_length);
    let mut items = Vec::new();
    while !rlp.is_empty() {
        let whole = rlp;
        let inner = RlpHeader::decode(&mut rlp).expect("RLP");
        rlp = &rlp[inner.payload_length..];
        items.push(&whole[..whole.len() - rlp.len()]);
    }
    items
}

fn list(items: &[&[u8]]) -> Bytes {
    let mut out = Vec::new();
    let header = RlpHeader {
        list: true,
        payload_length: items.iter().map(|item| item.len()).sum(),
    };
    header.encode(&mut out);
    out.extend(items.concat());
    out.into()
}

#[test]
fn qbft_seals_are_the_validators_signatures_of_the_header_with_its_round() {
    for profile in [Profile::Qbft, Profile::QbftZeroBaseFee] {
        let (mut rounds, mut votes) = (BTreeSet::new(), 0);
        for block in chain_of(5, profile, BLOCKS).into_iter().skip(1) {
            assert_eq!(prove(&block).rule, HashRule::Qbft);
            let extra = block.header.extra_data.clone();
            let parts = items(&extra);
            let [_, validators, vote, round, seals] = parts[..] else {
                panic!("five items, not {}", parts.len());
            };
            let validators: Vec<Address> = Vec::decode(&mut &validators[..]).expect("addresses");
            votes += usize::from(vote != [0xc0]);
            rounds.insert(u64::decode(&mut &round[..]).expect("a number") > 0);
            let mut header = block.header.clone();
            header.extra_data = list(&[parts[0], parts[1], vote, round, &[0xc0]]);
            let signed = header.hash_slow();
            header.extra_data = list(&[parts[0], parts[1], vote, &[0x80], &[0xc0]]);
            assert_eq!(header.hash_slow(), block.hash);
            let seals: Vec<Bytes> = Vec::decode(&mut &seals[..]).expect("seals");
            let signers: BTreeSet<Address> = seals
                .iter()
                .map(|seal| {
                    let signature = Signature::from_bytes_and_parity(seal, seal[64] == 1);
                    signature
                        .recover_address_from_prehash(&signed)
                        .expect("a signature")
                })
                .collect();
            assert!(signers.len() >= 3 && signers.len() == seals.len());
            assert!(signers.iter().all(|signer| validators.contains(signer)));
            assert!(validators.contains(&block.header.beneficiary));
            let free = (profile == Profile::QbftZeroBaseFee).then_some(0);
            assert_eq!(block.header.base_fee_per_gas, free);
            let (body, _) = values(&block);
            let read: AnyRpcBlock = serde_json::from_value(body).expect("a typed block");
            assert_eq!(read.header.hash, block.hash);
        }
        assert_eq!(rounds.len(), 2, "rounds of zero and above");
        assert!(votes > 0);
    }
}

#[test]
fn what_is_signed_for_this_chain_says_so() {
    for block in chain_of(9, Profile::London, 30) {
        for one in prove(&block).transactions {
            let id = one.envelope.chain_id();
            assert!(id == Some(GENERATED_CHAIN_ID) || (id.is_none() && one.envelope.is_legacy()));
        }
    }
}
