//! What reorgs dropped: every dropped block proves itself, and the reorg's row says what they say.

use super::{
    certificate::{Certificate, Findings, Kind},
    compare::Report,
    damage::{Damage, ReorgFacts},
    stored::Part,
    workers::{PIECE_BLOCKS, Piece},
};
use crate::{
    pg::column,
    read::bind_height,
    state::{BlockRef, ChainState},
};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};
use std::collections::BTreeMap;

/// The row of a reorg.
#[derive(Clone, Debug)]
struct Reorg {
    id: u64,
    ancestor: BlockRef,
    old_head: BlockRef,
    blocks: i64,
    transactions: i64,
}

impl Reorg {
    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        let block = |number, hash| -> Result<BlockRef, sqlx::Error> {
            Ok(BlockRef {
                number: column(row, number)?,
                hash: column(row, hash)?,
            })
        };
        Ok(Self {
            id: column(row, "id")?,
            ancestor: block("ancestor_number", "ancestor_hash")?,
            old_head: block("old_head_number", "old_head_hash")?,
            blocks: i64::from(row.try_get::<i32, _>("dropped_blocks")?),
            transactions: i64::from(row.try_get::<i32, _>("dropped_txs")?),
        })
    }
}

/// Dropped blocks as pieces of work.
pub(super) async fn pieces(connection: &mut PgConnection) -> Result<Vec<Piece>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64, i64)> =
        sqlx::query_as(include_str!("../queries/audit_orphan_pieces.sql"))
            .bind(PIECE_BLOCKS)
            .fetch_all(connection)
            .await?;
    let pieces = rows.into_iter().map(|(reorg, low, high, blocks)| Piece {
        part: Part::Orphaned(reorg.unsigned_abs()),
        low: low.unsigned_abs(),
        high: high.unsigned_abs(),
        blocks: blocks.unsigned_abs(),
    });
    Ok(pieces.collect())
}

/// Compares every reorg with what its dropped blocks came to.
pub(super) async fn check(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
    state: &ChainState,
    mut reports: BTreeMap<u64, Report>,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM reorgs ORDER BY id")
        .fetch_all(&mut *connection)
        .await?;
    for row in &rows {
        let reorg = Reorg::decode(row)?;
        certificate.reorgs += 1;
        let report = reports.remove(&reorg.id).unwrap_or_default();
        certificate.orphaned_blocks += report.blocks;
        check_reorg(certificate, damage, &reorg, report);
        if reorg.id > state.fork_epoch {
            let detail = format!(
                "reorg {} is beyond the state's fork epoch {}",
                reorg.id, state.fork_epoch
            );
            damage.head = true;
            certificate.add(None, Kind::State, detail);
        }
    }
    check_ends(connection, certificate, damage, state).await?;
    check_strays(connection, certificate, damage).await
}

