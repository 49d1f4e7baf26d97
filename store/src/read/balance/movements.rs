//! What moved an address' native balance between two heights, added up by kind.

use crate::{pg::column, state::height};
use alloy::primitives::{Address, U256};
use chain::{Wei, static_reward};
use serde::Serialize;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// Wei that moved, by kind. A transfer to oneself is both sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Movements {
    /// In: what its accounts begin with in block 0.
    pub genesis: Wei,
    /// In: values of successful transactions to it.
    pub received: Wei,
    /// In: values of the transactions that created it.
    pub received_at_creation: Wei,
    /// In: values of calls within transactions.
    pub internal_received: Wei,
    /// In: values of the creations within transactions that created it.
    pub internal_received_at_creation: Wei,
    /// In: what contracts that were destroyed left to it.
    pub received_from_destroyed: Wei,
    /// In: fees as a block's producer, burnt ones left out.
    pub fees_earned: Wei,
    /// In: a block's reward with proof of work; what the producers of uncles got is not known.
    pub block_rewards: Wei,
    /// In: withdrawals from the consensus layer.
    pub withdrawals: Wei,
    /// Out: values of successful transactions from it, creations among them.
    pub sent: Wei,
    /// Out: fees of its transactions, failed ones and those for blobs among them.
    pub fees_paid: Wei,
    /// Out: values of calls and creations within transactions.
    pub internal_sent: Wei,
    /// Out: what it left behind when it was destroyed.
    pub sent_when_destroyed: Wei,
}

impl Movements {
    /// All that came in.
    #[must_use]
    pub fn total_in(&self) -> U256 {
        sum([
            self.genesis,
            self.received,
            self.received_at_creation,
            self.internal_received,
            self.internal_received_at_creation,
            self.received_from_destroyed,
            self.fees_earned,
            self.block_rewards,
            self.withdrawals,
        ])
    }

    /// All that went out.
    #[must_use]
    pub fn total_out(&self) -> U256 {
        sum([
            self.sent,
            self.fees_paid,
            self.internal_sent,
            self.sent_when_destroyed,
        ])
    }
}

fn sum<const N: usize>(amounts: [Wei; N]) -> U256 {
    let all = amounts.iter().map(|amount| amount.0);
    all.fold(U256::ZERO, U256::saturating_add)
}

/// Values of transactions that failed did not move; before Byzantium nothing says so (status null), and
/// they count as moved.
const TRANSACTIONS: &str = "
SELECT coalesce(sum(t.value) FILTER (WHERE t.to_address = $1 AND t.status IS DISTINCT FROM false), 0) AS received,
       coalesce(sum(t.value) FILTER (WHERE t.contract_address = $1 AND t.status IS DISTINCT FROM false), 0)
           AS received_at_creation,
       coalesce(sum(t.value) FILTER (WHERE t.from_address = $1 AND t.status IS DISTINCT FROM false), 0) AS sent,
       coalesce(sum(t.gas_used * t.effective_gas_price
                    + coalesce(t.blob_gas_used * t.blob_gas_price, 0)) FILTER (WHERE t.from_address = $1), 0)
           AS fees_paid
FROM address_activity a
JOIN transactions t ON t.block_number = a.block_number AND t.tx_index = a.tx_index
WHERE a.address = $1 AND a.block_number BETWEEN $2 AND $3 AND t.block_number BETWEEN $2 AND $3";

/// A contract that leaves what it has to itself loses it where it is destroyed indeed: before Cancun
/// (EIP-6780), whose headers know of blobs, or in the transaction that created it. Else nothing moves.
const INTERNAL: &str = "
WITH received AS (
    SELECT coalesce(sum(value) FILTER (WHERE kind = 1), 0) AS calls,
           coalesce(sum(value) FILTER (WHERE kind IN (2, 3)), 0) AS creations,
           coalesce(sum(value) FILTER (WHERE kind = 4 AND from_address <> $1), 0) AS destroyed
    FROM internal_transfers WHERE to_address = $1 AND block_number BETWEEN $2 AND $3
), sent AS (
    SELECT coalesce(sum(value) FILTER (WHERE kind < 4), 0) AS calls,
           coalesce(sum(value) FILTER (WHERE kind = 4 AND (
               to_address <> $1
               OR EXISTS (SELECT FROM blocks b WHERE b.number = i.block_number AND b.blob_gas_used IS NULL)
               OR EXISTS (SELECT FROM internal_transfers c WHERE c.block_number = i.block_number
                            AND c.tx_index = i.tx_index AND c.kind IN (2, 3) AND c.to_address = $1)
               OR EXISTS (SELECT FROM transactions t WHERE t.block_number = i.block_number
                            AND t.tx_index = i.tx_index AND t.contract_address = $1))), 0) AS destroyed
    FROM internal_transfers i WHERE from_address = $1 AND block_number BETWEEN $2 AND $3
)
SELECT received.calls AS received_by_calls, received.creations AS received_by_creations,
       received.destroyed AS received_from_destroyed, sent.calls AS sent_by_calls,
       sent.destroyed AS sent_when_destroyed
FROM received, sent";

const CREDITS: &str = "
SELECT coalesce(sum(amount) FILTER (WHERE kind = 1), 0) AS fees_earned,
       coalesce(sum(amount) FILTER (WHERE kind = 2), 0) AS withdrawals
FROM block_credits WHERE address = $1 AND block_number BETWEEN $2 AND $3";

