//! All integration suites, in one binary: they share one private Postgres server.

mod api;
mod audit;
mod dev_chain;
mod recorded;
mod recorded_faults;
mod recorded_fields;
mod recorded_histories;
mod transactions;
