//! Blocks, and the transactions of one.

use crate::{
    api::Api,
    id::{self, BlockName},
    parameters::{Listing, NoParameters, Segment},
    problem::Problem,
    question::Question,
};
use axum::{Router, extract::State, response::Response, routing::get};
use std::sync::Arc;
use store::{
    answer::BlockId,
    read::{BlockNumber, Position},
};

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/blocks", get(list_blocks))
        .route("/api/v1/blocks/{id}", get(get_block))
        .route("/api/v1/blocks/{id}/transactions", get(list_transactions))
}

async fn list_blocks(
    State(api): State<Arc<Api>>,
    Listing { page, .. }: Listing<BlockNumber>,
) -> Result<Response, Problem> {
    api.ask(&Question::Blocks(page)).await?.list()
}

async fn get_block(
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    _: NoParameters,
) -> Result<Response, Problem> {
    match id::block(&name)? {
        BlockName::Exact(id) => api.ask(&Question::Block(id)).await?.single(),
        BlockName::Tag(tag) => {
            let answer = api.ask_tagged(tag, Question::Block).await?;
            answer.single()
        }
    }
}

async fn list_transactions(
    State(api): State<Arc<Api>>,
    Segment(name): Segment,
    Listing { page, .. }: Listing<Position>,
) -> Result<Response, Problem> {
    let question = |id| Question::BlockTransactions(id, page);
    match (id::block(&name)?, page.from) {
        (BlockName::Exact(id), _) => api.ask(&question(id)).await?.list(),
        (BlockName::Tag(tag), None) => api.ask_tagged(tag, question).await?.list(),
        // The head may have moved since the first page: its pages stay those of one block.
        (BlockName::Tag(_), Some(from)) => {
            let id = BlockId::Number(from.key.block_number);
            api.ask(&question(id)).await?.list()
        }
    }
}
