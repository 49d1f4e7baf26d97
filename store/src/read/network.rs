//! The network's figures, over its newest blocks.

use crate::{pg::column, state::ChainState};
use chain::Wei;
use serde::Serialize;
use sqlx::{PgConnection, Row as _};

/// How many blocks the averages look back.
const WINDOW: i64 = 100;

/// The network's figures.
#[derive(Clone, Debug, Serialize)]
pub struct NetworkStats {
    /// Indexed blocks.
    pub block_count: u64,
    /// Indexed transactions.
    pub transaction_count: u64,
    /// Reorgs followed so far.
    pub reorg_count: u64,
    /// Figures of the newest blocks; none while there are none.
    pub recent: Option<RecentStats>,
}

/// Figures of the newest blocks.
#[derive(Clone, Debug, Serialize)]
pub struct RecentStats {
    /// How many blocks these figures are of.
    pub blocks: u64,
    /// Seconds between two blocks; none for a single block.
    pub average_block_time_seconds: Option<f64>,
    /// Transactions a second; none when no time passed.
    pub transactions_per_second: Option<f64>,
    /// Transactions.
    pub transaction_count: u64,
    /// Transactions that failed.
    pub failed_transaction_count: u64,
    /// Transactions that moved native value.
    pub native_transfer_count: u64,
    /// Logs shaped like a token transfer.
    pub token_transfer_count: u64,
    /// Gas used as a share of the limit, 0 to 1.
    pub gas_utilisation: Option<f64>,
    /// Wei per gas in the newest block.
    pub base_fee_per_gas: Option<Wei>,
    /// Wei burnt.
    pub burnt_fees: Wei,
    /// Wei paid in fees, burnt ones included.
    pub fees: Wei,
}

/// Computes the network's figures for a snapshot's state.
pub async fn get_network_stats(
    connection: &mut PgConnection,
    state: &ChainState,
) -> Result<NetworkStats, sqlx::Error> {
    let (block_count, reorg_count): (i64, i64) = sqlx::query_as(
        "SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint, (SELECT count(*) FROM reorgs)
         FROM coverage, unnest(blocks) AS r",
    )
    .fetch_one(&mut *connection)
    .await?;
    let row = sqlx::query(include_str!("../queries/recent_stats.sql"))
        .bind(WINDOW)
        .fetch_one(connection)
        .await?;
    let blocks: u64 = column(&row, "blocks")?;
    let recent = if blocks == 0 {
        None
    } else {
        Some(RecentStats {
            blocks,
            average_block_time_seconds: row.try_get("block_time")?,
            transactions_per_second: row.try_get("tps")?,
            transaction_count: column(&row, "tx_count")?,
            failed_transaction_count: column(&row, "failed_tx_count")?,
            native_transfer_count: column(&row, "native_transfers")?,
            token_transfer_count: column(&row, "token_transfers")?,
            gas_utilisation: row.try_get("gas_utilisation")?,
            base_fee_per_gas: column(&row, "base_fee_per_gas")?,
            burnt_fees: column(&row, "burnt_fees")?,
            fees: column(&row, "fees")?,
        })
    };
    Ok(NetworkStats {
        block_count: block_count.unsigned_abs(),
        transaction_count: state.tx_count,
        // The fork epoch also counts repairs, which began an epoch and dropped nothing.
        reorg_count: reorg_count.unsigned_abs(),
        recent,
    })
}
