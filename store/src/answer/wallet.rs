//! Wallets: what they are, what they took part in, what they have.

use super::{Labelled, List, entry, list, transaction_list};
use crate::{
    cache::{Entry, Subject, Validity},
    labels::Visibility,
    read::{
        self, ActivityFilter, HeldInstance, HeldToken, InternalFilter, Page, Position, Snapshot,
        TracePosition, TransferFilter, TransferPosition,
    },
};
use alloy::primitives::Address;

/// What is known of an address, with the labels that a reader may see. Only what the public may see is
/// cached.
pub async fn wallet(
    snapshot: &mut Snapshot,
    address: Address,
    seen_by: Visibility,
) -> Result<Entry, sqlx::Error> {
    let wallet = read::find_wallet(snapshot, address).await?;
    let mut labels = read::list_labels(snapshot.connection(), &[address], seen_by).await?;
    let view = Labelled {
        of: wallet,
        labels: labels.remove(&address).unwrap_or_default(),
    };
    entry(Validity::of_head(&snapshot.state), Subject::Many, &view)
}

/// The transactions an address took part in, newest first.
pub async fn wallet_transactions(
    snapshot: &mut Snapshot,
    address: Address,
    filter: ActivityFilter,
    page: Page<Position>,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_wallet_transactions(snapshot, address, filter, page).await?;
    transaction_list(snapshot, slice).await
}

/// The token transfers from or to an address, newest first.
pub async fn wallet_transfers(
    snapshot: &mut Snapshot,
    address: Address,
    filter: TransferFilter,
    page: Page<TransferPosition>,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_wallet_transfers(snapshot, address, filter, page).await?;
    let items = read::show_transfers(snapshot.connection(), &slice.items, None).await?;
    list(snapshot, slice.with(items))
}

/// The internal transfers from or to an address, newest first.
pub async fn wallet_internal(
    snapshot: &mut Snapshot,
    address: Address,
    filter: InternalFilter,
    page: Page<TracePosition>,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_wallet_internal(snapshot, address, filter, page).await?;
    let items = read::show_internal(snapshot.connection(), &slice.items, None).await?;
    let list = List {
        internal: Some(read::get_internal_history(snapshot.connection()).await?),
        ..List::from(slice.with(items))
    };
    entry(Validity::of_head(&snapshot.state), Subject::Many, &list)
}

/// The tokens of which an address has some, by address.
pub async fn wallet_tokens(
    snapshot: &mut Snapshot,
    address: Address,
    page: Page<HeldToken>,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_held_tokens(snapshot, address, page).await?;
    list(snapshot, slice)
}

/// The ERC-721 and ERC-1155 ids of which an address has some, by token and id.
pub async fn wallet_instances(
    snapshot: &mut Snapshot,
    address: Address,
    page: Page<HeldInstance>,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_held_instances(snapshot, address, page).await?;
    list(snapshot, slice)
}
