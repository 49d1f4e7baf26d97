//! The explanation of a balance: what it was, what moved, what it is, and what is left unexplained.

use super::{
    BalancePoint, Snapshot, difference, find_at,
    movements::{Deadline, Movements, add_up},
};
use crate::{pg::column, state::find_chain};
use alloy::primitives::Address;
use chain::Wei;
use serde::Serialize;
use sqlx::Row as _;
use std::time::Duration;

/// How long adding up may take.
const LONGEST: Duration = Duration::from_secs(5);

/// Why an address has what it has, over blocks `from_block` to `to_block`, both included.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// First block whose movements are added up.
    pub from_block: u64,
    /// Last one.
    pub to_block: u64,
    /// What it had before the first block; none where that was not read. Nothing before block 0.
    pub opening_balance: Option<Wei>,
    /// What it had after the last block; none where that was not read.
    pub closing_balance: Option<Wei>,
    /// What moved.
    pub movements: Movements,
    /// Closing less opening less all movements, in wei, perhaps below zero; none where a balance is not
    /// known. Zero wherever `traces_complete`.
    pub residual: Option<String>,
    /// Whether internal transfers of all these blocks are read.
    pub traces_complete: bool,
}

/// Explains a balance over a range of blocks; an end that is not given is where what is read ends. `None`
/// when adding up takes too long: a narrower range is needed.
///
/// `newest` is the newest balance that is known.
pub async fn explain_balance(
    snapshot: &mut Snapshot,
    address: Address,
    newest: Option<BalancePoint>,
    (from_block, to_block): (Option<u64>, Option<u64>),
) -> Result<Option<Explanation>, sqlx::Error> {
    let deadline = Deadline::after(LONGEST);
    let Some(chain) = find_chain(snapshot.connection()).await? else {
        return Ok(None);
    };
    let head = snapshot.state.head.map_or(0, |head| head.number);
    // The run of read blocks that holds the newest balance, or what is indexed.
    let row = sqlx::query(
        "SELECT lower(r) AS low, upper(r) - 1 AS high FROM enrichment, unnest(blocks) AS r
         WHERE kind = 'balances' AND upper(r) - 1 >= coalesce($1, 0) ORDER BY r LIMIT 1",
    )
    .bind(newest.map(|point| super::bind_height(point.block_number)))
    .fetch_optional(snapshot.connection())
    .await?;
    let (low, high): (u64, u64) = match row {
        Some(row) => (column(&row, "low")?, column(&row, "high")?),
        None => (chain.start_block, head),
    };
    let to_block = to_block.unwrap_or(high).min(head);
    let from_block = from_block.unwrap_or(low).min(to_block);
    let range = from_block..=to_block;
    let movements = add_up(
        snapshot.connection(),
        chain.chain_id,
        address,
        range,
        &deadline,
    )
    .await?;
    let Some(mut movements) = movements else {
        return Ok(None);
    };
    let before = from_block.saturating_sub(1);
    let mut opening_balance = find_at(snapshot, address, before).await?;
    if from_block == 0 {
        // Block 0 moves nothing: what is there after it, it allocated.
        movements.genesis = opening_balance.unwrap_or_default();
        opening_balance = opening_balance.map(|_| Wei::default());
    }
    let closing_balance = find_at(snapshot, address, to_block).await?;
    let residual = opening_balance
        .zip(closing_balance)
        .map(|(opening, closing)| {
            let expected = opening.0.saturating_add(movements.total_in());
            difference(closing.0.saturating_add(movements.total_out()), expected)
        });
    let traces_complete = sqlx::query(
        "SELECT blocks @> int8range($1, $2, '[]') AS complete FROM enrichment WHERE kind = 'traces'",
    )
    .bind(super::bind_height(from_block))
    .bind(super::bind_height(to_block))
    .fetch_one(snapshot.connection())
    .await?
    .try_get("complete")?;
    Ok(Some(Explanation {
        from_block,
        to_block,
        opening_balance,
        closing_balance,
        movements,
        residual,
        traces_complete,
    }))
}
