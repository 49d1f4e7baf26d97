//! Keys and lifetimes of questions.

use super::*;
use chain::{InternalKind, TransferKind, Wei};
use std::collections::HashSet;
use store::{
    read::{
        ActivityFilter, BalanceHeight, Direction, Flow, HeldInstance, HeldToken, HolderRank,
        InstanceId, InternalFilter, ListKey, Quantity, Range, Start, TransferFilter,
    },
    state::BlockRef,
};

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

/// Pages that differ in all that a page may differ in.
fn pages<K: ListKey>(key: K) -> Vec<Page<K>> {
    let from = |direction, inclusive| {
        Some(Start {
            direction,
            key,
            inclusive,
        })
    };
    let page = |from| Page { from, limit: 25 };
    vec![
        page(None),
        page(from(Direction::Older, false)),
        page(from(Direction::Newer, false)),
        page(from(Direction::Newer, true)),
        Page::first(26),
    ]
}

fn position() -> Position {
    Position {
        block_number: 1,
        tx_index: 2,
    }
}

fn transfer_position() -> TransferPosition {
    TransferPosition {
        block_number: 1,
        log_index: 2,
        position: 0,
    }
}

fn trace_position() -> TracePosition {
    TracePosition {
        block_number: 1,
        tx_index: 2,
        trace_index: 1,
    }
}

/// Ranges that differ in one bound each.
fn ranges() -> Vec<Range> {
    let one = Some(1);
    let mut ranges = vec![Range::default(); 5];
    ranges[1].from_block = one;
    ranges[2].to_block = one;
    ranges[3].from_time = one;
    ranges[4].to_time = one;
    ranges
}

fn of_chain(questions: &mut Vec<Question>) {
    questions.extend([
        Question::Block(BlockId::Number(1)),
        Question::Block(BlockId::Hash(B256::ZERO)),
        Question::Transaction(B256::ZERO),
        Question::TransactionLogs(B256::ZERO),
        Question::TransactionTrace(B256::ZERO),
        Question::Network,
    ]);
    for page in pages(position()) {
        for id in [BlockId::Number(1), BlockId::Hash(B256::ZERO)] {
            questions.push(Question::BlockTransactions(id, page));
        }
        questions.push(Question::Transactions(page));
    }
    let blocks = pages(BlockNumber { block_number: 1 });
    questions.extend(blocks.into_iter().map(Question::Blocks));
    for page in pages(transfer_position()) {
        questions.push(Question::TransactionTransfers(B256::ZERO, page));
    }
    for page in pages(trace_position()) {
        questions.push(Question::TransactionInternal(B256::ZERO, page));
    }
}

fn of_tokens(questions: &mut Vec<Question>) {
    let token = Address::ZERO;
    let rank = TokenRank {
        holder_count: 1,
        token,
    };
    for standard in [
        None,
        Some(TokenStandard::Erc20),
        Some(TokenStandard::Erc721),
    ] {
        for page in pages(rank) {
            questions.push(Question::Tokens(standard, page));
        }
    }
    let holder = HolderRank {
        balance: Quantity::default(),
        holder: token,
    };
    let id = Wei::from(1_u64);
    let mut of_token = vec![TokenQuestion::Summary, TokenQuestion::Instance(id)];
    of_token.extend(pages(holder).into_iter().map(TokenQuestion::Holders));
    let ids = pages(InstanceId { token_id: id });
    of_token.extend(ids.into_iter().map(TokenQuestion::Instances));
    let filter = TransferFilter::default();
    for page in pages(transfer_position()) {
        of_token.push(TokenQuestion::Transfers(filter, page));
    }
    questions.extend(of_token.into_iter().map(|it| Question::Token(token, it)));
}

fn of_wallets(questions: &mut Vec<Question>) {
    let token = Address::ZERO;
    let mut of_wallet = vec![WalletQuestion::Summary];
    let transfers = Page::first(25);
    for range in ranges() {
        for flow in [None, Some(Flow::In), Some(Flow::Out)] {
            let filter = ActivityFilter { range, flow };
            of_wallet.push(WalletQuestion::Transactions(filter, Page::first(25)));
            for kind in [None, Some(InternalKind::Call), Some(InternalKind::Create)] {
                let filter = InternalFilter { range, flow, kind };
                of_wallet.push(WalletQuestion::Internal(filter, Page::first(25)));
            }
            for kind in [None, Some(TransferKind::Erc20), Some(TransferKind::Deposit)] {
                for token in [None, Some(token), Some(Address::repeat_byte(1))] {
                    let filter = TransferFilter {
                        range,
                        flow,
                        token,
                        kind,
                    };
                    of_wallet.push(WalletQuestion::Transfers(filter, transfers));
                }
            }
        }
    }
    let held = pages(HeldToken { token });
    of_wallet.extend(held.into_iter().map(WalletQuestion::Tokens));
    let held = pages(HeldInstance {
        token,
        token_id: Wei::from(1_u64),
    });
    of_wallet.extend(held.into_iter().map(WalletQuestion::Nfts));
    for explain in [
        None,
        Some((None, None)),
        Some((Some(1), None)),
        Some((None, Some(1))),
    ] {
        of_wallet.push(WalletQuestion::Balance(explain));
    }
    let history = pages(BalanceHeight { block_number: 1 });
    of_wallet.extend(history.into_iter().map(WalletQuestion::BalanceHistory));
    for address in [token, Address::repeat_byte(2)] {
        let questions_of = of_wallet.iter().map(|it| Question::Wallet(address, *it));
        questions.extend(questions_of);
    }
}

#[test]
fn no_two_questions_share_a_key() {
    let keys = Keys::new(1, "x");
    let mut questions = Vec::new();
    of_chain(&mut questions);
    of_tokens(&mut questions);
    of_wallets(&mut questions);
    let mut seen: HashSet<String> = [keys.head(), keys.announced(), keys.wanted()].into();
    for question in questions {
        let key = question.key(&keys);
        assert!(seen.insert(key.clone()), "{question:?}: {key}");
    }
}

#[test]
fn what_is_final_stays_longest() {
    let block = Question::Block(BlockId::Number(1));
    let wallet = Question::Wallet(Address::ZERO, WalletQuestion::Summary);
    let of = |question: Question, validity| question.ttl(&entry(validity, Subject::Many));
    assert_eq!(of(block, Validity::Final(0)), ttl::FINAL);
    assert_eq!(of(block, Validity::Epoch(1)), ttl::RECENT);
    assert_eq!(of(wallet, Validity::Epoch(1)), ttl::WALLET);
    assert_eq!(of(Question::Network, Validity::Epoch(1)), ttl::NETWORK);
}
