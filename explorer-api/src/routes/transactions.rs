//! Transactions, and the logs of one.

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
        .route("/api/v1/transactions", get(list_transactions))
        .route("/api/v1/transactions/{hash}", get(get_transaction))
        .route("/api/v1/transactions/{hash}/logs", get(list_logs))
}

async fn list_transactions(
    State(api): State<Arc<Api>>,
    paging: Paging,
) -> Result<Response, Problem> {
    let answer = api.ask(&Question::Transactions(paging.page())).await?;
    answer.list(paging.cursor.and_then(Cursor::beyond))
}

async fn get_transaction(
    State(api): State<Arc<Api>>,
    Segment(hash): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    let question = Question::Transaction(id::hash(&hash)?);
    api.ask(&question).await?.single()
}

/// All of them at once: a block's gas limit bounds how many there are.
async fn list_logs(
    State(api): State<Arc<Api>>,
    Segment(hash): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    let question = Question::TransactionLogs(id::hash(&hash)?);
    api.ask(&question).await?.single()
}
