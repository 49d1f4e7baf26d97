//! Tokens: what their transfers tell of them and what they say of themselves.

use super::{
    Page, Slice, Snapshot, TokenRank,
    fill::{Source, Span, fill},
    windows::Windows,
};
use crate::{
    pg::column,
    view::{TokenStandard, TokenView},
};
use alloy::primitives::Address;
use sqlx::{PgConnection, QueryBuilder, Row as _, postgres::PgRow};
use std::collections::HashMap;

/// The columns of a [`TokenView`]; sums as text, since they may be below zero or beyond 256 bits.
const COLUMNS: &str = "address, standard, name, symbol, decimals, total_supply, transfer_count,
    holder_count, supply::text AS supply";

fn decode(row: &PgRow) -> Result<TokenView, sqlx::Error> {
    let standard: Option<String> = row.try_get("standard")?;
    Ok(TokenView {
        address: column(row, "address")?,
        standard: standard.as_deref().and_then(TokenStandard::from_name),
        name: row.try_get("name")?,
        symbol: row.try_get("symbol")?,
        decimals: column(row, "decimals")?,
        total_supply: column(row, "total_supply")?,
        transfer_count: column(row, "transfer_count")?,
        holder_count: column(row, "holder_count")?,
        supply: row.try_get("supply")?,
    })
}

/// The token at an address; none where nothing says that there is one.
pub async fn find_token(
    connection: &mut PgConnection,
    address: Address,
) -> Result<Option<TokenView>, sqlx::Error> {
    let mut tokens = find_tokens(connection, std::iter::once(address)).await?;
    let token = tokens.remove(&address);
    Ok(token.filter(|token| token.standard.is_some()))
}

/// What is known of some tokens, by address.
pub async fn find_tokens(
    connection: &mut PgConnection,
    addresses: impl Iterator<Item = Address>,
) -> Result<HashMap<Address, TokenView>, sqlx::Error> {
    let mut addresses: Vec<Address> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    let addresses: Vec<&[u8]> = addresses.iter().map(|address| address.as_slice()).collect();
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM tokens WHERE address = ANY("));
    query.push_bind(addresses).push(")");
    let rows = query.build().fetch_all(connection).await?;
    rows.iter()
        .map(|row| decode(row).map(|token| (token.address, token)))
        .collect()
}

/// Tokens, those that most hold first.
pub async fn list_tokens(
    snapshot: &mut Snapshot,
    standard: Option<TokenStandard>,
    page: Page<TokenRank>,
) -> Result<Slice<TokenView>, sqlx::Error> {
    let source = Tokens(standard);
    fill(snapshot.connection(), &source, page, Windows::whole()).await
}

struct Tokens(Option<TokenStandard>);

impl Source for Tokens {
    type Key = TokenRank;
    type Row = TokenView;

    fn filters(&self) -> bool {
        // What only looks like a token is left out always.
        true
    }

    fn keeps(&self, row: &TokenView) -> bool {
        row.standard.is_some() && (self.0.is_none() || row.standard == self.0)
    }

    fn key(row: &TokenView) -> TokenRank {
        TokenRank {
            holder_count: row.holder_count,
            token: row.address,
        }
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<TokenRank>,
    ) -> Result<Vec<TokenView>, sqlx::Error> {
        let mut query = QueryBuilder::new(format!(
            "SELECT * FROM (SELECT {COLUMNS}, address AS token FROM tokens) AS t WHERE true"
        ));
        span.push_rest(&mut query);
        let rows = query.build().fetch_all(connection).await?;
        rows.iter().map(decode).collect()
    }
}
