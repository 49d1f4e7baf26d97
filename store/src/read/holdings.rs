//! Who holds what: tokens and ids of a holder, holders and ids of a token.

use super::{
    HeldInstance, HeldToken, HolderRank, InstanceId, Page, Quantity, Slice, Snapshot,
    fill::{Source, Span, fill},
    find_tokens,
    windows::Windows,
};
use crate::{
    pg::column,
    view::{HeldInstanceView, HeldTokenView, HolderView, InstanceView},
};
use alloy::primitives::{Address, U512};
use chain::Wei;
use sqlx::{PgConnection, QueryBuilder, Row as _, postgres::PgRow};
use std::collections::HashMap;

/// A sum that is above zero.
fn quantity(row: &PgRow, name: &str) -> Result<Quantity, sqlx::Error> {
    let text: &str = row.try_get(name)?;
    text.parse::<U512>()
        .map(Quantity)
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// The tokens of which an address has some, by address.
pub async fn list_held_tokens(
    snapshot: &mut Snapshot,
    holder: Address,
    page: Page<HeldToken>,
) -> Result<Slice<HeldTokenView>, sqlx::Error> {
    let source = HeldTokens(holder);
    let slice = fill(snapshot.connection(), &source, page, Windows::whole()).await?;
    let held = slice.items.iter().map(|(token, _)| *token);
    let tokens = find_tokens(snapshot.connection(), held).await?;
    let items = slice.items.iter().map(|(token, balance)| {
        let known = tokens.get(token);
        HeldTokenView::new(*token, known, *balance)
    });
    let items = items.collect();
    Ok(slice.with(items))
}

struct HeldTokens(Address);

impl Source for HeldTokens {
    type Key = HeldToken;
    type Row = (Address, Quantity);
    const ASCENDING: bool = true;

    fn key((token, _): &Self::Row) -> HeldToken {
        HeldToken { token: *token }
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<HeldToken>,
    ) -> Result<Vec<Self::Row>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "SELECT token, balance::text FROM token_balances WHERE balance > 0 AND holder = ",
        );
        query.push_bind(self.0.to_vec());
        span.push_rest(&mut query);
        let rows = query.build().fetch_all(connection).await?;
        rows.iter()
            .map(|row| Ok((column(row, "token")?, quantity(row, "balance")?)))
            .collect()
    }
}

/// The ERC-721 and ERC-1155 ids of which an address has some, by token and id.
pub async fn list_held_instances(
    snapshot: &mut Snapshot,
    holder: Address,
    page: Page<HeldInstance>,
) -> Result<Slice<HeldInstanceView>, sqlx::Error> {
    let source = HeldInstances(holder);
    let slice = fill(snapshot.connection(), &source, page, Windows::whole()).await?;
    let held = slice.items.iter().map(|(key, _)| key.token);
    let tokens = find_tokens(snapshot.connection(), held).await?;
    let items = slice.items.iter().map(|(key, balance)| {
        let known = tokens.get(&key.token);
        HeldInstanceView::new(key, known, *balance)
    });
    let items = items.collect();
    Ok(slice.with(items))
}

struct HeldInstances(Address);

impl Source for HeldInstances {
    type Key = HeldInstance;
    type Row = (HeldInstance, Quantity);
    const ASCENDING: bool = true;

    fn key((key, _): &Self::Row) -> HeldInstance {
        *key
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<HeldInstance>,
    ) -> Result<Vec<Self::Row>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "SELECT token, token_id, balance::text FROM nft_balances
             WHERE balance > 0 AND holder = ",
        );
        query.push_bind(self.0.to_vec());
        span.push_rest(&mut query);
        let rows = query.build().fetch_all(connection).await?;
        rows.iter()
            .map(|row| {
                let key = HeldInstance {
                    token: column(row, "token")?,
                    token_id: column(row, "token_id")?,
                };
                Ok((key, quantity(row, "balance")?))
            })
            .collect()
    }
}

/// The holders of a token, those with most first.
pub async fn list_holders(
    snapshot: &mut Snapshot,
    token: Address,
    page: Page<HolderRank>,
) -> Result<Slice<HolderView>, sqlx::Error> {
    let slice = fill(
        snapshot.connection(),
        &Holders(token),
        page,
        Windows::whole(),
    )
    .await?;
    let items = slice.items.iter().map(|rank| HolderView::new(*rank));
    let items = items.collect();
    Ok(slice.with(items))
}

