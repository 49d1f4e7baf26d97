//! History into the counters: a bucket of heights at a time, in slices that nobody notices.
//!
//! In: heights that are indexed and not in the counters, highest bucket first, once all of a bucket is
//! there. What it adds is put together beside, in temporary tables, which locks nothing and may take
//! seconds; then it is merged in the order of the keys, in transactions of a tenth of a second, so that a
//! live commit that needs the same rows waits no longer than that. `tally_state` remembers how far the
//! merge is: after a crash it is put together again, the same from the same rows, and goes on from there.

use super::{COUNTERS, Counter};
use crate::state::height;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::time::{Duration, Instant};

/// How long a slice may take: what a live commit may have to wait for.
const SLICE: Duration = Duration::from_millis(100);

/// Pages of a first slice; later ones follow from how long it took.
const FIRST_PAGES: i64 = 32;

/// Pages of a slice at most.
const MOST_PAGES: i64 = 4_096;

/// Memory for sorting and grouping a bucket before it goes to disk, and processes to share the work: a
/// bucket is large, whatever statistics of tables that were just filled say.
const SETTINGS: &str =
    "SET work_mem = '128MB'; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
                        SET min_parallel_table_scan_size = 0";

/// A bucket of heights that is to be added, or the part of it that is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First height.
    pub low: u64,
    /// Last height.
    pub high: u64,
}

/// The piece that was begun, or the highest one that can be; `None` while there is none.
///
/// A bucket can be added when all of it is indexed, down to its first height or the index's.
pub async fn claim(connection: &mut PgConnection) -> Result<Option<Piece>, sqlx::Error> {
    let piece: Option<(i64, i64)> = sqlx::query_as(include_str!("claim_history.sql"))
        .fetch_optional(connection)
        .await?;
    Ok(piece.map(|(low, high)| Piece {
        low: low.unsigned_abs(),
        high: high.unsigned_abs(),
    }))
}

/// How many indexed blocks the counters do not include yet.
pub async fn count_missing(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let missing: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint
         FROM coverage c, tally_state t, unnest(c.blocks - t.blocks) AS r",
    )
    .fetch_one(connection)
    .await?;
    Ok(missing.unsigned_abs())
}

/// What a piece adds, put together on a connection of its own.
pub struct Staged {
    connection: PoolConnection<Postgres>,
    piece: Piece,
    pages: i64,
}

impl Staged {
    /// Puts together what a piece adds.
    pub async fn gather(pool: &PgPool, piece: Piece) -> Result<Self, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        // Its temporary tables and its settings end with it.
        connection.close_on_drop();
        sqlx::raw_sql(SETTINGS).execute(&mut *connection).await?;
        let bucket: i64 = sqlx::query_scalar("SELECT bucket_blocks FROM chain")
            .fetch_one(&mut *connection)
            .await?;
        for counter in &COUNTERS {
            let delta = counter
                .delta
                .replace("$1", &height(piece.low)?.to_string())
                .replace("$2", &height(piece.high)?.to_string())
                .replace("$3", &bucket.to_string())
                .replace("$4", "1");
            let (stage, key) = (counter.stage, counter.key);
            let statement = format!("CREATE TEMP TABLE {stage} AS {delta} ORDER BY {key}");
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut *connection)
                .await?;
        }
        Ok(Self {
            connection,
            piece,
            pages: FIRST_PAGES,
        })
    }

    /// Merges a slice; false when all of the piece is merged, or when somebody else forgot it.
    pub async fn merge_slice(&mut self) -> Result<bool, sqlx::Error> {
        let started = Instant::now();
        let mut transaction = self.connection.begin().await?;
        let row: Option<(i16, i64)> = sqlx::query_as(
            "SELECT pending_stage, pending_page FROM tally_state
             WHERE pending = int8range($1, $2, '[]') FOR UPDATE",
        )
        .bind(height(self.piece.low)?)
        .bind(height(self.piece.high)?)
        .fetch_optional(&mut *transaction)
        .await?;
        let at = row.and_then(|(stage, page)| {
            let counter = COUNTERS.get(usize::try_from(stage).ok()?)?;
            Some((counter, stage, page))
        });
        let Some((counter, stage, page)) = at else {
            // Left to itself the driver would hold the lock until it uses the connection again.
            transaction.rollback().await?;
            return Ok(false);
        };
        let until = page + self.pages;
        merge_pages(&mut transaction, counter, page, until).await?;
        let size: i64 = sqlx::query_scalar(
            "SELECT pg_relation_size($1::regclass) / current_setting('block_size')::bigint",
        )
        .bind(counter.stage)
        .fetch_one(&mut *transaction)
        .await?;
        let next = if until < size {
            (stage, until)
        } else {
            (stage + 1, 0)
        };
        sqlx::query("UPDATE tally_state SET pending_stage = $1, pending_page = $2")
            .bind(next.0)
            .bind(next.1)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let took = started.elapsed();
        self.pages = if took > SLICE {
            (self.pages / 2).max(1)
        } else if took < SLICE / 2 {
            (self.pages * 2).min(MOST_PAGES)
        } else {
            self.pages
        };
        Ok(true)
    }
}

async fn merge_pages(
    connection: &mut PgConnection,
    counter: &Counter,
    from: i64,
    until: i64,
) -> Result<(), sqlx::Error> {
    let stage = counter.stage;
    let slice = format!(
        "SELECT * FROM {stage} WHERE ctid >= '({from},0)'::tid AND ctid < '({until},0)'::tid"
    );
    let queue = (counter.stage == "stage_addresses").then(|| {
        format!(
            "INSERT INTO contract_code (address)
             SELECT address FROM ({slice}) AS d WHERE created_count > 0
             ORDER BY address ON CONFLICT (address) DO NOTHING"
        )
    });
    let zeros = counter.drop_all_zeros();
    for statement in [Some(counter.merge(&slice)), queue, zeros]
        .into_iter()
        .flatten()
    {
        // The statement names the slice, and is not used again.
        sqlx::query(AssertSqlSafe(statement))
            .persistent(false)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Records a piece as included, once all of it is merged; part of a transaction that holds the state.
/// False when it was forgotten meanwhile.
pub async fn finish(connection: &mut PgConnection, piece: Piece) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE tally_state
         SET blocks = blocks + int8multirange(pending), pending = NULL, pending_stage = 0, pending_page = 0
         WHERE pending = int8range($1, $2, '[]') AND pending_stage = $3",
    )
    .bind(height(piece.low)?)
    .bind(height(piece.high)?)
    .bind(i16::try_from(COUNTERS.len()).unwrap_or(i16::MAX))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
