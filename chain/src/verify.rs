//! Proof: nothing is kept that was not recomputed from the block's own header.
//!
//! In: one block, its receipts and (where there are any) its uncle headers, as a node sent them.
//! Out: a [`ProvenBlock`], or the first thing that did not match. The header's hash comes first,
//! since everything else is compared with what that header says: transactions root, every
//! transaction hash, withdrawals root, uncles hash, receipts root with blooms, the block's bloom.
//! What no root covers is computed rather than believed: sender, gas used, effective gas price,
//! contract address, log positions.

use crate::{
    ProvenBlock, ProvenReceipt, ProvenTransaction, Transaction, VerifyError,
    body::{Body, ProvenBody, prove_body},
    convert::convert_block,
    wire,
};
use alloy::{
    consensus::{Eip658Value, Header, Receipt, ReceiptEnvelope, Transaction as _},
    eips::{
        eip2718::Encodable2718 as _,
        eip4844::{DATA_GAS_PER_BLOB, fake_exponential},
    },
    primitives::{Address, Bloom, Log, LogData},
};
use alloy_trie::root::ordered_trie_root_encoded;
use std::{fmt, str::FromStr};

/// Update fractions of the blob base fee on public networks, oldest first: Cancun (EIP-4844),
/// Prague (EIP-7691), the two blob-parameter-only forks after Osaka (EIP-7892).
const BLOB_FEE_UPDATE_FRACTIONS: [u128; 4] = [3_338_477, 5_007_716, 8_346_193, 11_684_671];

/// How much of each block is proven before it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyLevel {
    /// Everything, on every block.
    Full,
    /// Everything at the head; in history senders are taken as the node gave them.
    Roots,
    /// Parent links only: hashes are taken as the node gave them.
    Links,
    /// Nothing but parent links, and blocks whose parts do not fit together are still refused.
    Off,
}

/// Which checks to make on one block; see [`VerifyLevel::checks`].
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// The header hashes to the claimed hash.
    pub header: bool,
    /// Transactions, receipts, withdrawals and uncles are those of the header.
    pub roots: bool,
    /// Senders are recovered from signatures.
    pub senders: bool,
}

impl VerifyLevel {
    /// The checks for a block, which is either near the head or history.
    #[must_use]
    pub fn checks(self, at_head: bool) -> Checks {
        let proven = matches!(self, Self::Full | Self::Roots);
        Checks {
            header: proven,
            roots: proven,
            senders: self == Self::Full || (proven && at_head),
        }
    }
}

/// A verification level that is none of the accepted words.
#[derive(Debug, thiserror::Error)]
#[error("verification level {0:?} is unknown: accepted are full, roots, links and off")]
pub struct ParseVerifyLevelError(String);

impl FromStr for VerifyLevel {
    type Err = ParseVerifyLevelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "full" => Ok(Self::Full),
            "roots" => Ok(Self::Roots),
            "links" => Ok(Self::Links),
            "off" => Ok(Self::Off),
            _ => Err(ParseVerifyLevelError(text.to_owned())),
        }
    }
}

impl fmt::Display for VerifyLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Roots => "roots",
            Self::Links => "links",
            Self::Off => "off",
        })
    }
}

/// What a node sent about one block.
#[derive(Clone, Debug)]
pub struct Parts {
    /// `eth_getBlockByNumber(n, true)`.
    pub block: wire::Block,
    /// `eth_getBlockReceipts`.
    pub receipts: Vec<wire::Receipt>,
    /// Uncle headers in order, when the node serves them.
    pub uncles: Option<Vec<wire::BlockHeader>>,
}

impl Parts {
    /// Parses the JSON of a block and of its receipts.
    pub fn parse(block: &str, receipts: &str) -> Result<Self, VerifyError> {
        Ok(Self {
            block: parse("block", block)?,
            receipts: parse("receipts", receipts)?,
            uncles: None,
        })
    }
}

