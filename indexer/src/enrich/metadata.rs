//! What tokens say of themselves: name, symbol, decimals, supply.
//!
//! In: rows of `token_metadata` without a height. Out: the same with what the contract says at the head,
//! cleaned (see [`chain::token_text`]); a contract that reverts or answers with something else has said
//! nothing.

use super::{
    Enricher, Turn,
    pace::{Reader, Step},
    patient::PatientNode,
    state::{Batch, Naming, StateError, bytes_of, eth_call, find_naming, has_state},
};
use crate::node::Call;
use alloy::{
    primitives::{Address, Bytes},
    sol,
    sol_types::SolCall as _,
};
use chain::{
    Wei,
    token_text::{LONGEST_NAME, LONGEST_SYMBOL, decimals_of, number_of, text_of},
};
use serde_json::Value;
use store::{
    contracts::{self, MetadataRow},
    enrichment::Reading,
    state::{self, BlockRef},
};

sol! {
    function name() returns (string);
    function symbol() returns (string);
    function decimals() returns (uint8);
    function totalSupply() returns (uint256);
}

/// Tokens read at a time.
const TOKENS_AT_ONCE: i64 = 25;

/// Gas of one question: enough for a proxy before a proxy, too little to keep a node busy.
const GAS: u64 = 500_000;

/// Reads what tokens say of themselves.
pub(crate) struct Metadata {
    enricher: Enricher,
    batch: Batch,
    met: Option<(String, Naming)>,
}

impl Reader for Metadata {
    const READING: Reading = Reading::Tokens;

    async fn step(&mut self) -> Result<Step, StateError> {
        let source = self.enricher.source.clone();
        let node = &PatientNode::followed(&source);
        let Some(head) = state::get_state(&self.enricher.database).await?.head else {
            return Ok(Step::Early);
        };
        let naming = match &self.met {
            Some((label, naming)) if label == node.label() => *naming,
            _ => find_naming(node, head).await?,
        };
        self.met = Some((node.label().to_owned(), naming));
        let tokens = contracts::list_unread_tokens(&self.enricher.database, TOKENS_AT_ONCE).await?;
        if tokens.is_empty() {
            return Ok(Step::Idle);
        }
        // Found after the list: a contract of a block that was committed meanwhile is not there before it.
        let Some(head) = state::get_state(&self.enricher.database).await?.head else {
            return Ok(Step::Early);
        };
        let rows = self.read(node, &naming.name(head), head, &tokens).await?;
        let mut turn = Turn::begin(&self.enricher).await?;
        if turn.is_canonical(head).await? {
            contracts::write_metadata(turn.connection(), &rows).await?;
            turn.commit().await?;
        }
        Ok(Step::More)
    }
}

impl Metadata {
    pub(crate) fn new(enricher: Enricher) -> Self {
        Self {
            enricher,
            batch: Batch::default(),
            met: None,
        }
    }

    async fn read(
        &mut self,
        node: &PatientNode<'_>,
        block: &Value,
        head: BlockRef,
        tokens: &[Address],
    ) -> Result<Vec<MetadataRow>, StateError> {
        let questions = [
            nameCall {}.abi_encode(),
            symbolCall {}.abi_encode(),
            decimalsCall {}.abi_encode(),
            totalSupplyCall {}.abi_encode(),
        ];
        let ask = |token: &Address| {
            questions
                .each_ref()
                .map(|input| eth_call(*token, input, GAS, block))
        };
        let calls: Vec<Call> = tokens.iter().flat_map(ask).collect();
        let answers = self
            .batch
            .ask(node, &calls)
            .await?
            .into_iter()
            .map(bytes_of);
        let answers: Vec<Bytes> = answers.collect();
        // A refusal counts as a contract's silence only from a node that has the state.
        if !has_state(node, block).await? {
            return Err(StateError::Missing(head.number));
        }
        let rows = tokens.iter().zip(answers.chunks(questions.len()));
        Ok(rows
            .map(|(token, answers)| MetadataRow {
                token: *token,
                read_at: head.number,
                name: text_of(&answers[0], LONGEST_NAME),
                symbol: text_of(&answers[1], LONGEST_SYMBOL),
                decimals: decimals_of(&answers[2]),
                total_supply: number_of(&answers[3]).map(Wei),
            })
            .collect())
    }
}
