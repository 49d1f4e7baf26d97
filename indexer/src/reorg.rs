//! Reorgs: finding the new branch, and taking the old one out.
//!
//! The whole new branch is fetched and proven before anything is deleted: what is deleted may be
//! what a pruned node no longer serves.

use crate::{
    commit::Committer,
    error::IndexError,
    source::{Block, Source},
    verifier::fetch_proven,
};
use alloy::primitives::B256;
use chain::{Checks, ProvenBlock};
use sqlx::{PgConnection, Row as _};
use store::{
    legs,
    state::{BlockRef, ChainState, height},
    tally,
};

/// A branch that replaces ours above an ancestor.
#[derive(Debug)]
pub(crate) struct Branch {
    /// The newest block that both branches share.
    pub ancestor: BlockRef,
    /// The new blocks above it, in order.
    pub blocks: Vec<ProvenBlock>,
}

/// Walks back by hash from a block of the new branch to the newest block that is ours.
///
/// Halts where the walk would undo what is final, or leave what is indexed.
pub(crate) async fn find_branch(
    source: &Source,
    committer: &Committer,
    state: &ChainState,
    start_block: u64,
    top: ProvenBlock,
    checks: Checks,
) -> Result<Branch, IndexError> {
    // The walk below stops above what is final; a head may itself be no higher than that.
    if let Some(finalized) = state
        .finalized
        .filter(|finalized| top.number() <= *finalized)
    {
        return Err(too_deep(source, committer, start_block, top.number(), finalized).await?);
    }
    let mut blocks = vec![top];
    loop {
        let Some(lowest) = blocks.last() else {
            return Err(IndexError::Conflict);
        };
        let parent = lowest.header.parent_hash;
        let Some(number) = lowest.number().checked_sub(1) else {
            return Err(replaced(start_block));
        };
        if number < start_block {
            return Err(replaced(start_block));
        }
        if committer.find_hash(number).await? == Some(parent) {
            blocks.reverse();
            let ancestor = BlockRef {
                number,
                hash: parent,
            };
            return Ok(Branch { ancestor, blocks });
        }
        if let Some(finalized) = state.finalized.filter(|finalized| number <= *finalized) {
            return Err(too_deep(source, committer, start_block, number, finalized).await?);
        }
        blocks.push(fetch_proven(source, Block::Hash(parent), checks).await?);
    }
}

/// The halt of a reorg that would undo what is final, with the block that both chains share, so that
/// an operator who believes the node has one command to give.
async fn too_deep(
    source: &Source,
    committer: &Committer,
    start_block: u64,
    number: u64,
    finalized: u64,
) -> Result<IndexError, IndexError> {
    let Some(ancestor) = find_ancestor(source, committer, start_block, number).await? else {
        return Ok(replaced(start_block));
    };
    Ok(IndexError::Halt(format!(
        "the node's chain differs from ours above block {ancestor}, although everything up to block \
         {finalized} is final: nothing was changed. If the node is right (a dev chain that was \
         reset, a network that was restarted), go back by hand with `tallyscan rollback --to \
         {ancestor}`, or start over with an empty database; if it is wrong, use another node"
    )))
}

/// The newest block below `differs` that the node and we share: below it all are shared, above it
/// none, so it is halved in on.
async fn find_ancestor(
    source: &Source,
    committer: &Committer,
    start_block: u64,
    differs: u64,
) -> Result<Option<u64>, IndexError> {
    let (mut low, mut high) = (start_block, differs);
    while low < high {
        let middle = low + (high - low) / 2;
        let theirs = source.find_header(&format!("{middle:#x}")).await?;
        let ours = committer.find_hash(middle).await?;
        if ours.is_some() && theirs.map(|tip| tip.hash) == ours {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low
        .checked_sub(1)
        .filter(|ancestor| *ancestor >= start_block))
}

fn replaced(start_block: u64) -> IndexError {
    IndexError::Halt(format!(
        "no block of the node's chain down to our first one ({start_block}) is ours: the chain was \
         replaced. Nothing was changed; use the right node, or start over with an empty database"
    ))
}

/// What was taken out.
#[derive(Debug)]
pub(crate) struct Dropped {
    /// The blocks, oldest first.
    pub blocks: Vec<BlockRef>,
    /// How many transactions they had.
    pub transactions: u64,
    /// Time of the ancestor, seconds since 1970.
    pub ancestor_timestamp: u64,
}

/// Moves all rows above the ancestor to the orphan tables, and takes their derived rows away.
///
/// Part of the caller's transaction. Undoes, table by table, what `RowBatch::write` and the commit
/// around it add.
pub(crate) async fn drop_above(
    connection: &mut PgConnection,
    reorg: u64,
    ancestor: BlockRef,
    old_head: BlockRef,
    new_head: BlockRef,
) -> Result<Dropped, IndexError> {
    let at = height(ancestor.number)?;
    let timestamp: i64 = sqlx::query_scalar("SELECT timestamp FROM blocks WHERE number = $1")
        .bind(at)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or(IndexError::Conflict)?;
    let dropped = list_above(connection, at).await?;
    let transactions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM transactions WHERE block_number > $1")
            .bind(at)
            .fetch_one(&mut *connection)
            .await?;
    sqlx::query(
        "INSERT INTO reorgs (id, ancestor_number, ancestor_hash, old_head_number, old_head_hash,
                             new_head_number, new_head_hash, dropped_blocks, dropped_txs)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(height(reorg)?)
    .bind(at)
    .bind(ancestor.hash.as_slice())
    .bind(height(old_head.number)?)
    .bind(old_head.hash.as_slice())
    .bind(height(new_head.number)?)
    .bind(new_head.hash.as_slice())
    .bind(i32::try_from(dropped.len()).unwrap_or(i32::MAX))
    .bind(i32::try_from(transactions).unwrap_or(i32::MAX))
    .execute(&mut *connection)
    .await?;
    archive(connection, height(reorg)?, at).await?;
    tally::remove_above(connection, ancestor.number).await?;
    let above = ancestor.number + 1..=old_head.number;
    tally::subtract_internal(connection, above).await?;
    legs::orphan_above(connection, ancestor.number, reorg).await?;
    // Derived rows are found through the rows that they derive from, so those go last.
    for statement in ROLL_BACK {
        sqlx::query(statement)
            .bind(at)
            .execute(&mut *connection)
            .await?;
    }
    Ok(Dropped {
        blocks: dropped,
        transactions: transactions.unsigned_abs(),
        ancestor_timestamp: timestamp.unsigned_abs(),
    })
}

async fn list_above(connection: &mut PgConnection, at: i64) -> Result<Vec<BlockRef>, IndexError> {
    let rows = sqlx::query("SELECT number, hash FROM blocks WHERE number > $1 ORDER BY number")
        .bind(at)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let hash: &[u8] = row.try_get("hash")?;
            Ok(BlockRef {
                number: row.try_get::<i64, _>("number")?.unsigned_abs(),
                hash: B256::try_from(hash).map_err(|_| IndexError::Conflict)?,
            })
        })
        .collect()
}

