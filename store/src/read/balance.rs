//! Native balances: what an address has, had, and why.

use super::{
    BalanceHeight, Page, Slice, Snapshot, bind_height,
    fill::{Source, Span, fill},
    windows::Windows,
};
use crate::pg::column;
use alloy::primitives::{Address, U256};
use chain::Wei;
use serde::Serialize;
use sqlx::{PgConnection, QueryBuilder, Row as _, postgres::PgRow};

mod explain;
mod movements;

pub use explain::{Explanation, explain_balance};
pub use movements::Movements;

/// What an address has after a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BalancePoint {
    /// Height of the block that changed it last, as far as is known.
    pub block_number: u64,
    /// Wei.
    pub balance: Wei,
    /// Whether an account proof (EIP-1186) showed it to be what the block's state root says.
    pub proven: bool,
}

impl BalancePoint {
    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            block_number: column(row, "block_number")?,
            balance: column(row, "balance")?,
            proven: row.try_get("proven")?,
        })
    }
}

/// The newest balance that is known, and whether it is current: whether no block above it that is still
/// to be read touched the address. `None` for an address of which no balance was read.
pub async fn find_balance(
    connection: &mut PgConnection,
    address: Address,
) -> Result<Option<(BalancePoint, bool)>, sqlx::Error> {
    let newest = sqlx::query(
        "(SELECT block_number, balance, proven FROM native_balances WHERE address = $1
          ORDER BY block_number DESC LIMIT 1)
         UNION ALL
         SELECT block_number, balance, proven FROM asked_balances WHERE address = $1
         ORDER BY block_number DESC LIMIT 1",
    )
    .bind(address.as_slice())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(newest) = newest else {
        return Ok(None);
    };
    let newest = BalancePoint::decode(&newest)?;
    let unread = sqlx::query(
        "SELECT lower(gap) AS low, upper(gap) - 1 AS high
         FROM coverage c, enrichment e,
              unnest((c.blocks - e.blocks) * int8multirange(int8range($1, NULL, '()'))) AS gap
         WHERE e.kind = 'balances'",
    )
    .bind(bind_height(newest.block_number))
    .fetch_all(&mut *connection)
    .await?;
    for gap in &unread {
        // Heights are bound, so that only chunks of the gap are opened.
        let touched: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM address_activity WHERE address = $1 AND block_number BETWEEN $2 AND $3)
                 OR EXISTS (SELECT FROM block_credits WHERE address = $1 AND block_number BETWEEN $2 AND $3)
                 OR EXISTS (SELECT FROM internal_transfers
                            WHERE from_address = $1 AND block_number BETWEEN $2 AND $3)
                 OR EXISTS (SELECT FROM internal_transfers
                            WHERE to_address = $1 AND block_number BETWEEN $2 AND $3)",
        )
        .bind(address.as_slice())
        .bind(gap.try_get::<i64, _>("low")?)
        .bind(gap.try_get::<i64, _>("high")?)
        .fetch_one(&mut *connection)
        .await?;
        if touched {
            return Ok(Some((newest, false)));
        }
    }
    Ok(Some((newest, true)))
}

/// The balances an address had, newest first, one for each change.
pub async fn list_balance_history(
    connection: &mut PgConnection,
    address: Address,
    page: Page<BalanceHeight>,
) -> Result<Slice<BalancePoint>, sqlx::Error> {
    fill(connection, &History(address), page, Windows::whole()).await
}

struct History(Address);

impl Source for History {
    type Key = BalanceHeight;
    type Row = BalancePoint;

    fn key(row: &BalancePoint) -> BalanceHeight {
        BalanceHeight {
            block_number: row.block_number,
        }
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<BalanceHeight>,
    ) -> Result<Vec<BalancePoint>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "SELECT block_number, balance, proven FROM native_balances WHERE address = ",
        );
        query.push_bind(self.0.to_vec());
        span.push_rest(&mut query);
        let rows = query.build().fetch_all(connection).await?;
        rows.iter().map(BalancePoint::decode).collect()
    }
}

/// A difference of two amounts, which may be below zero, as a decimal string.
fn difference(more: U256, less: U256) -> String {
    match more.checked_sub(less) {
        Some(rest) => rest.to_string(),
        None => format!("-{}", less - more),
    }
}

/// A balance as of a height, where it is known.
async fn find_at(
    snapshot: &mut Snapshot,
    address: Address,
    number: u64,
) -> Result<Option<Wei>, sqlx::Error> {
    // Rows of a run begin one below it. The first one says what the address had before as well.
    let row = sqlx::query(
        "WITH run AS (
             SELECT lower(r) - 1 AS low, upper(r) - 1 AS high FROM enrichment, unnest(blocks) AS r
             WHERE kind = 'balances' AND $2::bigint BETWEEN lower(r) - 1 AND upper(r) - 1
         ), before AS (
             SELECT b.* FROM run, native_balances b
             WHERE b.address = $1 AND b.block_number BETWEEN run.low AND $2
             ORDER BY b.block_number DESC LIMIT 1
         ), after AS (
             SELECT b.* FROM run, native_balances b
             WHERE b.address = $1 AND b.block_number > $2 AND b.block_number <= run.high ORDER BY b.block_number LIMIT 1
         )
         SELECT balance FROM before
         UNION ALL SELECT balance FROM after WHERE NOT EXISTS (SELECT FROM before)
         LIMIT 1",
    )
    .bind(address.as_slice())
    .bind(bind_height(number))
    .fetch_optional(snapshot.connection())
    .await?;
    row.map(|row| column(&row, "balance")).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_may_be_below_zero() {
        let of = |more: u64, less: u64| difference(U256::from(more), U256::from(less));
        assert_eq!(of(5, 3), "2");
        assert_eq!(of(3, 3), "0");
        assert_eq!(of(3, 5), "-2");
        let all = difference(U256::ZERO, U256::MAX);
        assert_eq!(all.len(), 79);
    }
}
