//! The database proves itself: every block of a range is put back together from its rows, proven
//! against its own header, turned into rows again, and compared with what is there; what reorgs
//! dropped is proven the same way, and the small tables must say what the blocks say.
//!
//! In: a range. Out: a certificate with everything that differs, and the same as damage for a repair.
//! All of it is about one exported snapshot, so a chain that goes on meanwhile does not matter. Memory
//! is bounded by a batch of rows for each job. Never asks a node and never writes.

mod certificate;
mod compare;
mod damage;
mod orphans;
mod state;
mod stored;
mod strays;
mod workers;

pub use certificate::{Certificate, Difference, Gap, Kind};
pub use damage::{Damage, Derived, Heights, MOST_STRAYS, ReorgFacts, Stray};
pub use strays::delete_strays;

use crate::{
    read::{Snapshot, bind_height},
    rows::RowBatch,
    state::{BlockRef, find_chain},
};
use compare::Report;
use sqlx::{PgConnection, PgPool};
use std::{collections::BTreeMap, num::NonZeroUsize, time::Instant};
use stored::Part;
use workers::{PIECE_BLOCKS, Piece};

/// What to check, and how.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// First height; the first indexed one by default.
    pub from: Option<u64>,
    /// Last height; the head by default.
    pub to: Option<u64>,
    /// How many connections read and how many cores prove. The pool must have one connection more.
    pub jobs: NonZeroUsize,
}

impl Scope {
    /// Everything there is.
    #[must_use]
    pub fn whole(jobs: NonZeroUsize) -> Self {
        Self {
            from: None,
            to: None,
            jobs,
        }
    }
}

/// How far an audit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Blocks checked.
    pub done: u64,
    /// Blocks there are to check, dropped ones included.
    pub total: u64,
}

/// What an audit came to.
#[derive(Clone, Debug)]
pub struct Audit {
    /// For the reader.
    pub certificate: Certificate,
    /// For a repair.
    pub damage: Damage,
}

/// Why an audit could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is nothing to check.
    #[error("the database holds no blocks yet: there is nothing to check")]
    Empty,
    /// The range is not one.
    #[error("--from {from} --to {to}: accepted is a range within {first} to {head}")]
    Range {
        /// Asked for.
        from: u64,
        /// Asked for.
        to: u64,
        /// First indexed block.
        first: u64,
        /// Newest indexed block.
        head: u64,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

/// Checks a range, the whole chain by default. `progress` hears how far it is.
pub async fn audit(
    pool: &PgPool,
    scope: &Scope,
    progress: impl FnMut(Progress),
) -> Result<Audit, AuditError> {
    let started = Instant::now();
    let chain = find_chain(pool).await?.ok_or(AuditError::Empty)?;
    let mut snapshot = Snapshot::open(pool).await?;
    let head = snapshot.state.head.ok_or(AuditError::Empty)?;
    let first = chain.start_block;
    let (from, to) = (scope.from.unwrap_or(first), scope.to.unwrap_or(head.number));
    if from < first || to > head.number || from > to {
        let head = head.number;
        return Err(AuditError::Range {
            from,
            to,
            first,
            head,
        });
    }
    let mut audit = Audit {
        certificate: Certificate::new(chain.chain_id, chain.genesis_hash, from, to),
        damage: Damage::default(),
    };
    audit.certificate.whole = (from, to) == (first, head.number);
    audit
        .check(pool, &mut snapshot, scope.jobs, (first, head), progress)
        .await?;
    audit.certificate.took(started.elapsed());
    Ok(audit)
}

impl Audit {
    async fn check(
        &mut self,
        pool: &PgPool,
        snapshot: &mut Snapshot,
        jobs: NonZeroUsize,
        (first, head): (u64, BlockRef),
        progress: impl FnMut(Progress),
    ) -> Result<(), AuditError> {
        let Self {
            certificate,
            damage,
        } = self;
        let chain_state = snapshot.state.clone();
        let dropped = check_blocks(pool, snapshot, jobs, certificate, damage, progress).await?;
        let connection = snapshot.connection();
        state::check_coverage(connection, certificate, damage).await?;
        check_strays(connection, certificate, damage, first, head).await?;
        if certificate.to == head.number {
            state::check_head(connection, certificate, damage, &chain_state, head).await?;
        }
        state::check_genesis(certificate, damage);
        if certificate.whole {
            state::check_bounds(connection, certificate, damage, first, head).await?;
            state::check_count(certificate, damage, &chain_state);
            state::check_counters(connection, certificate, damage).await?;
            orphans::check(connection, certificate, damage, &chain_state, dropped).await?;
            state::check_outbox(connection, certificate, damage, &chain_state).await?;
            state::check_ledger(connection, certificate, damage).await?;
            state::check_legs(connection, certificate, damage).await?;
        }
        Ok(())
    }
}

/// Proves all blocks of the range and, in a whole audit, those that reorgs dropped, whose reports are
/// returned.
async fn check_blocks(
    pool: &PgPool,
    snapshot: &mut Snapshot,
    jobs: NonZeroUsize,
    certificate: &mut Certificate,
    damage: &mut Damage,
    mut progress: impl FnMut(Progress),
) -> Result<BTreeMap<u64, Report>, sqlx::Error> {
    let connection = snapshot.connection();
    let exported: String = sqlx::query_scalar("SELECT pg_export_snapshot()")
        .fetch_one(&mut *connection)
        .await?;
    let mut pieces = pieces(connection, certificate.from, certificate.to).await?;
    if certificate.whole {
        pieces.extend(orphans::pieces(connection).await?);
    }
    let (mut done, total) = (0, pieces.iter().map(|piece| piece.blocks).sum());
    let mut reports: BTreeMap<Option<u64>, Report> = BTreeMap::new();
    workers::check_all(
        pool,
        &exported,
        jobs,
        pieces,
        |blocks| {
            done += blocks;
            progress(Progress { done, total });
        },
        |piece, report| {
            let of = match piece.part {
                Part::Canonical => None,
                Part::Orphaned(reorg) => Some(reorg),
            };
            reports.entry(of).or_default().append(report);
        },
    )
    .await?;
    let chain = reports.remove(&None).unwrap_or_default();
    (certificate.blocks, certificate.transactions) = (chain.blocks, chain.transactions);
    (certificate.logs, certificate.first) = (chain.logs, chain.first);
    certificate.last = chain.last;
    certificate.merge(chain.findings);
    damage.refetch.extend(&chain.unproven);
    damage.rewrite = chain.wrong_rows;
    Ok(reports
        .into_iter()
        .filter_map(|(reorg, report)| reorg.map(|reorg| (reorg, report)))
        .collect())
}

async fn pieces(
    connection: &mut PgConnection,
    from: u64,
    to: u64,
) -> Result<Vec<Piece>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(include_str!("queries/audit_pieces.sql"))
        .bind(bind_height(from))
        .bind(bind_height(to))
        .bind(PIECE_BLOCKS)
        .fetch_all(connection)
        .await?;
    let pieces = rows.into_iter().map(|(low, high, blocks)| Piece {
        part: Part::Canonical,
        low: low.unsigned_abs(),
        high: high.unsigned_abs(),
        blocks: blocks.unsigned_abs(),
    });
    Ok(pieces.collect())
}

