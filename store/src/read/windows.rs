//! Where to look: heights, turned into windows of one bucket each.

use super::{BlockKey, Page, Snapshot, Start, bind_height};
use alloy::primitives::Address;
use sqlx::{AssertSqlSafe, PgConnection};
use std::ops::RangeInclusive;

/// Most windows that are opened for a page: each is a query of about a millisecond.
const MOST_WINDOWS: usize = 100;
/// Blocks are looked for by time within a day first: all chunks of later or earlier times stay closed.
const DAY_SECONDS: u64 = 86_400;

/// Heights and times that a list is asked for, all inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Lowest height.
    pub from_block: Option<u64>,
    /// Highest height.
    pub to_block: Option<u64>,
    /// Earliest time, seconds since 1970.
    pub from_time: Option<u64>,
    /// Latest time.
    pub to_time: Option<u64>,
}

/// A counter of `address_totals`, which says in which buckets there are rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counter {
    Transactions,
    Sent,
    Received,
    Transfers,
    Emitted,
    Internal,
}

impl Counter {
    const fn column(self) -> &'static str {
        match self {
            Self::Transactions => "tx_count",
            Self::Sent => "sent_count",
            Self::Received => "received_count",
            Self::Transfers => "transfer_count",
            Self::Emitted => "emitted_count",
            Self::Internal => "internal_count",
        }
    }
}

/// What a list is of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Occurrence {
    /// Everything.
    Any,
    /// What an address is counted for.
    Of(Address, Counter),
    /// What an address is counted for, where another one is, too.
    OfBoth([(Address, Counter); 2]),
}

/// Where a page's rows may be, in the order in which it is filled.
pub(super) struct Windows<K> {
    /// Heights.
    pub list: Vec<RangeInclusive<u64>>,
    /// Where to go on when all of them were opened; none when there is nothing beyond.
    pub rest: Option<K>,
}

impl<K> Windows<K> {
    /// For lists that are no matter of heights.
    pub fn whole() -> Self {
        Self {
            list: vec![0..=i64::MAX.unsigned_abs()],
            rest: None,
        }
    }
}

/// The windows of a page: buckets in which the address is counted, and those that are not all counted
/// yet.
pub(super) async fn find_windows<K: BlockKey>(
    snapshot: &mut Snapshot,
    of: Occurrence,
    range: Range,
    (page, descending): (&Page<K>, bool),
) -> Result<Windows<K>, sqlx::Error> {
    let Some(heights) = heights(snapshot, range).await? else {
        return Ok(Windows {
            list: Vec::new(),
            rest: None,
        });
    };
    let heights = clip(heights, page.from.as_ref(), descending);
    let buckets = buckets(snapshot.connection(), of, &heights, descending).await?;
    let cut = buckets.len() > MOST_WINDOWS;
    let list: Vec<RangeInclusive<u64>> = buckets
        .into_iter()
        .take(MOST_WINDOWS)
        .map(|(low, high)| low.max(*heights.start())..=high.min(*heights.end()))
        .collect();
    let rest = list.last().filter(|_| cut).map(|last| {
        if descending {
            K::first_of(*last.start())
        } else {
            K::last_of(*last.end())
        }
    });
    Ok(Windows { list, rest })
}

/// How often each address is counted in all, as far as it is.
pub(super) async fn sums(
    connection: &mut PgConnection,
    of: [(Address, Counter); 2],
) -> Result<[i64; 2], sqlx::Error> {
    let sum = |parameter: u8, counter: Counter| {
        let column = counter.column();
        format!(
            "(SELECT coalesce(sum({column}), 0)::bigint FROM address_totals WHERE address = ${parameter})"
        )
    };
    let [(one, first), (other, second)] = of;
    let sql = format!("SELECT {}, {}", sum(1, first), sum(2, second));
    let (first, second) = sqlx::query_as(AssertSqlSafe(sql))
        .bind(one.to_vec())
        .bind(other.to_vec())
        .fetch_one(connection)
        .await?;
    Ok([first, second])
}

/// Only heights on the page's side of its start.
fn clip<K: BlockKey>(
    heights: RangeInclusive<u64>,
    from: Option<&Start<K>>,
    descending: bool,
) -> RangeInclusive<u64> {
    let Some(from) = from else { return heights };
    let at = from.key.block_number();
    if descending {
        *heights.start()..=at.min(*heights.end())
    } else {
        at.max(*heights.start())..=*heights.end()
    }
}

