//! Compares a proven block with what the node said about things that no root covers.
//!
//! Verification computes these and never looks at the node's figure, so agreement is evidence for both.

use alloy::primitives::{Address, B256, Bytes};
use chain::{Checks, Parts, ProvenBlock, ProvenTransaction, VerifyError, verify};
use serde_json::Value;
use simnode::fixtures::BlockJson;

/// Every check, as at the head.
pub const FULL: Checks = Checks {
    header: true,
    roots: true,
    senders: true,
};

/// How many of each claim were compared, so that a test can say that it compared any.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub blocks: usize,
    pub transactions: usize,
    pub creations: usize,
    pub failed: usize,
    pub logs: usize,
    pub blob_prices: usize,
    pub uncles: usize,
    pub sizes: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.transactions += other.transactions;
        self.creations += other.creations;
        self.failed += other.failed;
        self.logs += other.logs;
        self.blob_prices += other.blob_prices;
        self.uncles += other.uncles;
        self.sizes += other.sizes;
    }
}

/// Proves a recorded block with its receipts.
pub fn prove(recorded: &BlockJson) -> Result<ProvenBlock, VerifyError> {
    let receipts = recorded.receipts.as_ref().expect("the block has receipts");
    verify(Parts::parse(recorded.block.get(), receipts.get())?, FULL)
}

/// Proves a recorded block with its receipts and compares it with the node's claims.
pub fn prove_and_compare(recorded: &BlockJson) -> Tally {
    let block: Value = parse(recorded.block.get());
    let receipts: Value = parse(recorded.receipts.as_ref().expect("receipts").get());
    let proven = prove(recorded).unwrap_or_else(|error| panic!("{}: {error}", block["number"]));
    compare(&proven, &block, &receipts)
}

/// Panics when a claim differs from what was computed.
pub fn compare(proven: &ProvenBlock, block: &Value, receipts: &Value) -> Tally {
    let mut tally = Tally {
        blocks: 1,
        uncles: proven.uncles.len(),
        ..Tally::default()
    };
    assert_eq!(Some(proven.hash), optional(block, "hash"));
    assert_eq!(proven.number(), number(&block["number"]));
    if let (Some(computed), Some(claimed)) = (proven.size, block.get("size")) {
        assert_eq!(computed, number(claimed), "size of {}", proven.number());
        tally.sizes += 1;
    }
    let receipts = receipts.as_array().expect("a list of receipts");
    assert_eq!(proven.transactions.len(), receipts.len());
    let mut next_log = 0;
    for (index, transaction) in proven.transactions.iter().enumerate() {
        let place = format!("{}/{index}", proven.number());
        let claimed = &block["transactions"][index];
        assert_eq!(
            Some(transaction.sender),
            optional(claimed, "from"),
            "{place}"
        );
        tally += compare_receipt(transaction, &receipts[index], next_log, &place);
        next_log += transaction.receipt.logs.len();
    }
    tally
}

/// Compares one receipt whose first log is the `next_log`-th of the block.
pub fn compare_receipt(
    transaction: &ProvenTransaction,
    claimed: &Value,
    next_log: usize,
    place: &str,
) -> Tally {
    let receipt = &transaction.receipt;
    let failed = receipt.status == Some(false);
    assert_eq!(
        Some(transaction.sender),
        optional(claimed, "from"),
        "{place}"
    );
    assert_eq!(
        receipt.gas_used,
        number(&claimed["gasUsed"]),
        "{place}: gas used"
    );
    if let Some(price) = claimed.get("effectiveGasPrice") {
        assert_eq!(
            receipt.effective_gas_price,
            wide_number(price),
            "{place}: effective gas price"
        );
    }
    // Some nodes name the address that a failed creation would have had; we name none.
    let contract = optional::<Address>(claimed, "contractAddress").filter(|_| !failed);
    assert_eq!(receipt.contract_address, contract, "{place}: contract");
    assert_eq!(
        receipt.status,
        claimed.get("status").map(|status| number(status) == 1),
        "{place}: status"
    );
    assert_eq!(
        receipt.state_root,
        optional(claimed, "root"),
        "{place}: root"
    );
    let blob_gas = claimed.get("blobGasUsed").map(number);
    assert_eq!(receipt.blob_gas_used, blob_gas, "{place}: blob gas");
    let blob_price = claimed.get("blobGasPrice").map(wide_number);
    assert_eq!(receipt.blob_gas_price, blob_price, "{place}: blob price");
    assert_eq!(usize::try_from(receipt.first_log_index), Ok(next_log));
    compare_logs(transaction, &claimed["logs"], place);
    Tally {
        transactions: 1,
        creations: usize::from(contract.is_some()),
        failed: usize::from(failed),
        logs: receipt.logs.len(),
        blob_prices: usize::from(blob_price.is_some()),
        ..Tally::default()
    }
}

fn compare_logs(transaction: &ProvenTransaction, claimed: &Value, place: &str) {
    let claimed = claimed.as_array().expect("a list of logs");
    let receipt = &transaction.receipt;
    assert_eq!(receipt.logs.len(), claimed.len(), "{place}: logs");
    for ((log, claimed), index) in receipt
        .logs
        .iter()
        .zip(claimed)
        .zip(receipt.first_log_index..)
    {
        assert_eq!(u64::from(index), number(&claimed["logIndex"]), "{place}");
        assert_eq!(Some(log.address), optional(claimed, "address"), "{place}");
        let topics = log.topics().to_vec();
        assert_eq!(Some(topics), optional::<Vec<B256>>(claimed, "topics"));
        let data = log.data.data.clone();
        assert_eq!(Some(data), optional::<Bytes>(claimed, "data"), "{place}");
    }
}

/// Parses JSON that the test itself cannot do without.
pub fn parse<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("the recorded JSON parses")
}

/// A field, where it is there and not null.
pub fn optional<T: serde::de::DeserializeOwned>(object: &Value, field: &str) -> Option<T> {
    let value = object.get(field).filter(|value| !value.is_null())?;
    Some(serde_json::from_value(value.clone()).expect(field))
}

/// A hexadecimal quantity.
pub fn number(value: &Value) -> u64 {
    u64::try_from(wide_number(value)).expect("a quantity of 64 bits")
}

fn wide_number(value: &Value) -> u128 {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    u128::from_str_radix(digits.expect("a quantity"), 16).expect("a quantity")
}
