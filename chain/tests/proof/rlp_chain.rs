//! Chains recorded as RLP: consensus encoding in, so neither hashes nor senders are claimed by anyone.

use crate::claims::FULL;
use alloy::{
    consensus::{Block, Header, transaction::SignerRecoverable as _},
    primitives::{Address, B256},
    rlp::Decodable as _,
    rpc::types as rpc,
};
use chain::{Body, HashRule, Parts, ProvenBody, Transaction, Uncles, prove_body, wire};
use simnode::fixtures::{Fixtures, RlpFile};

/// One block of an RLP file.
pub struct RlpBlock {
    pub block: Block<Transaction>,
    pub rlp_length: u64,
}

/// The blocks of a file.
pub fn read(fixtures: &Fixtures, file: RlpFile) -> Vec<RlpBlock> {
    let blocks = fixtures.rlp_blocks(file).unwrap();
    let decode = |rlp: &Vec<u8>| RlpBlock {
        block: Block::decode(&mut rlp.as_slice()).expect("the block decodes"),
        rlp_length: u64::try_from(rlp.len()).expect("a length"),
    };
    blocks.iter().map(decode).collect()
}

impl RlpBlock {
    /// The block's hash by its own rule.
    pub fn hash(&self) -> B256 {
        HashRule::hash(&self.block.header)
    }

    fn senders(&self) -> Vec<Address> {
        let transactions = self.block.body.transactions.iter();
        let sender = |tx: &Transaction| tx.recover_signer_unchecked().expect("a signer");
        transactions.map(sender).collect()
    }

    /// What [`prove_body`] takes.
    pub fn body(&self) -> Body {
        let body = &self.block.body;
        Body {
            hash: self.hash(),
            header: self.block.header.clone(),
            transactions: body.transactions.clone(),
            senders: self.senders(),
            uncles: Uncles::Headers(body.ommers.clone()),
            withdrawals: body.withdrawals.as_ref().map(|list| list.to_vec()),
        }
    }

    /// The block as a node would tell it, beside receipts that a node did tell.
    pub fn parts(&self, receipts: &str) -> Parts {
        let header = |header: &Header| -> wire::BlockHeader {
            let sealed = alloy::consensus::Sealable::seal_slow(header.clone());
            let told = rpc::Header::from_consensus(sealed, None, None);
            through_json(&told)
        };
        let hash = self.hash();
        let senders = self.senders().into_iter();
        let transactions = self.block.body.transactions.iter().cloned().zip(senders);
        let transactions = transactions.map(|(transaction, sender)| {
            let recovered = alloy::consensus::transaction::Recovered::new_unchecked(
                transaction.map_eip4844(Into::into),
                sender,
            );
            let place = rpc::TransactionInfo {
                block_hash: Some(hash),
                block_number: Some(self.block.header.number),
                ..Default::default()
            };
            let told: rpc::Transaction = rpc::Transaction::from_transaction(recovered, place);
            through_json(&told)
        });
        let body = &self.block.body;
        Parts {
            block: wire::Block {
                header: header(&self.block.header),
                transactions: transactions.collect(),
                uncles: body.ommers.iter().map(HashRule::hash).collect(),
                withdrawals: body.withdrawals.as_ref().map(|list| list.to_vec()),
            },
            receipts: chain::parse("receipts", receipts).expect("the receipts parse"),
            uncles: Some(body.ommers.iter().map(header).collect()),
        }
    }
}

fn through_json<T: serde::de::DeserializeOwned>(told: &impl serde::Serialize) -> T {
    let json = serde_json::to_string(told).expect("it serialises");
    serde_json::from_str(&json).expect("what a node would send parses")
}

/// Proves every block, each linked to the one before, and returns what was proven.
pub fn prove_linked(blocks: &[RlpBlock]) -> Vec<ProvenBody> {
    let mut parent: Option<B256> = None;
    let mut proven_blocks = Vec::new();
    for block in blocks {
        let header = &block.block.header;
        assert!(
            parent.is_none_or(|hash| hash == header.parent_hash),
            "block {} does not link",
            header.number
        );
        let proven = prove_body(&block.body(), FULL).unwrap_or_else(|error| {
            panic!("block {}: {error}", header.number);
        });
        assert!(proven.uncles_proven, "block {}", header.number);
        assert_eq!(
            proven.size,
            Some(block.rlp_length),
            "block {}",
            header.number
        );
        parent = Some(proven.hash);
        proven_blocks.push(proven);
    }
    proven_blocks
}
