//! What there is: the routes, for whoever meets the service at its root.

use crate::{
    api::Api,
    filter::{Explain, Filter, TokenTransferFilter},
};
use axum::{Json, Router, routing::get};
use serde::Serialize;
use std::sync::Arc;
use store::{
    read::{ActivityFilter, InternalFilter, TransferFilter},
    view::TokenStandard,
};

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new()
        .route("/", get(get_index))
        .route("/api/v1", get(get_index))
}

#[derive(Serialize)]
struct Index {
    name: &'static str,
    version: &'static str,
    routes: &'static [Route],
}

#[derive(Serialize)]
pub(super) struct Route {
    pub path: &'static str,
    pub parameters: &'static [&'static str],
    pub about: &'static str,
}

const PAGE: &[&str] = <() as Filter>::NAMES;
const NONE: &[&str] = &[];

const fn route(
    path: &'static str,
    parameters: &'static [&'static str],
    about: &'static str,
) -> Route {
    Route {
        path,
        parameters,
        about,
    }
}

/// Every route; a test holds it against the router.
pub(super) const ROUTES: &[Route] = &[
    route("/api/v1/blocks", PAGE, "Blocks, newest first."),
    route(
        "/api/v1/blocks/{id}",
        NONE,
        "A block by number, hash, latest, safe, finalized or earliest.",
    ),
    route(
        "/api/v1/blocks/{id}/transactions",
        PAGE,
        "A block's transactions, in its own order.",
    ),
    route("/api/v1/transactions", PAGE, "Transactions, newest first."),
    route(
        "/api/v1/transactions/{hash}",
        NONE,
        "A transaction with its receipt and the inclusions that reorgs dropped.",
    ),
    route(
        "/api/v1/transactions/{hash}/logs",
        NONE,
        "The logs of a transaction.",
    ),
    route(
        "/api/v1/transactions/{hash}/transfers",
        PAGE,
        "The token transfers of a transaction, in order.",
    ),
    route(
        "/api/v1/transactions/{hash}/internal",
        PAGE,
        "The internal transfers of a transaction, in the order of execution.",
    ),
    route(
        "/api/v1/transactions/{hash}/trace",
        NONE,
        "The calls of a transaction that moved value, created or destroyed, as a tree.",
    ),
    route(
        "/api/v1/wallets",
        &["label", "category", "limit", "cursor"],
        "The wallet directory: labelled wallets by name.",
    ),
    route(
        "/api/v1/contracts/{address}",
        NONE,
        "A contract: who created it, its code, its proxy, its interfaces, its ABI.",
    ),
    route(
        "/api/v1/wallets/{address}",
        NONE,
        "What is known of an address: its balance, its counters, its code.",
    ),
    route(
        "/api/v1/wallets/{address}/transactions",
        ActivityFilter::NAMES,
        "The transactions an address took part in, newest first.",
    ),
    route(
        "/api/v1/wallets/{address}/transfers",
        TransferFilter::NAMES,
        "The token transfers from or to an address, newest first.",
    ),
    route(
        "/api/v1/wallets/{address}/internal",
        InternalFilter::NAMES,
        "The internal transfers from or to an address, newest first.",
    ),
    route(
        "/api/v1/wallets/{address}/tokens",
        PAGE,
        "The tokens of which an address has some, by address.",
    ),
    route(
        "/api/v1/wallets/{address}/nfts",
        PAGE,
        "The ERC-721 and ERC-1155 ids of which an address has some, by token and id.",
    ),
    route(
        "/api/v1/wallets/{address}/balance",
        Explain::NAMES,
        "The native balance of an address, and why it is what it is.",
    ),
    route(
        "/api/v1/wallets/{address}/balance-history",
        PAGE,
        "The native balances of an address, one for each change, newest first.",
    ),
    route(
        "/api/v1/tokens",
        <Option<TokenStandard> as Filter>::NAMES,
        "Tokens, those that most hold first.",
    ),
    route("/api/v1/tokens/{address}", NONE, "A token."),
    route(
        "/api/v1/tokens/{address}/holders",
        PAGE,
        "The holders of a token, those with most first.",
    ),
    route(
        "/api/v1/tokens/{address}/transfers",
        TokenTransferFilter::NAMES,
        "The transfers of a token, newest first.",
    ),
    route(
        "/api/v1/tokens/{address}/instances",
        PAGE,
        "The ids of an ERC-721 or ERC-1155 token, the least first.",
    ),
    route(
        "/api/v1/tokens/{address}/instances/{id}",
        NONE,
        "An id of a token; for ERC-721 with its owner.",
    ),
    route(
        "/api/v1/network/stats",
        NONE,
        "The chain, its head and figures of its newest blocks.",
    ),
    route(
        "/health",
        NONE,
        "Whether everything works, and what does not.",
    ),
    route("/metrics", NONE, "Metrics in Prometheus' text format."),
];

async fn get_index() -> Json<Index> {
    Json(Index {
        name: "Tallyscan",
        version: env!("CARGO_PKG_VERSION"),
        routes: ROUTES,
    })
}
