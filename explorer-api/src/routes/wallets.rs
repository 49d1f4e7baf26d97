//! Wallets: every address is one, seen or not.

use crate::{
    answer::Answer,
    api::Api,
    filter::Explain,
    id,
    parameters::{Listing, NoParameters, Parameters, Segment},
    problem::Problem,
    question::{Question, WalletQuestion},
    viewer::Viewer,
};
use axum::{Router, extract::State, response::Response, routing::get};
use serde::Deserialize;
use std::sync::Arc;
use store::{
    answer,
    read::{
        ActivityFilter, BalanceHeight, HeldInstance, HeldToken, InternalFilter, Position,
        TracePosition, TransferFilter, TransferPosition,
    },
    view::Completeness,
};

pub(super) fn router() -> Router<Arc<Api>> {
    let of = |list| format!("/api/v1/wallets/{{address}}{list}");
    Router::new()
        .route(&of(""), get(get_wallet))
        .route(&of("/transactions"), get(list_transactions))
        .route(&of("/transfers"), get(list_transfers))
        .route(&of("/internal"), get(list_internal))
        .route(&of("/tokens"), get(list_tokens))
        .route(&of("/nfts"), get(list_nfts))
        .route(&of("/balance"), get(get_balance))
        .route(&of("/balance-history"), get(list_balance_history))
}

async fn get_wallet(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Segment(address): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    let address = id::address(&address)?;
    let answer = match viewer {
        Viewer::Public => {
            let question = Question::Wallet(address, WalletQuestion::Summary);
            api.ask(&question).await?
        }
        Viewer::Internal => {
            let (mut snapshot, head) = api.snapshot().await?;
            let entry = answer::wallet(&mut snapshot, address, viewer.visibility()).await?;
            Answer { entry, head }
        }
    };
    if lacks(&answer) {
        api.want(address);
    }
    answer.single()
}

/// What is told of a wallet that only a node can tell.
#[derive(Deserialize)]
struct Told {
    balance: Option<ToldBalance>,
    is_contract: Option<bool>,
    internal: Completeness,
}

#[derive(Deserialize)]
struct ToldBalance {
    block_number: u64,
}

/// Whether a node could tell more: what was never read, and a balance that may have changed where no
/// traces say when.
fn lacks(answer: &Answer) -> bool {
    serde_json::from_str(&answer.entry.body).is_ok_and(|told: Told| {
        let stale = |balance: ToldBalance| {
            told.internal == Completeness::Unavailable
                && balance.block_number < answer.head.block.number
        };
        told.is_contract.is_none() || told.balance.is_none_or(stale)
    })
}

async fn list_transactions(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Listing { page, filter }: Listing<Position, ActivityFilter>,
) -> Result<Response, Problem> {
    let question = WalletQuestion::Transactions(filter, page);
    list(&api, &address, question).await
}

async fn list_transfers(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Listing { page, filter }: Listing<TransferPosition, TransferFilter>,
) -> Result<Response, Problem> {
    list(&api, &address, WalletQuestion::Transfers(filter, page)).await
}

async fn list_internal(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Listing { page, filter }: Listing<TracePosition, InternalFilter>,
) -> Result<Response, Problem> {
    list(&api, &address, WalletQuestion::Internal(filter, page)).await
}

async fn list_tokens(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Listing { page, .. }: Listing<HeldToken>,
) -> Result<Response, Problem> {
    list(&api, &address, WalletQuestion::Tokens(page)).await
}

async fn list_nfts(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Listing { page, .. }: Listing<HeldInstance>,
) -> Result<Response, Problem> {
    list(&api, &address, WalletQuestion::Nfts(page)).await
}

async fn get_balance(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Parameters(Explain(explain)): Parameters<Explain>,
) -> Result<Response, Problem> {
    let question = WalletQuestion::Balance(explain);
    let question = Question::Wallet(id::address(&address)?, question);
    api.ask(&question).await?.single()
}

async fn list_balance_history(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Listing { page, .. }: Listing<BalanceHeight>,
) -> Result<Response, Problem> {
    list(&api, &address, WalletQuestion::BalanceHistory(page)).await
}

async fn list(api: &Api, address: &str, question: WalletQuestion) -> Result<Response, Problem> {
    let question = Question::Wallet(id::address(address)?, question);
    api.ask(&question).await?.list()
}
