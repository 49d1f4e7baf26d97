//! Each standard's shape, and what only looks like it.

use super::*;
use alloy::primitives::{B256, Bytes, LogData};
use proptest::prelude::*;

const TOKEN: Address = Address::repeat_byte(0x70);
const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

fn log(event: &impl SolEvent) -> Log {
    Log {
        address: TOKEN,
        data: event.encode_log_data(),
    }
}

fn erc20(from: Address, to: Address, value: u64) -> Log {
    let value = U256::from(value);
    log(&erc20::Transfer { from, to, value })
}

fn deposit(dst: Address, wad: u64) -> Log {
    let wad = U256::from(wad);
    log(&wrapped::Deposit { dst, wad })
}

fn batch(ids: &[u64], values: &[u64]) -> Log {
    let amounts = |numbers: &[u64]| numbers.iter().map(|n| U256::from(*n)).collect();
    log(&erc1155::TransferBatch {
        operator: BOB,
        from: ALICE,
        to: BOB,
        ids: amounts(ids),
        values: amounts(values),
    })
}

fn kinds(logs: &[Log]) -> Vec<TransferKind> {
    let transfers = token_transfers(logs);
    transfers.iter().map(|transfer| transfer.kind).collect()
}

#[test]
fn a_fungible_transfer_has_an_amount_and_an_nft_has_an_id() {
    let nft = log(&erc721::Transfer {
        from: ALICE,
        to: BOB,
        tokenId: U256::from(7),
    });
    let transfers = token_transfers(&[erc20(ALICE, BOB, 5), nft]);
    assert_eq!(transfers[0].amount, U256::from(5));
    assert_eq!(transfers[0].token_id, None);
    assert_eq!((transfers[0].from, transfers[0].to), (ALICE, BOB));
    assert_eq!(transfers[1].kind, TransferKind::Erc721);
    assert_eq!(transfers[1].token_id, Some(U256::from(7)));
    assert_eq!((transfers[1].log, transfers[1].amount), (1, U256::ONE));
}

#[test]
fn a_batch_is_a_transfer_for_each_item() {
    let transfers = token_transfers(&[batch(&[1, 2, 2], &[10, 0, 30])]);
    let items: Vec<_> = transfers
        .iter()
        .map(|t| (t.position, t.token_id.unwrap(), t.amount))
        .collect();
    let item = |position, id, value| (position, U256::from(id), U256::from(value));
    assert_eq!(items, [item(0, 1, 10), item(1, 2, 0), item(2, 2, 30)]);
    assert!(token_transfers(&[batch(&[], &[])]).is_empty());
}

#[test]
fn lists_of_different_lengths_are_no_batch() {
    assert!(token_transfers(&[batch(&[1, 2], &[10])]).is_empty());
}

#[test]
fn wrapping_mints_and_unwrapping_burns() {
    let withdrawal = log(&wrapped::Withdrawal {
        src: ALICE,
        wad: U256::from(3),
    });
    let transfers = token_transfers(&[deposit(ALICE, 9), withdrawal]);
    assert_eq!(
        (transfers[0].kind, transfers[0].from, transfers[0].to),
        (TransferKind::Deposit, Address::ZERO, ALICE)
    );
    assert_eq!(
        (transfers[1].kind, transfers[1].from, transfers[1].to),
        (TransferKind::Withdrawal, ALICE, Address::ZERO)
    );
}

#[test]
fn a_mint_that_is_told_twice_happened_once() {
    let mint = || erc20(Address::ZERO, ALICE, 9);
    assert_eq!(kinds(&[deposit(ALICE, 9), mint()]), [TransferKind::Erc20]);
    // Two deposits and one mint of the same amount: one deposit has no other telling.
    assert_eq!(
        kinds(&[deposit(ALICE, 9), mint(), deposit(ALICE, 9)]),
        [TransferKind::Erc20, TransferKind::Deposit]
    );
    // Another amount is another movement.
    assert_eq!(
        kinds(&[deposit(ALICE, 8), mint()]),
        [TransferKind::Deposit, TransferKind::Erc20]
    );
}

/// A log with its data replaced.
fn with_data(mut log: Log, data: impl Into<Bytes>) -> Log {
    log.data = LogData::new_unchecked(log.topics().to_vec(), data.into());
    log
}

#[test]
fn look_alikes_are_logs_and_no_transfers() {
    let good = erc20(ALICE, BOB, 5);
    let short = with_data(good.clone(), vec![0; 31]);
    let long = with_data(good.clone(), vec![0; 33]);
    let two_words = with_data(good.clone(), vec![0; 64]);
    let no_data = with_data(good.clone(), vec![]);
    let mut dirty = good.clone();
    dirty.data = LogData::new_unchecked(
        vec![good.topics()[0], B256::repeat_byte(0xff), good.topics()[2]],
        good.data.data.clone(),
    );
    let mut two_topics = good.clone();
    two_topics.data = LogData::new_unchecked(good.topics()[..2].to_vec(), good.data.data.clone());
    let mut no_topics = good.clone();
    no_topics.data = LogData::new_unchecked(vec![], good.data.data.clone());
    let nft_with_data = with_data(
        log(&erc721::Transfer {
            from: ALICE,
            to: BOB,
            tokenId: U256::ONE,
        }),
        vec![0; 32],
    );
    let cut_batch = {
        let whole = batch(&[1, 2], &[3, 4]);
        let data = whole.data.data.slice(..whole.data.data.len() - 1);
        with_data(whole, data)
    };
    let logs = [
        short,
        long,
        two_words,
        no_data,
        dirty,
        two_topics,
        no_topics,
        nft_with_data,
        cut_batch,
    ];
    for log in logs {
        assert!(kinds(std::slice::from_ref(&log)).is_empty(), "{log:?}");
    }
}

proptest! {
    #[test]
    fn no_log_panics(
        topics in prop::collection::vec(any::<[u8; 32]>(), 0..4),
        known in 0usize..6,
        data in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let signatures = [
            erc20::Transfer::SIGNATURE_HASH,
            erc1155::TransferSingle::SIGNATURE_HASH,
            erc1155::TransferBatch::SIGNATURE_HASH,
            wrapped::Deposit::SIGNATURE_HASH,
            wrapped::Withdrawal::SIGNATURE_HASH,
            B256::ZERO,
        ];
        let topics = std::iter::once(signatures[known]).chain(topics.into_iter().map(B256::from));
        let log = Log {
            address: TOKEN,
            data: LogData::new_unchecked(topics.collect(), data.into()),
        };
        for transfer in token_transfers(&[log]) {
            prop_assert_eq!(transfer.token, TOKEN);
        }
    }
}
