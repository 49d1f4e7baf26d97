//! Rows that nothing leads to: where a client could find them, they would be answers about nothing.
//!
//! What blocks lead to is compared block by block elsewhere, by the keys that are read in earnest; this
//! is the other direction, one pass over each table. It finds rows at heights that have no block, rows
//! beyond the head or below the first block, and lookups that end nowhere.

use super::damage::{MOST_STRAYS, Stray};
use crate::{read::bind_height, state::ChainState};
use sqlx::{AssertSqlSafe, PgConnection};

/// A table whose rows must be led to.
struct Table {
    name: &'static str,
    /// Its column of heights.
    height: &'static str,
    /// Its key.
    key: &'static [&'static str],
    /// What leads to the row `x`: a table, and how it does.
    leads: &'static str,
}

const BLOCK: &str = "blocks l WHERE l.number = x.block_number";

/// In the order in which they can be deleted: blocks first, whose rows then lead nowhere.
const TABLES: [Table; 11] = [
    Table {
        name: "blocks",
        height: "number",
        key: &["number"],
        leads: "generate_series(1, 1) l WHERE true",
    },
    Table {
        name: "withdrawals",
        height: "block_number",
        key: &["block_number", "position"],
        leads: BLOCK,
    },
    Table {
        name: "transactions",
        height: "block_number",
        key: &["block_number", "tx_index"],
        leads: BLOCK,
    },
    Table {
        name: "logs",
        height: "block_number",
        key: &["block_number", "log_index"],
        leads: BLOCK,
    },
    Table {
        name: "token_transfers",
        height: "block_number",
        key: &["block_number", "log_index", "position"],
        leads: "logs l WHERE l.block_number = x.block_number AND l.log_index = x.log_index \
                AND l.address = x.token",
    },
    Table {
        name: "internal_transfers",
        height: "block_number",
        key: &["block_number", "tx_index", "trace_index"],
        leads: "transactions l WHERE l.block_number = x.block_number AND l.tx_index = x.tx_index",
    },
    Table {
        name: "block_credits",
        height: "block_number",
        key: &["address", "block_number", "kind"],
        leads: "(SELECT number, miner AS address FROM blocks \
                 UNION ALL SELECT block_number, address FROM withdrawals) l \
                WHERE l.number = x.block_number AND l.address = x.address",
    },
    Table {
        name: "tx_lookup",
        height: "block_number",
        key: &["hash_prefix", "block_number", "tx_index"],
        leads: "transactions l WHERE l.block_number = x.block_number AND l.tx_index = x.tx_index \
                AND hash_prefix(l.hash) = x.hash_prefix",
    },
    Table {
        name: "block_lookup",
        height: "block_number",
        key: &["hash_prefix", "block_number"],
        leads: "blocks l WHERE l.number = x.block_number AND hash_prefix(l.hash) = x.hash_prefix",
    },
    Table {
        name: "address_activity",
        height: "block_number",
        key: &["address", "block_number", "tx_index"],
        leads: "transactions l WHERE l.block_number = x.block_number AND l.tx_index = x.tx_index \
                AND x.address IN (l.from_address, l.to_address, l.contract_address)",
    },
    Table {
        name: "block_stats",
        height: "number",
        key: &["time", "number"],
        leads: "blocks l WHERE l.number = x.number AND to_timestamp(l.timestamp) = x.time",
    },
];

impl Table {
    /// A condition on the row `x`: outside of the heights from `$low` to `$high`, or led to by nothing.
    fn leads_nowhere(&self, low: &str, high: &str) -> String {
        let within = format!("x.{} BETWEEN {low} AND {high}", self.height);
        if self.name == "blocks" {
            format!("NOT ({within})")
        } else {
            format!("NOT EXISTS (SELECT FROM {} AND {within})", self.leads)
        }
    }
}

/// Strays of all tables at heights from `from` to `to`, blocks being where they may up to the head.
pub(super) async fn find(
    connection: &mut PgConnection,
    first: u64,
    head: u64,
    from: i64,
    to: i64,
) -> Result<Vec<Stray>, sqlx::Error> {
    let mut strays = Vec::new();
    for table in &TABLES {
        let key: Vec<String> = table
            .key
            .iter()
            .map(|column| format!("'{column}', x.{column}"))
            .collect();
        let sql = format!(
            "SELECT x.{height}, jsonb_build_object({key})::text FROM {name} x
             WHERE x.{height} BETWEEN $1 AND $2 AND {nowhere} ORDER BY 1, 2 LIMIT {MOST_STRAYS}",
            height = table.height,
            key = key.join(", "),
            name = table.name,
            nowhere = table.leads_nowhere("$3", "$4"),
        );
        let rows: Vec<(i64, String)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(from)
            .bind(to)
            .bind(bind_height(first))
            .bind(bind_height(head))
            .fetch_all(&mut *connection)
            .await?;
        strays.extend(rows.into_iter().map(|(number, key)| Stray {
            table: table.name,
            block_number: number.unsigned_abs(),
            key,
        }));
    }
    Ok(strays)
}

/// Deletes strays that still are strays in the caller's transaction, under its lock on the state.
/// Returns how many rows went.
pub async fn delete_strays(
    connection: &mut PgConnection,
    first: u64,
    state: &ChainState,
    strays: &[Stray],
) -> Result<u64, sqlx::Error> {
    let head = state.head.map_or(-1, |head| bind_height(head.number));
    let mut deleted = 0;
    for table in &TABLES {
        let keys: Vec<&str> = strays
            .iter()
            .filter(|stray| stray.table == table.name)
            .map(|stray| stray.key.as_str())
            .collect();
        if keys.is_empty() {
            continue;
        }
        let same: Vec<String> = table
            .key
            .iter()
            .map(|column| format!("x.{column} = k.{column}"))
            .collect();
        let sql = format!(
            "DELETE FROM {name} x USING jsonb_populate_recordset(NULL::{name}, $1::jsonb) k
             WHERE {same} AND {nowhere}",
            name = table.name,
            same = same.join(" AND "),
            nowhere = table.leads_nowhere("$2", "$3"),
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(format!("[{}]", keys.join(",")))
            .bind(bind_height(first))
            .bind(head)
            .execute(&mut *connection)
            .await?;
        deleted += done.rows_affected();
    }
    Ok(deleted)
}
