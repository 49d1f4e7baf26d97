//! Transfer legs of the ledger's wallets: what the chain moved from or to them.
//!
//! The derivation is the database's (`0019_ledger_legs.sql`). In: heights whose rows were written or go. Out:
//! legs, each once, and which canonical block has them, in the caller's transaction.

use crate::state::height;
use sqlx::{PgConnection, PgExecutor};
use std::ops::RangeInclusive;

/// Heights that are looked through at once behind the head: a few tenths of a second where blocks are full.
const HEIGHTS_AT_ONCE: i64 = 100;

/// Records the legs of blocks that were just written, or whose traces were; part of the commit that wrote
/// them.
pub async fn record(
    connection: &mut PgConnection,
    blocks: RangeInclusive<u64>,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT ledger.record_legs($1, $2)")
        .bind(height(*blocks.start())?)
        .bind(height(*blocks.end())?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes what is above a height out of the canonical chain; part of the reorg, which has this number.
pub async fn orphan_above(
    connection: &mut PgConnection,
    ancestor: u64,
    reorg: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT ledger.orphan_legs($1, $2)")
        .bind(height(ancestor)?)
        .bind(height(reorg)?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets the legs of blocks that a repair writes anew; they are looked through again.
pub async fn forget(
    connection: &mut PgConnection,
    blocks: RangeInclusive<u64>,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT ledger.forget_legs($1, $2)")
        .bind(height(*blocks.start())?)
        .bind(height(*blocks.end())?)
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether there is something to look through; asked without any lock, since the answer is nearly always no.
pub async fn is_missing(db: impl PgExecutor<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT s.blocks <> c.blocks OR EXISTS (SELECT FROM ledger.wallet_replays)
         FROM ledger.leg_state s, coverage c",
    )
    .fetch_one(db)
    .await
}

/// Looks through a piece of history, for all wallets or for one that was added later; false when there is
/// nothing to look through. Part of a transaction that holds the state.
pub async fn record_missing(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT ledger.record_missing_legs($1)")
        .bind(HEIGHTS_AT_ONCE)
        .fetch_one(connection)
        .await
}
