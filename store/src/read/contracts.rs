//! Contracts: who created them, their code, and whose code they run.
//!
//! Creations are looked for where the address occurs: bucket by bucket of `address_totals`, newest first,
//! so that each query opens the chunks of one bucket.

use crate::{
    pg::column,
    view::{checksum, checksum_opt, rfc3339},
};
use alloy::primitives::{Address, B256};
use serde::Serialize;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use std::collections::HashMap;

/// What is known of a contract.
#[derive(Clone, Debug, Serialize)]
pub struct ContractView {
    #[serde(with = "checksum")]
    address: Address,
    /// The newest; none when it is not in what is indexed.
    creation: Option<Creation>,
    /// How often it was created, again after each destruction.
    creation_count: u64,
    /// None while it is not read.
    code: Option<Code>,
    proxy: Option<Proxy>,
    /// What it says to EIP-165; none while it is not read.
    interfaces: Option<Vec<&'static str>>,
    token: Option<TokenSummary>,
}

impl ContractView {
    /// The contract whose code it runs.
    #[must_use]
    pub fn implementation(&self) -> Option<Address> {
        self.proxy.as_ref().and_then(|proxy| proxy.implementation)
    }
}

/// How a contract came to be.
#[derive(Clone, Debug, Serialize)]
struct Creation {
    kind: &'static str,
    /// Who sent the transaction.
    #[serde(with = "checksum")]
    creator: Address,
    /// The contract that created it; none when the transaction itself did.
    #[serde(with = "checksum_opt")]
    factory: Option<Address>,
    /// Path of the creation among the transaction's calls.
    trace_id: Option<String>,
    transaction_hash: B256,
    block_number: u64,
    block_hash: B256,
    timestamp: u64,
    time: String,
}

#[derive(Clone, Debug, Serialize)]
struct Code {
    hash: Option<B256>,
    /// Bytes; 0 when it has none any more.
    size: u32,
    /// The block that it was read at.
    block_number: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Proxy {
    kind: String,
    #[serde(with = "checksum_opt")]
    implementation: Option<Address>,
}

#[derive(Clone, Debug, Serialize)]
struct TokenSummary {
    standard: Option<String>,
    name: Option<String>,
    symbol: Option<String>,
    decimals: Option<u8>,
}

/// Interfaces by their bits in `contract_code.interfaces`.
const INTERFACES: [(i32, &str); 7] = [
    (1, "ERC-165"),
    (2, "ERC-721"),
    (4, "ERC-721 Metadata"),
    (8, "ERC-721 Enumerable"),
    (16, "ERC-1155"),
    (32, "ERC-1155 Metadata"),
    (64, "ERC-2981"),
];

/// Where in the chain a creation is: top-level ones have trace 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    block_number: i64,
    tx_index: i32,
    trace_index: i32,
    /// What a trace says of it: kind, calling contract, path.
    trace: Option<(u8, Address, String)>,
}

/// A contract: an address with code, or one that was created. `None` for any other.
pub async fn find_contract(
    connection: &mut PgConnection,
    address: Address,
) -> Result<Option<ContractView>, sqlx::Error> {
    let code =
        sqlx::query("SELECT * FROM contract_code WHERE address = $1 AND read_at IS NOT NULL")
            .bind(address.as_slice())
            .fetch_optional(&mut *connection)
            .await?;
    let (newest, creation_count) = find_creations(connection, address).await?;
    let size = code
        .as_ref()
        .map(|row| column::<Option<u32>>(row, "code_size"));
    let size = size.transpose()?.flatten().unwrap_or(0);
    if newest.is_none() && size == 0 {
        return Ok(None);
    }
    let creation = match newest {
        Some(found) => Some(show_creation(connection, found).await?),
        None => None,
    };
    Ok(Some(ContractView {
        address,
        creation,
        creation_count,
        proxy: code.as_ref().map(proxy).transpose()?.flatten(),
        interfaces: code.as_ref().map(interfaces).transpose()?.flatten(),
        code: code
            .map(|row| {
                Ok::<_, sqlx::Error>(Code {
                    hash: column(&row, "code_hash")?,
                    size,
                    block_number: column(&row, "read_at")?,
                })
            })
            .transpose()?,
        token: find_token(connection, address).await?,
    }))
}

