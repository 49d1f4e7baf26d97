//! The database proves itself: every block of a range is put back together from its rows, proven
//! against its own header, turned into rows again, and compared with what is there.
//!
//! In: a range. Out: a certificate with everything that differs. Never asks a node and never writes.

mod compare;
mod stored;

use crate::{
    read::{Snapshot, bind_height},
    state::{BlockRef, find_chain},
};
use alloy::primitives::B256;
use serde::Serialize;
use sqlx::PgPool;

/// Blocks that are loaded and proven at a time.
const BLOCKS_AT_ONCE: u64 = 256;

/// Differences that are listed; more are only counted, since one cause often has thousands.
const LISTED: usize = 100;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Height, where it belongs to one.
    pub block_number: Option<u64>,
    /// A stable word: `gap`, `link`, `proof`, `rows`, `count`, `state`.
    pub kind: &'static str,
    /// A sentence.
    pub detail: String,
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Genesis hash of the chain.
    pub genesis: B256,
    /// The first block checked.
    pub first: Option<BlockRef>,
    /// The last block checked.
    pub last: Option<BlockRef>,
    /// Blocks proven.
    pub blocks: u64,
    /// Transactions proven, senders included.
    pub transactions: u64,
    /// Logs proven.
    pub logs: u64,
    /// What was recomputed.
    pub proven: [&'static str; 8],
    /// How many differences there are.
    pub difference_count: usize,
    /// The first of them.
    pub differences: Vec<Difference>,
}

impl Certificate {
    /// Whether everything is as it must be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.difference_count == 0
    }

    fn add(&mut self, block_number: Option<u64>, kind: &'static str, detail: String) {
        self.difference_count += 1;
        if self.differences.len() < LISTED {
            self.differences.push(Difference {
                block_number,
                kind,
                detail,
            });
        }
    }
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

/// Checks a range, the whole chain by default; `progress` hears how many blocks are done, of how many.
pub async fn audit(
    pool: &PgPool,
    from: Option<u64>,
    to: Option<u64>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Certificate, AuditError> {
    let chain = find_chain(pool).await?.ok_or(AuditError::Empty)?;
    // One snapshot for all: the chain may go on meanwhile, the answer is about one state of it.
    let mut snapshot = Snapshot::open(pool).await?;
    let head = snapshot.state.head.ok_or(AuditError::Empty)?;
    let first = chain.start_block;
    let (from, to) = (from.unwrap_or(first), to.unwrap_or(head.number));
    if from < first || to > head.number || from > to {
        let head = head.number;
        return Err(AuditError::Range {
            from,
            to,
            first,
            head,
        });
    }
    let mut certificate = Certificate {
        chain_id: chain.chain_id,
        genesis: chain.genesis_hash,
        first: None,
        last: None,
        blocks: 0,
        transactions: 0,
        logs: 0,
        proven: [
            "header hash",
            "parent links",
            "transactions root",
            "senders",
            "withdrawals root",
            "receipts root and blooms",
            "lookups and address activity",
            "block statistics",
        ],
        difference_count: 0,
        differences: Vec::new(),
    };
    check_coverage(&mut snapshot, &mut certificate, from, to).await?;
    let mut parent = None;
    let mut low = from;
    while low <= to {
        let high = to.min(low + BLOCKS_AT_ONCE - 1);
        let stored = stored::load(&mut snapshot, low, high).await?;
        certificate = tokio::task::spawn_blocking(move || {
            let (mut certificate, mut parent) = (certificate, parent);
            compare::check_range(&mut certificate, &stored, low, high, &mut parent);
            (certificate, parent)
        })
        .await
        .map(|(certificate, last)| {
            parent = last;
            certificate
        })
        .map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
        progress(high - from + 1, to - from + 1);
        low = high + 1;
    }
    if from == first && to == head.number {
        check_totals(&mut snapshot, &mut certificate, head).await?;
    }
    Ok(certificate)
}

/// Coverage says which heights are there; what it lacks is a gap.
async fn check_coverage(
    snapshot: &mut Snapshot,
    certificate: &mut Certificate,
    from: u64,
    to: u64,
) -> Result<(), sqlx::Error> {
    let gaps: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT lower(r), upper(r) - 1 FROM coverage,
                unnest(int8multirange(int8range($1, $2, '[]')) - blocks) AS r",
    )
    .bind(bind_height(from))
    .bind(bind_height(to))
    .fetch_all(snapshot.connection())
    .await?;
    for (low, high) in gaps {
        let detail = format!("blocks {low} to {high} are not covered");
        certificate.add(Some(low.unsigned_abs()), "gap", detail);
    }
    Ok(())
}

/// Derived tables hold nothing beyond what the blocks led to, and the state says what the tables say.
async fn check_totals(
    snapshot: &mut Snapshot,
    certificate: &mut Certificate,
    head: BlockRef,
) -> Result<(), sqlx::Error> {
    let totals: Vec<(String, i64, i64)> = sqlx::query_as(include_str!("queries/audit_totals.sql"))
        .fetch_all(snapshot.connection())
        .await?;
    for (what, found, due) in totals {
        if found != due {
            let detail = format!("{what}: {found}, and {due} follow from the blocks");
            certificate.add(None, "count", detail);
        }
    }
    let stated = snapshot.state.tx_count;
    if certificate.transactions != stated {
        let detail = format!(
            "the state says {stated} transactions, {} are proven",
            certificate.transactions
        );
        certificate.add(None, "state", detail);
    }
    check_bounds(snapshot, certificate, head).await?;
    if certificate.last != Some(head) {
        certificate.add(
            None,
            "state",
            format!("the state's head {head} is not the newest block"),
        );
    }
    Ok(())
}

/// Nothing lies outside of the indexed range, and the head's time is its block's.
async fn check_bounds(
    snapshot: &mut Snapshot,
    certificate: &mut Certificate,
    head: BlockRef,
) -> Result<(), sqlx::Error> {
    let (blocks, coverage, timestamp): (i64, String, Option<i64>) =
        sqlx::query_as(include_str!("queries/audit_bounds.sql"))
            .fetch_one(snapshot.connection())
            .await?;
    if blocks != 0 {
        let detail =
            format!("{blocks} blocks are outside of the range that ends at the head {head}");
        certificate.add(None, "state", detail);
    }
    if coverage != "{}" {
        let detail =
            format!("coverage has {coverage}, beyond the range that ends at the head {head}");
        certificate.add(None, "state", detail);
    }
    let stated = snapshot.state.head_timestamp.map(bind_height);
    if timestamp.is_some() && timestamp != stated {
        let detail = format!("the time of the state's head {head} is not that of its block");
        certificate.add(None, "state", detail);
    }
    Ok(())
}
