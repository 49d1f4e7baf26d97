//! A long backfill: does it keep its pace, and its size?

use crate::{
    backfill::ROOTS,
    figure::{Bar, Figure, number},
    stand::{Failure, Stand},
};
use simnode::{CannedChain, LoadChain, Server, Tag};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use store::state;
use tokio_util::task::AbortOnDropHandle;

/// How often the database is asked how far it is.
const SAMPLE: Duration = Duration::from_secs(1);

/// Transactions after so many seconds.
type Samples = Arc<Mutex<Vec<(f64, f64)>>>;

/// Rate and memory at the end of a long backfill against those of its beginning.
pub async fn measure(stand: &Stand, blocks: u64) -> Result<Vec<Figure>, Failure> {
    let chain = CannedChain::with_load(Arc::new(LoadChain::generate(
        crate::load::as_on_mainnet(),
        blocks,
    )?));
    chain.set_finalized(Tag::At(blocks));
    chain.set_safe(Tag::At(blocks));
    let node = Server::start(chain)?;
    let database = stand.database().await?;
    let samples = Samples::default();
    let sampling = sample(database.pool.clone(), samples.clone());
    let mut memory = Vec::new();
    let run = stand
        .index(&database, &node.http_url(), blocks, ROOTS, |at, mib| {
            memory.push((at.as_secs_f64(), number(mib)));
        })
        .await?;
    drop(sampling);
    stand.drop(database).await?;
    let samples = samples.lock().map_err(|_| "the samples are lost")?.clone();
    let total = samples.last().map_or(0.0, |sample| sample.1);
    let (first, last) = (
        rate_between(&samples, 0.02 * total, 0.2 * total),
        rate_between(&samples, 0.8 * total, total),
    );
    let size = |from: f64, to: f64| {
        let took = run.took.as_secs_f64();
        let within = memory
            .iter()
            .filter(|(at, _)| (from * took..=to * took).contains(at));
        let (count, sum) = within.fold((0.0, 0.0), |(count, sum), (_, mib)| {
            (count + 1.0, sum + mib)
        });
        sum / f64::max(count, 1.0)
    };
    let seen = format!(
        "over {total:.0} transactions in {:.0} s",
        run.took.as_secs_f64()
    );
    Ok(vec![
        Figure::ratio("insert_decay", last, "tx/s", first, Bar::AtLeast(0.8)).with_note(seen),
        Figure::absolute("memory", run.peak_mib, "MiB peak", Bar::AtMost(400.0)),
        Figure::ratio(
            "memory_flat",
            size(0.8, 1.0),
            "MiB",
            size(0.1, 0.3),
            Bar::AtMost(1.1),
        )
        .with_note("last fifth against the second tenth on"),
    ])
}

fn sample(pool: sqlx::PgPool, samples: Samples) -> AbortOnDropHandle<()> {
    let started = std::time::Instant::now();
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            if let Ok(state) = state::get_state(&pool).await
                && let Ok(mut samples) = samples.lock()
            {
                samples.push((started.elapsed().as_secs_f64(), number(state.tx_count)));
            }
            tokio::time::sleep(SAMPLE).await;
        }
    }))
}

/// Transactions in a second while their count went from one to the other.
fn rate_between(samples: &[(f64, f64)], from: f64, to: f64) -> f64 {
    let mut within = samples
        .iter()
        .filter(|(_, count)| (from..=to).contains(count));
    let Some(first) = within.next() else {
        return 0.0;
    };
    let last = within.next_back().unwrap_or(first);
    (last.1 - first.1) / (last.0 - first.0).max(f64::MIN_POSITIVE)
}
