//! JSON of blocks and receipts, written straight into bytes: no tree of values in between.
//!
//! Fields and their order of words are those of geth and Besu. Every value is hex, a known word or a
//! list of such, so nothing needs to be escaped.

use std::ops::Range;

use alloy::consensus::{Header, Transaction as _};
use alloy::eips::eip4895::Withdrawal;
use alloy::hex;
use alloy::primitives::{B256, U256};

use crate::executed::{Executed, Transaction};
use crate::json::Json;

/// Text of one list, and where its elements lie.
pub(crate) struct Listed {
    pub(crate) text: Json,
    pub(crate) parts: Vec<Range<usize>>,
}

/// What is the same for everything in a block.
pub(crate) struct Place<'a> {
    pub(crate) header: &'a Header,
    /// The hash by the chain's own rule.
    pub(crate) hash: B256,
    /// `"blockHash":…,"blockNumber":…`, written once and copied.
    shared: Vec<u8>,
    timestamp: Vec<u8>,
    /// Wei per blob gas.
    pub(crate) blob_gas_price: Option<u128>,
}

impl<'a> Place<'a> {
    pub(crate) fn new(header: &'a Header, hash: B256, blob_gas_price: Option<u128>) -> Self {
        let mut shared = Writer::with_capacity(128);
        shared.raw(r#""blockHash":"#).hex(hash.as_slice());
        shared.raw(r#","blockNumber":"#).number(header.number);
        let mut timestamp = Writer::with_capacity(48);
        timestamp
            .raw(r#","blockTimestamp":"#)
            .number(header.timestamp);
        Self {
            header,
            hash,
            shared: shared.out,
            timestamp: timestamp.out,
            blob_gas_price,
        }
    }
}

/// A block's body beside its header.
pub(crate) struct Rest<'a> {
    pub(crate) size: u64,
    /// Kept by Besu on its own networks.
    pub(crate) total_difficulty: Option<U256>,
    pub(crate) withdrawals: Option<&'a [Withdrawal]>,
}

/// The bare result of `eth_getBlockByNumber(n, true)`, where its transaction list lies, and each of them.
pub(crate) fn block(
    place: &Place<'_>,
    rest: &Rest<'_>,
    executed: &[Executed],
) -> (Listed, Range<usize>) {
    let bytes: usize = executed.iter().map(|one| one.envelope.input().len()).sum();
    let mut w = Writer::with_capacity(2_048 + executed.len() * 1_024 + 2 * bytes);
    header(&mut w, place, rest);
    w.raw(r#","transactions":"#);
    let start = w.out.len();
    let parts = w.list(executed, |w, index, one| transaction(w, place, index, one));
    let list = start..w.out.len();
    if let Some(withdrawals) = rest.withdrawals {
        w.raw(r#","withdrawals":"#);
        w.list(withdrawals, |w, _, one| withdrawal(w, one));
    }
    w.raw(r#","uncles":[]}"#);
    (w.listed(parts), list)
}

/// The bare result of `eth_getBlockReceipts`.
pub(crate) fn receipts(place: &Place<'_>, executed: &[Executed]) -> Listed {
    let logs: usize = executed.iter().map(|one| one.receipt.logs.len()).sum();
    let mut w = Writer::with_capacity(64 + executed.len() * 1_280 + logs * 1_024);
    let (mut cumulative, mut next_log) = (0, 0);
    let parts = w.list(executed, |w, index, one| {
        cumulative += one.gas_used;
        receipt(w, place, index, one, cumulative, &mut next_log);
    });
    w.listed(parts)
}

fn header(w: &mut Writer, place: &Place<'_>, rest: &Rest<'_>) {
    let header = place.header;
    w.raw(r#"{"number":"#).number(header.number);
    for (name, hash) in [
        (r#","hash":"#, place.hash),
        (r#","parentHash":"#, header.parent_hash),
        (r#","sha3Uncles":"#, header.ommers_hash),
        (r#","stateRoot":"#, header.state_root),
        (r#","transactionsRoot":"#, header.transactions_root),
        (r#","receiptsRoot":"#, header.receipts_root),
        (r#","mixHash":"#, header.mix_hash),
    ] {
        w.raw(name).hex(hash.as_slice());
    }
    w.raw(r#","logsBloom":"#).hex(header.logs_bloom.as_slice());
    w.raw(r#","miner":"#).hex(header.beneficiary.as_slice());
    w.raw(r#","nonce":"#).hex(header.nonce.as_slice());
    w.raw(r#","extraData":"#).hex(&header.extra_data);
    w.raw(r#","difficulty":"#).uint(header.difficulty);
    for (name, number) in [
        (r#","gasLimit":"#, Some(header.gas_limit)),
        (r#","gasUsed":"#, Some(header.gas_used)),
        (r#","timestamp":"#, Some(header.timestamp)),
        (r#","size":"#, Some(rest.size)),
        (r#","baseFeePerGas":"#, header.base_fee_per_gas),
        (r#","blobGasUsed":"#, header.blob_gas_used),
        (r#","excessBlobGas":"#, header.excess_blob_gas),
    ] {
        if let Some(number) = number {
            w.raw(name).number(number);
        }
    }
    if let Some(total) = rest.total_difficulty {
        w.raw(r#","totalDifficulty":"#).uint(total);
    }
    for (name, hash) in [
        (r#","withdrawalsRoot":"#, header.withdrawals_root),
        (
            r#","parentBeaconBlockRoot":"#,
            header.parent_beacon_block_root,
        ),
        (r#","requestsHash":"#, header.requests_hash),
    ] {
        if let Some(hash) = hash {
            w.raw(name).hex(hash.as_slice());
        }
    }
}

fn withdrawal(w: &mut Writer, one: &Withdrawal) {
    w.raw(r#"{"index":"#).number(one.index);
    w.raw(r#","validatorIndex":"#).number(one.validator_index);
    w.raw(r#","address":"#).hex(one.address.as_slice());
    w.raw(r#","amount":"#).number(one.amount).raw("}");
}

fn transaction(w: &mut Writer, place: &Place<'_>, index: usize, one: &Executed) {
    let tx = &one.envelope;
    w.raw("{").bytes(&place.shared).bytes(&place.timestamp);
    w.raw(r#","from":"#).hex(one.from.as_slice());
    w.raw(r#","gas":"#).number(tx.gas_limit());
    let price = tx.effective_gas_price(place.header.base_fee_per_gas);
    w.raw(r#","gasPrice":"#).wide(price);
    if tx.is_dynamic_fee() {
        w.raw(r#","maxFeePerGas":"#).wide(tx.max_fee_per_gas());
        let priority = tx.max_priority_fee_per_gas().unwrap_or_default();
        w.raw(r#","maxPriorityFeePerGas":"#).wide(priority);
    }
    if let Some(price) = tx.max_fee_per_blob_gas() {
        w.raw(r#","maxFeePerBlobGas":"#).wide(price);
    }
    w.raw(r#","hash":"#).hex(tx.tx_hash().as_slice());
    w.raw(r#","input":"#).hex(tx.input());
    w.raw(r#","nonce":"#).number(tx.nonce());
    w.raw(r#","to":"#)
        .optional(tx.to().as_ref().map(|to| to.as_slice()));
    w.raw(r#","transactionIndex":"#).position(index);
    w.raw(r#","value":"#).uint(tx.value());
    w.raw(r#","type":"#)
        .number(u64::from(u8::from(tx.tx_type())));
    if let Some(list) = tx.access_list() {
        w.raw(r#","accessList":"#);
        w.list(list, |w, _, item| {
            w.raw(r#"{"address":"#).hex(item.address.as_slice());
            w.raw(r#","storageKeys":"#);
            w.list(&item.storage_keys, |w, _, key| {
                w.hex(key.as_slice());
            });
            w.raw("}");
        });
    }
    if let Some(chain_id) = tx.chain_id() {
        w.raw(r#","chainId":"#).number(chain_id);
    }
    if let Some(hashes) = tx.blob_versioned_hashes() {
        w.raw(r#","blobVersionedHashes":"#);
        w.list(hashes, |w, _, hash| {
            w.hex(hash.as_slice());
        });
    }
    if let Some(list) = tx.authorization_list() {
        w.raw(r#","authorizationList":"#);
        w.list(list, |w, _, item| {
            w.raw(r#"{"chainId":"#).uint(item.chain_id);
            w.raw(r#","address":"#).hex(item.address.as_slice());
            w.raw(r#","nonce":"#).number(item.nonce);
            w.raw(r#","yParity":"#).number(u64::from(item.y_parity()));
            w.raw(r#","r":"#).uint(item.r());
            w.raw(r#","s":"#).uint(item.s()).raw("}");
        });
    }
    signature(w, tx);
    w.raw("}");
}

/// `v` of a legacy transaction carries the chain id (EIP-155); others have the parity twice.
fn signature(w: &mut Writer, tx: &Transaction) {
    let signature = tx.signature();
    let parity = u64::from(signature.v());
    let v = match (tx.is_legacy(), tx.chain_id()) {
        (true, Some(chain_id)) => 35 + 2 * chain_id + parity,
        (true, None) => 27 + parity,
        (false, _) => parity,
    };
    w.raw(r#","v":"#).number(v);
    w.raw(r#","r":"#).uint(signature.r());
    w.raw(r#","s":"#).uint(signature.s());
    if !tx.is_legacy() {
        w.raw(r#","yParity":"#).number(parity);
    }
}

fn receipt(
    w: &mut Writer,
    place: &Place<'_>,
    index: usize,
    one: &Executed,
    cumulative: u64,
    next_log: &mut usize,
) {
    let tx = &one.envelope;
    w.raw("{").bytes(&place.shared);
    let created = one.created();
    w.raw(r#","contractAddress":"#)
        .optional(created.as_ref().map(|address| address.as_slice()));
    w.raw(r#","cumulativeGasUsed":"#).number(cumulative);
    let price = tx.effective_gas_price(place.header.base_fee_per_gas);
    w.raw(r#","effectiveGasPrice":"#).wide(price);
    if let (Some(gas), Some(price)) = (tx.blob_gas_used(), place.blob_gas_price) {
        w.raw(r#","blobGasUsed":"#).number(gas);
        w.raw(r#","blobGasPrice":"#).wide(price);
    }
    w.raw(r#","from":"#).hex(one.from.as_slice());
    w.raw(r#","gasUsed":"#).number(one.gas_used);
    w.raw(r#","logs":"#);
    w.list(&one.receipt.logs, |w, _, log| {
        w.raw(r#"{"address":"#).hex(log.address.as_slice());
        w.raw(r#","topics":"#);
        w.list(log.topics(), |w, _, topic| {
            w.hex(topic.as_slice());
        });
        w.raw(r#","data":"#).hex(&log.data.data).raw(",");
        w.bytes(&place.shared).bytes(&place.timestamp);
        w.raw(r#","transactionHash":"#).hex(tx.tx_hash().as_slice());
        w.raw(r#","transactionIndex":"#).position(index);
        w.raw(r#","logIndex":"#).position(*next_log);
        w.raw(r#","removed":false}"#);
        *next_log += 1;
    });
    w.raw(r#","logsBloom":"#).hex(one.bloom.as_slice());
    w.raw(r#","status":"#).number(u64::from(one.succeeded()));
    w.raw(r#","to":"#)
        .optional(tx.to().as_ref().map(|to| to.as_slice()));
    w.raw(r#","transactionHash":"#).hex(tx.tx_hash().as_slice());
    w.raw(r#","transactionIndex":"#).position(index);
    w.raw(r#","type":"#)
        .number(u64::from(u8::from(tx.tx_type())))
        .raw("}");
}

/// Appends JSON to bytes.
struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
        }
    }

    fn raw(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// `"0x…"`, two digits a byte.
    fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes(b"\"0x");
        let start = self.out.len();
        self.out.resize(start + 2 * bytes.len(), 0);
        hex::encode_to_slice(bytes, &mut self.out[start..])
            .unwrap_or_else(|error| unreachable!("two digits a byte were made room for: {error}"));
        self.bytes(b"\"")
    }

    fn optional(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.hex(bytes),
            None => self.raw("null"),
        }
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.wide(u128::from(number))
    }

    fn position(&mut self, index: usize) -> &mut Self {
        self.number(u64::try_from(index).unwrap_or(u64::MAX))
    }

    fn uint(&mut self, number: U256) -> &mut Self {
        match u128::try_from(number) {
            Ok(number) => self.wide(number),
            Err(_) => self.digits(&number.to_be_bytes::<32>()),
        }
    }

    fn wide(&mut self, number: u128) -> &mut Self {
        self.digits(&number.to_be_bytes())
    }

    /// A quantity: `"0x…"` without leading zeros, at least one digit.
    fn digits(&mut self, big_endian: &[u8]) -> &mut Self {
        let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
        let rest = &big_endian[zeros.min(big_endian.len() - 1)..];
        self.hex(rest);
        let first = self.out.len() - 1 - 2 * rest.len();
        if self.out[first] == b'0' {
            self.out.remove(first);
        }
        self
    }

    /// Writes a list; returns where each element lies.
    fn list<T>(
        &mut self,
        items: &[T],
        mut write: impl FnMut(&mut Self, usize, &T),
    ) -> Vec<Range<usize>> {
        let mut parts = Vec::with_capacity(items.len());
        self.raw("[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            let start = self.out.len();
            write(self, index, item);
            parts.push(start..self.out.len());
        }
        self.raw("]");
        parts
    }

    fn listed(self, parts: Vec<Range<usize>>) -> Listed {
        let text = String::from_utf8(self.out)
            .unwrap_or_else(|error| unreachable!("hex digits and known words: {error}"));
        Listed {
            text: Json::from(text),
            parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_no_leading_zeros_and_bytes_keep_theirs() {
        let mut w = Writer::with_capacity(0);
        w.number(0).number(0x10).number(0xabc).uint(U256::MAX);
        w.uint(U256::from(1) << 252).hex(&[0, 1]).optional(None);
        let f = "f".repeat(64);
        let expected = format!(
            r#""0x0""0x10""0xabc""0x{f}""0x1{}""0x0001"null"#,
            "0".repeat(63)
        );
        assert_eq!(String::from_utf8_lossy(&w.out), expected);
    }
}