/// Blocks that the address produced with work; the rest of the rule is [`static_reward`]'s.
const PRODUCED: &str = "
SELECT b.number, b.difficulty, coalesce(cardinality(b.uncles), 0)::bigint AS uncles
FROM block_credits c JOIN blocks b ON b.number = c.block_number
WHERE c.address = $1 AND c.kind = 1 AND c.block_number BETWEEN $2 AND $3
  AND b.number BETWEEN $2 AND $3 AND b.difficulty > 2";

/// Where to look: buckets in which the address occurs, as its counters say, and heights that are not
/// counted yet.
const WINDOWS: &str = "
WITH span AS (SELECT int8multirange(int8range($2, $3, '[]')) AS asked),
counted AS (
    SELECT int8range(t.bucket * c.bucket_blocks, (t.bucket + 1) * c.bucket_blocks) AS part
    FROM address_totals t, chain c WHERE t.address = $1 AND (t.tx_count > 0 OR t.internal_count > 0)
      AND t.bucket BETWEEN $2 / c.bucket_blocks AND $3 / c.bucket_blocks
), pending AS (
    SELECT int8range(n * c.bucket_blocks, (n + 1) * c.bucket_blocks) AS part
    FROM chain c, coverage v, tally_state s, span,
         unnest((v.blocks - s.blocks) * span.asked) AS gap,
         generate_series(lower(gap) / c.bucket_blocks, (upper(gap) - 1) / c.bucket_blocks) AS n
), parts AS (SELECT part FROM counted UNION SELECT part FROM pending)
SELECT greatest(lower(part), $2) AS low, least(upper(part) - 1, $3) AS high FROM parts ORDER BY low DESC";

/// Time that adding up may take; who asks for more is told to ask for less.
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Bounds the next statement by what is left; whether anything is.
    async fn bound(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let left = self.0.saturating_duration_since(Instant::now()).as_millis();
        if left == 0 {
            return Ok(false);
        }
        sqlx::query("SELECT set_config('statement_timeout', $1, true)")
            .bind(left.to_string())
            .execute(connection)
            .await?;
        Ok(true)
    }
}

/// Adds up what moved; `None` when that takes too long.
pub(super) async fn add_up(
    connection: &mut PgConnection,
    chain_id: u64,
    address: Address,
    range: RangeInclusive<u64>,
    deadline: &Deadline,
) -> Result<Option<Movements>, sqlx::Error> {
    match try_add_up(connection, chain_id, address, range, deadline).await {
        Err(error) if is_timeout(&error) => Ok(None),
        other => other,
    }
}

/// Postgres' query_canceled.
fn is_timeout(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "57014")
}

async fn try_add_up(
    connection: &mut PgConnection,
    chain_id: u64,
    address: Address,
    range: RangeInclusive<u64>,
    deadline: &Deadline,
) -> Result<Option<Movements>, sqlx::Error> {
    let mut all = Movements::default();
    let (low, high) = (height(*range.start())?, height(*range.end())?);
    if !deadline.bound(connection).await? {
        return Ok(None);
    }
    for window in ask(WINDOWS, address, low, high)
        .fetch_all(&mut *connection)
        .await?
    {
        let (low, high) = (window.try_get("low")?, window.try_get("high")?);
        if !deadline.bound(connection).await? {
            return Ok(None);
        }
        let row = ask(TRANSACTIONS, address, low, high)
            .fetch_one(&mut *connection)
            .await?;
        all.add_transactions(&row)?;
        let row = ask(INTERNAL, address, low, high)
            .fetch_one(&mut *connection)
            .await?;
        all.add_internal(&row)?;
    }
    // Nothing counts in which buckets credits are; they are few, and their key begins with the address.
    if !deadline.bound(connection).await? {
        return Ok(None);
    }
    let row = ask(CREDITS, address, low, high)
        .fetch_one(&mut *connection)
        .await?;
    all.fees_earned = column(&row, "fees_earned")?;
    all.withdrawals = column(&row, "withdrawals")?;
    let mut rewards = U256::ZERO;
    for row in ask(PRODUCED, address, low, high)
        .fetch_all(&mut *connection)
        .await?
    {
        let difficulty: Wei = column(&row, "difficulty")?;
        let (number, uncles) = (column(&row, "number")?, column(&row, "uncles")?);
        rewards += static_reward(chain_id, number, difficulty.0, uncles);
    }
    all.block_rewards = Wei(rewards);
    sqlx::query("SET LOCAL statement_timeout TO DEFAULT")
        .execute(connection)
        .await?;
    Ok(Some(all))
}

fn ask(
    sql: &'static str,
    address: Address,
    low: i64,
    high: i64,
) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
    sqlx::query(sql).bind(address.to_vec()).bind(low).bind(high)
}

impl Movements {
    fn add_transactions(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        add(&mut self.received, row, "received")?;
        add(&mut self.received_at_creation, row, "received_at_creation")?;
        add(&mut self.sent, row, "sent")?;
        add(&mut self.fees_paid, row, "fees_paid")
    }

    fn add_internal(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        add(&mut self.internal_received, row, "received_by_calls")?;
        add(
            &mut self.internal_received_at_creation,
            row,
            "received_by_creations",
        )?;
        add(
            &mut self.received_from_destroyed,
            row,
            "received_from_destroyed",
        )?;
        add(&mut self.internal_sent, row, "sent_by_calls")?;
        add(&mut self.sent_when_destroyed, row, "sent_when_destroyed")
    }
}

fn add(to: &mut Wei, row: &PgRow, name: &str) -> Result<(), sqlx::Error> {
    *to = Wei(to.0.saturating_add(column::<Wei>(row, name)?.0));
    Ok(())
}
