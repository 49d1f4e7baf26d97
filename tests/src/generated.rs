//! Valid blocks without a network: true hashes, roots, blooms and signatures, from a seed.
//!
//! What a branch needs that no recording has. Transactions come from a small pool, so that the same one
//! is often in both branches of a fork, at different places.

use alloy::{
    consensus::{
        EMPTY_OMMER_ROOT_HASH, Eip658Value, Header, Receipt, ReceiptEnvelope,
        SignableTransaction as _, TxEip1559, TxEnvelope, TxLegacy,
        proofs::{calculate_receipt_root, calculate_transaction_root},
    },
    primitives::{Address, B256, Bloom, Bytes, Log, LogData, TxKind, U256, keccak256},
    signers::{SignerSync as _, local::PrivateKeySigner},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use simnode::CannedBlock;

/// The chain id that generated transactions are signed for.
pub const GENERATED_CHAIN_ID: u64 = 4_242;

/// Different transactions that blocks are filled from.
const POOL: usize = 24;

/// Wei per gas that every block asks for.
const BASE_FEE: u64 = 1_000_000_000;

/// A block with its receipts, as a node would tell them.
#[derive(Clone, Debug)]
pub struct GeneratedBlock {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    block: String,
    receipts: String,
}

impl GeneratedBlock {
    /// In the form in which the canned node serves it.
    #[must_use]
    pub fn canned(&self) -> CannedBlock {
        CannedBlock::from_json(self.block.as_str(), Some(&self.receipts)).expect("a block")
    }

    /// Height.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.header.number
    }
}

/// Makes blocks; the same seed makes the same ones.
pub struct Generator {
    random: StdRng,
    pool: Vec<(TxEnvelope, Address)>,
    qbft: bool,
}

impl Generator {
    /// A generator with a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let signers: Vec<PrivateKeySigner> = (1..=3)
            .map(|n| PrivateKeySigner::from_bytes(&B256::with_last_byte(n)).expect("a key"))
            .collect();
        let pool = (0..POOL)
            .map(|n| {
                let signer = &signers[n % signers.len()];
                (transaction(&mut random, signer, n), signer.address())
            })
            .collect();
        Self {
            random,
            pool,
            qbft: false,
        }
    }

    /// A generator of blocks as a quorum of QBFT validators seals them.
    #[must_use]
    pub fn qbft(seed: u64) -> Self {
        Self {
            qbft: true,
            ..Self::seeded(seed)
        }
    }

    /// The random numbers, for the test's own choices.
    pub fn random(&mut self) -> &mut StdRng {
        &mut self.random
    }

    /// Block 0 of a chain that was started anew: another one for every seed.
    pub fn other_genesis(&mut self) -> GeneratedBlock {
        let mut header = self.genesis().header;
        header.extra_data = Bytes::copy_from_slice(&self.random.random::<[u8; 8]>());
        seal(header, &[])
    }

    /// Block 0, the same for every seed.
    pub fn genesis(&mut self) -> GeneratedBlock {
        let header = Header {
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            gas_limit: 30_000_000,
            timestamp: 1_700_000_000,
            base_fee_per_gas: Some(BASE_FEE),
            ..Header::default()
        };
        seal(header, &[])
    }

    /// A block on another, with up to four transactions.
    pub fn child(&mut self, parent: &GeneratedBlock) -> GeneratedBlock {
        let count = self.random.random_range(0..5);
        self.child_with(parent, count)
    }

    /// A block on another, with so many transactions.
    pub fn child_with(&mut self, parent: &GeneratedBlock, count: usize) -> GeneratedBlock {
        let start = self.random.random_range(0..POOL);
        let transactions: Vec<_> = (0..count)
            .map(|n| self.pool[(start + n) % POOL].clone())
            .collect();
        let extra_data: [u8; 8] = self.random.random();
        let (extra_data, mix_hash) = if self.qbft {
            (qbft_extra_data(extra_data), chain::BFT_MIX_HASH)
        } else {
            (Bytes::copy_from_slice(&extra_data), B256::ZERO)
        };
        let header = Header {
            parent_hash: parent.hash,
            number: parent.header.number + 1,
            timestamp: parent.header.timestamp + self.random.random_range(1..30),
            extra_data,
            mix_hash,
            beneficiary: Address::with_last_byte(self.random.random_range(0x40..0x44)),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            state_root: B256::from(self.random.random::<[u8; 32]>()),
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(BASE_FEE),
            ..Header::default()
        };
        seal(header, &transactions)
    }

    /// So many blocks on another.
    pub fn branch(&mut self, parent: &GeneratedBlock, length: usize) -> Vec<GeneratedBlock> {
        let mut blocks: Vec<GeneratedBlock> = Vec::with_capacity(length);
        for _ in 0..length {
            let block = self.child(blocks.last().unwrap_or(parent));
            blocks.push(block);
        }
        blocks
    }
}

/// `[vanity, [validator], [], round 1, [seal]]`, the vanity beginning with what makes a block its own.
fn qbft_extra_data(distinct: [u8; 8]) -> Bytes {
    let mut vanity = [0; 32];
    vanity[..8].copy_from_slice(&distinct);
    let item = |bytes: &[u8]| alloy::rlp::encode(bytes);
    let list = |items: &[Vec<u8>]| {
        let payload = items.concat();
        let mut out = Vec::new();
        let header = alloy::rlp::Header {
            list: true,
            payload_length: payload.len(),
        };
        header.encode(&mut out);
        out.extend(payload);
        out
    };
    let validators = list(&[item(&[7; 20])]);
    let seals = list(&[item(&[9; 65])]);
    list(&[item(&vanity), validators, list(&[]), item(&[1]), seals]).into()
}

