//! Code of contracts: how large it is, whether it is a proxy and where that leads, what interfaces it
//! claims (ERC-165).
//!
//! In: rows of `contract_code` without a height. Out: the same with what the node says at the head. A
//! contract that reverts, or answers with something else, has said no.

use super::{
    Enricher, Turn,
    pace::{Reader, Step},
    patient::PatientNode,
    state::{Batch, Naming, StateError, bytes_of, eth_call, find_naming, has_state, read},
};
use crate::{node::Call, nodes::reply::CallError};
use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, keccak256},
    sol,
    sol_types::SolCall as _,
};
use chain::proxy::{
    BEACON_SLOT, IMPLEMENTATION_SLOT, PROXIABLE_SLOT, address_in, delegation, minimal_proxy,
};
use serde_json::{Value, json};
use store::{
    contracts::{self, CodeRow, ProxyKind},
    enrichment::Reading,
    state::{self, BlockRef},
};

sol! {
    function supportsInterface(bytes4 id) returns (bool);
    function implementation() returns (address);
}

/// Contracts read at a time.
const CONTRACTS_AT_ONCE: i64 = 40;

/// Gas of a question by ERC-165, which allows 30,000 for the answer; a transaction's own cost and that of
/// its input come on top.
const ERC165_GAS: u64 = 30_000 + 21_000 + 1_000;

/// Gas of asking a beacon, which reads one slot.
const BEACON_GAS: u64 = 200_000;

/// ERC-165 itself, which must be so, and what must not be.
const ERC165: u32 = 0x01ff_c9a7;
const NO_INTERFACE: u32 = 0xffff_ffff;

/// Other interfaces, with their flag in `contract_code.interfaces`; 1 is ERC-165 itself.
const INTERFACES: [(u32, u32); 6] = [
    (0x80ac_58cd, 2),
    (0x5b5e_139f, 4),
    (0x780e_9d63, 8),
    (0xd9b6_7a26, 16),
    (0x0e89_341c, 32),
    (0x2a55_205a, 64),
];

/// Reads the code of contracts.
pub(crate) struct Contracts {
    enricher: Enricher,
    batch: Batch,
    met: Option<(String, Naming)>,
}

impl Reader for Contracts {
    const READING: Reading = Reading::Contracts;

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
        let addresses = contracts::list_unread(&self.enricher.database, CONTRACTS_AT_ONCE).await?;
        if addresses.is_empty() {
            return Ok(Step::Idle);
        }
        // Found after the list: a contract of a block that was committed meanwhile is not there before it.
        let Some(head) = state::get_state(&self.enricher.database).await?.head else {
            return Ok(Step::Early);
        };
        let rows = self
            .read(node, &naming.name(head), head, &addresses)
            .await?;
        let mut turn = Turn::begin(&self.enricher).await?;
        if turn.is_canonical(head).await? {
            contracts::write(turn.connection(), &rows).await?;
            turn.commit().await?;
        }
        Ok(Step::More)
    }
}

