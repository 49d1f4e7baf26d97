//! All integration suites, in one binary: they share one private Postgres server.

mod api;
mod audit;
mod backfill;
mod bad_days;
mod commits;
mod dev_chain;
mod histories;
mod labels;
mod ledger;
mod node_pool;
mod precedence;
mod recorded;
mod recorded_faults;
mod recorded_fields;
mod state;
mod tokens;
mod traces;
mod transactions;
mod wallets;
