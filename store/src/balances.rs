//! Native balances as rows: what is to be read next, and how readings become one row a change.
//!
//! What is read is one run of blocks that grows at both ends: at its top as the head does, at its bottom
//! into history, each time by the blocks right beside it. So the newest earlier row of an address within
//! the run is what it had before, and the rows do not depend on the order in which they were read. An
//! address' first row within the run is its *opening*: what it had before the first block that touched
//! it, at the height below that block.

use crate::{
    pg::{self, column, table},
    read::Snapshot,
    state::{BlockRef, height},
};
use alloy::primitives::{Address, B256};
use chain::Wei;
use sqlx::{PgConnection, Row as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

mod asked;
mod merge;

pub use asked::{find_state_root, write_asked};
pub use merge::{Change, Known, Side};

table! {
    /// What an address has after a block.
    BalanceRow in "native_balances" {
        /// Whose.
        address: Address,
        /// Height.
        block_number: u64,
        /// Wei.
        balance: Wei,
        /// Whether an account proof showed it.
        proven: bool,
    }
}

/// A block at which a balance is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAt {
    /// Which block.
    pub block: BlockRef,
    /// What it commits to; none where its header is not indexed.
    pub state_root: Option<B256>,
}

/// A balance to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub address: Address,
    /// After which block.
    pub at: ReadAt,
}

/// Blocks that are read together, at one end of the run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The fork epoch this was planned in; in another one it is void.
    pub epoch: u64,
    /// The blocks.
    pub range: RangeInclusive<u64>,
    /// The end of the run they lie at.
    pub side: Side,
    /// Which blocks of the range touched each address, lowest first.
    touched: BTreeMap<Address, Vec<u64>>,
    known: BTreeMap<Address, Known>,
    blocks: BTreeMap<u64, ReadAt>,
}

/// Blocks that are planned at a time, at most.
const BLOCKS_AT_ONCE: u64 = 16;

/// Balances that are planned at a time, unless one block has more.
const BALANCES_AT_ONCE: usize = 400;

/// Where the run may grow, first the way up; a run that begins anew where what lies between is no longer
/// to be read. `$1` blocks at most. Ready are blocks whose internal transfers are read, or never will be,
/// and whose parents are indexed, so that openings can be proven.
const NEXT: &str = "
WITH progress AS (
    SELECT b.blocks AS done,
           c.blocks * int8multirange(int8range(b.floor, NULL)) * (
               SELECT range_agg(int8range(lower(r) + 1, upper(r) + 1)) + int8multirange(int8range(h.start_block, h.start_block, '[]'))
               FROM unnest(c.blocks) AS r
           ) * CASE
               WHEN t.status IN ('unavailable', 'off') THEN int8multirange(int8range(NULL, NULL))
               WHEN t.floor IS NULL THEN t.blocks
               ELSE t.blocks + int8multirange(int8range(NULL, t.floor)) END AS ready,
           (SELECT r FROM unnest(b.blocks) AS r WHERE b.floor IS NULL OR upper(r) >= b.floor
            ORDER BY r DESC LIMIT 1) AS run
    FROM enrichment b, enrichment t, coverage c, chain h WHERE b.kind = 'balances' AND t.kind = 'traces'
), gaps AS (
    SELECT lower(gap) AS low, upper(gap) AS high, lower(run) AS bottom, upper(run) AS top
    FROM progress, unnest(ready - done) AS gap
)
SELECT 1 AS turn, low, least(high, low + $1) - 1 AS high, bottom FROM gaps WHERE low = top
UNION ALL
SELECT 2, greatest(low, high - $1), high - 1, bottom FROM gaps WHERE high = bottom
UNION ALL
(SELECT 3, greatest(low, high - $1), high - 1, NULL FROM gaps WHERE top IS NULL ORDER BY high DESC LIMIT 1)
ORDER BY turn LIMIT 1";

/// Who is touched by which block: senders, recipients and created contracts, producers with fees,
/// recipients of withdrawals, both ends of internal transfers.
const TOUCHED: &str = "
SELECT from_address AS address, block_number FROM transactions WHERE block_number BETWEEN $1 AND $2
UNION SELECT to_address, block_number FROM transactions
      WHERE block_number BETWEEN $1 AND $2 AND to_address IS NOT NULL
UNION SELECT contract_address, block_number FROM transactions
      WHERE block_number BETWEEN $1 AND $2 AND contract_address IS NOT NULL
UNION SELECT b.miner, b.number FROM blocks b
      JOIN block_credits c ON c.address = b.miner AND c.block_number = b.number AND c.kind = 1
      WHERE b.number BETWEEN $1 AND $2 AND c.block_number BETWEEN $1 AND $2
