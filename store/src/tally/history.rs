//! History into the counters, in slices that nobody notices.
//!
//! In: heights that are indexed and not in the counters. What was just written comes with what it adds
//! ([`SortedDeltas`]); for anything else it is put together from the rows in temporary tables, a bucket of
//! heights at a time, highest first, once all of a bucket is there. Neither locks anything. Then it is
//! merged in the order of the keys, in transactions of a tenth of a second, so that a live commit that
//! needs the same rows waits no longer than that. `tally_state` remembers how far the merge is: after a
//! crash the same rows are put together again, from the tables, and it goes on from there.

use super::{COUNTERS, Counter, deltas::SortedDeltas, reset};
use crate::{
    pg::{TableRow, execute_with},
    state::height,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::time::{Duration, Instant};

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

/// A slice that a crash loses is merged again: `tally_state` is as old as the rows are. The commit that
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
        "SELECT EXISTS (SELECT FROM tally_state WHERE pending IS NOT NULL AND pending_stage < 0)",
    )
    .fetch_one(&mut *connection)
    .await?;
    if lost {
        reset(connection).await?;
    }
    let piece: Option<(i64, i64)> = sqlx::query_as(include_str!("claim_history.sql"))
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
        "UPDATE tally_state t SET pending = piece, pending_stage = 0, pending_row = 0
         FROM coverage c, int8range($1, $2, '[]') AS piece
         WHERE t.pending IS NULL AND c.blocks @> piece AND NOT t.blocks && piece",
    )
    .bind(height(piece.low)?)
    .bind(height(piece.high)?)
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
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

/// What a piece adds, and the connection that merges it.
pub struct Staged {
    connection: PoolConnection<Postgres>,
    piece: Piece,
    rows: Rows,
    /// Rows of the next slice.
    slice: i64,
}

/// Where the rows are that are merged.
enum Rows {
    /// In temporary tables of the connection; so many in each.
    Gathered(Vec<i64>),
    /// Here.
    AtHand(SortedDeltas),
}

impl Staged {
    /// Puts together what a piece adds, from its rows.
    pub async fn gather(pool: &PgPool, piece: Piece) -> Result<Self, sqlx::Error> {
        let mut connection = connect(pool, GATHERING).await?;
        let bucket: i64 = sqlx::query_scalar("SELECT bucket_blocks FROM chain")
            .fetch_one(&mut *connection)
            .await?;
        let mut sizes = Vec::with_capacity(COUNTERS.len());
        for counter in &COUNTERS {
            let delta = counter
                .delta
                .replace("$1", &height(piece.low)?.to_string())
                .replace("$2", &height(piece.high)?.to_string())
                .replace("$3", &bucket.to_string())
                .replace("$4", "1");
            let (stage, key) = (counter.stage, counter.key);
            let statements = format!(
                "CREATE TEMP TABLE {stage} AS
                 SELECT row_number() OVER (ORDER BY {key}) AS n, d.* FROM ({delta}) AS d ORDER BY {key};
                 CREATE INDEX ON {stage} (n)"
            );
            sqlx::raw_sql(AssertSqlSafe(statements))
                .execute(&mut *connection)
                .await?;
            let count = format!("SELECT coalesce(max(n), 0) FROM {stage}");
            let size = sqlx::query_scalar(AssertSqlSafe(count))
                .fetch_one(&mut *connection)
                .await?;
            sizes.push(size);
        }
        Ok(Self {
            connection,
            piece,
            rows: Rows::Gathered(sizes),
            slice: FIRST_ROWS,
        })
    }

