//! Transactions, and what each logged and moved.

use crate::{
    api::Api,
    id,
    parameters::{Listing, NoParameters, Segment},
    problem::Problem,
    question::Question,
};
use axum::{Router, extract::State, response::Response, routing::get};
use std::sync::Arc;
use store::read::{Position, TracePosition, TransferPosition};

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/transactions", get(list_transactions))
        .route("/api/v1/transactions/{hash}", get(get_transaction))
        .route("/api/v1/transactions/{hash}/logs", get(list_logs))
        .route("/api/v1/transactions/{hash}/transfers", get(list_transfers))
        .route("/api/v1/transactions/{hash}/internal", get(list_internal))
        .route("/api/v1/transactions/{hash}/trace", get(get_trace))
}

async fn list_transactions(
    State(api): State<Arc<Api>>,
    Listing { page, .. }: Listing<Position>,
) -> Result<Response, Problem> {
    api.ask(&Question::Transactions(page)).await?.list()
}

async fn get_transaction(
    State(api): State<Arc<Api>>,
    Segment(hash): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    let question = Question::Transaction(id::hash(&hash)?);
    let mut answer = api.ask(&question).await?;
    answer.entry.body = api.abis.decorate_transaction(answer.entry.body).await?;
    answer.single()
}

/// All of them at once: a block's gas limit bounds how many there are.
async fn list_logs(
    State(api): State<Arc<Api>>,
    Segment(hash): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    let question = Question::TransactionLogs(id::hash(&hash)?);
    let mut answer = api.ask(&question).await?;
    answer.entry.body = api.abis.decorate_logs(answer.entry.body).await?;
    answer.single()
}

async fn list_transfers(
    State(api): State<Arc<Api>>,
    Segment(hash): Segment,
    Listing { page, .. }: Listing<TransferPosition>,
) -> Result<Response, Problem> {
    let question = Question::TransactionTransfers(id::hash(&hash)?, page);
    api.ask(&question).await?.list()
}

async fn list_internal(
    State(api): State<Arc<Api>>,
    Segment(hash): Segment,
    Listing { page, .. }: Listing<TracePosition>,
) -> Result<Response, Problem> {
    let question = Question::TransactionInternal(id::hash(&hash)?, page);
    api.ask(&question).await?.list()
}

/// All calls at once, for the same reason.
async fn get_trace(
    State(api): State<Arc<Api>>,
    Segment(hash): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    let question = Question::TransactionTrace(id::hash(&hash)?);
    api.ask(&question).await?.single()
}