/// Rows that nothing leads to, at the heights of the range; below the first block and above the head
/// where the range goes that far.
async fn check_strays(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
    first: u64,
    head: BlockRef,
) -> Result<(), sqlx::Error> {
    let open = |at_the_end: bool, end: i64, height: u64| {
        if at_the_end { end } else { bind_height(height) }
    };
    let from = open(certificate.from == first, i64::MIN, certificate.from);
    let to = open(certificate.to == head.number, i64::MAX, certificate.to);
    damage.strays = strays::find(connection, first, head.number, from, to).await?;
    let mut counts: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    for stray in &damage.strays {
        // Rows of a block that is damaged lead nowhere because of that, which is said already.
        let number = stray.block_number;
        if !damage.refetch.contains(number) && !damage.rewrite.contains(number) {
            *counts.entry((stray.table, stray.block_number)).or_default() += 1;
        }
    }
    for ((table, number), count) in counts {
        let detail = format!("{table}: {count} rows that nothing leads to");
        certificate.add(Some(number), Kind::Stray, detail);
    }
    Ok(())
}

/// Cuts a range of stored blocks into runs that fit in memory and in one transaction.
pub async fn runs(
    connection: &mut PgConnection,
    low: u64,
    high: u64,
) -> Result<Vec<(u64, u64)>, sqlx::Error> {
    let longest = PIECE_BLOCKS.unsigned_abs();
    let mut runs = Vec::new();
    for (from, to) in stored::batches(connection, Part::Canonical, low, high).await? {
        let mut low = from;
        while low <= to {
            let high = to.min(low + longest - 1);
            runs.push((low, high));
            low = high + 1;
        }
    }
    Ok(runs)
}

/// The rows that the stored blocks of a range lead to, computed from those rows alone; `None` when
/// one of them is missing or does not prove itself. Reads what the caller's transaction sees.
pub async fn recompute(
    connection: &mut PgConnection,
    low: u64,
    high: u64,
) -> Result<Option<RowBatch>, sqlx::Error> {
    prove_part(connection, Part::Canonical, low, high).await
}

/// The same for the block at a height that a reorg dropped.
pub async fn recompute_orphan(
    connection: &mut PgConnection,
    reorg: u64,
    height: u64,
) -> Result<Option<RowBatch>, sqlx::Error> {
    prove_part(connection, Part::Orphaned(reorg), height, height).await
}

async fn prove_part(
    connection: &mut PgConnection,
    part: Part,
    low: u64,
    high: u64,
) -> Result<Option<RowBatch>, sqlx::Error> {
    let stored = match stored::load(connection, part, low, high).await {
        Ok(stored) => stored,
        Err(sqlx::Error::ColumnDecode { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let proof = tokio::task::spawn_blocking(move || compare::prove(&stored))
        .await
        .map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
    let whole = u64::try_from(proof.rows.blocks.len()) == Ok(high - low + 1);
    Ok((proof.refused.is_empty() && whole).then_some(proof.rows))
}
