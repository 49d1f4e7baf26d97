//! Which heights are indexed, which are not yet, and what an operator asks of the backfill.

use crate::state::height;
use serde::Serialize;
use sqlx::{PgExecutor, Row as _};
use std::ops::RangeInclusive;

/// The ranges of `bounds` that are not indexed, highest first.
pub async fn find_gaps(
    db: impl PgExecutor<'_>,
    bounds: RangeInclusive<u64>,
) -> Result<Vec<RangeInclusive<u64>>, sqlx::Error> {
    if bounds.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT lower(gap) AS low, upper(gap) - 1 AS high
         FROM coverage, unnest(int8multirange(int8range($1, $2, '[]')) - blocks) AS gap
         ORDER BY low DESC",
    )
    .bind(height(*bounds.start())?)
    .bind(height(*bounds.end())?)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let (low, high): (i64, i64) = (row.try_get("low")?, row.try_get("high")?);
            Ok(low.unsigned_abs()..=high.unsigned_abs())
        })
        .collect()
}

/// The lowest height from which everything up to `number` is indexed; `None` where `number` is not.
pub async fn find_floor(db: impl PgExecutor<'_>, number: u64) -> Result<Option<u64>, sqlx::Error> {
    let floor: Option<i64> = sqlx::query_scalar(
        "SELECT lower(run) FROM coverage, unnest(blocks) AS run WHERE run @> $1::bigint",
    )
    .bind(height(number)?)
    .fetch_optional(db)
    .await?;
    Ok(floor.map(i64::unsigned_abs))
}

/// How much of the chain below the head is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct History {
    /// First block that belongs to the index.
    pub first_block: u64,
    /// Lowest block from which nothing is missing up to the head.
    pub complete_from: u64,
    /// Blocks that are not there yet.
    pub missing_blocks: u64,
}

/// How complete the history is; `None` before the first commit.
pub async fn get_history(db: impl PgExecutor<'_>) -> Result<Option<History>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT start_block, lower(run) AS complete_from,
                head_number + 1 - start_block - (
                    SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint
                    FROM unnest(blocks * int8multirange(int8range(start_block, head_number, '[]'))) AS r
                ) AS missing
         FROM chain, chain_state, coverage, unnest(blocks) AS run
         WHERE run @> head_number",
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let number = |name| row.try_get::<i64, _>(name).map(i64::unsigned_abs);
        Ok(History {
            first_block: number("start_block")?,
            complete_from: number("complete_from")?,
            missing_blocks: number("missing")?,
        })
    })
    .transpose()
}

/// What an operator asks of a running backfill; `None` leaves it as the indexer was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackfillSettings {
    /// Connections that write history at the same time; 0 pauses it.
    pub workers: Option<u32>,
    /// Bytes of replies that are fetched and not yet written, at most.
    pub budget_bytes: Option<u64>,
}

/// Reads what an operator asks.
pub async fn get_backfill_settings(
    db: impl PgExecutor<'_>,
) -> Result<BackfillSettings, sqlx::Error> {
    let row = sqlx::query("SELECT workers, budget_bytes FROM backfill_settings")
        .fetch_one(db)
        .await?;
    let workers: Option<i32> = row.try_get("workers")?;
    let budget: Option<i64> = row.try_get("budget_bytes")?;
    Ok(BackfillSettings {
        workers: workers.map(i32::unsigned_abs),
        budget_bytes: budget.map(i64::unsigned_abs),
    })
}

/// Records what an operator asks; a running indexer follows within seconds.
pub async fn set_backfill_settings(
    db: impl PgExecutor<'_>,
    settings: BackfillSettings,
) -> Result<(), sqlx::Error> {
    let budget = settings.budget_bytes.map(height).transpose()?;
    sqlx::query("UPDATE backfill_settings SET workers = $1, budget_bytes = $2")
        .bind(settings.workers.map(u32::cast_signed))
        .bind(budget)
        .execute(db)
        .await?;
    Ok(())
}
