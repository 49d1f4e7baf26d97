//! Wire types to consensus types: the fields a node sent, put back into what was signed and hashed.

use crate::{
    Transaction, VerifyError,
    body::{Body, Uncles},
    wire,
};
use alloy::{
    consensus::{
        EthereumTypedTransaction, Header, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
    },
    primitives::{Signature, TxKind},
};

/// EIP-7702, the highest type that we know how to hash.
const LAST_SUPPORTED_TYPE: u8 = 4;

/// A field that the transaction's type cannot do without.
trait Required<T> {
    fn required(self, index: usize, name: &'static str) -> Result<T, VerifyError>;
}

impl<T> Required<T> for Option<T> {
    fn required(self, index: usize, name: &'static str) -> Result<T, VerifyError> {
        self.ok_or_else(|| VerifyError::Malformed {
            what: "block",
            reason: format!("transaction {index} has no {name}"),
        })
    }
}

/// Turns a block reply, and the uncle headers when there are any, into a [`Body`].
pub fn convert_block(
    block: wire::Block,
    uncles: Option<Vec<wire::BlockHeader>>,
) -> Result<Body, VerifyError> {
    let senders = block.transactions.iter().map(|tx| tx.from).collect();
    let transactions = block
        .transactions
        .into_iter()
        .enumerate()
        .map(|(index, transaction)| convert_transaction(index, transaction))
        .collect::<Result<_, _>>()?;
    Ok(Body {
        hash: block.header.hash,
        header: block.header.into(),
        transactions,
        senders,
        uncles: match uncles {
            Some(headers) => Uncles::Headers(headers.into_iter().map(Header::from).collect()),
            None => Uncles::Hashes(block.uncles),
        },
        withdrawals: block.withdrawals,
    })
}

fn convert_transaction(index: usize, tx: wire::Transaction) -> Result<Transaction, VerifyError> {
    let ty = tx.ty.unwrap_or(0);
    // Before the fields: a type that we do not know may do without a signature (OP stack deposits).
    if ty > LAST_SUPPORTED_TYPE {
        return Err(VerifyError::UnsupportedTransaction { index, ty });
    }
    let hash = tx.hash;
    let (parity, legacy_chain_id) = signature_parity(index, ty, &tx)?;
    let r = tx.r.required(index, "r")?;
    let s = tx.s.required(index, "s")?;
    let signature = Signature::new(r, s, parity);
    let input = tx.input.or(tx.data).required(index, "input")?;
    let to = tx.to.map_or(TxKind::Create, TxKind::Call);
    let typed = match ty {
        0 => EthereumTypedTransaction::Legacy(TxLegacy {
            chain_id: legacy_chain_id,
            nonce: tx.nonce,
            gas_price: tx.gas_price.required(index, "gasPrice")?,
            gas_limit: tx.gas,
            to,
            value: tx.value,
            input,
        }),
        1 => EthereumTypedTransaction::Eip2930(TxEip2930 {
            chain_id: tx.chain_id.required(index, "chainId")?,
            nonce: tx.nonce,
            gas_price: tx.gas_price.required(index, "gasPrice")?,
            gas_limit: tx.gas,
            to,
            value: tx.value,
            access_list: tx.access_list.unwrap_or_default(),
            input,
        }),
        2 => EthereumTypedTransaction::Eip1559(TxEip1559 {
            chain_id: tx.chain_id.required(index, "chainId")?,
            nonce: tx.nonce,
            gas_limit: tx.gas,
            max_fee_per_gas: tx.max_fee_per_gas.required(index, "maxFeePerGas")?,
            max_priority_fee_per_gas: tx
                .max_priority_fee_per_gas
                .required(index, "maxPriorityFeePerGas")?,
            to,
            value: tx.value,
            access_list: tx.access_list.unwrap_or_default(),
            input,
        }),
        3 => EthereumTypedTransaction::Eip4844(TxEip4844 {
            chain_id: tx.chain_id.required(index, "chainId")?,
            nonce: tx.nonce,
            gas_limit: tx.gas,
            max_fee_per_gas: tx.max_fee_per_gas.required(index, "maxFeePerGas")?,
            max_priority_fee_per_gas: tx
                .max_priority_fee_per_gas
                .required(index, "maxPriorityFeePerGas")?,
            to: tx.to.required(index, "to")?,
            value: tx.value,
            access_list: tx.access_list.unwrap_or_default(),
            blob_versioned_hashes: tx
                .blob_versioned_hashes
                .required(index, "blobVersionedHashes")?,
            max_fee_per_blob_gas: tx
                .max_fee_per_blob_gas
                .required(index, "maxFeePerBlobGas")?,
            input,
        }),
        4 => EthereumTypedTransaction::Eip7702(TxEip7702 {
            chain_id: tx.chain_id.required(index, "chainId")?,
            nonce: tx.nonce,
            gas_limit: tx.gas,
            max_fee_per_gas: tx.max_fee_per_gas.required(index, "maxFeePerGas")?,
            max_priority_fee_per_gas: tx
                .max_priority_fee_per_gas
                .required(index, "maxPriorityFeePerGas")?,
            to: tx.to.required(index, "to")?,
            value: tx.value,
            access_list: tx.access_list.unwrap_or_default(),
            authorization_list: tx.authorization_list.required(index, "authorizationList")?,
            input,
        }),
        ty => return Err(VerifyError::UnsupportedTransaction { index, ty }),
    };
    Ok(Transaction::new_unchecked(typed, signature, hash))
}

/// The signature's parity, and the chain id that a legacy `v` carries (EIP-155).
///
/// Legacy `v` is 27 + parity, or 35 + 2 × chain id + parity; typed transactions have the parity
/// itself in `yParity`, or in `v` on nodes that predate `yParity`.
fn signature_parity(
    index: usize,
    ty: u8,
    tx: &wire::Transaction,
) -> Result<(bool, Option<u64>), VerifyError> {
    let malformed = |reason: String| VerifyError::Malformed {
        what: "block",
        reason,
    };
    if ty != 0 {
        return match tx.y_parity.map(u128::from).or(tx.v) {
            Some(0) => Ok((false, None)),
            Some(1) => Ok((true, None)),
            other => Err(malformed(format!(
                "transaction {index} has parity {other:?}, not 0 or 1"
            ))),
        };
    }
    match tx.v {
        Some(v @ (27 | 28)) => Ok((v == 28, None)),
        Some(v) if v >= 35 => {
            let chain_id = u64::try_from((v - 35) / 2)
                .map_err(|_| malformed(format!("transaction {index} has v {v}")))?;
            Ok((v % 2 == 0, Some(chain_id)))
        }
        other => Err(malformed(format!(
            "transaction {index} has v {other:?}, not 27, 28 or at least 35"
        ))),
    }
}