    /// Takes what a piece adds from whoever wrote it.
    pub async fn at_hand(
        pool: &PgPool,
        piece: Piece,
        deltas: SortedDeltas,
    ) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: connect(pool, "").await?,
            piece,
            rows: Rows::AtHand(deltas),
            slice: FIRST_ROWS,
        })
    }

    /// Merges a slice; false when all of the piece is merged, when somebody else forgot it, or when an
    /// indexer with another token leads: it may have begun the same heights anew, with other rows.
    pub async fn merge_slice(&mut self, leader_token: i64) -> Result<bool, sqlx::Error> {
        let started = Instant::now();
        let mut transaction = self.connection.begin().await?;
        let at: Option<(i16, i64)> = sqlx::query_as(
            "SELECT pending_stage, pending_row FROM tally_state
             WHERE pending = int8range($1, $2, '[]') FOR UPDATE",
        )
        .bind(height(self.piece.low)?)
        .bind(height(self.piece.high)?)
        .fetch_optional(&mut *transaction)
        .await?;
        let at = at.and_then(|(stage, from)| Some((usize::try_from(stage).ok()?, from)));
        let Some((stage, from)) = at.filter(|(stage, _)| *stage < COUNTERS.len()) else {
            // Left to itself the driver would hold the lock until it uses the connection again.
            transaction.rollback().await?;
            return Ok(false);
        };
        let size = self.rows.size(stage);
        let until = size.min(from + self.slice);
        if from < until {
            self.rows
                .merge(&mut transaction, stage, from, until)
                .await?;
        }
        let leads = sqlx::query(
            "UPDATE tally_state SET pending_stage = pending_stage + $1::integer, pending_row = $2
             WHERE (SELECT leader_token FROM chain_state) = $3",
        )
        .bind(i32::from(until == size))
        .bind(if until == size { 0 } else { until })
        .bind(leader_token)
        .execute(&mut *transaction)
        .await?;
        if leads.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await?;
        let took = started.elapsed();
        if took > SLICE {
            self.slice = (self.slice / 2).max(1);
        } else if took < SLICE / 2 && until < size {
            self.slice = (self.slice * 2).min(MOST_ROWS);
        }
        Ok(true)
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

impl Rows {
    fn size(&self, stage: usize) -> i64 {
        match self {
            Self::Gathered(sizes) => sizes.get(stage).copied().unwrap_or_default(),
            Self::AtHand(rows) => {
                let sizes = [
                    rows.addresses.len(),
                    rows.balances.len(),
                    rows.tokens.len(),
                    rows.nfts.len(),
                    rows.instances.len(),
                ];
                let size = sizes.get(stage).copied().unwrap_or_default();
                i64::try_from(size).unwrap_or(i64::MAX)
            }
        }
    }

    /// Merges the rows from one up to another into the table of a stage.
    async fn merge(
        &self,
        connection: &mut PgConnection,
        stage: usize,
        from: i64,
        until: i64,
    ) -> Result<(), sqlx::Error> {
        let counter = &COUNTERS[stage];
        let range = (from, until);
        match (self, stage) {
            (Self::Gathered(_), _) => {
                let name = counter.stage;
                let slice = format!("SELECT * FROM {name} WHERE n > {from} AND n <= {until}");
                // The statement names the slice, and is not used again.
                sqlx::query(AssertSqlSafe(counter.merge(&slice)))
                    .persistent(false)
                    .execute(&mut *connection)
                    .await?;
            }
            (Self::AtHand(rows), 0) => send(connection, counter, &rows.addresses, range).await?,
            (Self::AtHand(rows), 1) => send(connection, counter, &rows.balances, range).await?,
            (Self::AtHand(rows), 2) => send(connection, counter, &rows.tokens, range).await?,
            (Self::AtHand(rows), 3) => send(connection, counter, &rows.nfts, range).await?,
            (Self::AtHand(rows), _) => send(connection, counter, &rows.instances, range).await?,
        }
        if let Some(statement) = counter.drop_all_zeros() {
            sqlx::query(AssertSqlSafe(statement))
                .execute(connection)
                .await?;
        }
        Ok(())
    }
}

/// Merges some of the rows that are at hand.
async fn send<R: TableRow>(
    connection: &mut PgConnection,
    counter: &Counter,
    rows: &[R],
    (from, until): (i64, i64),
) -> Result<(), sqlx::Error> {
    let at = |row: i64| usize::try_from(row).unwrap_or_default();
    let rows = rows.get(at(from)..at(until)).unwrap_or_default();
    execute_with(connection, |delta| counter.merge(delta), rows).await
}

/// Records a piece as included, once all of it is merged; part of a transaction that holds the state.
/// False when it was forgotten meanwhile.
pub async fn finish(connection: &mut PgConnection, piece: Piece) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE tally_state
         SET blocks = blocks + int8multirange(pending), pending = NULL, pending_stage = 0, pending_row = 0
         WHERE pending = int8range($1, $2, '[]') AND pending_stage = $3",
    )
    .bind(height(piece.low)?)
    .bind(height(piece.high)?)
    .bind(i16::try_from(COUNTERS.len()).unwrap_or(i16::MAX))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
