//! A canned JSON-RPC node: real or prepared blocks behind a real server, misbehaving on command.
//!
//! ```no_run
//! use tallyscan_simnode::{CannedChain, Fault, Fixtures, Server, When};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let Some(fixtures) = Fixtures::find_or_say("receipts_that_are_null_are_asked_for_again") else {
//!     return Ok(());
//! };
//! let chain = CannedChain::with_blocks(11_155_111, fixtures.sepolia_run()?);
//! chain.set_head(172_100);
//! let node = Server::start(chain.clone())?;
//! node.faults().on("eth_getBlockReceipts", Fault::Null, When::Times(3));
//! // … point a client at node.http_url() or node.ws_url() …
//! chain.advance(10);
//! assert_eq!(node.calls("eth_getBlockReceipts"), 0);
//! # Ok(())
//! # }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `fixtures` | finds and loads the recorded chains |
//! | `block`, `json` | one block: its bodies as shared text, with the places of their parts |
//! | `chain`, `view` | growth, reorgs, held heads; what one request sees |
//! | `methods`, `node`, `wire` | a call: parsed, counted, spoiled or answered, spliced |
//! | `faults`, `requests` | how the node misbehaves; what it was asked |
//! | `server`, `http`, `socket` | thread and port; the two transports |

mod block;
mod chain;
mod faults;
pub mod fixtures;
mod http;
mod json;
mod methods;
mod node;
mod requests;
mod server;
mod socket;
mod view;
mod wire;

pub use block::{BlockError, CannedBlock, CannedTransaction};
pub use chain::{ANNOUNCED_AT_ONCE, CannedChain, Tag};
pub use faults::{ANY_METHOD, Edit, Fault, Faults, RuleId, When};
pub use fixtures::Fixtures;
pub use json::Json;
pub use methods::RpcError;
pub use requests::RequestCounts;
pub use server::{Server, ServerConfig};
