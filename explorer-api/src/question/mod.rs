//! What can be asked: each question with its key in the cache, how long an answer stays there, how
//! it is built from a snapshot, and what is said when there is none.

mod spelling;
mod token;
mod wallet;

#[cfg(test)]
mod tests;

pub(crate) use token::TokenQuestion;
pub(crate) use wallet::WalletQuestion;

use crate::problem::{Code, Problem};
use alloy::primitives::{Address, B256};
use spelling::page;
use store::{
    answer::{self, BlockId},
    cache::{Entry, Head, Keys, Subject, Validity, ttl},
    read::{BlockNumber, Page, Position, Snapshot, TokenRank, TracePosition, TransferPosition},
    state::Chain,
    view::TokenStandard,
};

/// A question whose answer may be cached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    Block(BlockId),
    BlockTransactions(BlockId, Page<Position>),
    Blocks(Page<BlockNumber>),
    Transaction(B256),
    TransactionLogs(B256),
    TransactionTransfers(B256, Page<TransferPosition>),
    TransactionInternal(B256, Page<TracePosition>),
    TransactionTrace(B256),
    Transactions(Page<Position>),
    Wallet(Address, WalletQuestion),
    Token(Address, TokenQuestion),
    Tokens(Option<TokenStandard>, Page<TokenRank>),
    Contract(Address),
    Network,
}

