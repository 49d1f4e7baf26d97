//! Blocks asked for one after the other, as many as one turn writes.

use super::{
    TraceReader,
    ask::{Asker, Failure},
};
use crate::{
    enrich::patient::PatientNode, error::IndexError, nodes::standing::Why, source::Source,
};
use chain::{InternalTransfer, TracedTransaction};
use std::time::{Duration, Instant};
use store::{
    internal::{self, UntracedBlock, internal_row},
    rows::InternalTransferRow,
    state::BlockRef,
};

/// What one turn writes at most, so that commits at the head never wait for long: blocks that were
/// traced, rows, and the time that is spent on gathering them.
const BLOCKS_AT_ONCE: usize = 64;
const ROWS_AT_ONCE: usize = 5_000;
const GATHERED_FOR: Duration = Duration::from_secs(1);

/// How often it is looked whether the node that owes an answer was found to be gone.
const LOOK_AFTER: Duration = Duration::from_millis(50);

/// Blocks that were read and are not written, highest first and without gaps.
#[derive(Default)]
pub(super) struct Gathered {
    pub blocks: Vec<UntracedBlock>,
    pub rows: Vec<InternalTransferRow>,
    /// How many of them had to be asked for.
    traced: usize,
}

impl TraceReader {
    /// Asks for blocks one after the other, until it is enough for a turn or one fails.
    pub(super) async fn gather(
        &mut self,
        node: usize,
        blocks: Vec<UntracedBlock>,
    ) -> Result<(Gathered, Option<(UntracedBlock, Failure)>), IndexError> {
        let (source, started) = (self.enricher.source.clone(), Instant::now());
        let mut gathered = Gathered::default();
        for block in blocks {
            let number = block.block.number;
            let lowest = gathered.blocks.last().map(|block| block.block.number);
            if lowest.is_some_and(|lowest| lowest != number + 1) {
                break;
            }
            // An empty block is asked for only to find out whether the node has traces.
            if block.transactions > 0 || !self.asker.has_answered() {
                let enough = gathered.traced >= BLOCKS_AT_ONCE
                    || gathered.rows.len() >= ROWS_AT_ONCE
                    || started.elapsed() >= GATHERED_FOR;
                if enough {
                    break;
                }
                let database = &self.enricher.database;
                let due = internal::list_traced_transactions(database, number).await?;
                let asked = PatientNode::new(&source, node);
                let mut answer = tokio::select! {
                    answer = self.asker.ask(&asked, block.block, due.clone()) => answer,
                    () = is_left(&source, node) => Err(Failure::Unreachable("it was left".to_owned())),
                };
                if matches!(answer, Err(Failure::Gone(_)))
                    && let Some(transfers) = ask_others(&source, node, block.block, &due).await
                {
                    answer = Ok(transfers);
                }
                match answer {
                    Ok(transfers) => {
                        let rows = transfers.into_iter();
                        gathered
                            .rows
                            .extend(rows.map(|row| internal_row(number, row)));
                        gathered.traced += 1;
                    }
                    Err(failure) => return Ok((gathered, Some((block, failure)))),
                }
            }
            gathered.blocks.push(block);
        }
        Ok((gathered, None))
    }
}

/// Asks the other nodes for a block that the followed one cannot execute: one of them may keep states
/// longer. `None` when none of them tells of it either.
async fn ask_others(
    source: &Source,
    followed: usize,
    block: BlockRef,
    due: &[TracedTransaction],
) -> Option<Vec<InternalTransfer>> {
    for index in 0..source.nodes().len() {
        if index == followed || !source.pool.standing(index).is_usable(Instant::now()) {
            continue;
        }
        let answer = Asker::default()
            .ask(&PatientNode::new(source, index), block, due.to_vec())
            .await;
        if let Ok(transfers) = answer {
            return Some(transfers);
        }
    }
    None
}

/// Waits until another node is followed, or this one was found to be unreachable: an answer that it owes
/// over a connection that is dead would be waited for much longer.
async fn is_left(source: &Source, node: usize) {
    let is_there = || {
        let standing = source.pool.standing(node);
        let gone = matches!(
            standing.resting(Instant::now()),
            Some((_, Why::Unreachable(_)))
        );
        source.current().0 == node && !gone
    };
    while is_there() {
        tokio::time::sleep(LOOK_AFTER).await;
    }
}
