//! History into the counters, in slices that nobody notices.
//!
//! In: heights that are indexed and not in the counters. What was just written comes with what it adds
//! ([`SortedDeltas`]); for anything else it is put together from the rows in temporary tables, a bucket of
//! heights at a time, highest first, once all of a bucket is there. Neither locks anything. Then it is
//! merged in the order of the keys, in transactions of a tenth of a second, so that a live commit that
//! needs the same rows waits no longer than that; what is at hand in two lanes at the same time.
//! `tally_progress` remembers how far each lane is: after a crash the same rows are put together again,
//! from the tables, and it goes on from there.

mod lane;

use super::{
    COUNTERS,
    deltas::{LANES, SortedDeltas},
    reset,
};
use crate::state::height;
use lane::Rows;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::time::Duration;

/// How long a slice may take: what a live commit may have to wait for.
const SLICE: Duration = Duration::from_millis(100);

/// Rows of a first slice; later ones follow from how long it took.
const FIRST_ROWS: i64 = 2_000;

/// Rows of a slice at most.
const MOST_ROWS: i64 = 100_000;

/// Memory for sorting and grouping a bucket before it goes to disk, and processes to share the work: a
/// bucket is large, whatever statistics of tables that were just filled say.
const GATHERING: &str = "SET work_mem = '128MB'; SET parallel_setup_cost = 0;
                         SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0";

/// A slice that a crash loses is merged again: `tally_progress` is as old as the rows are. The commit that
/// ends a piece is on disk before it is believed, and all before it with it.
const MERGING: &str = "SET synchronous_commit = off";

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
    let lost: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM tally_state WHERE pending IS NOT NULL)
            AND NOT EXISTS (SELECT FROM tally_progress)",
    )
    .fetch_one(&mut *connection)
    .await?;
    if lost {
        reset(connection).await?;
    }
    let piece: Option<(i64, i64)> = sqlx::query_as(include_str!("claim_history.sql"))
        .bind(i32::try_from(LANES).unwrap_or(i32::MAX))
        .fetch_optional(connection)
        .await?;
    Ok(piece.map(|(low, high)| Piece {
        low: low.unsigned_abs(),
        high: high.unsigned_abs(),
    }))
}

/// Begins a piece whose deltas are at hand. False when another one was begun, or when it is not, or no
/// longer, history that is indexed and not counted.
pub async fn claim_piece(connection: &mut PgConnection, piece: Piece) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query(
        "WITH claimed AS (
             UPDATE tally_state t SET pending = piece
             FROM coverage c, int8range($1, $2, '[]') AS piece
             WHERE t.pending IS NULL AND c.blocks @> piece AND NOT t.blocks && piece
             RETURNING piece
         )
         INSERT INTO tally_progress SELECT lane, 0, 0 FROM claimed, generate_series(0, $3 - 1) AS lane",
    )
    .bind(height(piece.low)?)
    .bind(height(piece.high)?)
    .bind(i32::try_from(LANES).unwrap_or(i32::MAX))
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() > 0)
}

/// History that is indexed and not counted above a height: left behind by a crash, or by what could not be
/// counted from memory. The highest of it, up to the end of its bucket.
pub async fn find_left_behind(
    connection: &mut PgConnection,
    above: u64,
) -> Result<Option<Piece>, sqlx::Error> {
    let piece: Option<(i64, i64)> = sqlx::query_as(
        "SELECT greatest(lower(r), (upper(r) - 1) / bucket_blocks * bucket_blocks), upper(r) - 1
         FROM chain, coverage c, tally_state t,
              unnest((c.blocks - t.blocks) * int8multirange(int8range($1, NULL, '()'))) AS r
         ORDER BY lower(r) DESC LIMIT 1",
    )
    .bind(height(above)?)
    .fetch_optional(connection)
    .await?;
    Ok(piece.map(|(low, high)| Piece {
        low: low.unsigned_abs(),
        high: high.unsigned_abs(),
    }))
}

/// Whether a piece was begun and not finished.
pub async fn is_pending(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM tally_state WHERE pending IS NOT NULL)")
        .fetch_one(connection)
        .await
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

/// What a piece adds, and who merges it.
pub struct Staged {
    connection: PoolConnection<Postgres>,
    /// Merges the other lane at the same time.
    beside: Option<PoolConnection<Postgres>>,
    piece: Piece,
    rows: Rows,
    /// Rows of each lane's next slice.
    slices: [i64; LANES],
}

