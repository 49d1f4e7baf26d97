//! Contracts: addresses with code, and addresses that were created.

use crate::{
    api::Api,
    id,
    parameters::{NoParameters, Segment},
    problem::Problem,
    question::Question,
};
use axum::{Router, extract::State, response::Response, routing::get};
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/contracts/{address}", get(get_contract))
}

async fn get_contract(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    let address = id::address(&address)?;
    let mut answer = api.ask(&Question::Contract(address)).await?;
    let body = answer.entry.body;
    answer.entry.body = api.abis.decorate_contract(address, &body).await?;
    answer.single()
}
