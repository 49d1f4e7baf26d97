//! Which chain the database holds and how far it is: the small tables of one row.

use crate::pg::column;
use alloy::primitives::B256;
use chain::{Finality, FinalityProfile};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, Row as _, postgres::PgRow};

/// A block's height and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// Height.
    pub number: u64,
    /// Hash.
    pub hash: B256,
}

impl std::fmt::Display for BlockRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.number, self.hash)
    }
}

/// The row of `chain`.
#[derive(Clone, Debug)]
pub struct Chain {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Hash of block 0.
    pub genesis_hash: B256,
    /// How blocks become final.
    pub finality_profile: FinalityProfile,
    /// First indexed block.
    pub start_block: u64,
    /// First block that was not final at first start.
    pub live_from: u64,
    /// Name of this database.
    pub instance: String,
    /// Blocks of a bucket of counters.
    pub bucket_blocks: u64,
}

impl Chain {
    /// The block that live indexing begins with: the newest final one at first start, so that there is
    /// a head from the first moment on; history below it is filled in beside.
    #[must_use]
    pub fn first_live(&self) -> u64 {
        self.live_from.saturating_sub(1).max(self.start_block)
    }
}

/// The row of `chain`, when there is one.
pub async fn find_chain(db: impl PgExecutor<'_>) -> Result<Option<Chain>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT chain_id, genesis_hash, finality_profile, start_block, live_from, instance,
                bucket_blocks FROM chain",
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let profile: String = column(&row, "finality_profile")?;
        Ok(Chain {
            chain_id: column(&row, "chain_id")?,
            genesis_hash: column(&row, "genesis_hash")?,
            finality_profile: profile
                .parse()
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            start_block: column(&row, "start_block")?,
            live_from: column(&row, "live_from")?,
            instance: column(&row, "instance")?,
            bucket_blocks: column(&row, "bucket_blocks")?,
        })
    })
    .transpose()
}

/// Writes the row of `chain`, unless another process was first. Its instance is the database's to name;
/// without `bucket_blocks` the schema's default stays.
pub async fn insert_chain(
    db: impl PgExecutor<'_>,
    chain_id: u64,
    genesis_hash: B256,
    profile: FinalityProfile,
    (start_block, live_from): (u64, u64),
    bucket_blocks: Option<u64>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO chain (chain_id, genesis_hash, finality_profile, start_block, live_from,
                            bucket_blocks)
         VALUES ($1, $2, $3, $4, $5, coalesce($6, 50000)) ON CONFLICT DO NOTHING",
    )
    .bind(height(chain_id)?)
    .bind(genesis_hash.as_slice())
    .bind(profile.to_string())
    .bind(height(start_block)?)
    .bind(height(live_from)?)
    .bind(bucket_blocks.map(height).transpose()?)
    .execute(db)
    .await?;
    Ok(())
}

/// Records another finality profile, which an operator asked for.
pub async fn set_finality_profile(
    db: impl PgExecutor<'_>,
    profile: FinalityProfile,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE chain SET finality_profile = $1")
        .bind(profile.to_string())
        .execute(db)
        .await?;
    Ok(())
}

/// Makes the index begin at a lower block; what is missing then is history to be filled in.
pub async fn lower_start(db: impl PgExecutor<'_>, start_block: u64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE chain SET start_block = least(start_block, $1)")
        .bind(height(start_block)?)
        .execute(db)
        .await?;
    Ok(())
}

/// A height as the database's signed integer.
pub fn height(number: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(number).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// [`ChainState::leader_token`] before any indexer leads.
pub const UNLED: i64 = 0;

/// The row of `chain_state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainState {
    /// The newest canonical block; none before the first commit.
    pub head: Option<BlockRef>,
    /// Its time, seconds since 1970.
    pub head_timestamp: Option<u64>,
    /// Highest safe block.
    pub safe: Option<u64>,
    /// Highest final block.
    pub finalized: Option<u64>,
    /// Canonical transactions in the database.
    pub tx_count: u64,
    /// Rises with every reorg and every repair.
    pub fork_epoch: u64,
    /// The last reorg that undid what was final; 0 when none did.
    pub final_epoch: u64,
    /// Rises whenever blocks below the head are filled in.
    pub history_epoch: u64,
    /// The indexer that leads.
    pub leader_token: i64,
}

