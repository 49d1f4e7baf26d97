//! Values in Postgres' binary format, and rows made of them.
//!
//! One trait carries both directions, so that a type is written exactly as it is read: rows go in by
//! `COPY … (FORMAT binary)`, or as arrays when they are few, and come back from prepared statements;
//! all of these are the same binary form.

mod row;
mod signed;
mod value;
mod write;

pub(crate) use row::table;
pub use row::{CopyBuffer, CopyRows, TableRow, column};
pub use signed::Signed;
pub use value::{Json, PgType, PgValue, RowError, Timestamp};
pub(crate) use write::{copy_all, execute_with, write, write_orphaned};
