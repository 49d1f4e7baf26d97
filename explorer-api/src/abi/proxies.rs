//! Whose code addresses run, for those that are proxies: asked of the database, remembered for a while.
//!
//! An implementation changes with an upgrade and is read anew behind the head once the proxy logs it
//! (EIP-1967), so that remembering it for half a minute makes nothing older than it is anyway. It is only asked for while there are ABIs that it
//! could lead to; without the database there is no answer, and no waiting for one.

use alloy::primitives::Address;
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer is remembered.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Most addresses that are remembered; beyond, all are asked for again.
const MAX_REMEMBERED: usize = 50_000;
/// Longest wait for the database: what it delays was found in the cache and could be sent.
const PATIENCE: Duration = Duration::from_millis(300);

/// Whether an address is a proxy for another, and when that was asked.
#[derive(Clone, Copy)]
struct Answer {
    implementation: Option<Address>,
    asked: Instant,
}

pub(super) struct Proxies {
    database: PgPool,
    remembered: Mutex<HashMap<Address, Answer>>,
}

impl Proxies {
    pub fn new(database: PgPool) -> Self {
        Self {
            database,
            remembered: Mutex::default(),
        }
    }

    /// The implementations of those that are proxies.
    pub async fn implementations(&self, addresses: &[Address]) -> HashMap<Address, Address> {
        let unknown = self.forgotten(addresses);
        if !unknown.is_empty() {
            let found = tokio::time::timeout(PATIENCE, self.find(&unknown)).await;
            // A database that is away says nothing of proxies for as long as one that answers says the
            // same: that keeps the next request from waiting again.
            let found = found.ok().and_then(Result::ok).unwrap_or_default();
            self.remember(&unknown, &found);
        }
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        addresses
            .iter()
            .filter_map(|address| Some((*address, remembered.get(address)?.implementation?)))
            .collect()
    }

    fn forgotten(&self, addresses: &[Address]) -> Vec<Address> {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |answer: &Answer| answer.asked.elapsed() < REMEMBERED;
        addresses
            .iter()
            .filter(|address| !remembered.get(*address).is_some_and(is_fresh))
            .copied()
            .collect()
    }

    async fn find(&self, addresses: &[Address]) -> Result<HashMap<Address, Address>, sqlx::Error> {
        let mut connection = self.database.acquire().await?;
        store::read::list_implementations(&mut connection, addresses).await
    }

    fn remember(&self, asked: &[Address], found: &HashMap<Address, Address>) {
        let now = Instant::now();
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() + asked.len() > MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.extend(asked.iter().map(|address| {
            let answer = Answer {
                implementation: found.get(address).copied(),
                asked: now,
            };
            (*address, answer)
        }));
    }
}