fn proxy(row: &PgRow) -> Result<Option<Proxy>, sqlx::Error> {
    let kind: Option<String> = column(row, "proxy")?;
    let implementation = column(row, "implementation")?;
    Ok(kind.map(|kind| Proxy {
        kind,
        implementation,
    }))
}

fn interfaces(row: &PgRow) -> Result<Option<Vec<&'static str>>, sqlx::Error> {
    let bits: Option<i32> = column(row, "interfaces")?;
    Ok(bits.map(|bits| {
        let has = INTERFACES.iter().filter(|(bit, _)| bits & bit != 0);
        has.map(|(_, name)| *name).collect()
    }))
}

async fn find_token(
    connection: &mut PgConnection,
    address: Address,
) -> Result<Option<TokenSummary>, sqlx::Error> {
    let row = sqlx::query("SELECT standard, name, symbol, decimals FROM tokens WHERE address = $1")
        .bind(address.as_slice())
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        Ok(TokenSummary {
            standard: column(&row, "standard")?,
            name: column(&row, "name")?,
            symbol: column(&row, "symbol")?,
            decimals: column(&row, "decimals")?,
        })
    })
    .transpose()
}

/// The newest creation, and how many there are.
async fn find_creations(
    connection: &mut PgConnection,
    address: Address,
) -> Result<(Option<Found>, u64), sqlx::Error> {
    let mut newest: Option<Found> = None;
    let mut count = 0;
    for window in windows(connection, address).await? {
        for (sql, may) in [(TOP_LEVEL, window.created), (BY_CONTRACTS, window.internal)] {
            if !may {
                continue;
            }
            let row = sqlx::query(sql)
                .bind(address.as_slice())
                .bind(window.low)
                .bind(window.high)
                .fetch_optional(&mut *connection)
                .await?;
            if let Some(row) = row {
                let total: i64 = row.try_get("total")?;
                count += total.unsigned_abs();
                newest = newest.max(Some(found(&row)?));
            }
        }
    }
    Ok((newest, count))
}

/// The newest creation by a transaction between two heights, and how many there are.
const TOP_LEVEL: &str = "
    SELECT block_number, tx_index, 0 AS trace_index, NULL::smallint AS kind,
           NULL::bytea AS from_address, NULL::text AS trace_id, count(*) OVER () AS total
    FROM address_activity
    WHERE address = $1 AND block_number BETWEEN $2 AND $3 AND roles & 4 <> 0
    ORDER BY block_number DESC, tx_index DESC LIMIT 1";

/// The same by contracts. The kinds stand here as in the index of creations.
const BY_CONTRACTS: &str = "
    SELECT block_number, tx_index, trace_index, kind, from_address, trace_id,
           count(*) OVER () AS total
    FROM internal_transfers
    WHERE to_address = $1 AND block_number BETWEEN $2 AND $3 AND kind IN (2, 3)
    ORDER BY block_number DESC, tx_index DESC, trace_index DESC LIMIT 1";

fn found(row: &PgRow) -> Result<Found, sqlx::Error> {
    let kind: Option<u8> = column(row, "kind")?;
    let trace = match kind {
        Some(kind) => Some((kind, column(row, "from_address")?, column(row, "trace_id")?)),
        None => None,
    };
    Ok(Found {
        block_number: row.try_get("block_number")?,
        tx_index: row.try_get("tx_index")?,
        trace_index: row.try_get("trace_index")?,
        trace,
    })
}

/// Heights in which an address may have been created.
struct Window {
    low: i64,
    high: i64,
    /// By a transaction.
    created: bool,
    /// By a contract.
    internal: bool,
}

