//! Tokens, who holds them, and their ids.

use crate::{
    api::Api,
    filter::TokenTransferFilter,
    id,
    parameters::{Listing, NoParameters, Segment, Segments},
    problem::Problem,
    question::{Question, TokenQuestion},
};
use axum::{Router, extract::State, response::Response, routing::get};
use std::sync::Arc;
use store::{
    read::{HolderRank, InstanceId, TokenRank, TransferPosition},
    view::TokenStandard,
};

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/tokens", get(list_tokens))
        .route("/api/v1/tokens/{address}", get(get_token))
        .route("/api/v1/tokens/{address}/holders", get(list_holders))
        .route("/api/v1/tokens/{address}/transfers", get(list_transfers))
        .route("/api/v1/tokens/{address}/instances", get(list_instances))
        .route("/api/v1/tokens/{address}/instances/{id}", get(get_instance))
}

async fn list_tokens(
    State(api): State<Arc<Api>>,
    listing: Listing<TokenRank, Option<TokenStandard>>,
) -> Result<Response, Problem> {
    let question = Question::Tokens(listing.filter, listing.page);
    api.ask(&question).await?.list()
}

async fn get_token(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    let question = Question::Token(id::address(&address)?, TokenQuestion::Summary);
    api.ask(&question).await?.single()
}

async fn list_holders(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Listing { page, .. }: Listing<HolderRank>,
) -> Result<Response, Problem> {
    let question = Question::Token(id::address(&address)?, TokenQuestion::Holders(page));
    api.ask(&question).await?.list()
}

async fn list_transfers(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Listing {
        page,
        filter: TokenTransferFilter(filter),
    }: Listing<TransferPosition, TokenTransferFilter>,
) -> Result<Response, Problem> {
    let question = TokenQuestion::Transfers(filter, page);
    let question = Question::Token(id::address(&address)?, question);
    api.ask(&question).await?.list()
}

async fn list_instances(
    State(api): State<Arc<Api>>,
    Segment(address): Segment,
    Listing { page, .. }: Listing<InstanceId>,
) -> Result<Response, Problem> {
    let question = Question::Token(id::address(&address)?, TokenQuestion::Instances(page));
    api.ask(&question).await?.list()
}

async fn get_instance(
    State(api): State<Arc<Api>>,
    Segments(address, token_id): Segments,
    _: NoParameters,
) -> Result<Response, Problem> {
    let question = TokenQuestion::Instance(id::token_id(&token_id)?);
    let question = Question::Token(id::address(&address)?, question);
    api.ask(&question).await?.single()
}