struct Holders(Address);

impl Source for Holders {
    type Key = HolderRank;
    type Row = HolderRank;

    fn key(row: &HolderRank) -> HolderRank {
        *row
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<HolderRank>,
    ) -> Result<Vec<HolderRank>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "SELECT holder, balance::text AS amount FROM token_balances
             WHERE balance > 0 AND token = ",
        );
        query.push_bind(self.0.to_vec());
        span.push_rest(&mut query);
        let rows = query.build().fetch_all(connection).await?;
        rows.iter()
            .map(|row| {
                Ok(HolderRank {
                    balance: quantity(row, "amount")?,
                    holder: column(row, "holder")?,
                })
            })
            .collect()
    }
}

const INSTANCE: &str = "token_id, transfer_count, holder_count, (minted - burnt)::text AS supply";

fn instance(row: &PgRow) -> Result<InstanceView, sqlx::Error> {
    Ok(InstanceView {
        token_id: column(row, "token_id")?,
        transfer_count: column(row, "transfer_count")?,
        holder_count: column(row, "holder_count")?,
        supply: row.try_get("supply")?,
        owner: None,
    })
}

/// The ids of a token, the least first; each with its owner where ids have one (`owned`).
pub async fn list_instances(
    snapshot: &mut Snapshot,
    token: Address,
    owned: bool,
    page: Page<InstanceId>,
) -> Result<Slice<InstanceView>, sqlx::Error> {
    let connection = snapshot.connection();
    let mut slice = fill(&mut *connection, &Instances(token), page, Windows::whole()).await?;
    if owned {
        find_owners(connection, token, &mut slice.items).await?;
    }
    Ok(slice)
}

struct Instances(Address);

impl Source for Instances {
    type Key = InstanceId;
    type Row = InstanceView;
    const ASCENDING: bool = true;

    fn key(row: &InstanceView) -> InstanceId {
        InstanceId {
            token_id: row.token_id,
        }
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<InstanceId>,
    ) -> Result<Vec<InstanceView>, sqlx::Error> {
        let mut query = QueryBuilder::new(format!(
            "SELECT {INSTANCE} FROM token_instances WHERE token = "
        ));
        query.push_bind(self.0.to_vec());
        span.push_rest(&mut query);
        let rows = query.build().fetch_all(connection).await?;
        rows.iter().map(instance).collect()
    }
}

/// One id of a token.
pub async fn find_instance(
    connection: &mut PgConnection,
    token: Address,
    token_id: Wei,
    owned: bool,
) -> Result<Option<InstanceView>, sqlx::Error> {
    let mut query = QueryBuilder::new(format!(
        "SELECT {INSTANCE} FROM token_instances WHERE token = "
    ));
    query.push_bind(token.to_vec());
    query.push(" AND token_id = (");
    query.push_bind(token_id.to_string());
    query.push("::text)::numeric");
    let row = query.build().fetch_optional(&mut *connection).await?;
    let mut found: Vec<InstanceView> = row.iter().map(instance).collect::<Result<_, _>>()?;
    if owned {
        find_owners(connection, token, &mut found).await?;
    }
    Ok(found.pop())
}

/// Fills in who owns each id of an ERC-721.
async fn find_owners(
    connection: &mut PgConnection,
    token: Address,
    instances: &mut [InstanceView],
) -> Result<(), sqlx::Error> {
    let ids: Vec<String> = instances
        .iter()
        .map(|instance| instance.token_id.to_string())
        .collect();
    let rows = sqlx::query(
        "SELECT token_id, holder FROM nft_balances
         WHERE token = $1 AND token_id = ANY($2::text[]::numeric[]) AND balance > 0
         ORDER BY balance, holder",
    )
    .bind(token.as_slice())
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut owners: HashMap<Wei, Address> = HashMap::with_capacity(rows.len());
    for row in &rows {
        owners.insert(column(row, "token_id")?, column(row, "holder")?);
    }
    for instance in instances {
        instance.owner = owners.get(&instance.token_id).copied();
    }
    Ok(())
}
