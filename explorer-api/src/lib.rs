//! The explorer's HTTP API: read-only, Redis first, right even where Redis is not.
//!
//! | where | what |
//! |---|---|
//! | `routes/` | one file per resource: router, parameters, answer, handlers |
//! | `parameters`, `filter`, `id`, `cursor` | what clients may write, read strictly |
//! | `question`, `api`, `cache` | how a question is answered: Redis, else one snapshot of the database |
//! | `answer`, `problem` | what clients get |
//! | `abi` | what inputs and logs mean |
//! | `viewer` | who asks: the public, or somebody with the internal key |
//! | `observe`, `server` | what surrounds requests; the process' side of it |
//!
//! An answer never mixes two states of the chain: its data and the head that it is shown under
//! (`as_of`) are read together, from Redis in one command or from the database in one snapshot.

mod abi;
mod answer;
mod api;
mod cache;
mod cursor;
mod filter;
mod id;
mod observe;
mod parameters;
mod problem;
mod question;
mod routes;
mod server;
mod viewer;

pub use server::{ApiConfig, ServeError, Server};
pub use viewer::InternalKey;
