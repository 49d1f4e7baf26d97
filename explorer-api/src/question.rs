//! What can be asked: each question with its key in the cache, how long an answer stays there, how
//! it is built from a snapshot, and what is said when there is none.

use crate::problem::{Code, Problem};
use alloy::primitives::{Address, B256};
use store::{
    answer::{self, BlockId},
    cache::{Entry, Head, Keys, Subject, Validity, ttl},
    read::{Direction, Page, Snapshot},
    state::Chain,
};

/// A question whose answer may be cached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    Block(BlockId),
    BlockTransactions {
        id: BlockId,
        from_index: u32,
        limit: u32,
    },
    Blocks(Page),
    Transaction(B256),
    TransactionLogs(B256),
    Transactions(Page),
    Wallet(Address),
    WalletTransactions(Address, Page),
    Network,
}

impl Question {
    /// Its kind, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Block(_) => "block",
            Self::BlockTransactions { .. } => "block_transactions",
            Self::Blocks(_) => "blocks",
            Self::Transaction(_) => "transaction",
            Self::TransactionLogs(_) => "transaction_logs",
            Self::Transactions(_) => "transactions",
            Self::Wallet(_) => "wallet",
            Self::WalletTransactions(..) => "wallet_transactions",
            Self::Network => "network",
        }
    }

    /// Where its answer is cached. Values in a key are in one spelling, so that one question has
    /// one key however it was written.
    pub fn key(&self, keys: &Keys) -> String {
        match self {
            Self::Block(BlockId::Number(number)) => keys.block(*number),
            Self::Block(BlockId::Hash(hash)) => keys.answer(&format!("block_hash:{hash}")),
            Self::BlockTransactions {
                id,
                from_index,
                limit,
            } => {
                let id = match id {
                    BlockId::Number(number) => number.to_string(),
                    BlockId::Hash(hash) => hash.to_string(),
                };
                keys.answer(&format!("block_txs:{id}:{from_index}:{limit}"))
            }
            Self::Blocks(page) => keys.answer(&format!("blocks:{}", page_key(*page))),
            Self::Transaction(hash) => keys.transaction(hash),
            Self::TransactionLogs(hash) => keys.answer(&format!("tx_logs:{hash}")),
            Self::Transactions(page) => keys.answer(&format!("txs:{}", page_key(*page))),
            Self::Wallet(address) => keys.answer(&format!("wallet:{address:x}")),
            Self::WalletTransactions(address, page) => {
                keys.answer(&format!("wallet_txs:{address:x}:{}", page_key(*page)))
            }
            Self::Network => keys.network(),
        }
    }

    /// How long an answer stays cached, in seconds.
    pub fn ttl(&self, entry: &Entry) -> u64 {
        match (self, entry.validity) {
            (_, Validity::Final(_)) => ttl::FINAL,
            (Self::Network, _) => ttl::NETWORK,
            (
                Self::Blocks(_)
                | Self::Transactions(_)
                | Self::Wallet(_)
                | Self::WalletTransactions(..),
                _,
            ) => ttl::WALLET,
            _ => ttl::RECENT,
        }
    }

    /// Builds the answer; `None` when there is no such thing.
    pub async fn build(&self, snapshot: &mut Snapshot) -> Result<Option<Entry>, sqlx::Error> {
        match *self {
            Self::Block(BlockId::Number(number)) => answer::block(snapshot, number).await,
            Self::Block(BlockId::Hash(hash)) => answer::block_by_hash(snapshot, hash).await,
            Self::BlockTransactions {
                id,
                from_index,
                limit,
            } => answer::block_transactions(snapshot, id, from_index, limit).await,
            Self::Blocks(page) => answer::blocks(snapshot, page).await.map(Some),
            Self::Transaction(hash) => answer::transaction(snapshot, hash).await,
            Self::TransactionLogs(hash) => answer::transaction_logs(snapshot, hash).await,
            Self::Transactions(page) => answer::transactions(snapshot, page).await.map(Some),
            Self::Wallet(address) => answer::wallet(snapshot, address).await.map(Some),
            Self::WalletTransactions(address, page) => {
                answer::wallet_transactions(snapshot, address, page)
                    .await
                    .map(Some)
            }
            Self::Network => answer::network(snapshot).await.map(Some),
        }
    }

    /// The problem of a question without an answer.
    pub fn missing(&self, head: &Head, chain: &Chain) -> Problem {
        let head = head.block.number;
        match self {
            Self::Block(id) | Self::BlockTransactions { id, .. } => {
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
            Self::Transaction(hash) | Self::TransactionLogs(hash) => Problem::new(
                Code::TransactionNotFound,
                format!("No transaction with hash {hash} is indexed; the head is block {head}."),
            ),
            Self::Blocks(_)
            | Self::Transactions(_)
            | Self::Wallet(_)
            | Self::WalletTransactions(..)
            | Self::Network => Problem::internal(format!("no answer to {self:?}")),
        }
    }
}

