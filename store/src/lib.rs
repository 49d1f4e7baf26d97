//! What is stored and how: one row type per table with its COPY encoding, the embedded schema, reads
//! by key, the JSON shown to clients, and the layout of Redis.

pub mod answer;
pub mod audit;
pub mod balances;
pub mod cache;
pub mod chunks;
pub mod contracts;
pub mod coverage;
pub mod enrichment;
pub mod event;
pub mod internal;
pub mod labels;
pub mod legs;
mod numeric;
mod pg;
pub mod read;
pub mod rebuild;
pub mod rows;
pub mod schema;
pub mod state;
pub mod tally;
pub mod transaction;
pub mod view;

pub use pg::{CopyBuffer, Json, PgValue, RowError, TableRow, Timestamp};
pub use rows::RowBatch;