async fn archive(connection: &mut PgConnection, reorg: i64, at: i64) -> Result<(), IndexError> {
    const ARCHIVE: [&str; 5] = [
        "INSERT INTO orphaned_blocks SELECT $1, b.* FROM blocks b WHERE number > $2",
        "INSERT INTO orphaned_withdrawals SELECT $1, w.* FROM withdrawals w WHERE block_number > $2",
        "INSERT INTO orphaned_transactions SELECT $1, t.* FROM transactions t WHERE block_number > $2",
        "INSERT INTO orphaned_logs SELECT $1, l.* FROM logs l WHERE block_number > $2",
        "INSERT INTO orphaned_internal_transfers
         SELECT $1, i.* FROM internal_transfers i WHERE block_number > $2",
    ];
    for statement in ARCHIVE {
        sqlx::query(statement)
            .bind(reorg)
            .bind(at)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What takes a batch's rows away again, `$1` being the ancestor's height.
///
/// Lookups, activity and credits are deleted by their own keys, never by a scan for heights: their
/// indexes do not begin with one. What a node was asked for is asked for again.
const ROLL_BACK: [&str; 18] = [
    "DELETE FROM tx_lookup l USING transactions t
     WHERE t.block_number > $1 AND l.hash_prefix = hash_prefix(t.hash)
       AND l.block_number = t.block_number AND l.tx_index = t.tx_index",
    "DELETE FROM block_lookup l USING blocks b
     WHERE b.number > $1 AND l.hash_prefix = hash_prefix(b.hash) AND l.block_number = b.number",
    "DELETE FROM address_activity a USING (
         SELECT from_address AS address, block_number, tx_index FROM transactions WHERE block_number > $1
         UNION SELECT to_address, block_number, tx_index FROM transactions WHERE block_number > $1
         UNION SELECT contract_address, block_number, tx_index FROM transactions WHERE block_number > $1
     ) t
     WHERE a.block_number > $1 AND a.address = t.address
       AND a.block_number = t.block_number AND a.tx_index = t.tx_index",
    // The range of times leaves all chunks but the newest alone. Header times rise strictly on every
    // chain but for dev chains with odd clocks, so the height decides.
    "DELETE FROM block_stats WHERE number > $1
       AND \"time\" >= (SELECT to_timestamp(min(timestamp)) FROM blocks WHERE number > $1)",
    "DELETE FROM block_credits c USING (
         SELECT miner AS address, number AS block_number FROM blocks WHERE number > $1
         UNION SELECT address, block_number FROM withdrawals WHERE block_number > $1
     ) k
     WHERE c.block_number > $1 AND c.address = k.address AND c.block_number = k.block_number",
    "DELETE FROM token_transfers WHERE block_number > $1",
    "DELETE FROM internal_transfers WHERE block_number > $1",
    "DELETE FROM native_balances WHERE block_number > $1",
    // An opening that stood below the first block with its address, which is gone.
    "DELETE FROM native_balances o WHERE block_number = $1 AND NOT EXISTS (
         SELECT FROM native_balances e WHERE e.address = o.address AND e.block_number < $1)",
    "DELETE FROM asked_balances WHERE block_number > $1",
    "UPDATE contract_code SET read_at = NULL WHERE read_at > $1",
    "UPDATE token_metadata SET read_at = NULL WHERE read_at > $1",
    "UPDATE enrichment SET blocks = blocks - int8multirange(int8range($1, NULL, '()'))",
    "DELETE FROM logs WHERE block_number > $1",
    "DELETE FROM transactions WHERE block_number > $1",
    "DELETE FROM withdrawals WHERE block_number > $1",
    "DELETE FROM blocks WHERE number > $1",
    "UPDATE coverage SET blocks = blocks - int8multirange(int8range($1, NULL, '()'))",
];
