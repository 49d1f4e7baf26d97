//! Private services from the machine's own programs: [`Postgres`], [`Redis`] and the dev chain
//! [`Anvil`], each in a folder of its own, on a free loopback port, for `tallyscan up` and for tests.
//!
//! What all three promise:
//! - `start` returns when the service really answers, or with an error that shows the end of its log.
//! - Data stays in the folder; starting again on it goes on where it stopped.
//! - One folder, one service: a second start on it is refused, and a start that follows a crash waits
//!   until the last process of the previous run is gone.
//! - `stop` is graceful and takes less than five seconds; dropping does the same, blocking.
//! - However our own process ends, `kill -9` included, nothing is left running.
//! - Ctrl-C in a terminal does not reach the services: we decide when they stop, and in which order.

mod anvil;
mod chain_state;
mod error;
mod folder;
mod postgres;
mod programs;
mod redis;
mod service;
mod startup_probe;
pub mod traffic;

pub use anvil::{Anvil, AnvilOptions};
pub use error::StartError;
pub use postgres::{Postgres, PostgresOptions};
pub use redis::{Redis, RedisOptions};