fn transaction(random: &mut StdRng, signer: &PrivateKeySigner, n: usize) -> TxEnvelope {
    let nonce = u64::try_from(n).expect("a small number");
    let creates = n % 7 == 3;
    let to = if creates {
        TxKind::Create
    } else {
        TxKind::Call(Address::with_last_byte(random.random_range(0x50..0x58)))
    };
    let value = U256::from(random.random_range(0..1_000_000_u64));
    let input = Bytes::copy_from_slice(&random.random::<[u8; 6]>());
    if n.is_multiple_of(2) {
        let unsigned = TxLegacy {
            chain_id: Some(GENERATED_CHAIN_ID),
            nonce,
            gas_price: 2_000_000_000,
            gas_limit: 100_000,
            to,
            value,
            input,
        };
        let signature = signer
            .sign_hash_sync(&unsigned.signature_hash())
            .expect("a signature");
        unsigned.into_signed(signature).into()
    } else {
        let unsigned = TxEip1559 {
            chain_id: GENERATED_CHAIN_ID,
            nonce,
            gas_limit: 100_000,
            max_fee_per_gas: 3_000_000_000,
            max_priority_fee_per_gas: 100_000_000,
            to,
            value,
            input,
            ..TxEip1559::default()
        };
        let signature = signer
            .sign_hash_sync(&unsigned.signature_hash())
            .expect("a signature");
        unsigned.into_signed(signature).into()
    }
}

/// What becomes of a transaction: every fifth fails, every second of the others logs twice.
fn outcome(envelope: &TxEnvelope, gas_before: u64) -> ReceiptEnvelope {
    let hash = *envelope.tx_hash();
    let fails = hash[0].is_multiple_of(5);
    let logs = if fails || hash[1].is_multiple_of(2) {
        0
    } else {
        2
    };
    let topic = keccak256("Transfer(address,address,uint256)");
    let log = |n: u8| Log {
        address: Address::with_last_byte(0x60),
        data: LogData::new_unchecked(
            vec![
                topic,
                B256::with_last_byte(0x51),
                B256::with_last_byte(0x52),
            ],
            Bytes::from(vec![n; 32]),
        ),
    };
    let receipt = Receipt {
        status: Eip658Value::Eip658(!fails),
        cumulative_gas_used: gas_before + 21_000 + u64::from(hash[2]),
        logs: (0..logs).map(log).collect(),
    };
    ReceiptEnvelope::from_typed(envelope.tx_type(), receipt)
}

/// Computes what the header says of its body, and writes both down.
fn seal(mut header: Header, transactions: &[(TxEnvelope, Address)]) -> GeneratedBlock {
    let envelopes: Vec<TxEnvelope> = transactions.iter().map(|(tx, _)| tx.clone()).collect();
    let mut receipts: Vec<ReceiptEnvelope> = Vec::new();
    for envelope in &envelopes {
        let before = receipts
            .last()
            .map_or(0, ReceiptEnvelope::cumulative_gas_used);
        receipts.push(outcome(envelope, before));
    }
    header.transactions_root = calculate_transaction_root(&envelopes);
    header.receipts_root = calculate_receipt_root(&receipts);
    header.gas_used = receipts
        .last()
        .map_or(0, ReceiptEnvelope::cumulative_gas_used);
    header.logs_bloom = receipts
        .iter()
        .fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom());
    let hash = chain::HashRule::hash(&header);

    let mut block = serde_json::to_value(&header).expect("JSON");
    let place = |index: usize| json!({"blockHash": hash, "blockNumber": hex(header.number), "transactionIndex": hex(number(index))});
    let bodies = transactions
        .iter()
        .enumerate()
        .map(|(index, (envelope, from))| {
            let mut body = serde_json::to_value(envelope).expect("JSON");
            merge(&mut body, place(index));
            merge(&mut body, json!({"from": from, "hash": envelope.tx_hash()}));
            body
        });
    let bodies: Vec<Value> = bodies.collect();
    merge(
        &mut block,
        json!({"hash": hash, "uncles": [], "transactions": bodies}),
    );

    let mut next_log = 0;
    let told = receipts.iter().zip(&envelopes).enumerate().map(|(index, (receipt, envelope))| {
        let logs: Vec<Value> = receipt
            .logs()
            .iter()
            .map(|log| {
                let mut value = json!({
                    "address": log.address, "topics": log.topics(), "data": log.data.data,
                    "logIndex": hex(next_log), "removed": false, "transactionHash": envelope.tx_hash(),
                });
                next_log += 1;
                merge(&mut value, place(index));
                value
            })
            .collect();
        let mut value = json!({
            "transactionHash": envelope.tx_hash(),
            "status": if receipt.status() { "0x1" } else { "0x0" },
            "cumulativeGasUsed": hex(receipt.cumulative_gas_used()),
            "logsBloom": receipt.logs_bloom(),
            "logs": logs,
            "type": hex(u64::from(u8::from(envelope.tx_type()))),
        });
        merge(&mut value, place(index));
        value
    });
    let told: Vec<Value> = told.collect();
    GeneratedBlock {
        block: block.to_string(),
        receipts: Value::from(told).to_string(),
        header,
        hash,
    }
}

fn number(index: usize) -> u64 {
    u64::try_from(index).expect("a small number")
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
