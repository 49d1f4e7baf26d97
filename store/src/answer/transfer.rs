//! What a transaction moved: token transfers, internal transfers, its calls.

use super::{List, entry, of_inclusion};
use crate::{
    cache::{Entry, Validity},
    read::{self, Page, Snapshot, TracePosition, TracedTransaction, TransferPosition},
    rows::TransactionRow,
    view::{BlockContext, Completeness, InternalHistory, TraceView, TransactionContext},
};
use alloy::primitives::B256;

/// A transaction where it is, or where it was before a reorg dropped it.
struct Inclusion {
    row: TransactionRow,
    context: TransactionContext,
    dropped_by: Option<u64>,
}

impl Inclusion {
    async fn find(snapshot: &mut Snapshot, hash: B256) -> Result<Option<Self>, sqlx::Error> {
        if let Some(row) = read::find_transaction(snapshot.connection(), hash).await? {
            let block = read::find_block(snapshot.connection(), row.block_number)
                .await?
                .ok_or(sqlx::Error::RowNotFound)?;
            let block = BlockContext {
                hash: block.hash,
                timestamp: block.timestamp,
            };
            return Ok(Some(Self {
                row,
                context: TransactionContext { hash, block },
                dropped_by: None,
            }));
        }
        let dropped = read::find_last_dropped(snapshot.connection(), hash).await?;
        Ok(dropped.map(|(row, block, reorg)| Self {
            row,
            context: TransactionContext { hash, block },
            dropped_by: Some(reorg),
        }))
    }

    fn traced(&self) -> TracedTransaction {
        TracedTransaction::of(&self.row, self.dropped_by)
    }

    /// How complete its internal transfers are. Of a dropped one there is what had been read by then.
    async fn history(&self, snapshot: &mut Snapshot) -> Result<InternalHistory, sqlx::Error> {
        match self.dropped_by {
            None => read::get_internal_of_block(snapshot.connection(), self.row.block_number).await,
            Some(_) => Ok(InternalHistory {
                internal: Completeness::Partial,
                complete_from: None,
            }),
        }
    }
}

/// The token transfers of a transaction, in order.
pub async fn transaction_transfers(
    snapshot: &mut Snapshot,
    hash: B256,
    page: Page<TransferPosition>,
) -> Result<Option<Entry>, sqlx::Error> {
    let Some(found) = Inclusion::find(snapshot, hash).await? else {
        return Ok(None);
    };
    let connection = snapshot.connection();
    let slice =
        read::list_transaction_transfers(&mut *connection, &found.row, found.dropped_by, page)
            .await?;
    let items = read::show_transfers(connection, &slice.items, Some(found.context)).await?;
    // Names of tokens are read later than transfers, and then `history_epoch` rises.
    let (_, subject) = of_inclusion(snapshot, found.row.block_number, found.dropped_by);
    let validity = Validity::of_head(&snapshot.state);
    entry(validity, subject, &List::from(slice.with(items))).map(Some)
}

/// The internal transfers of a transaction, in the order of execution.
pub async fn transaction_internal(
    snapshot: &mut Snapshot,
    hash: B256,
    page: Page<TracePosition>,
) -> Result<Option<Entry>, sqlx::Error> {
    let Some(found) = Inclusion::find(snapshot, hash).await? else {
        return Ok(None);
    };
    let connection = snapshot.connection();
    let slice = read::list_transaction_internal(&mut *connection, found.traced(), page).await?;
    let items = read::show_internal(connection, &slice.items, Some(found.context)).await?;
    let list = List {
        internal: Some(found.history(snapshot).await?),
        ..List::from(slice.with(items))
    };
    let (_, subject) = of_inclusion(snapshot, found.row.block_number, found.dropped_by);
    let validity = Validity::of_head(&snapshot.state);
    entry(validity, subject, &list).map(Some)
}

/// The calls of a transaction as a tree.
pub async fn transaction_trace(
    snapshot: &mut Snapshot,
    hash: B256,
) -> Result<Option<Entry>, sqlx::Error> {
    let Some(found) = Inclusion::find(snapshot, hash).await? else {
        return Ok(None);
    };
    let frames = read::list_trace(snapshot.connection(), found.traced()).await?;
    let history = found.history(snapshot).await?;
    let view = TraceView::new(&found.row, &frames, history).ok_or(sqlx::Error::RowNotFound)?;
    let (_, subject) = of_inclusion(snapshot, found.row.block_number, found.dropped_by);
    let validity = Validity::of_head(&snapshot.state);
    entry(validity, subject, &view).map(Some)
}
