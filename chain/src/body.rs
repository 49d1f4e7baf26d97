//! The part of a block that its header commits to without receipts: transactions, withdrawals and
//! uncles.

use crate::{HashRule, Transaction, VerifyError, verify::Checks};
use alloy::{
    consensus::{
        EMPTY_OMMER_ROOT_HASH, Header, proofs::calculate_ommers_root,
        proofs::calculate_withdrawals_root, transaction::SignerRecoverable as _,
    },
    eips::{eip2718::Encodable2718, eip4895::Withdrawal},
    primitives::{Address, B256, keccak256},
    rlp::{Encodable as _, Header as RlpHeader},
};
use alloy_trie::root::ordered_trie_root_encoded;

/// A block as claimed, before proof.
#[derive(Clone, Debug)]
pub struct Body {
    /// The hash the node claims for the header.
    pub hash: B256,
    /// The header.
    pub header: Header,
    /// Transactions in order; each carries the hash the node claims.
    pub transactions: Vec<Transaction>,
    /// Claimed senders, one for each transaction.
    pub senders: Vec<Address>,
    /// What is known of the uncles.
    pub uncles: Uncles,
    /// Withdrawals (EIP-4895); `None` before Shanghai.
    pub withdrawals: Option<Vec<Withdrawal>>,
}

/// What is known of a block's uncles.
#[derive(Clone, Debug)]
pub enum Uncles {
    /// Their hashes as the node listed them; not provable unless the list is empty.
    Hashes(Vec<B256>),
    /// Their headers, which the block's `sha3Uncles` commits to.
    Headers(Vec<Header>),
}

/// What [`prove_body`] computed.
#[derive(Clone, Debug)]
pub struct ProvenBody {
    /// The block's hash.
    pub hash: B256,
    /// The rule it was hashed by.
    pub rule: HashRule,
    /// Recovered senders, one for each transaction.
    pub senders: Vec<Address>,
    /// Hashes of the uncles.
    pub uncles: Vec<B256>,
    /// Whether `uncles` was recomputed.
    pub uncles_proven: bool,
    /// Length of the block's RLP encoding in bytes, where it can be known.
    pub size: Option<u64>,
}

/// Proves header hash, transactions, withdrawals and uncles, as far as `checks` asks for.
pub fn prove_body(body: &Body, checks: Checks) -> Result<ProvenBody, VerifyError> {
    let header = &body.header;
    let hash = prove_header(header, body.hash, checks)?;
    let encoded: Vec<Vec<u8>> = body
        .transactions
        .iter()
        .map(Encodable2718::encoded_2718)
        .collect();
    if checks.roots {
        prove_transactions(body, &encoded)?;
        prove_withdrawals(header, body.withdrawals.as_deref())?;
    }
    let (uncles, uncles_proven) = prove_uncles(header, &body.uncles, checks)?;
    Ok(ProvenBody {
        hash,
        rule: HashRule::of(header),
        senders: prove_senders(body, checks)?,
        size: uncles_proven.then(|| encoded_size(body, &encoded)),
        uncles,
        uncles_proven,
    })
}

fn prove_header(header: &Header, claimed: B256, checks: Checks) -> Result<B256, VerifyError> {
    if !checks.header {
        return Ok(claimed);
    }
    let computed = HashRule::hash(header);
    if computed == claimed {
        Ok(computed)
    } else {
        Err(VerifyError::HeaderHash { claimed, computed })
    }
}

fn prove_transactions(body: &Body, encoded: &[Vec<u8>]) -> Result<(), VerifyError> {
    let computed = ordered_trie_root_encoded(encoded);
    // The root first: when the header's own root is wrong, that is the reason to name.
    if computed == body.header.transactions_root {
        for (index, (transaction, encoded)) in body.transactions.iter().zip(encoded).enumerate() {
            let computed = keccak256(encoded);
            if computed != *transaction.hash() {
                return Err(VerifyError::TransactionHash {
                    index,
                    claimed: *transaction.hash(),
                    computed,
                });
            }
        }
        return Ok(());
    }
    Err(VerifyError::TransactionsRoot {
        header: body.header.transactions_root,
        computed,
    })
}

fn prove_withdrawals(
    header: &Header,
    withdrawals: Option<&[Withdrawal]>,
) -> Result<(), VerifyError> {
    let computed = withdrawals.map(calculate_withdrawals_root);
    if computed == header.withdrawals_root {
        Ok(())
    } else {
        Err(VerifyError::WithdrawalsRoot {
            header: header.withdrawals_root,
            computed,
        })
    }
}

/// The uncles' hashes and whether they were recomputed.
fn prove_uncles(
    header: &Header,
    uncles: &Uncles,
    checks: Checks,
) -> Result<(Vec<B256>, bool), VerifyError> {
    let mismatch = |computed| VerifyError::UnclesHash {
        header: header.ommers_hash,
        computed,
    };
    match uncles {
        Uncles::Headers(headers) => {
            let computed = calculate_ommers_root(headers);
            let proven = computed == header.ommers_hash;
            if checks.roots && !proven {
                return Err(mismatch(computed));
            }
            let hashes = headers.iter().map(HashRule::hash).collect();
            Ok((hashes, proven))
        }
        Uncles::Hashes(hashes) => {
            let none = header.ommers_hash == EMPTY_OMMER_ROOT_HASH;
            if checks.roots && none != hashes.is_empty() {
                return Err(mismatch(EMPTY_OMMER_ROOT_HASH));
            }
            // An empty list is proven only by the hash of the empty list, whatever was asked for.
            Ok((hashes.clone(), none && hashes.is_empty()))
        }
    }
}

fn prove_senders(body: &Body, checks: Checks) -> Result<Vec<Address>, VerifyError> {
    if !checks.senders {
        return Ok(body.senders.clone());
    }
    let pairs = body.transactions.iter().zip(&body.senders).enumerate();
    pairs
        .map(|(index, (transaction, &claimed))| {
            // Unchecked: Frontier allowed signatures with a high s, and the root already proved
            // that the chain accepted this one (EIP-2).
            match transaction.recover_signer_unchecked() {
                Ok(recovered) if recovered == claimed => Ok(recovered),
                recovered => Err(VerifyError::Sender {
                    index,
                    claimed,
                    recovered: recovered.ok(),
                }),
            }
        })
        .collect()
}

/// The length of the block's RLP encoding: `[header, transactions, uncles, withdrawals?]`, typed
/// transactions wrapped as strings (EIP-2718).
fn encoded_size(body: &Body, encoded: &[Vec<u8>]) -> u64 {
    let list = |payload_length| RlpHeader {
        list: true,
        payload_length,
    };
    let list_length = |payload: usize| list(payload).length() + payload;
    let transactions = body.transactions.iter().zip(encoded);
    let transactions: usize = transactions
        .map(|(transaction, encoded)| {
            if transaction.is_legacy() {
                encoded.len()
            } else {
                encoded.as_slice().length()
            }
        })
        .sum();
    let uncles: usize = match &body.uncles {
        Uncles::Headers(headers) => headers.iter().map(Header::length).sum(),
        Uncles::Hashes(_) => 0,
    };
    let withdrawals = body.withdrawals.as_ref().map_or(0, |withdrawals| {
        list_length(withdrawals.iter().map(Withdrawal::length).sum())
    });
    let payload =
        body.header.length() + list_length(transactions) + list_length(uncles) + withdrawals;
    u64::try_from(list_length(payload)).unwrap_or(u64::MAX)
}
