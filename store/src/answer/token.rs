//! Tokens, who holds them, and their ids.

use super::{entry, list};
use crate::{
    cache::{Entry, Subject, Validity},
    read::{
        self, HolderRank, InstanceId, Page, Snapshot, TokenRank, TransferFilter, TransferPosition,
    },
    view::TokenStandard,
};
use alloy::primitives::Address;
use chain::Wei;

/// Tokens, those that most hold first.
pub async fn tokens(
    snapshot: &mut Snapshot,
    standard: Option<TokenStandard>,
    page: Page<TokenRank>,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_tokens(snapshot, standard, page).await?;
    list(snapshot, slice)
}

/// A token.
pub async fn token(
    snapshot: &mut Snapshot,
    address: Address,
) -> Result<Option<Entry>, sqlx::Error> {
    let token = read::find_token(snapshot.connection(), address).await?;
    let validity = Validity::of_head(&snapshot.state);
    token
        .map(|token| entry(validity, Subject::Many, &token))
        .transpose()
}

/// The holders of a token, those with most first.
pub async fn holders(
    snapshot: &mut Snapshot,
    address: Address,
    page: Page<HolderRank>,
) -> Result<Option<Entry>, sqlx::Error> {
    if read::find_token(snapshot.connection(), address)
        .await?
        .is_none()
    {
        return Ok(None);
    }
    let slice = read::list_holders(snapshot, address, page).await?;
    list(snapshot, slice).map(Some)
}

/// The transfers of a token, newest first.
pub async fn token_transfers(
    snapshot: &mut Snapshot,
    address: Address,
    filter: TransferFilter,
    page: Page<TransferPosition>,
) -> Result<Option<Entry>, sqlx::Error> {
    if read::find_token(snapshot.connection(), address)
        .await?
        .is_none()
    {
        return Ok(None);
    }
    let slice = read::list_token_transfers(snapshot, address, filter, page).await?;
    let items = read::show_transfers(snapshot.connection(), &slice.items, None).await?;
    list(snapshot, slice.with(items)).map(Some)
}

/// Whether the ids of a token have one owner each; none when there is no such token.
async fn has_owners(
    snapshot: &mut Snapshot,
    address: Address,
) -> Result<Option<bool>, sqlx::Error> {
    let token = read::find_token(snapshot.connection(), address).await?;
    Ok(token.map(|token| token.standard == Some(TokenStandard::Erc721)))
}

/// The ids of a token, the least first.
pub async fn instances(
    snapshot: &mut Snapshot,
    address: Address,
    page: Page<InstanceId>,
) -> Result<Option<Entry>, sqlx::Error> {
    let Some(owned) = has_owners(snapshot, address).await? else {
        return Ok(None);
    };
    let slice = read::list_instances(snapshot, address, owned, page).await?;
    list(snapshot, slice).map(Some)
}

/// One id of a token.
pub async fn instance(
    snapshot: &mut Snapshot,
    address: Address,
    token_id: Wei,
) -> Result<Option<Entry>, sqlx::Error> {
    let Some(owned) = has_owners(snapshot, address).await? else {
        return Ok(None);
    };
    let connection = snapshot.connection();
    let found = read::find_instance(connection, address, token_id, owned).await?;
    let validity = Validity::of_head(&snapshot.state);
    found
        .map(|instance| entry(validity, Subject::Many, &instance))
        .transpose()
}