impl Staged {
    /// Puts together what a piece adds, from its rows.
    pub async fn gather(pool: &PgPool, piece: Piece) -> Result<Self, sqlx::Error> {
        let mut connection = connect(pool, GATHERING).await?;
        let bucket: i64 = sqlx::query_scalar("SELECT bucket_blocks FROM chain")
            .fetch_one(&mut *connection)
            .await?;
        let mut sizes = [const { Vec::new() }; LANES];
        for counter in &COUNTERS {
            let delta = counter
                .delta
                .replace("$1", &height(piece.low)?.to_string())
                .replace("$2", &height(piece.high)?.to_string())
                .replace("$3", &bucket.to_string())
                .replace("$4", "1");
            let (stage, key, home) = (counter.stage, counter.key, counter.home);
            let statements = format!(
                "CREATE TEMP TABLE {stage} AS
                 SELECT lane, row_number() OVER (PARTITION BY lane ORDER BY {key}) AS n, d.*
                 FROM ({delta}) AS d, LATERAL (SELECT get_byte({home}, 19) % {LANES} AS lane) AS l
                 ORDER BY lane, {key};
                 CREATE INDEX ON {stage} (lane, n)"
            );
            sqlx::raw_sql(AssertSqlSafe(statements))
                .execute(&mut *connection)
                .await?;
            for (lane, sizes) in sizes.iter_mut().enumerate() {
                let count = format!("SELECT coalesce(max(n), 0) FROM {stage} WHERE lane = {lane}");
                let size = sqlx::query_scalar(AssertSqlSafe(count))
                    .fetch_one(&mut *connection)
                    .await?;
                sizes.push(size);
            }
        }
        Ok(Self {
            connection,
            beside: None,
            piece,
            rows: Rows::Gathered(sizes),
            slices: [FIRST_ROWS; LANES],
        })
    }

    /// Takes what a piece adds from whoever wrote it.
    pub async fn at_hand(
        pool: &PgPool,
        piece: Piece,
        deltas: [SortedDeltas; LANES],
    ) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: connect(pool, "").await?,
            beside: Some(connect(pool, "").await?),
            piece,
            rows: Rows::AtHand(deltas),
            slices: [FIRST_ROWS; LANES],
        })
    }

    /// Merges a slice of each lane; false when all of the piece is merged, or when somebody else forgot
    /// it. Lanes begin together, so that whoever waits for its turn gets it in between.
    pub async fn merge_slice(&mut self) -> Result<bool, sqlx::Error> {
        let (rows, piece, connection) = (&self.rows, self.piece, &mut self.connection);
        let [even, odd] = self.slices;
        let merged = if let Some(beside) = &mut self.beside {
            let (even, odd) = tokio::join!(
                rows.merge_lane(connection, piece, (0, even)),
                rows.merge_lane(beside, piece, (1, odd)),
            );
            [even?, odd?]
        } else {
            [
                rows.merge_lane(connection, piece, (0, even)).await?,
                rows.merge_lane(connection, piece, (1, odd)).await?,
            ]
        };
        for (slice, merged) in self.slices.iter_mut().zip(&merged) {
            match merged {
                Some(merged) if merged.took > SLICE => *slice = (*slice / 2).max(1),
                Some(merged) if merged.whole && merged.took < SLICE / 2 => {
                    *slice = (*slice * 2).min(MOST_ROWS);
                }
                _ => {}
            }
        }
        Ok(merged.iter().any(Option::is_some))
    }
}

async fn connect(
    pool: &PgPool,
    settings: &'static str,
) -> Result<PoolConnection<Postgres>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    // Its temporary tables and its settings end with it.
    connection.close_on_drop();
    for settings in [settings, MERGING] {
        sqlx::raw_sql(settings).execute(&mut *connection).await?;
    }
    Ok(connection)
}

/// Records a piece as included, once all of it is merged; part of a transaction that holds the state.
/// False when it was forgotten meanwhile.
pub async fn finish(connection: &mut PgConnection, piece: Piece) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE tally_state SET blocks = blocks + int8multirange(pending), pending = NULL
         WHERE pending = int8range($1, $2, '[]')
           AND EXISTS (SELECT FROM tally_progress)
           AND NOT EXISTS (SELECT FROM tally_progress WHERE stage < $3)",
    )
    .bind(height(piece.low)?)
    .bind(height(piece.high)?)
    .bind(stages())
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("DELETE FROM tally_progress")
        .execute(connection)
        .await?;
    Ok(true)
}

/// How many tables are merged, one after the other.
fn stages() -> i16 {
    i16::try_from(COUNTERS.len()).unwrap_or(i16::MAX)
}
