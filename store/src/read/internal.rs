//! Internal transfers of wallets and transactions, and how complete they are.

use super::{
    Flow, Page, Range, Slice, Snapshot, TracePosition, bind_height, bind_index, decode_all,
    fill::{Source, Span, descends, fill},
    transfers::contexts,
    windows::{Counter, Occurrence, Windows, find_windows},
};
use crate::{
    coverage,
    enrichment::{Reading, ReadingStatus, get_progress},
    rows::{InternalTransferRow, TransactionRow},
    view::{Completeness, InternalHistory, InternalTransferView, TransactionContext},
};
use alloy::primitives::Address;
use chain::InternalKind;

use sqlx::{PgConnection, Postgres, QueryBuilder};

/// Which internal transfers of a wallet are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InternalFilter {
    /// Between which heights or times.
    pub range: Range,
    /// Which way, seen from the wallet.
    pub flow: Option<Flow>,
    /// Of which kind.
    pub kind: Option<InternalKind>,
}

/// The internal transfers from or to an address, newest first.
pub async fn list_wallet_internal(
    snapshot: &mut Snapshot,
    address: Address,
    filter: InternalFilter,
    page: Page<TracePosition>,
) -> Result<Slice<InternalTransferRow>, sqlx::Error> {
    let counted = Occurrence::Of(address, Counter::Internal);
    let at = (&page, descends::<OfWallet>(&page));
    let windows = find_windows(snapshot, counted, filter.range, at).await?;
    let source = OfWallet { address, filter };
    fill(snapshot.connection(), &source, page, windows).await
}

struct OfWallet {
    address: Address,
    filter: InternalFilter,
}

impl OfWallet {
    /// One index range: rows with the address in a column.
    fn push_range(
        &self,
        query: &mut QueryBuilder<Postgres>,
        (column, condition): (&str, &str),
        span: &Span<TracePosition>,
    ) {
        query.push(format_args!(
            "(SELECT * FROM internal_transfers WHERE {column} = "
        ));
        query.push_bind(self.address.to_vec());
        query.push(condition);
        span.push_heights(query);
        span.push_rest(query);
        query.push(")");
    }
}

impl Source for OfWallet {
    type Key = TracePosition;
    type Row = InternalTransferRow;

    fn filters(&self) -> bool {
        self.filter.kind.is_some()
    }

    fn keeps(&self, row: &InternalTransferRow) -> bool {
        let kind = self.filter.kind;
        kind.is_none_or(|kind| row.kind == kind.number())
    }

    fn key(row: &InternalTransferRow) -> TracePosition {
        TracePosition {
            block_number: row.block_number,
            tx_index: row.tx_index,
            trace_index: row.trace_index,
        }
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<TracePosition>,
    ) -> Result<Vec<InternalTransferRow>, sqlx::Error> {
        let mut query = QueryBuilder::new("");
        match self.filter.flow {
            Some(Flow::Out) => self.push_range(&mut query, ("from_address", ""), span),
            Some(Flow::In) => self.push_range(&mut query, ("to_address", ""), span),
            None => {
                query.push("SELECT * FROM (");
                self.push_range(&mut query, ("from_address", ""), span);
                query.push(" UNION ALL ");
                let others = ("to_address", " AND from_address <> to_address");
                self.push_range(&mut query, others, span);
                query.push(") AS both_ways");
                span.push_order(&mut query);
            }
        }
        decode_all(&query.build().fetch_all(connection).await?)
    }
}

/// A transaction whose internal transfers are asked for.
#[derive(Clone, Copy, Debug)]
pub struct TracedTransaction {
    /// Height.
    pub block_number: u64,
    /// Position in the block.
    pub tx_index: u32,
    /// The reorg that dropped it; none for a canonical one.
    pub dropped_by: Option<u64>,
}

impl TracedTransaction {
    /// A transaction of the canonical chain, or of what a reorg dropped.
    #[must_use]
    pub fn of(row: &TransactionRow, dropped_by: Option<u64>) -> Self {
        Self {
            block_number: row.block_number,
            tx_index: row.tx_index,
            dropped_by,
        }
    }
}

