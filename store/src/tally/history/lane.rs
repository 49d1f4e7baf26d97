//! A lane of a merge: the rows that are merged, wherever they are, and how far it is.

use super::Piece;
use crate::{
    pg::{TableRow, execute_with},
    state::height,
    tally::{
        COUNTERS, Counter,
        deltas::{LANES, SortedDeltas},
    },
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::time::{Duration, Instant};

/// Where the rows are that are merged, lane by lane.
pub(super) enum Rows {
    /// In temporary tables of the connection; so many in each.
    Gathered([Vec<i64>; LANES]),
    /// Here.
    AtHand([SortedDeltas; LANES]),
}

/// A slice that was merged.
pub(super) struct Merged {
    pub took: Duration,
    /// Whether it has as many rows as it might have.
    pub whole: bool,
}

/// Shares the turn among those who change counters, and finds where a lane goes on: the table and the row.
async fn take_turn(
    connection: &mut PgConnection,
    piece: Piece,
    lane: usize,
) -> Result<Option<(usize, i64)>, sqlx::Error> {
    let pending =
        sqlx::query("SELECT FROM tally_state WHERE pending = int8range($1, $2, '[]') FOR SHARE")
            .bind(height(piece.low)?)
            .bind(height(piece.high)?)
            .fetch_optional(&mut *connection)
            .await?;
    if pending.is_none() {
        return Ok(None);
    }
    let at: Option<(i16, i64)> =
        sqlx::query_as("SELECT stage, row FROM tally_progress WHERE lane = $1 FOR UPDATE")
            .bind(i16::try_from(lane).unwrap_or(i16::MAX))
            .fetch_optional(connection)
            .await?;
    Ok(at
        .and_then(|(stage, from)| Some((usize::try_from(stage).ok()?, from)))
        .filter(|(stage, _)| *stage < COUNTERS.len()))
}

impl Rows {
    fn size(&self, lane: usize, stage: usize) -> i64 {
        match self {
            Self::Gathered(sizes) => sizes[lane].get(stage).copied().unwrap_or_default(),
            Self::AtHand(lanes) => {
                let rows = &lanes[lane];
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

    /// Merges so many rows of a lane, in a transaction of its own; `None` when all of it is merged, or when
    /// somebody forgot the piece.
    ///
    /// Each lane shares the turn for itself: nobody else changes counters until all of them are done, and
    /// none depends on what becomes of another.
    pub(super) async fn merge_lane(
        &self,
        connection: &mut PgConnection,
        piece: Piece,
        (lane, slice): (usize, i64),
    ) -> Result<Option<Merged>, sqlx::Error> {
        let started = Instant::now();
        let mut transaction = connection.begin().await?;
        let Some((stage, from)) = take_turn(&mut transaction, piece, lane).await? else {
            // Left to itself the driver would hold the lock until it uses the connection again.
            transaction.rollback().await?;
            return Ok(None);
        };
        let size = self.size(lane, stage);
        let until = size.min(from + slice);
        if from < until {
            self.merge(&mut transaction, (lane, stage), (from, until))
                .await?;
        }
        sqlx::query("UPDATE tally_progress SET stage = stage + $2, row = $3 WHERE lane = $1")
            .bind(i16::try_from(lane).unwrap_or(i16::MAX))
            .bind(i16::from(until == size))
            .bind(if until == size { 0 } else { until })
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(Merged {
            took: started.elapsed(),
            whole: until < size,
        }))
    }

    /// Merges the rows of a lane from one up to another into the table of a stage.
    async fn merge(
        &self,
        connection: &mut PgConnection,
        (lane, stage): (usize, usize),
        (from, until): (i64, i64),
    ) -> Result<(), sqlx::Error> {
        let counter = &COUNTERS[stage];
        let range = (from, until);
        match self {
            Self::Gathered(_) => {
                let name = counter.stage;
                let slice = format!(
                    "SELECT * FROM {name} WHERE lane = {lane} AND n > {from} AND n <= {until}"
                );
                // The statement names the slice, and is not used again.
                sqlx::query(AssertSqlSafe(counter.merge(&slice)))
                    .persistent(false)
                    .execute(&mut *connection)
                    .await?;
            }
            Self::AtHand(lanes) => {
                let rows = &lanes[lane];
                match stage {
                    0 => send(connection, counter, &rows.addresses, range).await?,
                    1 => send(connection, counter, &rows.balances, range).await?,
                    2 => send(connection, counter, &rows.tokens, range).await?,
                    3 => send(connection, counter, &rows.nfts, range).await?,
                    _ => send(connection, counter, &rows.instances, range).await?,
                }
            }
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