UNION SELECT address, block_number FROM withdrawals WHERE block_number BETWEEN $1 AND $2
UNION SELECT from_address, block_number FROM internal_transfers WHERE block_number BETWEEN $1 AND $2
UNION SELECT to_address, block_number FROM internal_transfers WHERE block_number BETWEEN $1 AND $2
ORDER BY block_number, address";

/// What is to be read next; `None` while there is nothing.
pub async fn find_plan(snapshot: &mut Snapshot) -> Result<Option<Plan>, sqlx::Error> {
    let epoch = snapshot.state.fork_epoch;
    let connection = snapshot.connection();
    let next = sqlx::query(NEXT)
        .bind(height(BLOCKS_AT_ONCE)?)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(next) = next else {
        return Ok(None);
    };
    let (low, high): (u64, u64) = (column(&next, "low")?, column(&next, "high")?);
    let bottom: Option<u64> = column(&next, "bottom")?;
    let side = match next.try_get::<i32, _>("turn")? {
        2 => Side::Below,
        _ => Side::Above,
    };
    let touched = list_touched(connection, low..=high).await?;
    let (range, touched) = cut(low..=high, side, touched);
    // Rows of the run begin with openings, one below its first block.
    let first_row = bottom.unwrap_or(*range.start()).saturating_sub(1);
    let addresses: Vec<Address> = touched.keys().copied().collect();
    let known = match side {
        Side::Above => known_below(connection, &addresses, first_row, *range.start()).await?,
        Side::Below => known_above(connection, &addresses, first_row).await?,
    };
    Ok(Some(Plan {
        epoch,
        blocks: list_read_at(connection, &range).await?,
        range,
        side,
        touched,
        known,
    }))
}

async fn list_touched(
    connection: &mut PgConnection,
    range: RangeInclusive<u64>,
) -> Result<BTreeMap<u64, BTreeSet<Address>>, sqlx::Error> {
    let rows = sqlx::query(TOUCHED)
        .bind(height(*range.start())?)
        .bind(height(*range.end())?)
        .fetch_all(connection)
        .await?;
    let mut touched: BTreeMap<u64, BTreeSet<Address>> = BTreeMap::new();
    for row in &rows {
        let block = touched.entry(column(row, "block_number")?).or_default();
        block.insert(column(row, "address")?);
    }
    Ok(touched)
}

/// As many blocks as make a plan, from the run's end on; at least one.
fn cut(
    range: RangeInclusive<u64>,
    side: Side,
    by_block: BTreeMap<u64, BTreeSet<Address>>,
) -> (RangeInclusive<u64>, BTreeMap<Address, Vec<u64>>) {
    let (mut low, mut high) = (*range.start(), *range.end());
    let of = |number: u64| by_block.get(&number).map_or(0, BTreeSet::len);
    let mut balances: usize = range.map(of).sum();
    while balances > BALANCES_AT_ONCE && low < high {
        match side {
            Side::Above => {
                balances -= of(high);
                high -= 1;
            }
            Side::Below => {
                balances -= of(low);
                low += 1;
            }
        }
    }
    let mut touched: BTreeMap<Address, Vec<u64>> = BTreeMap::new();
    for (number, addresses) in by_block {
        if (low..=high).contains(&number) {
            for address in addresses {
                touched.entry(address).or_default().push(number);
            }
        }
    }
    (low..=high, touched)
}

/// The blocks of a range and the one below it.
async fn list_read_at(
    connection: &mut PgConnection,
    range: &RangeInclusive<u64>,
) -> Result<BTreeMap<u64, ReadAt>, sqlx::Error> {
    let below = range.start().checked_sub(1);
    let rows = sqlx::query(
        "SELECT number, hash, parent_hash, state_root FROM blocks
         WHERE number BETWEEN $1 AND $2 ORDER BY number DESC",
    )
    .bind(height(below.unwrap_or(0))?)
    .bind(height(*range.end())?)
    .fetch_all(connection)
    .await?;
    let mut blocks = BTreeMap::new();
    for row in &rows {
        let number: u64 = column(row, "number")?;
        let read_at = |number, hash, state_root| ReadAt {
            block: BlockRef { number, hash },
            state_root,
        };
        let root = column(row, "state_root")?;
        blocks.insert(number, read_at(number, column(row, "hash")?, Some(root)));
        if let Some(parent) = number.checked_sub(1) {
            // The block below the first indexed one is known by its hash alone.
            let hash = column(row, "parent_hash")?;
            blocks.insert(parent, read_at(parent, hash, None));
        }
    }
    Ok(blocks)
}

fn as_bytes(addresses: &[Address]) -> Vec<&[u8]> {
    addresses.iter().map(|address| address.as_slice()).collect()
}

