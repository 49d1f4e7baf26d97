//! Counters and token balances: what blocks add to them, and how it is taken away again.
//!
//! In: heights whose rows are written. Out: changed counters, and `tally_state.blocks` with those heights,
//! in the caller's transaction. What a block adds is one query over its rows (`delta_*.sql`) and what is
//! taken away is the same query with the other sign, so that the two are inverses by construction, and the
//! audit compares the counters with the same query over everything.
//!
//! Live commits and reorgs come here directly. History is added by [`history`], in slices.

mod check;
pub mod deltas;
pub mod history;
mod internal;

pub use check::{Finding, check};
pub use internal::{add_internal, subtract_internal};

use crate::{rows::RowBatch, state::height};
use alloy::{sol, sol_types::SolEvent as _};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor};

/// A table of counters.
struct Counter {
    /// Where history's changes wait to be merged.
    stage: &'static str,
    /// What blocks add.
    delta: &'static str,
    /// Its key, in which changes are merged.
    key: &'static str,
    /// Merges `{delta}`.
    merge: &'static str,
    /// The table and the condition for rows that are not kept. Holders of history are merged before its
    /// transfers are: a row is not nothing while it has either.
    zero: (&'static str, &'static str),
    /// Which blocks change it.
    concerns: Concerns,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Concerns {
    Transactions,
    Transfers,
    Nfts,
}

/// All tables, in the order in which everybody changes them.
const COUNTERS: [Counter; 5] = [
    Counter {
        stage: "stage_addresses",
        delta: include_str!("tally/delta_addresses.sql"),
        key: "address, bucket",
        merge: include_str!("tally/merge_addresses.sql"),
        zero: (
            "address_totals",
            "t.tx_count = 0 AND t.transfer_count = 0 AND t.emitted_count = 0 AND t.internal_count = 0",
        ),
        concerns: Concerns::Transactions,
    },
    Counter {
        stage: "stage_balances",
        delta: include_str!("tally/delta_balances.sql"),
        key: "holder, token",
        merge: include_str!("tally/merge_balances.sql"),
        zero: ("token_balances", "t.balance = 0"),
        concerns: Concerns::Transfers,
    },
    Counter {
        stage: "stage_tokens",
        delta: include_str!("tally/delta_tokens.sql"),
        key: "token",
        merge: include_str!("tally/merge_tokens.sql"),
        zero: (
            "token_totals",
            "t.erc20_count + t.erc721_count + t.erc1155_count + t.wrap_count = 0 AND t.holder_count = 0",
        ),
        concerns: Concerns::Transfers,
    },
    Counter {
        stage: "stage_nfts",
        delta: include_str!("tally/delta_nfts.sql"),
        key: "token, token_id, holder",
        merge: include_str!("tally/merge_nfts.sql"),
        zero: ("nft_balances", "t.balance = 0"),
        concerns: Concerns::Nfts,
    },
    Counter {
        stage: "stage_instances",
        delta: include_str!("tally/delta_instances.sql"),
        key: "token, token_id",
        merge: include_str!("tally/merge_instances.sql"),
        zero: (
            "token_instances",
            "t.transfer_count = 0 AND t.holder_count = 0",
        ),
        concerns: Concerns::Nfts,
    },
];

/// Has the code of contracts that were just created read anew, where there was another one at the same
/// address.
const QUEUE_CREATED: &str = "UPDATE contract_code SET read_at = NULL
     WHERE address IN (SELECT contract_address FROM transactions
                       WHERE block_number BETWEEN $1 AND $2 AND contract_address IS NOT NULL)";

sol! {
    /// EIP-1967: a proxy leads elsewhere from now on.
    event Upgraded(address indexed implementation);
    /// The same of a beacon that proxies ask.
    event BeaconUpgraded(address indexed beacon);
}

/// Puts proxies that were upgraded into the queue of those whose code is to be read.
const QUEUE_UPGRADED: &str = "INSERT INTO contract_code (address)
     SELECT DISTINCT a FROM unnest($1::bytea[]) AS a
     ORDER BY a ON CONFLICT (address) DO UPDATE SET read_at = NULL";

impl Counter {
    /// The statement that merges changes given as a query.
    fn merge(&self, delta: &str) -> String {
        self.merge.replace("{delta}", delta)
    }

    /// The statement that drops rows that came to nothing, among those that `delta` names.
    fn drop_zeros(&self, delta: &str) -> String {
        let (table, zero) = self.zero;
        let same: Vec<String> = self
            .key
            .split(", ")
            .map(|column| format!("t.{column} = d.{column}"))
            .collect();
        let same = same.join(" AND ");
        // Each is looked up by its key: a join may read the whole table for every change.
        format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                 SELECT found.ctid FROM ({delta}) AS d CROSS JOIN LATERAL (
                     SELECT t.ctid FROM {table} t WHERE {same} AND {zero} LIMIT 1
                 ) AS found))"
        )
    }

    /// The statement that drops all balances that came to nothing: an index holds nothing else. `None`
    /// for counters, which come to nothing only when they are taken away.
    fn drop_all_zeros(&self) -> Option<String> {
        let (table, zero) = self.zero;
        let balances = matches!(table, "token_balances" | "nft_balances");
        balances.then(|| format!("DELETE FROM {table} t WHERE {zero}"))
    }

    /// Adds what some blocks change (`sign` 1), or takes it away (-1).
    async fn apply(
        &self,
        connection: &mut PgConnection,
        bounds: [i64; 3],
        sign: i64,
    ) -> Result<(), sqlx::Error> {
        run(connection, self.merge(self.delta), bounds, sign).await?;
        if let Some(statement) = self.drop_all_zeros() {
            sqlx::query(AssertSqlSafe(statement))
                .execute(connection)
                .await?;
        } else if sign < 0 {
            run(connection, self.drop_zeros(self.delta), bounds, sign).await?;
        }
        Ok(())
    }
}

