//! What functions and events mean: the ABIs of an operator's folder, and the common standards.
//!
//! Decoding happens when answering, after the cache: an ABI that is put into the folder shows at once in
//! answers that were cached before it. What does not decode exactly, to the last byte, is not shown as
//! decoded: four bytes of a function are soon the same by chance, or on purpose.
//!
//! | where | what |
//! |---|---|
//! | `signature` | a function or an event with its parameters, ready to decode |
//! | `layout` | whether bytes are laid out as the ABI says, in time linear in their length |
//! | `value` | values as JSON, cut to a size |
//! | `standards` | ERCs and other contracts that everybody calls |
//! | `folder` | `ABI_DIR` |
//! | `proxies` | whose code an address runs |
//! | `decorate` | answers with what they mean |

mod decorate;
mod folder;
mod layout;
mod proxies;
mod signature;
mod standards;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use signature::{Decoded, Source};

use alloy::primitives::{Address, B256, Selector};
use folder::Folder;
use proxies::Proxies;
use signature::{EventAbi, FunctionAbi};
use sqlx::PgPool;
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

/// Functions and events of one contract, or of all standards.
#[derive(Debug, Default)]
pub(crate) struct ContractAbi {
    functions: HashMap<Selector, FunctionAbi>,
    /// By first topic and how many parameters are indexed: standards share signatures and differ there.
    events: HashMap<(B256, usize), EventAbi>,
}

impl ContractAbi {
    /// Signatures of its functions, in order.
    pub fn function_signatures(&self) -> BTreeSet<&str> {
        self.functions
            .values()
            .map(FunctionAbi::signature)
            .collect()
    }

    /// Signatures of its events, in order.
    pub fn event_signatures(&self) -> BTreeSet<&str> {
        self.events.values().map(EventAbi::signature).collect()
    }

    fn input(&self, input: &[u8], source: Source) -> Option<Decoded> {
        let (selector, arguments) = input.split_first_chunk::<4>()?;
        self.functions
            .get(&Selector::from(*selector))?
            .decode(arguments, source)
    }

    fn log(&self, topics: &[B256], data: &[u8], source: Source) -> Option<Decoded> {
        let (first, indexed) = topics.split_first()?;
        self.events
            .get(&(*first, indexed.len()))?
            .decode(indexed, data, source)
    }
}

/// Everything that is known of ABIs.
pub(crate) struct Abis {
    standards: ContractAbi,
    folder: Option<Arc<Folder>>,
    proxies: Proxies,
}

/// Whose ABIs apply to an address, in this order.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// Its own, from the folder.
    pub own: Option<Arc<ContractAbi>>,
    /// That of the contract whose code it runs, and which one that is.
    pub implementation: Option<(Address, Arc<ContractAbi>)>,
}

impl Known {
    fn abis(&self) -> impl Iterator<Item = &ContractAbi> {
        let implementation = self.implementation.as_ref().map(|(_, abi)| &**abi);
        self.own.as_deref().into_iter().chain(implementation)
    }
}

impl Abis {
    /// The standards, and what the folder holds.
    pub fn new(folder: Option<PathBuf>, database: PgPool) -> Self {
        Self {
            standards: standards::abi(),
            folder: folder.map(|path| Arc::new(Folder::read(path))),
            proxies: Proxies::new(database),
        }
    }

    /// Reads again what changed in the folder.
    pub async fn refresh(&self) {
        if let Some(folder) = self.folder.clone() {
            // A disk may hang, and a file may be large.
            let read = tokio::task::spawn_blocking(move || folder.refresh());
            if let Err(error) = read.await {
                tracing::error!(%error, "the ABI folder was not read");
            }
        }
    }

    /// What is known of some addresses; the standards are left out, since they apply to all.
    pub async fn known(&self, addresses: &[Address]) -> HashMap<Address, Known> {
        let Some(folder) = self.folder.as_ref().filter(|folder| !folder.is_empty()) else {
            return HashMap::new();
        };
        let implementations = self.proxies.implementations(addresses).await;
        let mut known = HashMap::new();
        for address in addresses {
            let implementation = implementations.get(address);
            let of = Known {
                own: folder.find(address),
                implementation: implementation
                    .and_then(|address| Some((*address, folder.find(address)?))),
            };
            if of.abis().next().is_some() {
                known.insert(*address, of);
            }
        }
        known
    }

    fn input(&self, known: Option<&Known>, input: &[u8]) -> Option<Decoded> {
        known
            .and_then(|known| known.abis().find_map(|abi| abi.input(input, Source::Abi)))
            .or_else(|| self.standards.input(input, Source::Standard))
    }

    fn log(&self, known: Option<&Known>, topics: &[B256], data: &[u8]) -> Option<Decoded> {
        known
            .and_then(|known| {
                known
                    .abis()
                    .find_map(|abi| abi.log(topics, data, Source::Abi))
            })
            .or_else(|| self.standards.log(topics, data, Source::Standard))
    }
}