/// A page's name within a key.
fn page_key(page: Page) -> String {
    match page.from {
        None => page.limit.to_string(),
        Some((direction, position)) => {
            let direction = match direction {
                Direction::Older => 'o',
                Direction::Newer => 'n',
            };
            let (number, index) = (position.block_number, position.tx_index);
            format!("{}:{direction}{number}.{index}", page.limit)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use store::{read::Position, state::BlockRef};

    fn entry(validity: Validity, subject: Subject) -> Entry {
        Entry {
            validity,
            subject,
            body: "{}".to_owned(),
        }
    }

    fn head(number: u64) -> Head {
        Head {
            seq: 1,
            block: BlockRef {
                number,
                hash: B256::ZERO,
            },
            timestamp: 0,
            safe: None,
            finalized: None,
            epoch: 3,
            final_epoch: 0,
            history_epoch: 0,
        }
    }

    #[test]
    fn an_answer_from_ahead_of_the_published_head_waits_for_it() {
        for validity in [Validity::Final(0), Validity::Epoch(3)] {
            let ahead = entry(validity, Subject::Block(8));
            assert!(!fits(&ahead, &head(7)));
            assert!(fits(&ahead, &head(8)));
        }
    }

    #[test]
    fn an_answer_of_another_epoch_or_head_does_not_fit() {
        let old = entry(Validity::Epoch(2), Subject::Block(5));
        assert!(!fits(&old, &head(7)));
        let validity = Validity::Head {
            epoch: 3,
            number: 6,
            history: 0,
        };
        assert!(!fits(&entry(validity, Subject::Many), &head(7)));
    }

    #[test]
    fn no_two_questions_share_a_key() {
        let keys = Keys::new(1, "x");
        let position = Position {
            block_number: 1,
            tx_index: 2,
        };
        let page = |from| Page { from, limit: 25 };
        let pages = [
            page(None),
            page(Some((Direction::Older, position))),
            page(Some((Direction::Newer, position))),
            Page::first(26),
        ];
        let mut questions = vec![
            Question::Block(BlockId::Number(1)),
            Question::Block(BlockId::Hash(B256::ZERO)),
            Question::Transaction(B256::ZERO),
            Question::TransactionLogs(B256::ZERO),
            Question::Wallet(Address::ZERO),
            Question::Network,
        ];
        for id in [BlockId::Number(1), BlockId::Hash(B256::ZERO)] {
            for (from_index, limit) in [(0, 25), (25, 25), (0, 26)] {
                questions.push(Question::BlockTransactions {
                    id,
                    from_index,
                    limit,
                });
            }
        }
        for page in pages {
            questions.push(Question::Blocks(page));
            questions.push(Question::Transactions(page));
            questions.push(Question::WalletTransactions(Address::ZERO, page));
        }
        let distinct: HashSet<String> = questions.iter().map(|q| q.key(&keys)).collect();
        assert_eq!(distinct.len(), questions.len());
    }

    #[test]
    fn what_is_final_stays_longest() {
        let block = Question::Block(BlockId::Number(1));
        let wallet = Question::Wallet(Address::ZERO);
        let of = |question: Question, validity| question.ttl(&entry(validity, Subject::Many));
        assert_eq!(of(block, Validity::Final(0)), ttl::FINAL);
        assert_eq!(of(block, Validity::Epoch(1)), ttl::RECENT);
        assert_eq!(of(wallet, Validity::Epoch(1)), ttl::WALLET);
        assert_eq!(of(Question::Network, Validity::Epoch(1)), ttl::NETWORK);
    }
}
