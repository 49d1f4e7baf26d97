//! Answers about native balances.

use super::{entry, list};
use crate::{
    cache::{Entry, Subject, Validity},
    read::{self, BalanceHeight, BalancePoint, Explanation, Page, Snapshot},
    view::checksum,
};
use alloy::primitives::Address;
use serde::Serialize;

/// What an address has.
#[derive(Serialize)]
struct BalanceView {
    #[serde(with = "checksum")]
    address: Address,
    /// The newest balance that is known; none where none was read yet.
    #[serde(flatten)]
    newest: Option<BalancePoint>,
    /// Whether nothing is known to have touched it since.
    current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

/// What an address has, and if asked for why: over a range of blocks, whose ends may be left open.
/// `None` when explaining takes too long; the range must be narrower then.
pub async fn wallet_balance(
    snapshot: &mut Snapshot,
    address: Address,
    explain: Option<(Option<u64>, Option<u64>)>,
) -> Result<Option<Entry>, sqlx::Error> {
    let found = read::find_balance(snapshot.connection(), address).await?;
    let newest = found.map(|(point, _)| point);
    let explanation = match explain {
        None => None,
        Some(range) => match read::explain_balance(snapshot, address, newest, range).await? {
            None => return Ok(None),
            some => some,
        },
    };
    let view = BalanceView {
        address,
        newest,
        current: found.is_some_and(|(_, current)| current),
        explanation,
    };
    let validity = Validity::of_head(&snapshot.state);
    entry(validity, Subject::Many, &view).map(Some)
}

/// The balances an address had, newest first.
pub async fn wallet_balance_history(
    snapshot: &mut Snapshot,
    address: Address,
    page: Page<BalanceHeight>,
) -> Result<Entry, sqlx::Error> {
    let slice = read::list_balance_history(snapshot.connection(), address, page).await?;
    list(snapshot, slice)
}
