//! Changes of a repair: what each takes away and writes, in one transaction under the lock of the state.

use super::{Repair, RepairError, Step};
use crate::commit::insert_event;
use alloy::primitives::Address;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use std::collections::HashSet;
use store::{
    RowBatch,
    audit::{self, Damage, Derived, ReorgFacts, delete_strays},
    cache::Head,
    event::Event,
    legs,
    state::{self, BlockRef, ChainState, height},
    tally, transaction,
};

/// A transaction that holds the state; dropped without a commit, it changes nothing.
pub(super) struct Change {
    transaction: Transaction<'static, Postgres>,
    state: ChainState,
}

impl Change {
    /// Takes a turn among the commits.
    pub(super) async fn begin(pool: &PgPool) -> Result<Self, RepairError> {
        let mut transaction = transaction::begin(pool, "BEGIN").await?;
        let state = state::lock_state(&mut *transaction).await?;
        Ok(Self { transaction, state })
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    pub(super) fn state(&self) -> &ChainState {
        &self.state
    }

    /// Begins the epochs that end every answer given before, announces the head with them, commits.
    pub(super) async fn commit(mut self) -> Result<(), RepairError> {
        self.state.fork_epoch += 1;
        self.state.final_epoch = self.state.fork_epoch;
        state::update_state(&mut *self.transaction, &self.state).await?;
        let event = Head::of(&self.state).map(|head| Event {
            head,
            reorg: None,
            blocks: Vec::new(),
        });
        insert_event(&mut self.transaction, event.as_ref()).await?;
        self.transaction.commit().await?;
        Ok(())
    }

    /// Replaces all rows of a range of heights by those of its blocks.
    pub(super) async fn replace(
        &mut self,
        low: u64,
        high: u64,
        batch: &mut RowBatch,
    ) -> Result<(), RepairError> {
        delete_rows(&mut self.transaction, low, high, batch).await?;
        batch.write(&mut self.transaction).await?;
        legs::forget(&mut self.transaction, low..=high).await?;
        Ok(())
    }
}

/// What takes the rows from height `$1` to `$2` away, `$3` being keys that the new rows will have.
///
/// Lookups, activity and statistics are found by their keys, never by a scan for heights; keys come from the
/// rows that are there and from those that will be. Rows under other keys are strays.
const BY_PREFIX: [&str; 2] = [
    "DELETE FROM tx_lookup x USING (
         SELECT hash_prefix(hash) AS key FROM transactions WHERE block_number BETWEEN $1 AND $2
         UNION SELECT unnest($3::bigint[])
     ) k WHERE x.hash_prefix = k.key AND x.block_number BETWEEN $1 AND $2",
    "DELETE FROM block_lookup x USING (
         SELECT hash_prefix(hash) AS key FROM blocks WHERE number BETWEEN $1 AND $2
         UNION SELECT unnest($3::bigint[])
     ) k WHERE x.hash_prefix = k.key AND x.block_number BETWEEN $1 AND $2",
];
const BY_ADDRESS: &str = "DELETE FROM address_activity x USING (
         SELECT from_address AS key FROM transactions WHERE block_number BETWEEN $1 AND $2
         UNION SELECT to_address FROM transactions WHERE block_number BETWEEN $1 AND $2
         UNION SELECT contract_address FROM transactions WHERE block_number BETWEEN $1 AND $2
         UNION SELECT unnest($3::bytea[])
     ) k WHERE x.address = k.key AND x.block_number BETWEEN $1 AND $2";
const BY_CREDITED: &str = "DELETE FROM block_credits x USING (
         SELECT miner AS key FROM blocks WHERE number BETWEEN $1 AND $2
         UNION SELECT address FROM withdrawals WHERE block_number BETWEEN $1 AND $2
         UNION SELECT unnest($3::bytea[])
     ) k WHERE x.address = k.key AND x.block_number BETWEEN $1 AND $2";
const BY_TIME: &str = "DELETE FROM block_stats x USING (
         SELECT timestamp AS key FROM blocks WHERE number BETWEEN $1 AND $2
         UNION SELECT unnest($3::bigint[])
     ) k WHERE x.\"time\" = to_timestamp(k.key) AND x.number BETWEEN $1 AND $2";
const BY_HEIGHT: [&str; 5] = [
    "DELETE FROM token_transfers WHERE block_number BETWEEN $1 AND $2",
    "DELETE FROM logs WHERE block_number BETWEEN $1 AND $2",
    "DELETE FROM transactions WHERE block_number BETWEEN $1 AND $2",
    "DELETE FROM withdrawals WHERE block_number BETWEEN $1 AND $2",
    "DELETE FROM blocks WHERE number BETWEEN $1 AND $2",
];

