//! Random histories: growth, reorgs, flip-flops, nodes that disagree, fail and lie, restarts and
//! abrupt ends. Whatever happened, the index equals one of the final chain, and who listened knows
//! the same chain.
//!
//! A seed becomes a [`Script`], which is all that is random about a history but for the moments at
//! which things meet. [`live_all`] plays what seeds say and compares.

mod check;
mod host;
mod life;
mod script;
mod world;

pub use check::assert_told;
pub use host::Host;
pub use script::Script;

use crate::{Database, folder, redis, say};
use futures::future::join_all;
use host::Place;
use life::Life;
use std::sync::{Mutex, PoisonError};

/// Plays the histories of some seeds, so many at once. Prints the script of each that fails; once one
/// did, no more are begun, and at the end all that failed are named.
pub async fn live_all(
    seeds: impl Iterator<Item = u64>,
    at_once: usize,
    script: fn(u64) -> Script,
    host: Host,
) {
    let (seeds, failed) = (Mutex::new(seeds), Mutex::new(Vec::new()));
    let lane = async || {
        let folder = folder();
        // Channels are the same for all databases: one history at a time, or who listens hears others.
        let redis = redis(&folder).await;
        let (lived, twin) = tokio::join!(Database::create(), Database::create());
        while lock(&failed).is_empty() {
            let Some(seed) = lock(&seeds).next() else {
                break;
            };
            let script = script(seed);
            let place = Place::new(&lived, redis.url());
            let life = Life::live(script.clone(), place, twin.clone(), host.clone());
            if tokio::spawn(life).await.is_err() {
                say(&format!("this history failed:\n{script}"));
                lock(&failed).push(seed);
            }
        }
    };
    join_all((0..at_once).map(|_| lane())).await;
    let failed = std::mem::take(&mut *lock(&failed));
    if let Some(first) = failed.first() {
        panic!("seeds {failed:?} failed: SEED={first} repeats the first");
    }
}

/// The seeds that the environment asks for: `SEED`, or `SEEDS` from a random one on, or the first `usual`.
#[must_use]
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(
            text.parse::<u64>()
                .unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")),
        )
    };
    let (first, count) = match (number("SEED"), number("SEEDS")) {
        (Some(seed), count) => (seed, count.unwrap_or(1)),
        (None, Some(count)) => (u64::from(rand::random::<u32>()), count),
        (None, None) => return 1..usual + 1,
    };
    say(&format!("SEED={first} SEEDS={count}"));
    first..first + count
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