/// For blocks above the run: each address' newest row below them, and all it has from there on.
async fn known_below(
    connection: &mut PgConnection,
    addresses: &[Address],
    first_row: u64,
    low: u64,
) -> Result<BTreeMap<Address, Known>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT r.*, r.block_number < $3 AS before FROM unnest($1::bytea[]) AS a(address), LATERAL (
             (SELECT * FROM native_balances b WHERE b.address = a.address
                AND b.block_number >= $2 AND b.block_number < $3 ORDER BY b.block_number DESC LIMIT 1)
             UNION ALL
             (SELECT * FROM native_balances b WHERE b.address = a.address AND b.block_number >= $3)
         ) AS r ORDER BY r.block_number",
    )
    .bind(as_bytes(addresses))
    .bind(height(first_row)?)
    .bind(height(low)?)
    .fetch_all(connection)
    .await?;
    collect(&rows, |row| row.try_get("before"))
}

/// For blocks below the run: each address' first two rows in it.
async fn known_above(
    connection: &mut PgConnection,
    addresses: &[Address],
    first_row: u64,
) -> Result<BTreeMap<Address, Known>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT r.* FROM unnest($1::bytea[]) AS a(address), LATERAL (
             SELECT * FROM native_balances b WHERE b.address = a.address AND b.block_number >= $2
             ORDER BY b.block_number LIMIT 2
         ) AS r ORDER BY r.block_number",
    )
    .bind(as_bytes(addresses))
    .bind(height(first_row)?)
    .fetch_all(connection)
    .await?;
    collect(&rows, |_| Ok(false))
}

fn collect(
    rows: &[sqlx::postgres::PgRow],
    is_before: impl Fn(&sqlx::postgres::PgRow) -> Result<bool, sqlx::Error>,
) -> Result<BTreeMap<Address, Known>, sqlx::Error> {
    let mut known: BTreeMap<Address, Known> = BTreeMap::new();
    for row in rows {
        let before = is_before(row)?;
        let row: BalanceRow = pg::TableRow::decode(row)?;
        let of = known.entry(row.address).or_default();
        if before {
            of.before = Some(row);
        } else {
            of.after.push(row);
        }
    }
    Ok(known)
}

impl Plan {
    /// The balances to be read.
    #[must_use]
    pub fn wanted(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (address, numbers) in &self.touched {
            let needs_opening = self
                .known
                .get(address)
                .is_none_or(|known| known.before.is_none());
            let opening = numbers[0].checked_sub(1).filter(|_| needs_opening);
            let heights = opening.into_iter().chain(numbers.iter().copied());
            wanted.extend(heights.filter_map(|number| {
                let at = *self.blocks.get(&number)?;
                let address = *address;
                Some(Wanted { address, at })
            }));
        }
        // Block by block, so that one request is about few blocks.
        wanted.sort_by_key(|wanted| wanted.at.block.number);
        wanted
    }

    /// Writes what was read for all of [`Self::wanted`] and records the blocks as read; part of the
    /// caller's transaction, in the epoch of the plan.
    pub async fn write(
        &self,
        connection: &mut PgConnection,
        readings: Vec<BalanceRow>,
    ) -> Result<(), sqlx::Error> {
        let mut series: BTreeMap<Address, Vec<BalanceRow>> = BTreeMap::new();
        for row in readings {
            series.entry(row.address).or_default().push(row);
        }
        let mut change = Change::default();
        let nothing = Known::default();
        for (address, mut rows) in series {
            rows.sort_by_key(|row| row.block_number);
            let known = self.known.get(&address).unwrap_or(&nothing);
            change.add(known, self.side, &self.range, rows);
        }
        let (addresses, heights): (Vec<&[u8]>, Vec<i64>) = change
            .gone
            .iter()
            .map(|row| Ok((row.address.as_slice(), height(row.block_number)?)))
            .collect::<Result<Vec<_>, sqlx::Error>>()?
            .into_iter()
            .unzip();
        if !addresses.is_empty() {
            sqlx::query(
                "DELETE FROM native_balances b USING unnest($1::bytea[], $2::bigint[]) AS g(address, number)
                 WHERE b.address = g.address AND b.block_number = g.number",
            )
            .bind(addresses)
            .bind(heights)
            .execute(&mut *connection)
            .await?;
        }
        pg::write(connection, &change.new).await?;
        crate::enrichment::record_read(
            connection,
            crate::enrichment::Reading::Balances,
            self.range.clone(),
        )
        .await
    }
}

/// Has all balances read again where some of these heights were read without the internal transfers that
/// are known now: as from a node without traces, before one that has them. Part of the transaction that
/// writes those.
pub async fn forget_if_read(
    connection: &mut PgConnection,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), sqlx::Error> {
    let done = sqlx::query(
        "UPDATE enrichment SET blocks = '{}'
         WHERE kind = 'balances' AND blocks && int8multirange(int8range($1, $2, '[]'))",
    )
    .bind(height(*range.start())?)
    .bind(height(*range.end())?)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() > 0 {
        sqlx::query("DELETE FROM native_balances")
            .execute(connection)
            .await?;
    }
    Ok(())
}
