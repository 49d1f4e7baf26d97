use super::*;
use alloy_trie::{HashBuilder, proof::ProofRetainer};
use std::collections::BTreeMap;

fn account(byte: u8) -> TrieAccount {
    TrieAccount {
        nonce: u64::from(byte),
        balance: U256::from(1_000_000) * U256::from(byte),
        storage_root: B256::repeat_byte(byte),
        code_hash: B256::repeat_byte(byte.wrapping_add(1)),
    }
}

fn someone(byte: u8) -> Address {
    Address::repeat_byte(byte)
}

/// A state of accounts, and the claim about one address with its proof.
fn state(accounts: &BTreeMap<Address, TrieAccount>, of: Address) -> (B256, AccountClaim) {
    let key = Nibbles::unpack(keccak256(of));
    let retainer = ProofRetainer::new(vec![key]);
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    let leaves: BTreeMap<B256, &TrieAccount> = accounts
        .iter()
        .map(|(address, account)| (keccak256(address), account))
        .collect();
    for (hash, account) in leaves {
        builder.add_leaf(Nibbles::unpack(hash), &encode(account));
    }
    let root = builder.root();
    let nodes = builder.take_proof_nodes();
    let proof = nodes.matching_nodes_sorted(&key);
    let account = accounts.get(&of).copied().unwrap_or_default();
    let claim = AccountClaim {
        address: of,
        balance: account.balance,
        nonce: U64::from(account.nonce),
        code_hash: account.code_hash,
        storage_hash: account.storage_root,
        account_proof: proof.into_iter().map(|(_, node)| node).collect(),
    };
    (root, claim)
}

fn many() -> BTreeMap<Address, TrieAccount> {
    (1..=60)
        .map(|byte| (someone(byte), account(byte)))
        .collect()
}

#[test]
fn an_account_is_proven_from_the_state_root() {
    for byte in 1..=60 {
        let (root, claim) = state(&many(), someone(byte));
        let proven = prove_account(&claim, someone(byte), root).expect("a proof");
        assert_eq!(proven.balance, account(byte).balance);
        assert_eq!(proven.nonce, u64::from(byte));
        assert_eq!(proven.code_hash, account(byte).code_hash);
    }
}

#[test]
fn an_account_that_is_not_there_has_a_proven_balance_of_zero() {
    for byte in 100..=180 {
        let (root, mut claim) = state(&many(), someone(byte));
        let nothing = ProvenAccount {
            balance: U256::ZERO,
            nonce: 0,
            code_hash: KECCAK256_EMPTY,
        };
        assert_eq!(prove_account(&claim, someone(byte), root), Ok(nothing));
        // As other nodes say it.
        (claim.code_hash, claim.storage_hash) = (B256::ZERO, B256::ZERO);
        assert_eq!(prove_account(&claim, someone(byte), root), Ok(nothing));
        claim.balance = U256::from(1);
        assert!(matches!(
            prove_account(&claim, someone(byte), root),
            Err(AccountError::Path { .. })
        ));
    }
}

#[test]
fn an_empty_state_holds_nobody() {
    let (root, claim) = state(&BTreeMap::new(), someone(1));
    assert_eq!(root, EMPTY_ROOT_HASH);
    let proven = prove_account(&claim, someone(1), root).expect("a proof");
    assert_eq!(proven.balance, U256::ZERO);
}

#[test]
fn an_account_of_zeros_that_is_kept_is_proven() {
    let mut accounts = many();
    accounts.insert(someone(99), TrieAccount::default());
    let (root, claim) = state(&accounts, someone(99));
    let proven = prove_account(&claim, someone(99), root).expect("a proof");
    assert_eq!(proven.balance, U256::ZERO);
}

#[test]
fn an_account_that_is_there_cannot_be_denied() {
    let (root, mut claim) = state(&many(), someone(7));
    (claim.balance, claim.nonce) = (U256::ZERO, U64::ZERO);
    (claim.code_hash, claim.storage_hash) = (B256::ZERO, B256::ZERO);
    let error = prove_account(&claim, someone(7), root).expect_err("a lie");
    assert!(
        matches!(
            error,
            AccountError::Field {
                field: "balance",
                ..
            }
        ),
        "{error}"
    );
    // Leaving out the end of the way does not help.
    claim.account_proof.pop();
    assert!(prove_account(&claim, someone(7), root).is_err());
    claim.account_proof.clear();
    assert!(prove_account(&claim, someone(7), root).is_err());
}

#[test]
fn every_changed_part_is_named() {
    let (root, claim) = state(&many(), someone(7));
    let with = |change: fn(&mut AccountClaim)| {
        let mut changed = claim.clone();
        change(&mut changed);
        prove_account(&changed, someone(7), root)
            .expect_err("a lie")
            .to_string()
    };
    let cases: [(&str, String); 5] = [
        ("has balance 7000000 in the state, the node says 7000001", {
            with(|claim| claim.balance += U256::from(1))
        }),
        (
            "has nonce 7 in the state",
            with(|claim| claim.nonce = U64::from(8)),
        ),
        (
            "has code hash 0x08",
            with(|claim| claim.code_hash = B256::repeat_byte(1)),
        ),
        (
            "has storage root 0x07",
            with(|claim| claim.storage_hash = B256::repeat_byte(1)),
        ),
        ("got that of", with(|claim| claim.address = someone(8))),
    ];
    for (part, message) in cases {
        assert!(message.contains(part), "{message}");
    }
    let error = prove_account(&claim, someone(7), B256::repeat_byte(9)).expect_err("another state");
    assert!(error.to_string().contains("0x0909"), "{error}");
}

#[test]
fn no_changed_byte_of_a_proof_goes_unnoticed() {
    let (root, claim) = state(&many(), someone(7));
    for node in 0..claim.account_proof.len() {
        for at in 0..claim.account_proof[node].len() {
            let mut changed = claim.clone();
            let mut bytes = changed.account_proof[node].to_vec();
            bytes[at] ^= 1;
            changed.account_proof[node] = bytes.into();
            assert!(
                prove_account(&changed, someone(7), root).is_err(),
                "{node} {at}"
            );
        }
    }
    let mut shuffled = claim;
    shuffled.account_proof.reverse();
    assert!(prove_account(&shuffled, someone(7), root).is_err());
}

/// Recorded by the authors of the execution-apis specification.
#[test]
fn recorded_proofs_hold() {
    let Some(fixtures) = simnode::fixtures::Fixtures::find_or_say("recorded_proofs_hold") else {
        return;
    };
    let folder = fixtures.root().join("execution-apis/tests/eth_getProof");
    let mut proven = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let reply = text.lines().find_map(|line| line.strip_prefix("<< "));
        let reply: serde_json::Value = serde_json::from_str(reply.expect("a reply")).expect("JSON");
        let Ok(claim) = serde_json::from_value::<AccountClaim>(reply["result"].clone()) else {
            continue;
        };
        // The state roots are in other files: the first node of a proof hashes to its own.
        let root = keccak256(&claim.account_proof[0]);
        let account = prove_account(&claim, claim.address, root).expect("a proof");
        assert_eq!(account.balance, claim.balance, "{}", path.display());
        proven += 1;
    }
    assert_eq!(proven, 4);
}
