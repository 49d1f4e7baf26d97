//! Code of contracts and what tokens say of themselves: which is to be read, and what was.

use crate::pg::column;
use crate::state::height;
use alloy::primitives::{Address, B256};
use chain::Wei;
use sqlx::{PgConnection, PgExecutor};

/// How a contract is found to be a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// Minimal proxy, by its code (EIP-1167 and its kin).
    Eip1167,
    /// Implementation in its slot (EIP-1967).
    Eip1967,
    /// Beacon in its slot (EIP-1967).
    Eip1967Beacon,
    /// Implementation in the slot of EIP-1822.
    Eip1822,
    /// An account that runs a contract's code (EIP-7702).
    Eip7702,
}

impl ProxyKind {
    /// Its name in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eip1167 => "eip1167",
            Self::Eip1967 => "eip1967",
            Self::Eip1967Beacon => "eip1967_beacon",
            Self::Eip1822 => "eip1822",
            Self::Eip7702 => "eip7702",
        }
    }
}

/// What was found out about an address' code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRow {
    /// Whose code.
    pub address: Address,
    /// At which height.
    pub read_at: u64,
    /// Bytes.
    pub code_size: u32,
    /// Keccak-256 of the code.
    pub code_hash: B256,
    /// Sum of ERC-165 answers.
    pub interfaces: u32,
    /// The kind of proxy it is.
    pub proxy: Option<ProxyKind>,
    /// Where the proxy leads.
    pub implementation: Option<Address>,
}

/// Addresses whose code is to be read.
pub async fn list_unread(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<Address>, sqlx::Error> {
    let rows = sqlx::query("SELECT address FROM contract_code WHERE read_at IS NULL LIMIT $1")
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| column(row, "address")).collect()
}

/// Writes what was found out; part of the caller's transaction.
pub async fn write(connection: &mut PgConnection, rows: &[CodeRow]) -> Result<(), sqlx::Error> {
    for row in rows {
        sqlx::query(
            "UPDATE contract_code SET read_at = $2, code_size = $3, code_hash = $4, interfaces = $5,
                    proxy = $6, implementation = $7 WHERE address = $1",
        )
        .bind(row.address.as_slice())
        .bind(height(row.read_at)?)
        .bind(i32::try_from(row.code_size).unwrap_or(i32::MAX))
        .bind(row.code_hash.as_slice())
        .bind(row.interfaces.cast_signed())
        .bind(row.proxy.map(ProxyKind::name))
        .bind(row.implementation.as_ref().map(|address| address.as_slice()))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What a token says of itself, made fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRow {
    /// The token.
    pub token: Address,
    /// At which height.
    pub read_at: u64,
    /// Its name.
    pub name: Option<String>,
    /// Its symbol.
    pub symbol: Option<String>,
    /// Digits of its base units after the point.
    pub decimals: Option<u8>,
    /// Base units there are.
    pub total_supply: Option<Wei>,
}

/// Tokens that are to be asked.
pub async fn list_unread_tokens(
    db: impl PgExecutor<'_>,
    limit: i64,
) -> Result<Vec<Address>, sqlx::Error> {
    let rows = sqlx::query("SELECT token FROM token_metadata WHERE read_at IS NULL LIMIT $1")
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| column(row, "token")).collect()
}

/// Writes what tokens said; part of the caller's transaction.
pub async fn write_metadata(
    connection: &mut PgConnection,
    rows: &[MetadataRow],
) -> Result<(), sqlx::Error> {
    for row in rows {
        sqlx::query(
            "UPDATE token_metadata SET read_at = $2, name = $3, symbol = $4, decimals = $5,
                    total_supply = $6::text::numeric WHERE token = $1",
        )
        .bind(row.token.as_slice())
        .bind(height(row.read_at)?)
        .bind(row.name.as_deref())
        .bind(row.symbol.as_deref())
        .bind(row.decimals.map(i16::from))
        .bind(row.total_supply.map(|supply| supply.to_string()))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
