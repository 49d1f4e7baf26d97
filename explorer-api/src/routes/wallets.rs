//! Wallets: every address is one, seen or not.

use crate::{
    api::Api,
    cursor::Cursor,
    id,
    parameters::{NoParameters, Paging, Segment},
    problem::Problem,
    question::Question,
};
use axum::{Router, extract::State, response::Response, routing::get};
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/wallets/{address}", get(get_wallet))
        .route(
            "/api/v1/wallets/{address}/transactions",
            get(list_transactions),
        )
}

async fn get_wallet(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    let question = Question::Wallet(id::address(&address)?);
    api.ask(&question).await?.single()
}

async fn list_transactions(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    paging: Paging,
) -> Result<Response, Problem> {
    let question = Question::WalletTransactions(id::address(&address)?, paging.page());
    let answer = api.ask(&question).await?;
    answer.list(paging.cursor.and_then(Cursor::beyond))
}
