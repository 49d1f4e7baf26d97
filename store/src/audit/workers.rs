//! The parallel part: several connections read, several cores prove, all from one state of the database.
//!
//! In: pieces of the chain and of what reorgs dropped. Out: a report a piece, put together in order, so
//! that the result does not depend on how many worked on it. Bounded by one batch of rows a worker and
//! a few small reports; a worker that fails ends them all.

use super::{
    compare::{self, Report},
    stored::{self, Part},
};
use crate::transaction::begin;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};
use std::{
    collections::{BTreeMap, VecDeque},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::mpsc, task::JoinSet};

/// Blocks of a piece of work: enough to share the fixed costs of the queries, few enough that the cores
/// finish together.
pub(super) const PIECE_BLOCKS: i64 = 256;

/// Reports that may wait to be put together.
const REPORTS_WAITING: usize = 64;

/// A run of blocks to check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub part: Part,
    pub low: u64,
    pub high: u64,
    pub blocks: u64,
}

/// Checks all pieces with so many workers; `done` gets them in their order.
pub(super) async fn check_all(
    pool: &PgPool,
    exported: &str,
    jobs: NonZeroUsize,
    pieces: Vec<Piece>,
    mut progress: impl FnMut(u64),
    mut done: impl FnMut(Piece, Report),
) -> Result<(), sqlx::Error> {
    let workers = jobs.get().min(pieces.len());
    let queue: VecDeque<(usize, Piece)> = pieces.into_iter().enumerate().collect();
    let queue = Arc::new(Mutex::new(queue));
    let (sender, mut reports) = mpsc::channel(REPORTS_WAITING);
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let reader = import(pool, exported).await?;
        tasks.spawn(work(reader, queue.clone(), sender.clone()));
    }
    drop(sender);
    let (mut early, mut next) = (BTreeMap::new(), 0);
    while let Some((index, piece, report)) = reports.recv().await {
        let piece: Piece = piece;
        progress(piece.blocks);
        early.insert(index, (piece, report));
        while let Some((piece, report)) = early.remove(&next) {
            done(piece, report);
            next += 1;
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| sqlx::Error::Protocol(error.to_string()))??;
    }
    Ok(())
}

/// A transaction that sees what the exporting one sees.
async fn import(
    pool: &PgPool,
    exported: &str,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut reader = begin(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    // The name came from the server a moment ago; the statement takes no parameters.
    let sql = format!("SET TRANSACTION SNAPSHOT '{exported}'");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut *reader)
        .await?;
    Ok(reader)
}

async fn work(
    mut reader: Transaction<'static, Postgres>,
    queue: Arc<Mutex<VecDeque<(usize, Piece)>>>,
    reports: mpsc::Sender<(usize, Piece, Report)>,
) -> Result<(), sqlx::Error> {
    loop {
        let taken = queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Some((index, piece)) = taken else {
            return Ok(());
        };
        let report = check(&mut reader, piece).await?;
        if reports.send((index, piece, report)).await.is_err() {
            return Ok(()); // nobody waits for the rest
        }
    }
}

async fn check(connection: &mut PgConnection, piece: Piece) -> Result<Report, sqlx::Error> {
    let mut whole = Report::default();
    let cuts = stored::batches(connection, piece.part, piece.low, piece.high).await?;
    let mut cuts: VecDeque<(u64, u64)> = cuts.into();
    while let Some((low, high)) = cuts.pop_front() {
        match stored::load(connection, piece.part, low, high).await {
            Ok(rows) => {
                let report = tokio::task::spawn_blocking(move || compare::check(&rows, piece.part));
                let report = report
                    .await
                    .map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
                whole.append(report);
            }
            // A value that no block can have led to: halving in on it leaves the others readable.
            Err(sqlx::Error::ColumnDecode { .. }) if low < high => {
                let middle = low + (high - low) / 2;
                cuts.push_front((middle + 1, high));
                cuts.push_front((low, middle));
            }
            Err(error @ sqlx::Error::ColumnDecode { .. }) => {
                whole.append(Report::unreadable(low, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(whole)
}
