//! The network's figures.

use crate::{api::Api, parameters::NoParameters, problem::Problem, question::Question};
use axum::{Router, extract::State, response::Response, routing::get};
use std::sync::Arc;

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/network/stats", get(get_stats))
}

async fn get_stats(State(api): State<Arc<Api>>, _: NoParameters) -> Result<Response, Problem> {
    let known = api.chain().await?;
    let answer = api.ask(&Question::Network).await?;
    answer.network(&known.chain)
}
