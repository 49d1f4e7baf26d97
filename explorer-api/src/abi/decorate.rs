//! Answers with what their input and their logs mean, added to the JSON as it came from the cache.

use super::{Abis, ContractAbi, Decoded, Known};
use crate::{answer::join_objects, problem::Problem};
use alloy::primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeSet, HashMap};

/// What decides about the meaning of a transaction's input.
#[derive(Deserialize)]
struct Call {
    /// None for a creation, whose input is code.
    to: Option<Address>,
    input: Bytes,
}

#[derive(Serialize)]
struct DecodedInput {
    decoded_input: Decoded,
}

/// What decides about the meaning of a log.
#[derive(Deserialize)]
struct Log {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

#[derive(Serialize)]
struct DecodedLog {
    decoded: Decoded,
}

/// What a contract's page says of its ABI.
#[derive(Serialize)]
struct ContractAbis<'a> {
    abi_known: bool,
    abi: Option<Listed<'a>>,
}

/// An ABI's signatures.
#[derive(Serialize)]
struct Listed<'a> {
    functions: BTreeSet<&'a str>,
    events: BTreeSet<&'a str>,
    /// Whose ABIs these are: its own, its implementation's, or both.
    contracts: Vec<String>,
}

impl Abis {
    /// A transaction's body with `decoded_input`, where that is known.
    pub async fn decorate_transaction(&self, body: String) -> Result<String, Problem> {
        let call: Call = serde_json::from_str(&body).map_err(Problem::internal)?;
        let Some(to) = call.to.filter(|_| call.input.len() >= 4) else {
            return Ok(body);
        };
        let known = self.known(&[to]).await;
        match self.input(known.get(&to), &call.input) {
            Some(decoded_input) => join(&body, &DecodedInput { decoded_input }),
            None => Ok(body),
        }
    }

    /// A list of logs with `decoded` on each that is known.
    pub async fn decorate_logs(&self, body: String) -> Result<String, Problem> {
        let views: Vec<&RawValue> = serde_json::from_str(&body).map_err(Problem::internal)?;
        let logs = views
            .iter()
            .map(|view| serde_json::from_str(view.get()))
            .collect::<Result<Vec<Log>, _>>()
            .map_err(Problem::internal)?;
        let mut emitters: Vec<Address> = logs.iter().map(|log| log.address).collect();
        emitters.sort_unstable();
        emitters.dedup();
        let known = self.known(&emitters).await;
        let mut decorated = String::with_capacity(body.len() * 2);
        decorated.push('[');
        for (index, (view, log)) in views.iter().zip(&logs).enumerate() {
            if index > 0 {
                decorated.push(',');
            }
            match self.meaning(&known, log) {
                Some(decoded) => decorated.push_str(&join(view.get(), &DecodedLog { decoded })?),
                None => decorated.push_str(view.get()),
            }
        }
        decorated.push(']');
        Ok(decorated)
    }

    /// A contract's body with the ABIs that apply to it: its own, and that of its implementation.
    pub async fn decorate_contract(&self, address: Address, body: &str) -> Result<String, Problem> {
        let known = self
            .known(&[address])
            .await
            .remove(&address)
            .unwrap_or_default();
        let mut contracts = Vec::new();
        if known.own.is_some() {
            contracts.push(address.to_checksum(None));
        }
        if let Some((implementation, _)) = &known.implementation {
            contracts.push(implementation.to_checksum(None));
        }
        let abi = (!contracts.is_empty()).then(|| Listed {
            functions: known
                .abis()
                .flat_map(ContractAbi::function_signatures)
                .collect(),
            events: known
                .abis()
                .flat_map(ContractAbi::event_signatures)
                .collect(),
            contracts,
        });
        let abi_known = abi.is_some();
        join(body, &ContractAbis { abi_known, abi })
    }

    fn meaning(&self, known: &HashMap<Address, Known>, log: &Log) -> Option<Decoded> {
        self.log(known.get(&log.address), &log.topics, &log.data)
    }
}

/// A JSON object with the members of another behind its own.
fn join(body: &str, more: &impl Serialize) -> Result<String, Problem> {
    let more = serde_json::to_string(more).map_err(Problem::internal)?;
    join_objects(body, &more).ok_or_else(|| Problem::internal("a cached answer is no JSON object"))
}