/// Parses one reply; an error names the reply and what the parser said.
pub fn parse<'a, T: serde::Deserialize<'a>>(
    what: &'static str,
    json: &'a str,
) -> Result<T, VerifyError> {
    serde_json::from_str(json).map_err(|error| VerifyError::Malformed {
        what,
        reason: error.to_string(),
    })
}

/// Proves a block with its receipts, as a node sent them.
pub fn verify(parts: Parts, checks: Checks) -> Result<ProvenBlock, VerifyError> {
    let body = convert_block(parts.block, parts.uncles)?;
    let proven = prove_body(&body, checks)?;
    match_receipts(&body, &parts.receipts)?;
    let receipts = parts.receipts.into_iter().enumerate();
    let receipts = receipts
        .map(|(index, receipt)| claimed_receipt(index, receipt))
        .collect::<Result<_, _>>()?;
    prove_receipts(body, proven, receipts, checks)
}

/// Proves a block with its receipts, already in the form that is hashed.
pub fn prove(
    body: Body,
    receipts: Vec<ClaimedReceipt>,
    checks: Checks,
) -> Result<ProvenBlock, VerifyError> {
    let proven = prove_body(&body, checks)?;
    count_receipts(&body, receipts.len())?;
    prove_receipts(body, proven, receipts, checks)
}

/// Every receipt must be of this block, in the block's order.
fn match_receipts(body: &Body, receipts: &[wire::Receipt]) -> Result<(), VerifyError> {
    let pairs = receipts.iter().zip(&body.transactions).enumerate();
    for (index, (receipt, transaction)) in pairs {
        if receipt.block_hash != body.hash || receipt.transaction_hash != *transaction.hash() {
            return Err(VerifyError::ForeignReceipt { index });
        }
    }
    count_receipts(body, receipts.len())
}

fn count_receipts(body: &Body, receipts: usize) -> Result<(), VerifyError> {
    let transactions = body.transactions.len();
    if receipts == transactions {
        Ok(())
    } else {
        Err(VerifyError::ReceiptCount {
            receipts,
            transactions,
        })
    }
}

/// A receipt in the form that is hashed, with the one field that no root covers.
#[derive(Clone, Debug)]
pub struct ClaimedReceipt {
    /// Outcome, cumulative gas and logs.
    pub receipt: Receipt,
    /// Wei per blob gas, as the node says.
    pub blob_gas_price: Option<u128>,
}

fn claimed_receipt(index: usize, wire: wire::Receipt) -> Result<ClaimedReceipt, VerifyError> {
    Ok(ClaimedReceipt {
        blob_gas_price: wire.blob_gas_price,
        receipt: Receipt {
            status: outcome(index, &wire)?,
            cumulative_gas_used: wire.cumulative_gas_used,
            logs: wire.logs.into_iter().map(convert_log).collect(),
        },
    })
}

fn prove_receipts(
    body: Body,
    proven: ProvenBody,
    mut receipts: Vec<ClaimedReceipt>,
    checks: Checks,
) -> Result<ProvenBlock, VerifyError> {
    if checks.roots {
        let mut bloom = Bloom::ZERO;
        let mut encoded = Vec::with_capacity(receipts.len());
        for (claimed, transaction) in receipts.iter_mut().zip(&body.transactions) {
            let receipt = std::mem::take(&mut claimed.receipt);
            let envelope = ReceiptEnvelope::from_typed(transaction.tx_type(), receipt);
            bloom.accrue_bloom(envelope.logs_bloom());
            encoded.push(envelope.encoded_2718());
            claimed.receipt = envelope.into_receipt();
        }
        let computed = ordered_trie_root_encoded(&encoded);
        if computed != body.header.receipts_root {
            return Err(VerifyError::ReceiptsRoot {
                header: body.header.receipts_root,
                computed,
            });
        }
        if bloom != body.header.logs_bloom {
            return Err(VerifyError::LogsBloom);
        }
    }
    Ok(assemble(body, proven, receipts))
}

