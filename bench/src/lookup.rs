//! A transaction by its hash, in a database of few chunks and in one of many.

use crate::{
    figure::{Bar, Figure},
    load::Load,
    stand::{Failure, Stand},
};
use alloy::primitives::B256;
use simnode::LoadProfile;
use std::time::{Duration, Instant};
use store::{answer, read::Snapshot, schema};

/// Blocks of the chain that both databases hold.
const BLOCKS: u64 = 2_000;

/// Blocks of a chunk where there are 500 of them, and where there are 5.
const MANY: u64 = BLOCKS / 500;
const FEW: u64 = BLOCKS / 5;

/// Lookups that are measured, in each of as many rounds.
const LOOKUPS: f64 = 500.0;
const ROUNDS: usize = 5;

/// The time of a lookup with 500 chunks against that with 5, the fastest round of each.
pub async fn measure(stand: &Stand) -> Result<Figure, Failure> {
    let profile = LoadProfile {
        transactions: 5,
        ..LoadProfile::default()
    };
    let load = Load::generate(profile, BLOCKS)?;
    let few = lookups(stand, &load, FEW).await?;
    let many = lookups(stand, &load, MANY).await?;
    let micros = |took: Duration| took.as_secs_f64() * 1e6 / LOOKUPS;
    Ok(Figure::ratio(
        "tx_lookup",
        micros(many),
        "µs",
        micros(few),
        Bar::AtMost(1.5),
    )
    .with_note("transaction by hash, 500 chunks against 5"))
}

/// The fastest round of lookups, each in a snapshot of its own as the API makes them.
async fn lookups(stand: &Stand, load: &Load, chunk_blocks: u64) -> Result<Duration, Failure> {
    let database = stand.database().await?;
    schema::set_chunk_blocks(&database.pool, chunk_blocks).await?;
    load.copy(&database, &[]).await?;
    sqlx::raw_sql("VACUUM ANALYZE")
        .execute(&database.pool)
        .await?;
    let hashes: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT hash FROM transactions ORDER BY hash LIMIT $1::bigint")
            .bind(LOOKUPS)
            .fetch_all(&database.pool)
            .await?;
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for hash in &hashes {
            let mut snapshot = Snapshot::open(&database.pool).await?;
            let found =
                answer::transaction(&mut snapshot, B256::try_from(hash.as_slice())?).await?;
            if found.is_none() {
                return Err("a transaction was not found by its hash".into());
            }
        }
        fastest = fastest.min(started.elapsed());
    }
    stand.drop(database).await?;
    Ok(fastest)
}
