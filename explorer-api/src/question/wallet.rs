//! What can be asked about a wallet.

use super::spelling::{flow, page, range};
use crate::problem::{Code, Problem};
use alloy::primitives::Address;
use chain::{InternalKind, TransferKind};
use store::{
    answer,
    cache::Entry,
    labels::Visibility,
    read::{
        ActivityFilter, BalanceHeight, HeldInstance, HeldToken, InternalFilter, Page, Position,
        Range, Snapshot, TracePosition, TransferFilter, TransferPosition,
    },
};

/// A question about a wallet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WalletQuestion {
    Summary,
    Transactions(ActivityFilter, Page<Position>),
    Transfers(TransferFilter, Page<TransferPosition>),
    Internal(InternalFilter, Page<TracePosition>),
    Tokens(Page<HeldToken>),
    Nfts(Page<HeldInstance>),
    /// Explained between two heights, either of which may be open.
    Balance(Option<(Option<u64>, Option<u64>)>),
    BalanceHistory(Page<BalanceHeight>),
}

impl WalletQuestion {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Summary => "wallet",
            Self::Transactions(..) => "wallet_transactions",
            Self::Transfers(..) => "wallet_transfers",
            Self::Internal(..) => "wallet_internal",
            Self::Tokens(_) => "wallet_tokens",
            Self::Nfts(_) => "wallet_nfts",
            Self::Balance(_) => "wallet_balance",
            Self::BalanceHistory(_) => "wallet_balance_history",
        }
    }

    /// What it is about, beside the address.
    pub(super) fn about(&self) -> String {
        match self {
            Self::Summary | Self::Balance(None) => String::new(),
            Self::Transactions(filter, at) => {
                format!("{}:{}:{}", flow(filter.flow), range(filter.range), page(at))
            }
            Self::Transfers(filter, at) => transfers(filter, at),
            Self::Internal(filter, at) => format!(
                "{}:{}:{}:{}",
                flow(filter.flow),
                filter.kind.map_or("", InternalKind::name),
                range(filter.range),
                page(at)
            ),
            Self::Tokens(at) => page(at),
            Self::Nfts(at) => page(at),
            Self::Balance(Some((from_block, to_block))) => {
                let heights = Range {
                    from_block: *from_block,
                    to_block: *to_block,
                    ..Range::default()
                };
                format!("explain:{}", range(heights))
            }
            Self::BalanceHistory(at) => page(at),
        }
    }

    pub(super) async fn build(
        self,
        snapshot: &mut Snapshot,
        address: Address,
    ) -> Result<Option<Entry>, sqlx::Error> {
        let entry = match self {
            Self::Summary => answer::wallet(snapshot, address, Visibility::Public).await,
            Self::Transactions(filter, page) => {
                answer::wallet_transactions(snapshot, address, filter, page).await
            }
            Self::Transfers(filter, page) => {
                answer::wallet_transfers(snapshot, address, filter, page).await
            }
            Self::Internal(filter, page) => {
                answer::wallet_internal(snapshot, address, filter, page).await
            }
            Self::Tokens(page) => answer::wallet_tokens(snapshot, address, page).await,
            Self::Nfts(page) => answer::wallet_instances(snapshot, address, page).await,
            Self::Balance(explain) => {
                return answer::wallet_balance(snapshot, address, explain).await;
            }
            Self::BalanceHistory(page) => {
                answer::wallet_balance_history(snapshot, address, page).await
            }
        };
        entry.map(Some)
    }

    /// Every address is a wallet: only an explanation may be too long.
    pub(super) fn missing() -> Problem {
        let detail = "Explaining the balance over this range takes too long: accepted is a narrower \
                      one, by from_block and to_block.";
        Problem::new(Code::RangeTooWide, detail)
    }
}

/// A page of transfers.
pub(super) fn transfers(filter: &TransferFilter, at: &Page<TransferPosition>) -> String {
    format!(
        "{}:{}:{}:{}:{}",
        flow(filter.flow),
        filter.kind.map_or("", TransferKind::name),
        filter
            .token
            .map(|token| format!("{token:x}"))
            .unwrap_or_default(),
        range(filter.range),
        page(at)
    )
}