async fn delete_rows(
    connection: &mut PgConnection,
    low: u64,
    high: u64,
    fresh: &RowBatch,
) -> Result<(), sqlx::Error> {
    let (low, high) = (height(low)?, height(high)?);
    let transactions = fresh.tx_lookup.iter().map(|row| row.hash_prefix);
    let blocks = fresh.block_lookup.iter().map(|row| row.hash_prefix);
    for (statement, keys) in BY_PREFIX
        .into_iter()
        .zip([transactions.collect::<Vec<_>>(), blocks.collect()])
    {
        let query = sqlx::query(statement).bind(low).bind(high);
        query.bind(keys).execute(&mut *connection).await?;
    }
    let active = fresh.activity.iter().map(|row| row.address);
    let credited = fresh.credits.iter().map(|row| row.address);
    for (statement, addresses) in [
        (BY_ADDRESS, active.collect::<HashSet<Address>>()),
        (BY_CREDITED, credited.collect()),
    ] {
        let addresses: Vec<&[u8]> = addresses.iter().map(|it| it.as_slice()).collect();
        let query = sqlx::query(statement).bind(low).bind(high);
        query.bind(addresses).execute(&mut *connection).await?;
    }
    let times = fresh.blocks.iter().map(|row| height(row.timestamp));
    let times = times.collect::<Result<Vec<i64>, _>>()?;
    let query = sqlx::query(BY_TIME).bind(low).bind(high);
    query.bind(times).execute(&mut *connection).await?;
    for statement in BY_HEIGHT {
        let query = sqlx::query(statement).bind(low).bind(high);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

impl Repair {
    /// The state's head has the hash and the time of its block, and nothing above it is final.
    pub(super) async fn correct_head(
        &self,
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        let mut change = Change::begin(&self.pool).await?;
        let Some(head) = change.state.head else {
            return Ok(());
        };
        let rows = audit::recompute(change.connection(), head.number, head.number).await?;
        if let Some(block) = rows.as_ref().and_then(|rows| rows.blocks.first()) {
            change.state.head = Some(BlockRef {
                number: block.number,
                hash: block.hash,
            });
            change.state.head_timestamp = Some(block.timestamp);
        }
        let state = &mut change.state;
        let highest = state.safe.max(state.finalized);
        if highest.is_some_and(|highest| highest > head.number) || state.finalized > state.safe {
            // What is final is found again at the next commit; until then nothing is called so.
            (state.safe, state.finalized) = (None, None);
        }
        let last: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM reorgs")
            .fetch_one(&mut *change.transaction)
            .await?;
        let last = last.map_or(0, i64::unsigned_abs);
        change.state.fork_epoch = change
            .state
            .fork_epoch
            .max(last)
            .max(change.state.final_epoch);
        change.commit().await?;
        done(Step::Corrected("the state of the head"));
        Ok(())
    }

    /// Computes the rows of blocks again from the blocks themselves.
    pub(super) async fn recompute(
        &self,
        damage: &Damage,
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        for (low, high) in damage.rewrite.ranges() {
            let runs = audit::runs(&mut *self.pool.acquire().await?, low, high).await?;
            for (low, high) in runs {
                let mut change = Change::begin(&self.pool).await?;
                // A block that was replaced or fetched anew meanwhile proves itself, or is looked at
                // again by the next audit.
                let Some(mut rows) = audit::recompute(change.connection(), low, high).await? else {
                    continue;
                };
                change.replace(low, high, &mut rows).await?;
                change.commit().await?;
                done(Step::Recomputed(low, high));
            }
        }
        Ok(())
    }

    /// Deletes what nothing leads to. What hangs on a block that has to be fetched went with its write;
    /// where that was refused, nothing of the block is touched.
    pub(super) async fn remove_strays(
        &self,
        damage: &Damage,
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        let mut strays = damage.strays.clone();
        strays.retain(|stray| !damage.refetch.contains(stray.block_number));
        if strays.is_empty() {
            return Ok(());
        }
        let mut change = Change::begin(&self.pool).await?;
        let (first, state) = (self.chain.start_block, change.state.clone());
        let rows = delete_strays(change.connection(), first, &state, &strays).await?;
        if rows > 0 {
            change.commit().await?;
            done(Step::Removed(rows));
        }
        Ok(())
    }

    /// Coverage names the blocks that are there, and nothing outside of the indexed range.
    pub(super) async fn correct_coverage(
        &self,
        damage: &Damage,
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        if damage.uncovered.is_empty() && !damage.covers_beyond {
            return Ok(());
        }
        let mut change = Change::begin(&self.pool).await?;
        let head = change
            .state
            .head
            .map_or(-1, |head| height(head.number).unwrap_or(-1));
        for (low, high) in damage.uncovered.ranges() {
            sqlx::query(
                "UPDATE coverage SET blocks = blocks + int8multirange(int8range($1, $2, '[]'))
                 WHERE (SELECT count(*) FROM blocks WHERE number BETWEEN $1 AND $2) = $2 - $1 + 1",
            )
            .bind(height(low)?)
            .bind(height(high)?)
            .execute(change.connection())
            .await?;
        }
        sqlx::query(
            "UPDATE coverage SET blocks = blocks * int8multirange(int8range($1, $2, '[]'))",
        )
        .bind(height(self.chain.start_block)?)
        .bind(head)
        .execute(change.connection())
        .await?;
        change.commit().await?;
        done(Step::Corrected("coverage"));
        Ok(())
    }

    /// The state counts the transactions that there are. The difference is what is applied: a chain that
    /// went on since the audit keeps what it added.
    pub(super) async fn correct_count(
        &self,
        damage: &Damage,
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        if damage.tx_count == 0 {
            return Ok(());
        }
        let mut change = Change::begin(&self.pool).await?;
        let count = change.state.tx_count.saturating_add_signed(damage.tx_count);
        change.state.tx_count = count;
        change.commit().await?;
        done(Step::Corrected("the count of transactions"));
        Ok(())
    }

    /// What is derived and is not what the rows come to, all of which are right, is forgotten: a running
    /// indexer derives everything again.
    pub(super) async fn forget_derived(
        &self,
        damage: &Damage,
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        for derived in &damage.derived {
            let mut change = Change::begin(&self.pool).await?;
            let what = match derived {
                Derived::Counters => {
                    tally::reset(change.connection()).await?;
                    "counters, which the indexer counts again"
                }
                Derived::Legs => {
                    legs::forget(change.connection(), 0..=i64::MAX.unsigned_abs() - 1).await?;
                    "legs, which the indexer derives again"
                }
            };
            change.commit().await?;
            done(Step::Corrected(what));
        }
        Ok(())
    }

    /// What of dropped blocks follows from what is left of them.
    pub(super) async fn correct_orphans(
        &self,
        damage: &Damage,
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        for (reorg, number) in &damage.orphans {
            let mut change = Change::begin(&self.pool).await?;
            let rows = audit::recompute_orphan(change.connection(), *reorg, *number).await?;
            let Some(rows) = rows else { continue };
            let id = height(*reorg)?;
            for statement in ORPHANS_BY_HEIGHT {
                let query = sqlx::query(statement).bind(id).bind(height(*number)?);
                query.execute(change.connection()).await?;
            }
            rows.write_orphaned(change.connection(), id).await?;
            change.commit().await?;
            done(Step::RecomputedOrphan(*reorg, *number));
        }
        for facts in &damage.reorgs {
            let mut change = Change::begin(&self.pool).await?;
            write_reorg(change.connection(), facts).await?;
            change.commit().await?;
            done(Step::CorrectedReorg(facts.id));
        }
        Ok(())
    }

    /// Drops events that would stop the publisher or leave it with another head; the event that every
    /// change writes takes their place. Their messages are lost.
    pub(super) async fn empty_outbox(
        &self,
        damage: &Damage,
        done: &mut impl FnMut(Step),
    ) -> Result<(), RepairError> {
        if damage.outbox.is_empty() {
            return Ok(());
        }
        let mut change = Change::begin(&self.pool).await?;
        sqlx::query("DELETE FROM outbox WHERE id = ANY($1)")
            .bind(&damage.outbox)
            .execute(change.connection())
            .await?;
        change.commit().await?;
        done(Step::Corrected("the queue of events"));
        Ok(())
    }
}

const ORPHANS_BY_HEIGHT: [&str; 4] = [
    "DELETE FROM orphaned_logs WHERE reorg_id = $1 AND block_number = $2",
    "DELETE FROM orphaned_transactions WHERE reorg_id = $1 AND block_number = $2",
    "DELETE FROM orphaned_withdrawals WHERE reorg_id = $1 AND block_number = $2",
    "DELETE FROM orphaned_blocks WHERE reorg_id = $1 AND number = $2",
];

async fn write_reorg(connection: &mut PgConnection, facts: &ReorgFacts) -> Result<(), sqlx::Error> {
    let saturated = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    sqlx::query(
        "UPDATE reorgs SET ancestor_number = $2, ancestor_hash = $3, old_head_number = $4,
                old_head_hash = $5, dropped_blocks = $6, dropped_txs = $7 WHERE id = $1",
    )
    .bind(height(facts.id)?)
    .bind(height(facts.ancestor.number)?)
    .bind(facts.ancestor.hash.as_slice())
    .bind(height(facts.old_head.number)?)
    .bind(facts.old_head.hash.as_slice())
    .bind(saturated(facts.blocks))
    .bind(saturated(facts.transactions))
    .execute(connection)
    .await?;
    Ok(())
}
