//! Wallets, tokens and transfers through the API: every list against a plain query, whatever it is
//! narrowed to, both ways, and while the chain changes.

mod asked;
mod filters;
mod lists;
mod reorg;
mod scene;
mod single;
mod walk;
