//! Wallets: what an address took part in, always one range of `address_activity`.

use super::{Page, Position, Slice, bind_height, list_by_position, transactions::list_at};
use crate::{
    pg::column,
    rows::{Role, TransactionRow},
    view::{checksum, rfc3339},
};
use alloy::primitives::Address;
use serde::Serialize;
use sqlx::{PgConnection, Row as _};

/// What is known of an address.
#[derive(Clone, Debug, Serialize)]
pub struct WalletView {
    /// The address.
    #[serde(with = "checksum")]
    pub address: Address,
    /// Transactions it took part in.
    pub transaction_count: u64,
    /// Transactions it sent.
    pub sent_count: u64,
    /// Transactions sent to it.
    pub received_count: u64,
    /// Whether a transaction created it, which makes it a contract.
    pub created_by_transaction: bool,
    /// The first block with it; none when it was never seen.
    pub first_seen: Option<Seen>,
    /// The last block with it.
    pub last_seen: Option<Seen>,
}

/// A block in which an address was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    block_number: u64,
    timestamp: u64,
    time: String,
}

/// Counts an address' transactions. Every address is a wallet: one that was never seen has none.
pub async fn find_wallet(
    connection: &mut PgConnection,
    address: Address,
) -> Result<WalletView, sqlx::Error> {
    let row = sqlx::query(
        "SELECT count(*) AS total,
                count(*) FILTER (WHERE roles & $2 <> 0) AS sent,
                count(*) FILTER (WHERE roles & $3 <> 0) AS received,
                coalesce(bool_or(roles & $4 <> 0), false) AS created,
                min(block_number) AS first_block, max(block_number) AS last_block
         FROM address_activity WHERE address = $1",
    )
    .bind(address.as_slice())
    .bind(i16::from(Role::Sender.bit()))
    .bind(i16::from(Role::Recipient.bit()))
    .bind(i16::from(Role::Created.bit()))
    .fetch_one(&mut *connection)
    .await?;
    let first: Option<u64> = column(&row, "first_block")?;
    let last: Option<u64> = column(&row, "last_block")?;
    Ok(WalletView {
        address,
        transaction_count: column(&row, "total")?,
        sent_count: column(&row, "sent")?,
        received_count: column(&row, "received")?,
        created_by_transaction: row.try_get("created")?,
        first_seen: seen_at(connection, first).await?,
        last_seen: seen_at(connection, last).await?,
    })
}

async fn seen_at(
    connection: &mut PgConnection,
    number: Option<u64>,
) -> Result<Option<Seen>, sqlx::Error> {
    let Some(number) = number else {
        return Ok(None);
    };
    let row = sqlx::query("SELECT timestamp FROM blocks WHERE number = $1")
        .bind(bind_height(number))
        .fetch_one(connection)
        .await?;
    let timestamp = column(&row, "timestamp")?;
    Ok(Some(Seen {
        block_number: number,
        timestamp,
        time: rfc3339(timestamp),
    }))
}

/// The transactions an address took part in, newest first.
pub async fn list_wallet_transactions(
    connection: &mut PgConnection,
    address: Address,
    page: Page,
) -> Result<Slice<TransactionRow>, sqlx::Error> {
    let rows = list_by_position(
        &mut *connection,
        "SELECT block_number, tx_index FROM address_activity",
        "AND address = $6",
        &[address.as_slice()],
        page,
    )
    .await?;
    let positions: Vec<Position> = rows
        .iter()
        .map(|row| {
            Ok(Position {
                block_number: column(row, "block_number")?,
                tx_index: column(row, "tx_index")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    let rows = list_at(connection, &positions).await?;
    Ok(Slice::new(rows, page))
}
