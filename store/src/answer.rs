//! Answers: what the API says, built from one snapshot, ready for the cache.
//!
//! The publisher fills the cache with these right after a commit, and the API fills in what is asked
//! for and not there: both say the same since both come from here.

use crate::{
    cache::{Entry, Subject, Validity},
    read::{self, Page, Position, Slice, Snapshot},
    rows::{BlockRow, TransactionRow},
    view::{BlockContext, BlockSummary, BlockView, LogView, TransactionSummary, TransactionView},
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
    let rows =
        read::list_block_transactions(snapshot.connection(), number, None, 0, block.tx_count)
            .await?;
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

/// Part of a list as it is cached: the items, whether there are more on either side, and the
/// positions to go on from.
///
/// The items are of any type, so that a reader can take them over as they stand.
#[derive(Debug, Serialize, Deserialize)]
pub struct List<I> {
    /// The items.
    pub items: I,
    /// Whether older items follow.
    pub older: bool,
    /// Whether newer items come before.
    pub newer: bool,
    /// Position of the first item; none when there are none.
    pub first: Option<Position>,
    /// Position of the last one.
    pub last: Option<Position>,
}

fn list<T: Serialize>(
    snapshot: &Snapshot,
    slice: Slice<T>,
    ends: Ends,
) -> Result<Entry, sqlx::Error> {
    let list = List {
        items: slice.items,
        older: slice.older,
        newer: slice.newer,
        first: ends.first,
        last: ends.last,
    };
    entry(Validity::of_head(&snapshot.state), Subject::Many, &list)
}

/// Positions of the first and the last of some rows.
#[derive(Clone, Copy)]
struct Ends {
    first: Option<Position>,
    last: Option<Position>,
}

impl Ends {
    fn of<R>(rows: &[R], position: impl Fn(&R) -> Position) -> Self {
        Self {
            first: rows.first().map(&position),
            last: rows.last().map(&position),
        }
    }

    fn of_transactions(rows: &[TransactionRow]) -> Self {
        Self::of(rows, |row| Position {
            block_number: row.block_number,
            tx_index: row.tx_index,
        })
    }
}

/// Canonical blocks, newest first.
pub async fn blocks(snapshot: &mut Snapshot, page: Page) -> Result<Entry, sqlx::Error> {
    let slice = read::list_blocks(snapshot.connection(), page).await?;
    let ends = Ends::of(&slice.items, |row| Position {
        block_number: row.number,
        tx_index: 0,
    });
    list(snapshot, slice.map(|row| BlockSummary::from(&row)), ends)
}

/// Canonical transactions, newest first.
pub async fn transactions(snapshot: &mut Snapshot, page: Page) -> Result<Entry, sqlx::Error> {
    let slice = read::list_transactions(snapshot.connection(), page).await?;
    transaction_list(snapshot, slice).await
}

/// Part of a list of transactions, each shown with its block.
async fn transaction_list(
    snapshot: &mut Snapshot,
    slice: Slice<TransactionRow>,
) -> Result<Entry, sqlx::Error> {
    let items = read::with_blocks(snapshot.connection(), &slice.items).await?;
    let ends = Ends::of_transactions(&slice.items);
    let shown = Slice {
        items,
        older: slice.older,
        newer: slice.newer,
    };
    list(snapshot, shown, ends)
}

/// The transactions an address took part in, newest first.
pub async fn wallet_transactions(
    snapshot: &mut Snapshot,
    address: Address,
    page: Page,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_wallet_transactions(snapshot.connection(), address, page).await?;
    transaction_list(snapshot, slice).await
}

/// Which block's transactions are asked for.
#[derive(Clone, Copy, Debug)]
pub enum BlockId {
    /// The canonical block at a height.
    Number(u64),
    /// The block with a hash, canonical or dropped.
    Hash(B256),
}

/// The transactions of a block in its own order, from a position upwards.
///
/// Positions are dense, so "older" means that more follow and "newer" that some come before.
pub async fn block_transactions(
    snapshot: &mut Snapshot,
    id: BlockId,
    from_index: u32,
    limit: u32,
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
    let rows = read::list_block_transactions(
        snapshot.connection(),
        block.number,
        dropped_by,
        from_index,
        limit,
    )
    .await?;
    let context = BlockContext {
        hash: block.hash,
        timestamp: block.timestamp,
    };
    let ends = Ends::of_transactions(&rows);
    let list = List {
        first: ends.first,
        last: ends.last,
        older: rows
            .last()
            .is_some_and(|row| row.tx_index + 1 < block.tx_count),
        newer: from_index > 0,
        items: rows
            .iter()
            .map(|row| TransactionSummary::new(row, context))
            .collect::<Vec<_>>(),
    };
    let (validity, subject) = match dropped_by {
        None => (
            Validity::of_block(&snapshot.state, block.number),
            Subject::Block(block.number),
        ),
        Some(_) => (Validity::of_head(&snapshot.state), Subject::Orphaned),
    };
    entry(validity, subject, &list).map(Some)
}

/// A wallet's counts.
pub async fn wallet(snapshot: &mut Snapshot, address: Address) -> Result<Entry, sqlx::Error> {
    let view = read::find_wallet(snapshot.connection(), address).await?;
    entry(Validity::of_head(&snapshot.state), Subject::Many, &view)
}

/// The network's figures.
pub async fn network(snapshot: &mut Snapshot) -> Result<Entry, sqlx::Error> {
    let state = snapshot.state.clone();
    let figures = read::get_network_stats(snapshot.connection(), &state).await?;
    entry(Validity::of_head(&state), Subject::Many, &figures)
}
