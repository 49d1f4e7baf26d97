//! An account as a block's state root commits to it: answers of `eth_getProof` (EIP-1186).

use alloy::{
    primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U64, U256, keccak256},
    rlp::{Decodable as _, encode},
};
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles, TrieAccount,
    proof::{ProofVerificationError, verify_proof},
};
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// An account as a node tells it, with what should prove it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AccountClaim {
    /// Whose account it is.
    pub address: Address,
    /// Wei.
    pub balance: U256,
    /// Transactions sent, or contracts created.
    pub nonce: U64,
    /// Hash of its code; some nodes say zero where there is no account.
    pub code_hash: B256,
    /// Root of its storage; the same.
    pub storage_hash: B256,
    /// The trie's nodes on the way to it, from the root on.
    pub account_proof: Vec<Bytes>,
}

/// An account that a state root commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenAccount {
    /// Wei.
    pub balance: U256,
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Hash of its code; that of no bytes where there is none.
    pub code_hash: B256,
}

/// What of an account did not match.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccountError {
    /// The answer is about somebody else.
    #[error("asked for the account of {asked}, got that of {got}")]
    Address {
        /// Who was asked for.
        asked: Address,
        /// Who the answer is about.
        got: Address,
    },
    /// The state holds the account with another value.
    #[error("the account of {address} has {field} {proven} in the state, the node says {claimed}")]
    Field {
        /// Whose account.
        address: Address,
        /// Which part of it.
        field: &'static str,
        /// What the node said.
        claimed: String,
        /// What the state says.
        proven: String,
    },
    /// The nodes of the trie do not lead from the state root to the account, or to where it is missing.
    #[error(
        "the proof of the account of {address} does not lead there from state root {root}: {reason}"
    )]
    Path {
        /// Whose account.
        address: Address,
        /// Where the way should begin.
        root: B256,
        /// What is wrong with it.
        reason: String,
    },
}

/// Proves what a node says of an account from the state root of a proven header.
///
/// An account that is not there is proven by the trie's lack of it: it has a balance of 0.
pub fn prove_account(
    claim: &AccountClaim,
    asked: Address,
    root: B256,
) -> Result<ProvenAccount, AccountError> {
    if claim.address != asked {
        let got = claim.address;
        return Err(AccountError::Address { asked, got });
    }
    let account = TrieAccount {
        nonce: claim.nonce.to(),
        balance: claim.balance,
        storage_root: or_empty(claim.storage_hash, EMPTY_ROOT_HASH),
        code_hash: or_empty(claim.code_hash, KECCAK256_EMPTY),
    };
    let proves = |expected: Option<TrieAccount>| {
        let key = Nibbles::unpack(keccak256(asked));
        let value = expected.map(encode);
        verify_proof(root, key, value, &claim.account_proof)
    };
    // Before EIP-158, accounts of nothing but zeros were kept as well.
    let is_nothing = account == TrieAccount::default();
    if !(is_nothing && proves(None).is_ok()) {
        proves(Some(account)).map_err(|error| name(&error, asked, root, &account))?;
    }
    Ok(ProvenAccount {
        balance: account.balance,
        nonce: account.nonce,
        code_hash: account.code_hash,
    })
}

fn or_empty(hash: B256, empty: B256) -> B256 {
    if hash.is_zero() { empty } else { hash }
}

/// Says what did not match, by field where the proof leads to the account.
fn name(
    error: &ProofVerificationError,
    address: Address,
    root: B256,
    claimed: &TrieAccount,
) -> AccountError {
    let found = match error {
        ProofVerificationError::ValueMismatch { got, .. } => got.as_ref(),
        _ => None,
    };
    let found = found.and_then(|value| TrieAccount::decode(&mut value.as_ref()).ok());
    let differs = found.and_then(|proven| {
        [
            (
                "balance",
                claimed.balance.to_string(),
                proven.balance.to_string(),
            ),
            ("nonce", claimed.nonce.to_string(), proven.nonce.to_string()),
            (
                "code hash",
                claimed.code_hash.to_string(),
                proven.code_hash.to_string(),
            ),
            (
                "storage root",
                claimed.storage_root.to_string(),
                proven.storage_root.to_string(),
            ),
        ]
        .into_iter()
        .find(|(_, claimed, proven)| claimed != proven)
    });
    match differs {
        Some((field, claimed, proven)) => AccountError::Field {
            address,
            field,
            claimed,
            proven,
        },
        None => AccountError::Path {
            address,
            root,
            reason: error.to_string(),
        },
    }
}
