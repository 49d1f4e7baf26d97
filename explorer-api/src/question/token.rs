//! What can be asked about a token.

use super::{spelling::page, wallet::transfers};
use crate::problem::{Code, Problem};
use alloy::primitives::Address;
use chain::Wei;
use store::{
    answer,
    cache::Entry,
    read::{HolderRank, InstanceId, Page, Snapshot, TransferFilter, TransferPosition},
};

/// A question about a token.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenQuestion {
    Summary,
    Holders(Page<HolderRank>),
    Transfers(TransferFilter, Page<TransferPosition>),
    Instances(Page<InstanceId>),
    Instance(Wei),
}

impl TokenQuestion {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Summary => "token",
            Self::Holders(_) => "token_holders",
            Self::Transfers(..) => "token_transfers",
            Self::Instances(_) => "token_instances",
            Self::Instance(_) => "token_instance",
        }
    }

    /// What it is about, beside the token.
    pub(super) fn about(&self) -> String {
        match self {
            Self::Summary => String::new(),
            Self::Holders(at) => page(at),
            Self::Transfers(filter, at) => transfers(filter, at),
            Self::Instances(at) => page(at),
            Self::Instance(id) => id.to_string(),
        }
    }

    pub(super) async fn build(
        self,
        snapshot: &mut Snapshot,
        token: Address,
    ) -> Result<Option<Entry>, sqlx::Error> {
        match self {
            Self::Summary => answer::token(snapshot, token).await,
            Self::Holders(page) => answer::holders(snapshot, token, page).await,
            Self::Transfers(filter, page) => {
                answer::token_transfers(snapshot, token, filter, page).await
            }
            Self::Instances(page) => answer::instances(snapshot, token, page).await,
            Self::Instance(id) => answer::instance(snapshot, token, id).await,
        }
    }

    pub(super) fn missing(&self, token: Address) -> Problem {
        match self {
            Self::Instance(id) => Problem::new(
                Code::InstanceNotFound,
                format!(
                    "Token {token} never moved an id {id}, as far as its transfers are counted."
                ),
            ),
            _ => Problem::new(
                Code::TokenNotFound,
                format!(
                    "Nothing says that there is a token at {token}, as far as transfers are counted."
                ),
            ),
        }
    }
}
