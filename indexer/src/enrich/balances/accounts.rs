//! Balances after given blocks, proven where the node proves accounts.

use crate::{
    enrich::{
        patient::PatientNode,
        state::{Batch, Naming, StateError, find_naming, has_block, read},
    },
    error::IndexError,
    node::{Call, REPLY_TIMEOUT},
    nodes::reply::{CallError, Reply},
};
use alloy::{
    consensus::constants::EMPTY_ROOT_HASH,
    primitives::{B256, U256},
};
use chain::{AccountClaim, Wei, prove_account};
use serde_json::{json, value::RawValue};
use std::collections::{BTreeMap, HashMap};
use store::{
    balances::{BalanceRow, Wanted},
    state::BlockRef,
};

/// What a node can do.
#[derive(Clone, Copy, Debug)]
struct Ability {
    naming: Naming,
    /// Whether its account proofs hold; `None` until one was looked at.
    proofs: Option<bool>,
}

/// Reads balances from nodes.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    batch: Batch,
    abilities: HashMap<String, Ability>,
}

impl Accounts {
    /// Finds out how a node is asked.
    pub(super) async fn meet(
        &mut self,
        node: &PatientNode<'_>,
        head: BlockRef,
    ) -> Result<(), StateError> {
        let naming = find_naming(node, head).await?;
        let before = self.abilities.get(node.label());
        let proofs = before.and_then(|before| before.proofs);
        let ability = Ability { naming, proofs };
        self.abilities.insert(node.label().to_owned(), ability);
        Ok(())
    }

    /// Reads all that is wanted, in that order.
    pub(super) async fn read(
        &mut self,
        node: &PatientNode<'_>,
        wanted: &[Wanted],
    ) -> Result<Vec<BalanceRow>, StateError> {
        let mut ability = self
            .abilities
            .get(node.label())
            .copied()
            .unwrap_or(Ability {
                naming: Naming::Hash,
                proofs: None,
            });
        if ability.proofs.is_none()
            && let Some(sample) = wanted.iter().rfind(|wanted| root_of(wanted).is_some())
        {
            ability.proofs = try_proof(node, ability.naming, sample).await?;
            self.abilities.insert(node.label().to_owned(), ability);
        }
        let mut rows: Vec<Option<BalanceRow>> = vec![None; wanted.len()];
        if ability.proofs == Some(true) {
            self.read_proven(node, ability.naming, wanted, &mut rows)
                .await?;
        }
        self.read_plain(node, ability.naming, wanted, &mut rows)
            .await?;
        if ability.naming == Naming::Number {
            compare_blocks(node, wanted).await?;
        }
        Ok(rows.into_iter().flatten().collect())
    }

    /// Fills in what the node proves. A proof that fails is an error, a proof that is refused (some nodes
    /// prove only recent blocks) leaves its row open.
    async fn read_proven(
        &mut self,
        node: &PatientNode<'_>,
        naming: Naming,
        wanted: &[Wanted],
        rows: &mut [Option<BalanceRow>],
    ) -> Result<(), StateError> {
        let provable: Vec<(usize, &Wanted, B256)> = (0..)
            .zip(wanted)
            .filter_map(|(at, wanted)| Some((at, wanted, root_of(wanted)?)))
            .collect();
        let calls: Vec<Call> = provable
            .iter()
            .map(|(_, wanted, _)| proof_of(wanted, naming))
            .collect();
        let replies = self.batch.ask(node, &calls).await?;
        for ((at, wanted, root), reply) in provable.into_iter().zip(replies) {
            let Ok(raw) = reply else { continue };
            let balance = prove(&raw, wanted, root).map_err(|reason| {
                let (label, block) = (node.label(), wanted.at.block);
                IndexError::Transient(format!(
                    "an account proof of node {label} for block {block} fails, so its balances are \
                     not kept: {reason}"
                ))
            })?;
            rows[at] = Some(row(wanted, balance, true));
        }
        Ok(())
    }

