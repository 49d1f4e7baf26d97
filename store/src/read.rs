//! Reads by key, from one snapshot.
//!
//! A [`Snapshot`] is a read-only transaction that sees one state of the chain: the head it reports
//! and the rows it returns belong together, whatever is committed meanwhile.

mod blocks;
mod network;
mod transactions;
mod wallets;

pub use blocks::{
    find_block, find_block_by_hash, find_orphaned_block, list_blocks, list_withdrawals,
};
pub use network::{NetworkStats, get_network_stats};
pub use transactions::{
    find_last_dropped, find_transaction, list_block_transactions, list_dropped_inclusions,
    list_logs, list_orphaned_logs, list_transactions, with_blocks,
};
pub use wallets::{WalletView, find_wallet, list_wallet_transactions};

use crate::{
    pg::TableRow,
    state::{ChainState, get_state},
    transaction::begin,
};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction, postgres::PgRow};

/// A read-only view of one state of the chain.
pub struct Snapshot {
    transaction: Transaction<'static, Postgres>,
    /// The state that everything read here belongs to.
    pub state: ChainState,
}

impl Snapshot {
    /// Opens a snapshot of the newest state.
    pub async fn open(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut transaction =
            begin(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let state = get_state(&mut *transaction).await?;
        Ok(Self { transaction, state })
    }

    /// The connection to read from.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

/// Which way a list goes on from a position; lists show the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Further down the list.
    Older,
    /// Back up.
    Newer,
}

/// A position in the chain: a transaction's, or a block's with index 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// Height.
    pub block_number: u64,
    /// Position in the block.
    pub tx_index: u32,
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where to go on from, exclusive; none for the newest end.
    pub from: Option<(Direction, Position)>,
    /// Most items.
    pub limit: u32,
}

impl Page {
    /// The newest items.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { from: None, limit }
    }

    /// The direction, and the positions between which items may lie (inclusive, exclusive of `from`).
    fn bounds(self) -> (Direction, Position, Position) {
        let least = Position {
            block_number: 0,
            tx_index: 0,
        };
        let most = Position {
            block_number: i64::MAX.unsigned_abs(),
            tx_index: i32::MAX.unsigned_abs(),
        };
        match self.from {
            None => (Direction::Older, least, most),
            Some((Direction::Older, position)) => (Direction::Older, least, position),
            Some((Direction::Newer, position)) => (Direction::Newer, position, most),
        }
    }
}

/// Part of a list, newest first.
#[derive(Clone, Debug)]
pub struct Slice<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether older items follow.
    pub older: bool,
    /// Whether newer items come before.
    pub newer: bool,
}

impl<T> Slice<T> {
    /// From items in the order they were read (away from the page's start), one more than asked for
    /// when there are more.
    fn new(mut items: Vec<T>, page: Page) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        match page.from {
            Some((Direction::Newer, _)) => {
                items.reverse();
                Self {
                    items,
                    older: true,
                    newer: more,
                }
            }
            from => Self {
                items,
                older: more,
                newer: from.is_some(),
            },
        }
    }

    /// The same part with each item turned into something else.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Slice<U> {
        Slice {
            items: self.items.into_iter().map(f).collect(),
            older: self.older,
            newer: self.newer,
        }
    }
}

/// Reads part of a list of rows keyed by `(block_number, tx_index)`.
///
/// The height is bounded on its own as well, so that chunks outside of it are never opened; a row
/// comparison alone does not tell the planner.
async fn list_by_position(
    connection: &mut PgConnection,
    select: &str,
    filter: &str,
    binds: &[&[u8]],
    page: Page,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let (direction, after, before) = page.bounds();
    let order = match direction {
        Direction::Older => "DESC",
        Direction::Newer => "ASC",
    };
    let open = if page.from.is_none() { "<=" } else { "<" };
    // From the newest end nothing is exclusive; from a position it is.
    let (low, high) = match direction {
        Direction::Older => (">=", open),
        Direction::Newer => (">", "<="),
    };
    let sql = format!(
        "{select} WHERE block_number BETWEEN $1 AND $3
           AND (block_number, tx_index) {low} ($1, $2) AND (block_number, tx_index) {high} ($3, $4)
           {filter} ORDER BY block_number {order}, tx_index {order} LIMIT $5"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(bind_height(after.block_number))
        .bind(bind_index(after.tx_index))
        .bind(bind_height(before.block_number))
        .bind(bind_index(before.tx_index))
        .bind(i64::from(page.limit) + 1);
    for bytes in binds {
        query = query.bind(*bytes);
    }
    query.fetch_all(connection).await
}

/// A height that a client named: beyond what the database can hold there is nothing to find.
pub(crate) fn bind_height(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn bind_index(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn decode_all<R: TableRow>(rows: &[PgRow]) -> Result<Vec<R>, sqlx::Error> {
    rows.iter().map(R::decode).collect()
}
