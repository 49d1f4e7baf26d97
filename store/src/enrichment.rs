//! How far the reading of what only a node can tell is: internal transfers, balances, code, metadata.

use crate::state::{BlockRef, height};
use alloy::primitives::B256;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, Row as _};
use std::ops::RangeInclusive;

/// A kind of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// Internal transfers.
    Traces,
    /// Native balances.
    Balances,
    /// Code of contracts.
    Contracts,
    /// What tokens say of themselves.
    Tokens,
}

impl Reading {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Traces, Self::Balances, Self::Contracts, Self::Tokens];

    /// Whether it is read block by block, so that heights tell how far it is.
    #[must_use]
    pub const fn goes_by_height(self) -> bool {
        matches!(self, Self::Traces | Self::Balances)
    }

    /// Its key in `enrichment`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Balances => "balances",
            Self::Contracts => "contracts",
            Self::Tokens => "tokens",
        }
    }
}

/// Whether a kind can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadingStatus {
    /// Nobody has asked a node yet.
    Starting,
    /// It is read.
    Working,
    /// The node has no such method.
    Unavailable,
    /// It was not asked for.
    Off,
}

impl ReadingStatus {
    const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Working => "working",
            Self::Unavailable => "unavailable",
            Self::Off => "off",
        }
    }

    fn from_name(name: &str) -> Self {
        [Self::Working, Self::Unavailable, Self::Off]
            .into_iter()
            .find(|status| status.name() == name)
            .unwrap_or(Self::Starting)
    }
}

/// How far a kind is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadingProgress {
    /// Whether it can be read.
    pub status: ReadingStatus,
    /// What holds it up.
    pub problem: Option<String>,
    /// Lowest height that the node still tells of; `None` while it tells of all.
    pub floor: Option<u64>,
    /// Lowest height from which all blocks up to the head are read; `None` while the head's is not.
    pub complete_from: Option<u64>,
    /// Blocks from the first indexed one on, or from `floor`, that are indexed and not read.
    pub missing_blocks: u64,
}

/// How far a kind is, beside what is indexed.
pub async fn get_progress(
    db: impl PgExecutor<'_>,
    reading: Reading,
) -> Result<ReadingProgress, sqlx::Error> {
    let row = sqlx::query(
        "SELECT status, problem, floor,
                (SELECT lower(run) FROM chain_state, unnest(e.blocks) AS run WHERE run @> head_number)
                    AS complete_from,
                (SELECT coalesce(sum(upper(gap) - lower(gap)), 0)::bigint
                 FROM coverage c, unnest(c.blocks * int8multirange(int8range(e.floor, NULL)) - e.blocks) AS gap)
                    AS missing
         FROM enrichment e WHERE kind = $1",
    )
    .bind(reading.name())
    .fetch_one(db)
    .await?;
    let unsigned = |number: Option<i64>| number.map(i64::unsigned_abs);
    Ok(ReadingProgress {
        status: ReadingStatus::from_name(row.try_get("status")?),
        problem: row.try_get("problem")?,
        floor: unsigned(row.try_get("floor")?),
        complete_from: unsigned(row.try_get("complete_from")?),
        missing_blocks: row.try_get::<i64, _>("missing")?.unsigned_abs(),
    })
}

/// The highest run of blocks that are indexed, not read, and not below the floor; at most `limit` blocks
/// of it, from its top. Blocks of `without` are passed over: they are read later.
pub async fn find_next(
    db: impl PgExecutor<'_>,
    reading: Reading,
    limit: u64,
    without: &[u64],
) -> Result<Option<RangeInclusive<u64>>, sqlx::Error> {
    let without: Result<Vec<i64>, _> = without.iter().map(|number| height(*number)).collect();
    let row: Option<(i64, i64)> = sqlx::query_as(
        "SELECT greatest(lower(gap), upper(gap) - $2), upper(gap) - 1
         FROM coverage c, enrichment e,
              unnest(c.blocks * int8multirange(int8range(e.floor, NULL)) - e.blocks
                     - (SELECT coalesce(range_agg(int8range(n, n, '[]')), '{}')
                        FROM unnest($3::bigint[]) AS n)) AS gap
         WHERE e.kind = $1 ORDER BY lower(gap) DESC LIMIT 1",
    )
    .bind(reading.name())
    .bind(height(limit)?)
    .bind(without?)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|(low, high)| low.unsigned_abs()..=high.unsigned_abs()))
}

/// The canonical blocks of a range, highest first.
pub async fn list_blocks(
    db: impl PgExecutor<'_>,
    range: RangeInclusive<u64>,
) -> Result<Vec<BlockRef>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT number, hash FROM blocks WHERE number BETWEEN $1 AND $2 ORDER BY number DESC",
    )
    .bind(height(*range.start())?)
    .bind(height(*range.end())?)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(BlockRef {
                number: row.try_get::<i64, _>("number")?.unsigned_abs(),
                hash: crate::pg::column::<B256>(row, "hash")?,
            })
        })
        .collect()
}

/// Records that a range of heights is read; part of the transaction that wrote what was read.
pub async fn record_read(
    connection: &mut PgConnection,
    reading: Reading,
    range: RangeInclusive<u64>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE enrichment SET blocks = blocks + int8multirange(int8range($2, $3, '[]')) WHERE kind = $1",
    )
    .bind(reading.name())
    .bind(height(*range.start())?)
    .bind(height(*range.end())?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Records whether a kind can be read, and what holds it up.
pub async fn set_status(
    db: impl PgExecutor<'_>,
    reading: Reading,
    status: ReadingStatus,
    problem: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE enrichment SET status = $2, problem = $3
         WHERE kind = $1 AND (status, problem) IS DISTINCT FROM ($2, $3)",
    )
    .bind(reading.name())
    .bind(status.name())
    .bind(problem)
    .execute(db)
    .await?;
    Ok(())
}

/// Records the lowest height that the node tells of.
pub async fn set_floor(
    db: impl PgExecutor<'_>,
    reading: Reading,
    floor: Option<u64>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE enrichment SET floor = $2 WHERE kind = $1 AND floor IS DISTINCT FROM $2")
        .bind(reading.name())
        .bind(floor.map(height).transpose()?)
        .execute(db)
        .await?;
    Ok(())
}