impl ChainState {
    /// The finality of a canonical block at `number`.
    #[must_use]
    pub fn finality(&self, number: u64) -> Finality {
        Finality::of(number, self.safe, self.finalized)
    }

    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        let number: Option<u64> = column(row, "head_number")?;
        let hash: Option<B256> = column(row, "head_hash")?;
        Ok(Self {
            head: number
                .zip(hash)
                .map(|(number, hash)| BlockRef { number, hash }),
            head_timestamp: column(row, "head_timestamp")?,
            safe: column(row, "safe_number")?,
            finalized: column(row, "finalized_number")?,
            tx_count: column(row, "tx_count")?,
            fork_epoch: column(row, "fork_epoch")?,
            final_epoch: column(row, "final_epoch")?,
            history_epoch: column(row, "history_epoch")?,
            leader_token: row.try_get("leader_token")?,
        })
    }
}

/// The state as of the caller's snapshot.
pub async fn get_state(db: impl PgExecutor<'_>) -> Result<ChainState, sqlx::Error> {
    ChainState::decode(
        &sqlx::query("SELECT * FROM chain_state")
            .fetch_one(db)
            .await?,
    )
}

/// The state, locked until the caller's transaction ends: commits take turns here.
pub async fn lock_state(db: impl PgExecutor<'_>) -> Result<ChainState, sqlx::Error> {
    let query = sqlx::query("SELECT * FROM chain_state FOR UPDATE");
    ChainState::decode(&query.fetch_one(db).await?)
}

/// Writes everything but the leader.
pub async fn update_state(db: impl PgExecutor<'_>, state: &ChainState) -> Result<(), sqlx::Error> {
    let number = state.head.map(|head| height(head.number)).transpose()?;
    let heights = [state.head_timestamp, state.safe, state.finalized];
    let [timestamp, safe, finalized] = heights.map(|value| value.map(height).transpose());
    sqlx::query(
        "UPDATE chain_state SET head_number = $1, head_hash = $2, head_timestamp = $3,
                safe_number = $4, finalized_number = $5, fork_epoch = $6, tx_count = $7,
                final_epoch = $8, history_epoch = $9, updated_at = now()",
    )
    .bind(number)
    .bind(state.head.as_ref().map(|head| head.hash.as_slice()))
    .bind(timestamp?)
    .bind(safe?)
    .bind(finalized?)
    .bind(height(state.fork_epoch)?)
    .bind(height(state.tx_count)?)
    .bind(height(state.final_epoch)?)
    .bind(height(state.history_epoch)?)
    .execute(db)
    .await?;
    Ok(())
}

/// What the indexer saw last.
#[derive(Clone, Debug, Default)]
pub struct IndexerStatus {
    /// The node's head.
    pub node_head: Option<u64>,
    /// Seconds since the node last answered.
    pub node_seen_seconds: Option<f64>,
    /// Seconds since the indexer last wrote.
    pub heartbeat_seconds: Option<f64>,
    /// Why it cannot go on.
    pub problem: Option<String>,
    /// What holds up the blocks below the head that are still to be filled in.
    pub history_problem: Option<String>,
    /// Age of the oldest event that was committed and not published, in seconds.
    pub unpublished_seconds: Option<f64>,
}

/// Reads what the indexer saw last.
pub async fn get_indexer_status(db: impl PgExecutor<'_>) -> Result<IndexerStatus, sqlx::Error> {
    let row = sqlx::query(
        "SELECT node_head, problem, history_problem,
                (SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8
                 FROM outbox) AS unpublished,
                extract(epoch FROM clock_timestamp() - node_seen_at)::float8 AS node_seen,
                extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS heartbeat
         FROM indexer_status",
    )
    .fetch_one(db)
    .await?;
    Ok(IndexerStatus {
        node_head: column(&row, "node_head")?,
        node_seen_seconds: row.try_get("node_seen")?,
        heartbeat_seconds: row.try_get("heartbeat")?,
        problem: column(&row, "problem")?,
        history_problem: column(&row, "history_problem")?,
        unpublished_seconds: row.try_get("unpublished")?,
    })
}

/// Records a sign of life; `node_head` when the node answered since the last one.
pub async fn record_heartbeat(
    db: impl PgExecutor<'_>,
    node_head: Option<u64>,
    problem: Option<&str>,
    history_problem: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE indexer_status SET heartbeat_at = clock_timestamp(), problem = $2, history_problem = $3,
                node_head = coalesce($1, node_head),
                node_seen_at = CASE WHEN $1::bigint IS NULL THEN node_seen_at ELSE clock_timestamp() END",
    )
    .bind(node_head.map(height).transpose()?)
    .bind(problem)
    .bind(history_problem)
    .execute(db)
    .await?;
    Ok(())
}
