//! What is stored and how: one row type per table with its COPY encoding, the embedded schema, reads
//! by key, the JSON shown to clients, and the layout of Redis.

pub mod answer;
pub mod audit;
pub mod cache;
pub mod chunks;
pub mod coverage;
pub mod event;
mod numeric;
mod pg;
pub mod read;
pub mod rebuild;
pub mod rows;
pub mod schema;
pub mod state;
pub mod transaction;
pub mod view;

pub use pg::{CopyBuffer, Json, PgValue, RowError, TableRow, Timestamp};
pub use rows::RowBatch;