impl Question {
    /// Its kind, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Block(_) => "block",
            Self::BlockTransactions(..) => "block_transactions",
            Self::Blocks(_) => "blocks",
            Self::Transaction(_) => "transaction",
            Self::TransactionLogs(_) => "transaction_logs",
            Self::TransactionTransfers(..) => "transaction_transfers",
            Self::TransactionInternal(..) => "transaction_internal",
            Self::TransactionTrace(_) => "transaction_trace",
            Self::Transactions(_) => "transactions",
            Self::Wallet(_, question) => question.kind(),
            Self::Token(_, question) => question.kind(),
            Self::Tokens(..) => "tokens",
            Self::Contract(_) => "contract",
            Self::Network => "network",
        }
    }

    /// Where its answer is cached: under its kind, and what it is about in one spelling, so that one
    /// question has one key however it was written.
    pub fn key(&self, keys: &Keys) -> String {
        let about = match self {
            // These the publisher writes as well.
            Self::Block(BlockId::Number(number)) => return keys.block(*number),
            Self::Transaction(hash) => return keys.transaction(hash),
            Self::Network => return keys.network(),
            Self::Block(BlockId::Hash(hash))
            | Self::TransactionLogs(hash)
            | Self::TransactionTrace(hash) => hash.to_string(),
            Self::BlockTransactions(BlockId::Number(number), at) => {
                format!("{number}:{}", page(at))
            }
            Self::BlockTransactions(BlockId::Hash(hash), at) => format!("{hash}:{}", page(at)),
            Self::TransactionTransfers(hash, at) => format!("{hash}:{}", page(at)),
            Self::TransactionInternal(hash, at) => format!("{hash}:{}", page(at)),
            Self::Contract(address) => format!("{address:x}"),
            Self::Blocks(at) => page(at),
            Self::Transactions(at) => page(at),
            Self::Wallet(address, question) => format!("{address:x}:{}", question.about()),
            Self::Token(address, question) => format!("{address:x}:{}", question.about()),
            Self::Tokens(standard, at) => {
                format!("{}:{}", standard.map_or("", TokenStandard::name), page(at))
            }
        };
        // No kind begins with a name that the publisher gives.
        keys.answer(&format!("ask:{}:{about}", self.kind()))
    }

    /// How long an answer stays cached, in seconds.
    pub fn ttl(&self, entry: &Entry) -> u64 {
        match (self, entry.validity) {
            (_, Validity::Final(_)) => ttl::FINAL,
            (Self::Network, _) => ttl::NETWORK,
            (
                Self::Block(_)
                | Self::BlockTransactions(..)
                | Self::Transaction(_)
                | Self::TransactionLogs(_),
                _,
            ) => ttl::RECENT,
            _ => ttl::WALLET,
        }
    }

    /// Builds the answer; `None` when there is no such thing.
    pub async fn build(&self, snapshot: &mut Snapshot) -> Result<Option<Entry>, sqlx::Error> {
        match *self {
            Self::Block(BlockId::Number(number)) => answer::block(snapshot, number).await,
            Self::Block(BlockId::Hash(hash)) => answer::block_by_hash(snapshot, hash).await,
            Self::BlockTransactions(id, page) => {
                answer::block_transactions(snapshot, id, page).await
            }
            Self::Blocks(page) => answer::blocks(snapshot, page).await.map(Some),
            Self::Transaction(hash) => answer::transaction(snapshot, hash).await,
            Self::TransactionLogs(hash) => answer::transaction_logs(snapshot, hash).await,
            Self::TransactionTransfers(hash, page) => {
                answer::transaction_transfers(snapshot, hash, page).await
            }
            Self::TransactionInternal(hash, page) => {
                answer::transaction_internal(snapshot, hash, page).await
            }
            Self::TransactionTrace(hash) => answer::transaction_trace(snapshot, hash).await,
            Self::Transactions(page) => answer::transactions(snapshot, page).await.map(Some),
            Self::Wallet(address, question) => question.build(snapshot, address).await,
            Self::Token(address, question) => question.build(snapshot, address).await,
            Self::Tokens(standard, page) => {
                answer::tokens(snapshot, standard, page).await.map(Some)
            }
            Self::Contract(address) => answer::contract(snapshot, address).await,
            Self::Network => answer::network(snapshot).await.map(Some),
        }
    }

    /// The problem of a question without an answer.
    pub fn missing(&self, head: &Head, chain: &Chain) -> Problem {
        let head = head.block.number;
        match self {
            Self::Block(id) | Self::BlockTransactions(id, _) => {
                let detail = match *id {
                    BlockId::Hash(hash) => {
                        format!("No block with hash {hash} is indexed; the head is block {head}.")
                    }
                    BlockId::Number(number) if number > head => {
                        format!("Block {number} is beyond the head, which is block {head}.")
                    }
                    BlockId::Number(number) if number < chain.start_block => format!(
                        "Block {number} is not indexed: this index begins with block {}.",
                        chain.start_block
                    ),
                    BlockId::Number(number) => format!(
                        "Block {number} is not indexed yet: history is still being filled in."
                    ),
                };
                Problem::new(Code::BlockNotFound, detail)
            }
            Self::Transaction(hash)
            | Self::TransactionLogs(hash)
            | Self::TransactionTransfers(hash, _)
            | Self::TransactionInternal(hash, _)
            | Self::TransactionTrace(hash) => Problem::new(
                Code::TransactionNotFound,
                format!("No transaction with hash {hash} is indexed; the head is block {head}."),
            ),
            Self::Wallet(..) => WalletQuestion::missing(),
            Self::Token(address, question) => question.missing(*address),
            Self::Contract(address) => Problem::new(
                Code::ContractNotFound,
                format!("No code and no creation of {address} is known; the head is block {head}."),
            ),
            Self::Blocks(_) | Self::Transactions(_) | Self::Tokens(..) | Self::Network => {
                Problem::internal(format!("no answer to {self:?}"))
            }
        }
    }
}

/// Whether a cached answer may be given under a head: it still holds, and it is not about a block
/// that this head has not reached. The latter happens between a commit and its publication, when
/// the database is ahead of the published head.
pub(crate) fn fits(entry: &Entry, head: &Head) -> bool {
    let reached = match entry.subject {
        Subject::Block(number) => number <= head.block.number,
        Subject::Many | Subject::Orphaned => true,
    };
    reached && entry.validity.holds(head)
}