async fn buckets(
    connection: &mut PgConnection,
    of: Occurrence,
    heights: &RangeInclusive<u64>,
    descending: bool,
) -> Result<Vec<(u64, u64)>, sqlx::Error> {
    if heights.is_empty() {
        return Ok(Vec::new());
    }
    let order = if descending { "DESC" } else { "ASC" };
    let counted_for = match of {
        Occurrence::Any => Vec::new(),
        Occurrence::Of(address, counter) => vec![(address, counter)],
        Occurrence::OfBoth(both) => both.to_vec(),
    };
    let counted: Vec<String> = (4..)
        .zip(&counted_for)
        .map(|(parameter, (_, counter))| {
            format!(
                "SELECT bucket FROM address_totals
                 WHERE address = ${parameter} AND bucket BETWEEN $1 / size AND $2 / size AND {} > 0",
                counter.column()
            )
        })
        .collect();
    let (counted, uncounted) = if counted.is_empty() {
        (String::new(), "c.blocks")
    } else {
        // INTERSECT binds closer than UNION.
        (
            counted.join(" INTERSECT ") + " UNION",
            "c.blocks - t.blocks",
        )
    };
    let sql = format!(
        "SELECT bucket * size, (bucket + 1) * size - 1
         FROM (SELECT bucket_blocks AS size FROM chain) AS s, LATERAL (
             {counted}
             SELECT DISTINCT bucket FROM coverage c, tally_state t,
                  unnest(({uncounted}) * int8multirange(int8range($1, $2, '[]'))) AS run,
                  generate_series(lower(run) / size, (upper(run) - 1) / size) AS bucket
         ) AS b ORDER BY bucket {order} LIMIT $3"
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql))
        .bind(bind_height(*heights.start()))
        .bind(bind_height(*heights.end()))
        .bind(i64::try_from(MOST_WINDOWS + 1).unwrap_or(i64::MAX));
    for (address, _) in counted_for {
        query = query.bind(address.to_vec());
    }
    let buckets: Vec<(i64, i64)> = query.fetch_all(connection).await?;
    Ok(buckets
        .into_iter()
        .map(|(low, high)| (low.unsigned_abs(), high.unsigned_abs()))
        .collect())
}

/// The heights that a range means, up to the head; none where no block is within it.
async fn heights(
    snapshot: &mut Snapshot,
    range: Range,
) -> Result<Option<RangeInclusive<u64>>, sqlx::Error> {
    let Some(head) = snapshot.state.head else {
        return Ok(None);
    };
    let mut low = range.from_block.unwrap_or(0);
    let mut high = range.to_block.unwrap_or(u64::MAX).min(head.number);
    if let Some(time) = range.from_time {
        match find_by_time(snapshot.connection(), time, true).await? {
            Some(number) => low = low.max(number),
            None => return Ok(None),
        }
    }
    if let Some(time) = range.to_time {
        match find_by_time(snapshot.connection(), time, false).await? {
            Some(number) => high = high.min(number),
            None => return Ok(None),
        }
    }
    Ok(Some(low..=high))
}

/// The first block that is not before a time, or the last one that is not after it.
async fn find_by_time(
    connection: &mut PgConnection,
    time: u64,
    after: bool,
) -> Result<Option<u64>, sqlx::Error> {
    // Beyond what any clock of ours shows there are no blocks; the database's own clock ends later.
    const LAST: u64 = 253_402_300_799;
    let time = time.min(LAST);
    let far = if after { LAST } else { 0 };
    let near = if after {
        time.saturating_add(DAY_SECONDS).min(LAST)
    } else {
        time.saturating_sub(DAY_SECONDS)
    };
    let order = if after { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT number FROM block_stats
         WHERE \"time\" BETWEEN to_timestamp($1::bigint) AND to_timestamp($2::bigint)
         ORDER BY \"time\" {order}, number {order} LIMIT 1"
    );
    for other in [near, far] {
        let number: Option<i64> = sqlx::query_scalar(AssertSqlSafe(sql.clone()))
            .bind(bind_height(time.min(other)))
            .bind(bind_height(time.max(other)))
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(number) = number {
            return Ok(Some(number.unsigned_abs()));
        }
    }
    Ok(None)
}