    /// Fills in the rows that are still open.
    async fn read_plain(
        &mut self,
        node: &PatientNode<'_>,
        naming: Naming,
        wanted: &[Wanted],
        rows: &mut [Option<BalanceRow>],
    ) -> Result<(), StateError> {
        let open: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].is_none()).collect();
        let calls: Vec<Call> = open
            .iter()
            .map(|at| balance_of(&wanted[*at], naming))
            .collect();
        let replies = self.batch.ask(node, &calls).await?;
        for (at, reply) in open.into_iter().zip(replies) {
            let wanted = &wanted[at];
            rows[at] = Some(row(wanted, plain(reply, wanted)?, false));
        }
        Ok(())
    }
}

fn row(wanted: &Wanted, balance: U256, proven: bool) -> BalanceRow {
    BalanceRow {
        address: wanted.address,
        block_number: wanted.at.block.number,
        balance: Wei(balance),
        proven,
    }
}

/// The root that can prove it. Dev chains leave the accounts they begin with out of their first block's.
fn root_of(wanted: &Wanted) -> Option<B256> {
    let empty = |root: &B256| wanted.at.block.number == 0 && *root == EMPTY_ROOT_HASH;
    wanted.at.state_root.filter(|root| !empty(root))
}

fn proof_of(wanted: &Wanted, naming: Naming) -> Call {
    let no_slots: [B256; 0] = [];
    Call {
        method: "eth_getProof",
        params: json!([wanted.address, no_slots, naming.name(wanted.at.block)]),
    }
}

fn balance_of(wanted: &Wanted, naming: Naming) -> Call {
    Call {
        method: "eth_getBalance",
        params: json!([wanted.address, naming.name(wanted.at.block)]),
    }
}

fn plain(reply: Reply, wanted: &Wanted) -> Result<U256, StateError> {
    match reply {
        Ok(raw) => read(&raw).ok_or(StateError::Missing(wanted.at.block.number)),
        Err(CallError::Unsupported) => Err(StateError::Unavailable),
        Err(_) => Err(StateError::Missing(wanted.at.block.number)),
    }
}

fn prove(raw: &RawValue, wanted: &Wanted, root: B256) -> Result<U256, String> {
    let claim: AccountClaim =
        serde_json::from_str(raw.get()).map_err(|error| format!("it is malformed: {error}"))?;
    let account = prove_account(&claim, wanted.address, root).map_err(|error| error.to_string())?;
    Ok(account.balance)
}

/// Whether a node proves accounts; `None` where it does not prove this one.
async fn try_proof(
    node: &PatientNode<'_>,
    naming: Naming,
    sample: &Wanted,
) -> Result<Option<bool>, StateError> {
    let Some(root) = root_of(sample) else {
        return Ok(None);
    };
    let call = proof_of(sample, naming);
    match node
        .call_within(REPLY_TIMEOUT, call.method, &call.params)
        .await
    {
        Ok(raw) => {
            let proven = prove(&raw, sample, root);
            if let Err(reason) = &proven {
                tracing::info!(
                    node = node.label(),
                    reason,
                    "account proofs fail: balances are not proven"
                );
            }
            Ok(Some(proven.is_ok()))
        }
        Err(CallError::Unsupported) => Ok(Some(false)),
        Err(CallError::Refused { .. } | CallError::Pruned(_) | CallError::TooLarge(_)) => Ok(None),
        Err(error) => Err(node.failure(call.method, error).into()),
    }
}

/// Makes sure that the node still has the very blocks that were named by their numbers.
async fn compare_blocks(node: &PatientNode<'_>, wanted: &[Wanted]) -> Result<(), StateError> {
    let blocks: BTreeMap<u64, BlockRef> = wanted
        .iter()
        .map(|wanted| (wanted.at.block.number, wanted.at.block))
        .collect();
    for block in blocks.into_values() {
        if !has_block(node, block).await? {
            let what = format!("block {block}");
            let node = node.label().to_owned();
            return Err(IndexError::NotYet { node, what }.into());
        }
    }
    Ok(())
}
