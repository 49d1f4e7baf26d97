//! Answers: what the API says, built from one snapshot, ready for the cache.
//!
//! The publisher fills the cache with these right after a commit, and the API fills in what is asked
//! for and not there: both say the same since both come from here.

mod balance;
mod token;
mod transfer;
mod wallet;

pub use balance::{wallet_balance, wallet_balance_history};
pub use token::{holders, instance, instances, token, token_transfers, tokens};
pub use transfer::{transaction_internal, transaction_trace, transaction_transfers};
pub use wallet::{
    wallet, wallet_instances, wallet_internal, wallet_tokens, wallet_transactions, wallet_transfers,
};

use crate::{
    cache::{Entry, Subject, Validity},
    read::{self, BlockNumber, LabelView, Page, Position, Slice, Snapshot, Start},
    rows::{BlockRow, TransactionRow},
    view::{
        BlockContext, BlockSummary, BlockView, InternalHistory, LogView, TransactionSummary,
        TransactionView,
    },
};
use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

fn entry<T: Serialize>(
    validity: Validity,
    subject: Subject,
    data: &T,
) -> Result<Entry, sqlx::Error> {
    let body = serde_json::to_string(data).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    Ok(Entry {
        validity,
        subject,
        body,
    })
}

async fn block_entry(snapshot: &mut Snapshot, row: BlockRow) -> Result<Entry, sqlx::Error> {
    let number = row.number;
    let withdrawals = if row.withdrawals_root.is_some() {
        read::list_withdrawals(snapshot.connection(), number, None).await?
    } else {
        Vec::new()
    };
    entry(
        Validity::of_block(&snapshot.state, number),
        Subject::Block(number),
        &BlockView::new(row, withdrawals, None),
    )
}

/// The canonical block at a height.
pub async fn block(snapshot: &mut Snapshot, number: u64) -> Result<Option<Entry>, sqlx::Error> {
    match read::find_block(snapshot.connection(), number).await? {
        Some(row) => block_entry(snapshot, row).await.map(Some),
        None => Ok(None),
    }
}

/// The block with a hash: the canonical one, or one that a reorg dropped.
pub async fn block_by_hash(
    snapshot: &mut Snapshot,
    hash: B256,
) -> Result<Option<Entry>, sqlx::Error> {
    if let Some(row) = read::find_block_by_hash(snapshot.connection(), hash).await? {
        return block_entry(snapshot, row).await.map(Some);
    }
    let Some((row, dropped_by)) = read::find_orphaned_block(snapshot.connection(), hash).await?
    else {
        return Ok(None);
    };
    let withdrawals =
        read::list_withdrawals(snapshot.connection(), row.number, Some(dropped_by.reorg)).await?;
    entry(
        Validity::of_head(&snapshot.state),
        Subject::Orphaned,
        &BlockView::new(row, withdrawals, Some(dropped_by)),
    )
    .map(Some)
}

/// A transaction: where it is now, and where it was before reorgs dropped it.
pub async fn transaction(
    snapshot: &mut Snapshot,
    hash: B256,
) -> Result<Option<Entry>, sqlx::Error> {
    let found = read::find_transaction(snapshot.connection(), hash).await?;
    let mut dropped = read::list_dropped_inclusions(snapshot.connection(), &[hash]).await?;
    let dropped = dropped.remove(&hash).unwrap_or_default();
    if let Some(row) = found {
        let number = row.block_number;
        let block = read::find_block(snapshot.connection(), number)
            .await?
            .ok_or(sqlx::Error::RowNotFound)?;
        let context = BlockContext {
            hash: block.hash,
            timestamp: block.timestamp,
        };
        let view = TransactionView::new(row, context, true, dropped);
        let validity = Validity::of_block(&snapshot.state, number);
        return entry(validity, Subject::Block(number), &view).map(Some);
    }
    match read::find_last_dropped(snapshot.connection(), hash).await? {
        // The next block may include it again.
        Some((row, context, _)) => entry(
            Validity::of_head(&snapshot.state),
            Subject::Orphaned,
            &TransactionView::new(row, context, false, dropped),
        )
        .map(Some),
        None => Ok(None),
    }
}

/// The answers about every transaction of a canonical block, by hash.
pub async fn transactions_of(
    snapshot: &mut Snapshot,
    number: u64,
) -> Result<Vec<(B256, Entry)>, sqlx::Error> {
    let Some(block) = read::find_block(snapshot.connection(), number).await? else {
        return Ok(Vec::new());
    };
    let context = BlockContext {
        hash: block.hash,
        timestamp: block.timestamp,
    };
    let page = Page::first(block.tx_count);
    let rows = read::list_block_transactions(snapshot.connection(), number, None, page)
        .await?
        .items;
    let hashes: Vec<B256> = rows.iter().map(|row| row.hash).collect();
    let mut dropped = read::list_dropped_inclusions(snapshot.connection(), &hashes).await?;
    let validity = Validity::of_block(&snapshot.state, number);
    rows.into_iter()
        .map(|row| {
            let hash = row.hash;
            let history = dropped.remove(&hash).unwrap_or_default();
            let view = TransactionView::new(row, context, true, history);
            Ok((hash, entry(validity, Subject::Block(number), &view)?))
        })
        .collect()
}