/// Where to look: buckets in which the address has such counts, and whatever is indexed and not counted
/// yet, cut to the size of buckets.
async fn windows(
    connection: &mut PgConnection,
    address: Address,
) -> Result<Vec<Window>, sqlx::Error> {
    let rows = sqlx::query(
        "WITH size AS (SELECT bucket_blocks AS blocks FROM chain),
         waiting AS (
             SELECT lower(r) AS low, upper(r) - 1 AS high
             FROM unnest((SELECT blocks FROM coverage) - (SELECT blocks FROM tally_state)) AS r
         )
         SELECT bucket * size.blocks AS low, (bucket + 1) * size.blocks - 1 AS high,
                created_count > 0 AS created, internal_count > 0 AS internal
         FROM address_totals, size
         WHERE address = $1 AND (created_count > 0 OR internal_count > 0)
         UNION ALL
         SELECT greatest(low, piece), least(high, piece + size.blocks - 1), true, true
         FROM waiting, size,
              generate_series(low / size.blocks * size.blocks, high, size.blocks) AS piece",
    )
    .bind(address.as_slice())
    .fetch_all(connection)
    .await?;
    let mut windows: Vec<Window> = rows
        .iter()
        .map(|row| {
            Ok(Window {
                low: row.try_get("low")?,
                high: row.try_get("high")?,
                created: row.try_get("created")?,
                internal: row.try_get("internal")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    merge(&mut windows);
    Ok(windows)
}

/// A bucket of which one part is counted and another is not comes twice: nothing may be found twice.
fn merge(windows: &mut Vec<Window>) {
    windows.sort_unstable_by_key(|window| (window.low, window.high));
    windows.dedup_by(|next, kept| {
        let overlap = next.low <= kept.high;
        if overlap {
            kept.high = kept.high.max(next.high);
            kept.created |= next.created;
            kept.internal |= next.internal;
        }
        overlap
    });
}

/// A creation with its transaction and its block.
async fn show_creation(
    connection: &mut PgConnection,
    found: Found,
) -> Result<Creation, sqlx::Error> {
    let row = sqlx::query(
        "SELECT t.from_address, t.hash, b.hash AS block_hash, b.timestamp
         FROM transactions t JOIN blocks b ON b.number = $1
         WHERE t.block_number = $1 AND t.tx_index = $2",
    )
    .bind(found.block_number)
    .bind(found.tx_index)
    .fetch_one(connection)
    .await?;
    let timestamp = column(&row, "timestamp")?;
    let (kind, factory, trace_id) = match found.trace {
        None => ("transaction", None, None),
        Some((2, factory, path)) => ("create", Some(factory), Some(path)),
        Some((_, factory, path)) => ("create2", Some(factory), Some(path)),
    };
    Ok(Creation {
        kind,
        creator: column(&row, "from_address")?,
        factory,
        trace_id,
        transaction_hash: column(&row, "hash")?,
        block_number: found.block_number.unsigned_abs(),
        block_hash: column(&row, "block_hash")?,
        timestamp,
        time: rfc3339(timestamp),
    })
}

/// Of some addresses those that are proxies, and whose code they run.
pub async fn list_implementations(
    connection: &mut PgConnection,
    addresses: &[Address],
) -> Result<HashMap<Address, Address>, sqlx::Error> {
    let addresses: Vec<&[u8]> = addresses.iter().map(|address| address.as_slice()).collect();
    let rows = sqlx::query(
        "SELECT address, implementation FROM contract_code
         WHERE address = ANY($1) AND implementation IS NOT NULL",
    )
    .bind(addresses)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok((column(row, "address")?, column(row, "implementation")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(windows: &[(i64, i64, bool, bool)]) -> Vec<(i64, i64, bool, bool)> {
        let window = |&(low, high, created, internal)| Window {
            low,
            high,
            created,
            internal,
        };
        let mut windows: Vec<Window> = windows.iter().map(window).collect();
        merge(&mut windows);
        let parts = windows.iter();
        parts
            .map(|window| (window.low, window.high, window.created, window.internal))
            .collect()
    }

    #[test]
    fn a_bucket_that_is_half_counted_is_looked_at_once() {
        assert_eq!(
            merged(&[
                (70, 99, true, true),
                (0, 99, true, false),
                (200, 299, false, true)
            ]),
            [(0, 99, true, true), (200, 299, false, true)]
        );
    }
}
