//! Blocks, and the transactions of one.

use crate::{
    api::Api,
    cursor::Cursor,
    id::{self, BlockName},
    parameters::{NoParameters, Paging, Segment},
    problem::Problem,
    question::Question,
};
use axum::{Router, extract::State, response::Response, routing::get};
use std::sync::Arc;
use store::{answer::BlockId, read::Direction};

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/blocks", get(list_blocks))
        .route("/api/v1/blocks/{id}", get(get_block))
        .route("/api/v1/blocks/{id}/transactions", get(list_transactions))
}

/// Which of a block's transactions a page shows.
#[derive(Debug, PartialEq)]
struct Range {
    from_index: u32,
    limit: u32,
}

impl Range {
    /// A block's transactions are listed in its own order, so "older" here is further down it.
    fn of(paging: Paging) -> Self {
        let limit = paging.limit;
        let Some(cursor) = paging.cursor else {
            return Self {
                from_index: 0,
                limit,
            };
        };
        let at = cursor.position.tx_index;
        match cursor.direction {
            Direction::Older => Self {
                from_index: at.saturating_add(1),
                limit,
            },
            Direction::Newer => {
                let from_index = at.saturating_sub(limit);
                // Near the block's begin fewer are before the cursor than a page has.
                let limit = at - from_index;
                Self { from_index, limit }
            }
        }
    }

    fn question(&self, id: BlockId) -> Question {
        Question::BlockTransactions {
            id,
            from_index: self.from_index,
            limit: self.limit,
        }
    }
}

async fn list_blocks(State(api): State<Arc<Api>>, paging: Paging) -> Result<Response, Problem> {
    let answer = api.ask(&Question::Blocks(paging.page())).await?;
    answer.list(paging.cursor.and_then(Cursor::beyond))
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
    paging: Paging,
) -> Result<Response, Problem> {
    let range = Range::of(paging);
    let edge = paging.cursor.map(|cursor| cursor.position);
    match (id::block(&name)?, paging.cursor) {
        (BlockName::Exact(id), _) => {
            let answer = api.ask(&range.question(id)).await?;
            answer.list(edge)
        }
        (BlockName::Tag(tag), None) => {
            let answer = api.ask_tagged(tag, |id| range.question(id)).await?;
            answer.list(edge)
        }
        // The head may have moved since the first page: its pages stay those of one block.
        (BlockName::Tag(_), Some(cursor)) => {
            let id = BlockId::Number(cursor.position.block_number);
            let answer = api.ask(&range.question(id)).await?;
            answer.list(edge)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::read::Position;

    fn range(limit: u32, cursor: Option<(Direction, u32)>) -> (u32, u32) {
        let cursor = cursor.map(|(direction, tx_index)| Cursor {
            direction,
            position: Position {
                block_number: 1,
                tx_index,
            },
        });
        let range = Range::of(Paging { limit, cursor });
        (range.from_index, range.limit)
    }

    #[test]
    fn pages_of_a_block_meet_without_gap_or_overlap() {
        assert_eq!(range(10, None), (0, 10));
        assert_eq!(range(10, Some((Direction::Older, 9))), (10, 10));
        assert_eq!(range(10, Some((Direction::Newer, 20))), (10, 10));
        assert_eq!(range(10, Some((Direction::Newer, 4))), (0, 4));
        assert_eq!(range(10, Some((Direction::Newer, 0))), (0, 0));
        assert_eq!(
            range(10, Some((Direction::Older, u32::MAX))),
            (u32::MAX, 10)
        );
    }
}