impl Source for TracedTransaction {
    type Key = TracePosition;
    type Row = InternalTransferRow;
    const ASCENDING: bool = true;

    fn key(row: &InternalTransferRow) -> TracePosition {
        OfWallet::key(row)
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<TracePosition>,
    ) -> Result<Vec<InternalTransferRow>, sqlx::Error> {
        let mut query = QueryBuilder::new("SELECT * FROM ");
        match self.dropped_by {
            None => query.push("internal_transfers WHERE true"),
            Some(reorg) => query
                .push("orphaned_internal_transfers WHERE reorg_id = ")
                .push_bind(bind_height(reorg)),
        };
        query.push(" AND block_number = ");
        query.push_bind(bind_height(self.block_number));
        query.push(" AND tx_index = ");
        query.push_bind(bind_index(self.tx_index));
        span.push_rest(&mut query);
        decode_all(&query.build().fetch_all(connection).await?)
    }
}

/// The internal transfers of a transaction, in the order of execution.
pub async fn list_transaction_internal(
    connection: &mut PgConnection,
    transaction: TracedTransaction,
    page: Page<TracePosition>,
) -> Result<Slice<InternalTransferRow>, sqlx::Error> {
    fill(connection, &transaction, page, Windows::whole()).await
}

/// All of them at once: each moved value or created a contract, so a block's gas limit bounds how many
/// there are.
pub async fn list_trace(
    connection: &mut PgConnection,
    transaction: TracedTransaction,
) -> Result<Vec<InternalTransferRow>, sqlx::Error> {
    let page = Page::first(u32::MAX - 1);
    let slice = list_transaction_internal(connection, transaction, page).await?;
    Ok(slice.items)
}

/// Internal transfers as they are shown. Without a `transaction` that all of them are of, they are
/// canonical and each is found by its position.
pub async fn show_internal(
    connection: &mut PgConnection,
    rows: &[InternalTransferRow],
    transaction: Option<TransactionContext>,
) -> Result<Vec<InternalTransferView>, sqlx::Error> {
    let positions = rows.iter().map(|row| (row.block_number, row.tx_index));
    let contexts = contexts(connection, positions, transaction).await?;
    rows.iter()
        .zip(contexts)
        .map(|(row, context)| {
            InternalTransferView::new(row, context).ok_or(sqlx::Error::RowNotFound)
        })
        .collect()
}

/// How complete internal transfers are, over all that is indexed.
pub async fn get_internal_history(
    connection: &mut PgConnection,
) -> Result<InternalHistory, sqlx::Error> {
    let progress = get_progress(&mut *connection, Reading::Traces).await?;
    let indexed = coverage::get_history(&mut *connection).await?;
    let indexed_from = indexed.map(|history| history.complete_from);
    let refused = refused(progress.status);
    let internal = match (progress.complete_from, indexed_from) {
        (Some(read), Some(indexed)) if read <= indexed => Completeness::Complete,
        (None, _) if refused => Completeness::Unavailable,
        _ => Completeness::Partial,
    };
    Ok(InternalHistory {
        internal,
        complete_from: progress.complete_from,
    })
}

/// Whether the internal transfers of one canonical block are there.
pub async fn get_internal_of_block(
    connection: &mut PgConnection,
    number: u64,
) -> Result<InternalHistory, sqlx::Error> {
    let read: bool =
        sqlx::query_scalar("SELECT blocks @> $1::bigint FROM enrichment WHERE kind = 'traces'")
            .bind(bind_height(number))
            .fetch_one(&mut *connection)
            .await?;
    let progress = get_progress(connection, Reading::Traces).await?;
    let below = progress.floor.is_some_and(|floor| number < floor);
    let internal = if read {
        Completeness::Complete
    } else if below || refused(progress.status) {
        Completeness::Unavailable
    } else {
        Completeness::Partial
    };
    Ok(InternalHistory {
        internal,
        complete_from: progress.complete_from,
    })
}

fn refused(status: ReadingStatus) -> bool {
    matches!(status, ReadingStatus::Unavailable | ReadingStatus::Off)
}