fn check_reorg(
    certificate: &mut Certificate,
    damage: &mut Damage,
    reorg: &Reorg,
    mut report: Report,
) {
    let id = reorg.id;
    for (low, high) in report.wrong_rows.ranges() {
        damage
            .orphans
            .extend((low..=high).map(|height| (id, height)));
    }
    let complete = report.unproven.is_empty() && report.findings.all(Kind::Rows);
    damage.beyond_repair += report.findings.count_except(Kind::Rows);
    certificate.merge(std::mem::take(&mut report.findings).of_orphans(id));
    if !complete {
        return; // what they came to is not to be compared
    }
    let (Some(bottom), Some(last)) = (report.bottom(), report.last) else {
        if reorg.blocks != 0 || reorg.ancestor.number != reorg.old_head.number {
            lost(certificate, damage, reorg, "none of its blocks is there");
        }
        return;
    };
    let contiguous = last.number - bottom.block.number + 1 == report.blocks;
    // The hash of the old head names the whole branch, and so does the count with both ends.
    let ends = last.hash == reorg.old_head.hash
        || (last.number == reorg.old_head.number
            && i64::try_from(report.blocks) == Ok(reorg.blocks));
    let begins = bottom.parent == reorg.ancestor.hash
        || bottom.block.number == reorg.ancestor.number + 1
        || i64::try_from(report.blocks) == Ok(reorg.blocks);
    if !(contiguous && ends && begins) {
        return lost(
            certificate,
            damage,
            reorg,
            "not all of its blocks are there",
        );
    }
    let facts = ReorgFacts {
        id,
        ancestor: BlockRef {
            number: bottom.block.number.saturating_sub(1),
            hash: bottom.parent,
        },
        old_head: last,
        blocks: report.blocks,
        transactions: report.transactions,
    };
    let counts = (bind_height(facts.blocks), bind_height(facts.transactions));
    if (reorg.ancestor, reorg.old_head) != (facts.ancestor, facts.old_head)
        || (reorg.blocks, reorg.transactions) != counts
    {
        let detail = format!(
            "reorg {id} says that it dropped {} blocks with {} transactions from {} to {}; it \
             dropped {} with {} from {} to {}",
            reorg.blocks,
            reorg.transactions,
            reorg.ancestor,
            reorg.old_head,
            counts.0,
            counts.1,
            facts.ancestor,
            facts.old_head,
        );
        damage.reorgs.push(facts);
        certificate.add(None, Kind::Reorg, detail);
    }
}

fn lost(certificate: &mut Certificate, damage: &mut Damage, reorg: &Reorg, what: &str) {
    damage.beyond_repair += 1;
    let detail = format!(
        "reorg {} dropped blocks above {} up to {}: {what}",
        reorg.id, reorg.ancestor, reorg.old_head
    );
    certificate.add(Some(reorg.ancestor.number + 1), Kind::Orphan, detail);
}

/// The ancestor and the new head of a reorg were canonical when it was followed: they still are, or a
/// later reorg dropped them.
async fn check_ends(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
    state: &ChainState,
) -> Result<(), sqlx::Error> {
    let rows: Vec<(i64, String, i64)> =
        sqlx::query_as(include_str!("../queries/audit_reorg_ends.sql"))
            .fetch_all(connection)
            .await?;
    let head = state.head.map_or(0, |head| head.number);
    for (reorg, end, number) in rows {
        let (id, number) = (reorg.unsigned_abs(), number.unsigned_abs());
        let known = damage.reorgs.iter().any(|facts| facts.id == id) && end == "ancestor";
        // Below a damaged block the chain does not hang on the head, and above the head there is none:
        // neither can say what was dropped.
        if known || number > head || damage.refetch.last() >= Some(number) {
            continue;
        }
        damage.beyond_repair += 1;
        let detail = format!("the {end} of reorg {id} is neither in the chain nor dropped later");
        certificate.add(Some(number), Kind::Reorg, detail);
    }
    Ok(())
}

/// Rows of dropped blocks that are not there.
async fn check_strays(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
) -> Result<(), sqlx::Error> {
    for table in ["transactions", "logs", "withdrawals"] {
        let sql = format!(
            "SELECT x.reorg_id, x.block_number, count(*) FROM orphaned_{table} x
             WHERE NOT EXISTS (SELECT FROM orphaned_blocks b
                               WHERE b.reorg_id = x.reorg_id AND b.number = x.block_number)
             GROUP BY 1, 2 ORDER BY 1, 2"
        );
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(&mut *connection)
            .await?;
        for (reorg, number, count) in rows {
            damage.beyond_repair += 1;
            let detail =
                format!("orphaned_{table}: {count} rows of reorg {reorg} whose block is not there");
            certificate.add(Some(number.unsigned_abs()), Kind::Orphan, detail);
        }
    }
    Ok(())
}

impl Findings {
    /// The same findings, said of blocks that a reorg dropped.
    fn of_orphans(self, reorg: u64) -> Self {
        self.map(Kind::Orphan, |detail| {
            format!("dropped by reorg {reorg}: {detail}")
        })
    }
}
