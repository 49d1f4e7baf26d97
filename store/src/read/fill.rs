//! Filling a page: from one window of heights after the other, until it is full.
//!
//! A table that grows with the chain has hundreds of chunks, and a query that does not say between which
//! heights it reads plans and locks all of them. So a list is read window by window, each a bucket of
//! heights in which there may be rows (`windows.rs`), and costs as much as the windows that it opens.

use super::{Direction, ListKey, Page, Slice, windows::Windows};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use std::{fmt::Write as _, future::Future, ops::RangeInclusive};

/// Most rows that are looked at for a page with a filter: about ten milliseconds of work. A page may then
/// be short, with a cursor to go on.
const MOST_ROWS: usize = 2_000;
/// Rows that are read at a time where a filter may leave few of them.
const BATCH: usize = 500;

/// A list: what its rows are, and how some of them are read.
pub(super) trait Source: Sync {
    /// What it is ordered by.
    type Key: ListKey;
    /// A row.
    type Row: Send;
    /// Whether the list begins with the least key instead of the greatest.
    const ASCENDING: bool = false;
    /// Whether rows may be left out.
    fn filters(&self) -> bool {
        false
    }
    /// Whether a row belongs to the list.
    fn keeps(&self, _: &Self::Row) -> bool {
        true
    }
    /// A row's key.
    fn key(row: &Self::Row) -> Self::Key;
    /// Reads the rows of a span, in its order.
    fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<Self::Key>,
    ) -> impl Future<Output = Result<Vec<Self::Row>, sqlx::Error>> + Send;
}

/// Which rows are read at once.
pub(super) struct Span<K> {
    /// Heights to look between, for lists that go by height.
    heights: RangeInclusive<u64>,
    /// Where to begin, and whether with that key itself.
    after: Option<(K, bool)>,
    descending: bool,
    limit: usize,
}

impl<K: ListKey> Span<K> {
    /// Appends the condition on the height: on its own, so that other chunks are never opened. A
    /// comparison of several columns alone does not tell the planner.
    pub fn push_heights(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" AND block_number BETWEEN ");
        query.push_bind(super::bind_height(*self.heights.start()));
        query.push(" AND ");
        query.push_bind(super::bind_height(*self.heights.end()));
    }

    /// Appends the condition on the key, the order and the limit.
    pub fn push_rest(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some((key, inclusive)) = &self.after {
            let sign = if self.descending { "<" } else { ">" };
            let equal = if *inclusive { "=" } else { "" };
            let columns = K::COLUMNS.join(", ");
            query.push(format_args!(" AND ({columns}) {sign}{equal} ("));
            key.push(query);
            query.push(")");
        }
        self.push_order(query);
    }

    /// Appends the order and the limit.
    pub fn push_order(&self, query: &mut QueryBuilder<Postgres>) {
        let order = if self.descending { " DESC" } else { "" };
        let mut by = String::new();
        for (place, column) in K::COLUMNS.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            // Writing to a string never fails.
            let _ = write!(by, "{comma}{column}{order}");
        }
        query.push(format_args!(" ORDER BY {by} LIMIT "));
        query.push_bind(i64::try_from(self.limit).unwrap_or(i64::MAX));
    }

    /// The same part of rows that are all at hand, in ascending order.
    pub fn of<R: Clone>(&self, rows: &[R], key: impl Fn(&R) -> K) -> Vec<R>
    where
        K: PartialOrd,
    {
        let within = |row: &&R| match &self.after {
            None => true,
            Some((after, inclusive)) => {
                let key = key(row);
                (*inclusive && key == *after)
                    || if self.descending {
                        key < *after
                    } else {
                        key > *after
                    }
            }
        };
        if self.descending {
            let rows = rows.iter().rev().filter(within);
            rows.take(self.limit).cloned().collect()
        } else {
            let rows = rows.iter().filter(within);
            rows.take(self.limit).cloned().collect()
        }
    }
}

/// Whether a page is read from greater keys to lesser ones.
pub(super) fn descends<S: Source>(page: &Page<S::Key>) -> bool {
    S::ASCENDING == (page.direction() == Direction::Newer)
}

/// Reads a page.
pub(super) async fn fill<S: Source>(
    connection: &mut PgConnection,
    source: &S,
    page: Page<S::Key>,
    windows: Windows<S::Key>,
) -> Result<Slice<S::Row>, sqlx::Error> {
    let wanted = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut kept: Vec<S::Row> = Vec::new();
    let mut after = page.from.map(|from| (from.key, from.inclusive));
    let mut looked = 0;
    let mut on = windows.rest;
    'windows: for heights in windows.list {
        loop {
            if looked >= MOST_ROWS {
                on = after.map(|(key, _)| key);
                break 'windows;
            }
            // One more than fits tells whether there are more.
            let missing = wanted + 1 - kept.len();
            let limit = if source.filters() {
                missing.max(BATCH)
            } else {
                missing
            };
            let span = Span {
                heights: heights.clone(),
                after,
                descending: descends::<S>(&page),
                limit,
            };
            let rows = source.read(&mut *connection, &span).await?;
            looked += rows.len();
            let whole = rows.len() < limit;
            if let Some(last) = rows.last() {
                after = Some((S::key(last), false));
            }
            kept.extend(rows.into_iter().filter(|row| source.keeps(row)));
            if kept.len() > wanted {
                kept.truncate(wanted);
                on = kept.last().map(S::key);
                break 'windows;
            }
            if whole {
                break;
            }
        }
    }
    Ok(Slice::new(kept, page, on, S::key))
}
