//! A simulated JSON-RPC node: recorded, generated or loaded chains behind a real server, over HTTP and
//! WebSocket, misbehaving on command.
//!
//! **A generated chain** has everything that the proof looks at, from a seed: all types of transactions and
//! shapes of logs, creations, failures, QBFT seals ([`Generator`], [`Profile`]).
//!
//! ```no_run
//! use tallyscan_simnode::{CannedChain, GENERATED_CHAIN_ID, GeneratedBlock, Generator, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut generator = Generator::seeded(7);
//! let genesis = generator.genesis();
//! let branch = generator.branch(&genesis, 20);
//! let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, [genesis.canned()]);
//! chain.extend(branch.iter().map(GeneratedBlock::canned));
//! let node = Server::start(chain.clone())?;
//! // … point a client at node.http_url() or node.ws_url(), then reorganise the newest eight blocks …
//! let other = generator.branch(&branch[11], 9);
//! chain.replace_from(13, other.iter().map(GeneratedBlock::canned));
//! # Ok(())
//! # }
//! ```
//!
//! **A load chain** is long and uniform, for benchmarks: its transactions are distinct and valid, and take
//! 64 bytes each, in a file; their text is written when it is asked for ([`LoadChain`]).
//!
//! ```no_run
//! use std::sync::Arc;
//! use tallyscan_simnode::{CannedChain, LoadChain, LoadProfile, Server, ServerConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let load = Arc::new(LoadChain::generate(LoadProfile::default(), 25_000)?);
//! let chain = CannedChain::with_load(Arc::clone(&load));
//! chain.set_head(20_000);
//! let config = ServerConfig { workers: 2, ..ServerConfig::default() };
//! let node = Server::start_with(chain.clone(), config)?;
//! chain.advance(1); // a new head is announced
//! chain.replace_from(19_938, load.branch(19_937, 2, 65)?); // a reorg of 64 blocks
//! # Ok(())
//! # }
//! ```
//!
//! **Faults** are rules by method, on a script or under a seed ([`Faults`]); what concerns the chain or the
//! whole server is switched there.
//!
//! ```no_run
//! use std::time::Duration;
//! use tallyscan_simnode::{ANY_METHOD, CannedChain, Fault, Fixtures, Pruned, Server, When};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let Some(fixtures) = Fixtures::find_or_say("receipts_that_are_null_are_asked_for_again") else {
//!     return Ok(());
//! };
//! let chain = CannedChain::with_blocks(11_155_111, fixtures.sepolia_run()?);
//! let node = Server::start(chain.clone())?;
//! let faults = node.faults();
//! faults.on("eth_getBlockReceipts", Fault::Null, When::Times(3));
//! faults.on(ANY_METHOD, Fault::Latency(Duration::from_millis(50)), When::Always);
//! faults.seed(42);
//! faults.on(ANY_METHOD, Fault::rate_limited(), When::Chance(0.05));
//! chain.set_pruned(Some((172_100, Pruned::Error)));
//! assert_eq!(node.calls("eth_getBlockReceipts"), 0);
//! # Ok(())
//! # }
//! ```
//!
//! | what goes wrong | how |
//! |---|---|
//! | reorgs of any depth, flip-flops, a head that goes backwards | [`CannedChain::replace_from`] |
//! | a head that stands still | [`CannedChain::set_head`] |
//! | another genesis, chain id, client | [`CannedChain::set_genesis`], `set_chain_id`, `set_client_version` |
//! | tags that are unknown or far behind | [`CannedChain::set_finalized`], `set_safe` |
//! | pruned history, forgotten orphans | [`CannedChain::set_pruned`], `forget_orphans`, `forget` |
//! | state that is gone, so that old blocks cannot be traced | [`CannedChain::set_stateless_below`] |
//! | no traces at all, or in one form only | [`Fault::Unsupported`] |
//! | replies that come late, or never | [`Fault::Latency`] (any number at once), [`Fault::NeverAnswer`] |
//! | stale heads | [`Fault::StaleHead`] |
//! | nulls, receipts of another block, missing methods | [`Fault::Null`], `ReceiptsOfAnotherBlock`, `Unsupported` |
//! | wrong roots, fields that are wrong or missing | [`Fault::wrong_root`], `set`, `remove`, `edit` |
//! | 429 with and without `Retry-After`, other statuses | [`Fault::TooManyRequests`], [`Fault::Status`] |
//! | -32005 for rates and for sizes, other errors | [`Fault::rate_limited`], `response_too_large`, `error` |
//! | truncated bodies, cut connections | [`Fault::TruncatedBody`], [`Fault::CutConnection`] |
//! | batches and responses that are too large | [`Server::refuse_batches`], `set_response_limit` |
//! | dead sockets, silent subscriptions | [`Server::mute_sockets`], `close_sockets`, [`Fault::SilentSubscription`] |
//! | a node that goes away and comes back | [`Server::stop`], [`Server::restart`] |
//!
//! | file | what |
//! |---|---|
//! | `fixtures` | finds and loads the recorded chains |
//! | `generator`, `load` | make chains |
//! | `account`, `executed`, `seal`, `text` | what both need: keys, a transaction with its receipt, roots, JSON |
//! | `block`, `json` | one block: its bodies as shared text, with the places of their parts |
//! | `chain`, `state`, `view`, `found` | growth, reorgs, held heads; what is held; what one request sees and finds |
//! | `methods`, `node`, `wire` | a call: parsed, counted, spoiled or answered, spliced |
//! | `trace` | what transactions did within, in two forms |
//! | `faults`, `limits`, `requests` | how the node misbehaves; what it refuses; what it was asked |
//! | `server`, `http`, `socket` | thread and port; the two transports |

mod account;
mod block;
mod chain;
mod executed;
mod faults;
pub mod fixtures;
mod found;
pub mod generator;
mod http;
mod json;
mod limits;
pub mod load;
mod methods;
mod node;
mod requests;
mod seal;
mod server;
mod socket;
mod state;
mod text;
pub mod trace;
mod view;
mod wire;

pub use block::{BlockError, CannedBlock, CannedTransaction};
pub use chain::{ANNOUNCED_AT_ONCE, CannedChain, Pruned, Tag};
pub use faults::{ANY_METHOD, Edit, Fault, Faults, RuleId, When};
pub use fixtures::Fixtures;
pub use generator::{GENERATED_CHAIN_ID, GeneratedBlock, Generator, Profile};
pub use json::Json;
pub use limits::BatchRefusal;
pub use load::{LoadChain, LoadProfile};
pub use methods::RpcError;
pub use requests::RequestCounts;
pub use server::{Server, ServerConfig};
