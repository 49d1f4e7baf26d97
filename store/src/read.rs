//! Reads by key, from one snapshot.
//!
//! A [`Snapshot`] is a read-only transaction that sees one state of the chain: the head it reports
//! and the rows it returns belong together, whatever is committed meanwhile.

mod balance;
mod blocks;
mod contracts;
mod fill;
mod holdings;
mod internal;
mod key;
mod labels;
mod network;
mod page;
mod tokens;
mod transactions;
mod transfers;
mod wallets;
mod windows;

pub use balance::{
    BalancePoint, Explanation, Movements, explain_balance, find_balance, list_balance_history,
};
pub use blocks::{
    find_block, find_block_by_hash, find_orphaned_block, list_blocks, list_withdrawals,
};
pub use contracts::{ContractView, find_contract, list_implementations};
pub use holdings::{
    find_instance, list_held_instances, list_held_tokens, list_holders, list_instances,
};
pub use internal::{
    InternalFilter, TracedTransaction, get_internal_history, get_internal_of_block, list_trace,
    list_transaction_internal, list_wallet_internal, show_internal,
};
pub use key::{
    BalanceHeight, BlockKey, BlockNumber, HeldInstance, HeldToken, HolderRank, InstanceId, Key,
    ListKey, Position, Quantity, TokenRank, TracePosition, TransferPosition,
};
pub use labels::{
    Directory, DirectoryEntry, LabelPage, LabelPlace, LabelView, list_directory, list_labels,
};
pub use network::{NetworkStats, get_network_stats};
pub use page::{Direction, Page, Slice, Start};
pub use tokens::{find_token, find_tokens, list_tokens};
pub use transactions::{
    find_last_dropped, find_transaction, list_block_transactions, list_dropped_inclusions,
    list_logs, list_orphaned_logs, list_transactions, with_blocks,
};
pub use transfers::{
    TransferFilter, list_token_transfers, list_transaction_transfers, list_wallet_transfers,
    show_transfers,
};
pub use wallets::{ActivityFilter, Flow, find_wallet, list_wallet_transactions};
pub use windows::Range;

use crate::{
    pg::TableRow,
    state::{ChainState, get_state},
    transaction::begin,
};
use sqlx::{PgConnection, PgPool, Postgres, Transaction, postgres::PgRow};

/// A read-only view of one state of the chain.
pub struct Snapshot {
    transaction: Transaction<'static, Postgres>,
    /// The state that everything read here belongs to.
    pub state: ChainState,
}

impl Snapshot {
    /// Opens a snapshot of the newest state.
    pub async fn open(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut transaction =
            begin(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let state = get_state(&mut *transaction).await?;
        Ok(Self { transaction, state })
    }

    /// The connection to read from.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

/// A height that a client named: beyond what the database can hold there is nothing to find.
pub(crate) fn bind_height(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn bind_index(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn decode_all<R: TableRow>(rows: &[PgRow]) -> Result<Vec<R>, sqlx::Error> {
    rows.iter().map(R::decode).collect()
}