impl Contracts {
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
        addresses: &[Address],
    ) -> Result<Vec<CodeRow>, StateError> {
        let calls: Vec<Call> = addresses
            .iter()
            .map(|address| get_code(*address, block))
            .collect();
        let mut rows = Vec::with_capacity(addresses.len());
        for (address, reply) in addresses.iter().zip(self.batch.ask(node, &calls).await?) {
            let code: Bytes = match reply {
                Ok(raw) => read(&raw).ok_or(StateError::Missing(head.number))?,
                Err(CallError::Unsupported) => return Err(StateError::Unavailable),
                Err(_) => return Err(StateError::Missing(head.number)),
            };
            rows.push(row_of(*address, head.number, &code));
        }
        self.find_proxies(node, block, &mut rows).await?;
        self.ask_interfaces(node, block, &mut rows).await?;
        // A refusal counts as a contract's no only from a node that has the state.
        if has_state(node, block).await? {
            Ok(rows)
        } else {
            Err(StateError::Missing(head.number))
        }
    }

    /// Looks into the slots of EIP-1967 and EIP-1822, and asks beacons where they point.
    async fn find_proxies(
        &mut self,
        node: &PatientNode<'_>,
        block: &Value,
        rows: &mut [CodeRow],
    ) -> Result<(), StateError> {
        const SLOTS: [(B256, ProxyKind); 3] = [
            (IMPLEMENTATION_SLOT, ProxyKind::Eip1967),
            (BEACON_SLOT, ProxyKind::Eip1967Beacon),
            (PROXIABLE_SLOT, ProxyKind::Eip1822),
        ];
        let mut unknown: Vec<&mut CodeRow> = rows
            .iter_mut()
            .filter(|row| row.code_size > 0 && row.proxy.is_none())
            .collect();
        let slots = |row: &&mut CodeRow| SLOTS.map(|(slot, _)| get_slot(row.address, slot, block));
        let calls: Vec<Call> = unknown.iter().flat_map(slots).collect();
        let replies = self.batch.ask(node, &calls).await?;
        for (row, replies) in unknown.iter_mut().zip(replies.chunks(SLOTS.len())) {
            let found = SLOTS.iter().zip(replies).find_map(|((_, kind), reply)| {
                let word: B256 = read(reply.as_ref().ok()?)?;
                Some((*kind, address_in(word)?))
            });
            (row.proxy, row.implementation) = found.unzip();
        }
        let mut behind: Vec<&mut CodeRow> = unknown
            .into_iter()
            .filter(|row| row.proxy == Some(ProxyKind::Eip1967Beacon))
            .collect();
        let input = implementationCall {}.abi_encode();
        let calls: Vec<Call> = behind
            .iter()
            .filter_map(|row| row.implementation)
            .map(|beacon| eth_call(beacon, &input, BEACON_GAS, block))
            .collect();
        for (row, reply) in behind.iter_mut().zip(self.batch.ask(node, &calls).await?) {
            row.implementation = word_of(&bytes_of(reply)).and_then(address_in);
        }
        Ok(())
    }

    /// Asks by ERC-165: first whether it is spoken at all, and then for each interface.
    async fn ask_interfaces(
        &mut self,
        node: &PatientNode<'_>,
        block: &Value,
        rows: &mut [CodeRow],
    ) -> Result<(), StateError> {
        let mut with_code: Vec<&mut CodeRow> =
            rows.iter_mut().filter(|row| row.code_size > 0).collect();
        let said = self
            .supports(node, block, &with_code, &[ERC165, NO_INTERFACE])
            .await?;
        let mut speak: Vec<&mut CodeRow> = with_code
            .drain(..)
            .zip(said)
            .filter(|(_, said)| said[..] == [true, false])
            .map(|(row, _)| row)
            .collect();
        let said = self
            .supports(node, block, &speak, &INTERFACES.map(|(id, _)| id))
            .await?;
        for (row, said) in speak.iter_mut().zip(said) {
            let flags = INTERFACES.iter().zip(said).filter(|(_, said)| *said);
            row.interfaces = 1 + flags.map(|((_, flag), _)| flag).sum::<u32>();
        }
        Ok(())
    }

    /// What each contract says to each interface.
    async fn supports(
        &mut self,
        node: &PatientNode<'_>,
        block: &Value,
        rows: &[&mut CodeRow],
        interfaces: &[u32],
    ) -> Result<Vec<Vec<bool>>, StateError> {
        let ask = |address: Address, id: &u32| {
            let id = FixedBytes::from(id.to_be_bytes());
            eth_call(
                address,
                &supportsInterfaceCall { id }.abi_encode(),
                ERC165_GAS,
                block,
            )
        };
        let calls: Vec<Call> = rows
            .iter()
            .flat_map(|row| interfaces.iter().map(|id| ask(row.address, id)))
            .collect();
        let mut said = self
            .batch
            .ask(node, &calls)
            .await?
            .into_iter()
            .map(|reply| {
                let word = word_of(&bytes_of(reply));
                word == Some(B256::with_last_byte(1))
            });
        let per_contract = |_: &&mut CodeRow| said.by_ref().take(interfaces.len()).collect();
        Ok(rows.iter().map(per_contract).collect())
    }
}

/// What follows from the code alone.
fn row_of(address: Address, read_at: u64, code: &[u8]) -> CodeRow {
    let minimal = minimal_proxy(code).map(|target| (ProxyKind::Eip1167, target));
    let delegated = || delegation(code).map(|target| (ProxyKind::Eip7702, target));
    let (proxy, implementation) = minimal.or_else(delegated).unzip();
    CodeRow {
        address,
        read_at,
        code_size: u32::try_from(code.len()).unwrap_or(u32::MAX),
        code_hash: keccak256(code),
        interfaces: 0,
        proxy,
        implementation,
    }
}

fn get_code(address: Address, block: &Value) -> Call {
    Call {
        method: "eth_getCode",
        params: json!([address, block]),
    }
}

fn get_slot(address: Address, slot: B256, block: &Value) -> Call {
    Call {
        method: "eth_getStorageAt",
        params: json!([address, slot, block]),
    }
}

/// The first word of an answer.
fn word_of(answer: &[u8]) -> Option<B256> {
    answer.first_chunk::<32>().map(B256::from)
}