/// What the receipt says became of the transaction, in the form that was hashed.
///
/// A state root marks receipts from before Byzantium (EIP-658). Nethermind long sent a status of its
/// own making beside it, so the root goes first; no state has the root zero, which is a filler.
fn outcome(index: usize, receipt: &wire::Receipt) -> Result<Eip658Value, VerifyError> {
    match (receipt.root.filter(|root| !root.is_zero()), receipt.status) {
        (Some(root), _) => Ok(Eip658Value::PostState(root)),
        (None, Some(status)) => Ok(Eip658Value::Eip658(status == 1)),
        (None, None) => Err(VerifyError::Malformed {
            what: "receipts",
            reason: format!("receipt {index} has neither status nor root"),
        }),
    }
}

fn convert_log(log: wire::Log) -> Log {
    Log {
        address: log.address,
        data: LogData::new_unchecked(log.topics, log.data),
    }
}

/// Puts the proven parts together, computing what no root covers.
fn assemble(body: Body, proven: ProvenBody, receipts: Vec<ClaimedReceipt>) -> ProvenBlock {
    let mut gas_before = 0;
    let mut next_log_index: u32 = 0;
    let transactions = body.transactions.into_iter().zip(proven.senders);
    let transactions = transactions
        .zip(receipts)
        .map(|((envelope, sender), claimed)| {
            let first_log_index = next_log_index;
            let logs = claimed.receipt.logs.len();
            next_log_index = next_log_index.saturating_add(u32::try_from(logs).unwrap_or(u32::MAX));
            let gas_used = claimed
                .receipt
                .cumulative_gas_used
                .saturating_sub(gas_before);
            gas_before = claimed.receipt.cumulative_gas_used;
            let receipt = complete(
                &body.header,
                &envelope,
                sender,
                claimed,
                gas_used,
                first_log_index,
            );
            ProvenTransaction {
                envelope,
                sender,
                receipt,
            }
        })
        .collect();
    ProvenBlock {
        header: body.header,
        hash: proven.hash,
        rule: proven.rule,
        uncles: proven.uncles,
        uncles_proven: proven.uncles_proven,
        size: proven.size,
        withdrawals: body.withdrawals,
        transactions,
    }
}

fn complete(
    header: &Header,
    transaction: &Transaction,
    sender: Address,
    claimed: ClaimedReceipt,
    gas_used: u64,
    first_log_index: u32,
) -> ProvenReceipt {
    let (status, state_root) = match claimed.receipt.status {
        Eip658Value::Eip658(success) => (Some(success), None),
        Eip658Value::PostState(root) => (None, Some(root)),
    };
    // Before Byzantium nothing in the receipt tells a failed creation, so the address is kept.
    let created = transaction.is_create() && status != Some(false);
    let blobs = transaction.blob_versioned_hashes().map(<[_]>::len);
    ProvenReceipt {
        status,
        state_root,
        cumulative_gas_used: claimed.receipt.cumulative_gas_used,
        gas_used,
        effective_gas_price: transaction.effective_gas_price(header.base_fee_per_gas),
        contract_address: created.then(|| sender.create(transaction.nonce())),
        blob_gas_used: blobs
            .and_then(|blobs| u64::try_from(blobs).ok())
            .map(|blobs| blobs * DATA_GAS_PER_BLOB),
        blob_gas_price: blobs.and_then(|_| blob_gas_price(header, claimed.blob_gas_price)),
        first_log_index,
        logs: claimed.receipt.logs,
    }
}

/// The blob base fee that the header's excess blob gas implies under one of the known forks.
///
/// The formula's update fraction belongs to the fork schedule, which no header carries: the node's
/// figure is kept when one of the known fractions yields it, and nothing is kept otherwise.
fn blob_gas_price(header: &Header, claimed: Option<u128>) -> Option<u128> {
    let excess = u128::from(header.excess_blob_gas?);
    BLOB_FEE_UPDATE_FRACTIONS
        .into_iter()
        .map(|fraction| fake_exponential(1, excess, fraction))
        .find(|&price| Some(price) == claimed)
}