/// The logs of a transaction, in order.
pub async fn transaction_logs(
    snapshot: &mut Snapshot,
    hash: B256,
) -> Result<Option<Entry>, sqlx::Error> {
    if let Some(row) = read::find_transaction(snapshot.connection(), hash).await? {
        let logs = read::list_logs(snapshot.connection(), &row).await?;
        let logs: Vec<LogView> = logs.into_iter().map(LogView::from).collect();
        let validity = Validity::of_block(&snapshot.state, row.block_number);
        return entry(validity, Subject::Block(row.block_number), &logs).map(Some);
    }
    let Some((row, _, reorg)) = read::find_last_dropped(snapshot.connection(), hash).await? else {
        return Ok(None);
    };
    let logs = read::list_orphaned_logs(snapshot.connection(), reorg, &row).await?;
    let logs: Vec<LogView> = logs.into_iter().map(LogView::from).collect();
    let validity = Validity::of_head(&snapshot.state);
    entry(validity, Subject::Orphaned, &logs).map(Some)
}

/// Part of a list as it is cached: the items, and where more are on either side.
///
/// The items are of any type, so that a reader can take them over as they stand.
#[derive(Debug, Serialize, Deserialize)]
pub struct List<I> {
    /// The items.
    pub items: I,
    /// Where more follow; none at the end.
    pub older: Option<Start>,
    /// Where more come before; none at the top.
    pub newer: Option<Start>,
    /// How complete the list is, where its items are internal transfers.
    pub internal: Option<InternalHistory>,
}

impl<T> From<Slice<T>> for List<Vec<T>> {
    fn from(slice: Slice<T>) -> Self {
        Self {
            items: slice.items,
            older: slice.older,
            newer: slice.newer,
            internal: None,
        }
    }
}

/// Part of a list that every block may change.
fn list<T: Serialize>(snapshot: &Snapshot, slice: Slice<T>) -> Result<Entry, sqlx::Error> {
    let list = List::from(slice);
    entry(Validity::of_head(&snapshot.state), Subject::Many, &list)
}

/// Canonical blocks, newest first.
pub async fn blocks(
    snapshot: &mut Snapshot,
    page: Page<BlockNumber>,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_blocks(snapshot, page).await?;
    let items = slice.items.iter().map(BlockSummary::from).collect();
    list(snapshot, slice.with(items))
}

/// Canonical transactions, newest first.
pub async fn transactions(
    snapshot: &mut Snapshot,
    page: Page<Position>,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_transactions(snapshot, page).await?;
    transaction_list(snapshot, slice).await
}

/// Part of a list of transactions, each shown with its block.
async fn transaction_list(
    snapshot: &mut Snapshot,
    slice: Slice<TransactionRow>,
) -> Result<Entry, sqlx::Error> {
    let items = read::with_blocks(snapshot.connection(), &slice.items).await?;
    list(snapshot, slice.with(items))
}

/// Which block's transactions are asked for.
#[derive(Clone, Copy, Debug)]
pub enum BlockId {
    /// The canonical block at a height.
    Number(u64),
    /// The block with a hash, canonical or dropped.
    Hash(B256),
}

/// The transactions of a block in its own order.
pub async fn block_transactions(
    snapshot: &mut Snapshot,
    id: BlockId,
    page: Page<Position>,
) -> Result<Option<Entry>, sqlx::Error> {
    let connection = snapshot.connection();
    let canonical = match id {
        BlockId::Number(number) => read::find_block(connection, number).await?,
        BlockId::Hash(hash) => read::find_block_by_hash(connection, hash).await?,
    };
    let (block, dropped_by) = match (canonical, id) {
        (Some(block), _) => (block, None),
        (None, BlockId::Number(_)) => return Ok(None),
        (None, BlockId::Hash(hash)) => {
            match read::find_orphaned_block(snapshot.connection(), hash).await? {
                Some((block, dropped_by)) => (block, Some(dropped_by.reorg)),
                None => return Ok(None),
            }
        }
    };
    let connection = snapshot.connection();
    let slice = read::list_block_transactions(connection, block.number, dropped_by, page).await?;
    let context = BlockContext {
        hash: block.hash,
        timestamp: block.timestamp,
    };
    let items = slice
        .items
        .iter()
        .map(|row| TransactionSummary::new(row, context));
    let items = items.collect();
    let list = List::from(slice.with(items));
    let (validity, subject) = of_inclusion(snapshot, block.number, dropped_by);
    entry(validity, subject, &list).map(Some)
}

/// What an answer about a canonical block, or about one that a reorg dropped, depends on.
fn of_inclusion(snapshot: &Snapshot, number: u64, dropped_by: Option<u64>) -> (Validity, Subject) {
    match dropped_by {
        None => (
            Validity::of_block(&snapshot.state, number),
            Subject::Block(number),
        ),
        // The next block may include it again.
        Some(_) => (Validity::of_head(&snapshot.state), Subject::Orphaned),
    }
}

/// Something with the labels of its address.
#[derive(Serialize)]
struct Labelled<T> {
    #[serde(flatten)]
    of: T,
    labels: Vec<LabelView>,
}

/// Part of the wallet directory: the items alone, in a list.
pub fn directory(
    snapshot: &Snapshot,
    items: &[read::DirectoryEntry],
) -> Result<Entry, sqlx::Error> {
    entry(Validity::of_head(&snapshot.state), Subject::Many, &items)
}

/// A contract.
pub async fn contract(
    snapshot: &mut Snapshot,
    address: Address,
) -> Result<Option<Entry>, sqlx::Error> {
    let Some(view) = read::find_contract(snapshot.connection(), address).await? else {
        return Ok(None);
    };
    entry(Validity::of_head(&snapshot.state), Subject::Many, &view).map(Some)
}

/// The network's figures.
pub async fn network(snapshot: &mut Snapshot) -> Result<Entry, sqlx::Error> {
    let state = snapshot.state.clone();
    let figures = read::get_network_stats(snapshot.connection(), &state).await?;
    entry(Validity::of_head(&state), Subject::Many, &figures)
}
