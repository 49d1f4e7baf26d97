//! Native balances that somebody asked for, beside the history of those that blocks touch.

use super::{BalanceRow, as_bytes};
use crate::{
    pg::column,
    state::{BlockRef, height},
};
use alloy::primitives::{Address, B256};
use sqlx::PgConnection;

/// What a block commits to; `None` where it is not canonical.
pub async fn find_state_root(
    db: impl sqlx::PgExecutor<'_>,
    block: BlockRef,
) -> Result<Option<B256>, sqlx::Error> {
    let row = sqlx::query("SELECT state_root FROM blocks WHERE number = $1 AND hash = $2")
        .bind(height(block.number)?)
        .bind(block.hash.as_slice())
        .fetch_optional(db)
        .await?;
    row.map(|row| column(&row, "state_root")).transpose()
}

/// Writes balances that somebody asked for, read at one canonical block, and has the addresses' code
/// read where it is unknown or may have changed.
///
/// They stand beside the history of balances, which knows of every block that it covers.
pub async fn write_asked(
    connection: &mut PgConnection,
    addresses: &[Address],
    rows: &[BalanceRow],
) -> Result<(), sqlx::Error> {
    let heights = rows
        .iter()
        .map(|row| height(row.block_number))
        .collect::<Result<Vec<_>, _>>()?;
    let balances: Vec<String> = rows.iter().map(|row| row.balance.to_string()).collect();
    let proven: Vec<bool> = rows.iter().map(|row| row.proven).collect();
    sqlx::query(include_str!("../queries/write_asked_balances.sql"))
        .bind(
            rows.iter()
                .map(|row| row.address.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(heights)
        .bind(balances)
        .bind(proven)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO contract_code (address) SELECT a FROM unnest($1::bytea[]) AS a ORDER BY a
         ON CONFLICT (address) DO UPDATE SET read_at = NULL
         WHERE contract_code.code_size = 0 OR contract_code.proxy IS NOT NULL",
    )
    .bind(as_bytes(addresses))
    .execute(connection)
    .await?;
    Ok(())
}