/// Runs a statement about the changes of some blocks.
async fn run(
    connection: &mut PgConnection,
    statement: String,
    [low, high, bucket]: [i64; 3],
    sign: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement))
        .bind(low)
        .bind(high)
        .bind(bucket)
        .bind(sign)
        .execute(connection)
        .await?;
    Ok(())
}

/// Adds what a run of blocks changes, right after its rows; part of the commit that wrote them.
pub async fn add(connection: &mut PgConnection, batch: &RowBatch) -> Result<(), sqlx::Error> {
    let (Some(first), Some(last)) = (batch.blocks.first(), batch.blocks.last()) else {
        return Ok(());
    };
    let (low, high) = (height(first.number)?, height(last.number)?);
    let bucket = include(connection, Some((low, high))).await?;
    let nfts = batch
        .token_transfers
        .iter()
        .any(|row| row.token_id.is_some());
    for counter in &COUNTERS {
        let concerned = match counter.concerns {
            Concerns::Transactions => !batch.transactions.is_empty(),
            Concerns::Transfers => !batch.token_transfers.is_empty(),
            Concerns::Nfts => nfts,
        };
        if concerned {
            counter.apply(connection, [low, high, bucket], 1).await?;
        }
    }
    if batch
        .transactions
        .iter()
        .any(|tx| tx.contract_address.is_some())
    {
        sqlx::query(QUEUE_CREATED)
            .bind(low)
            .bind(high)
            .execute(&mut *connection)
            .await?;
    }
    let events = [Upgraded::SIGNATURE_HASH, BeaconUpgraded::SIGNATURE_HASH];
    let upgraded: Vec<&[u8]> = batch
        .logs
        .iter()
        .filter(|log| log.topic0.is_some_and(|topic| events.contains(&topic)))
        .map(|log| log.address.as_slice())
        .collect();
    if !upgraded.is_empty() {
        sqlx::query(QUEUE_UPGRADED)
            .bind(upgraded)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Takes away what the blocks above a height added, before their rows go; part of the reorg.
pub async fn remove_above(connection: &mut PgConnection, ancestor: u64) -> Result<(), sqlx::Error> {
    let ancestor = height(ancestor)?;
    let bucket = include(connection, None).await?;
    let pending: bool =
        sqlx::query_scalar("SELECT coalesce(upper(pending) - 1 > $1, false) FROM tally_state")
            .bind(ancestor)
            .fetch_one(&mut *connection)
            .await?;
    if pending {
        // Part of it is in: an operator goes back below what is final, while history is being added.
        return reset(connection).await;
    }
    let ranges: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT lower(r), upper(r) - 1
         FROM tally_state, unnest(blocks * int8multirange(int8range($1, NULL, '()'))) AS r",
    )
    .bind(ancestor)
    .fetch_all(&mut *connection)
    .await?;
    // Few changes are looked up in large tables: one by one, whatever old statistics say.
    look_up_one_by_one(connection, true).await?;
    for (low, high) in ranges {
        for counter in &COUNTERS {
            counter.apply(connection, [low, high, bucket], -1).await?;
        }
    }
    look_up_one_by_one(connection, false).await?;
    sqlx::query(
        "UPDATE tally_state SET blocks = blocks - int8multirange(int8range($1, NULL, '()'))",
    )
    .bind(ancestor)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets everything: all of it is counted again from the rows, as history is. Internal transfers, which
/// are counted when they are read, are counted again at once.
pub async fn reset(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    const FORGET: [&str; 6] = [
        "UPDATE tally_state SET blocks = '{}', pending = NULL",
        "DELETE FROM address_totals",
        "DELETE FROM token_totals",
        "DELETE FROM token_balances",
        "DELETE FROM nft_balances",
        "DELETE FROM token_instances",
    ];
    for statement in FORGET {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    add_internal(connection, 0..=i64::MAX.unsigned_abs()).await
}

/// The lowest height from which counters and balances are complete up to the head; `None` while they
/// do not include the head.
pub async fn find_complete_from(db: impl PgExecutor<'_>) -> Result<Option<u64>, sqlx::Error> {
    let low: Option<i64> = sqlx::query_scalar(
        "SELECT lower(run) FROM chain_state, tally_state, unnest(blocks) AS run
         WHERE run @> head_number",
    )
    .fetch_optional(db)
    .await?;
    Ok(low.map(i64::unsigned_abs))
}

/// Takes a turn among those who change counters, until the transaction ends.
pub async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT FROM tally_state FOR UPDATE")
        .execute(connection)
        .await?;
    Ok(())
}

/// The same, with heights recorded as included; returns the size of a bucket.
async fn include(
    connection: &mut PgConnection,
    added: Option<(i64, i64)>,
) -> Result<i64, sqlx::Error> {
    let (low, high) = added.unzip();
    sqlx::query_scalar(
        "UPDATE tally_state SET blocks = CASE WHEN $1::bigint IS NULL THEN blocks
                ELSE blocks + int8multirange(int8range($1, $2, '[]')) END
         RETURNING (SELECT bucket_blocks FROM chain)",
    )
    .bind(low)
    .bind(high)
    .fetch_one(connection)
    .await
}

async fn look_up_one_by_one(connection: &mut PgConnection, on: bool) -> Result<(), sqlx::Error> {
    let joins = if on { "off" } else { "on" };
    for setting in ["enable_hashjoin", "enable_mergejoin"] {
        let statement = format!("SET LOCAL {setting} = {joins}");
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
