//! The backfill against COPY of the same rows.
//!
//! The ceiling is what Postgres takes when rows are all there is to do: the same blocks, already fetched,
//! proven, encoded and sorted, into the same tables with the same indexes, by as many connections, in
//! batches of the same size, and each counter and balance once, as it is in the end. The backfill is the
//! program itself from its start to its end, with the simulated node on the same cores.

use crate::{
    figure::{Bar, Figure, number},
    load::{Counters, Load, as_on_mainnet},
    stand::{Failure, Stand},
};
use simnode::{ANY_METHOD, Fault, Server, When};
use std::time::Duration;

/// Everything that a header commits to is proven; senders, the costly rest, have a figure of their own.
pub const ROOTS: &[&str] = &["--verify", "roots"];

/// The backfill's figures.
pub async fn measure(
    stand: &Stand,
    blocks: u64,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Figure>, Failure> {
    let mut load = Load::generate(as_on_mainnet(), blocks)?;
    let node = load.node()?;
    let mut figures = Vec::new();

    let (run, database) = load.index_and_keep(stand, &node, ROOTS).await?;
    let counters = Counters::read(&database).await?;
    stand.drop(database).await?;
    load.rows += counters.iter().map(|counters| counters.rows).sum::<u64>();
    let database = stand.database().await?;
    let ceiling = load.copy(&database, &counters).await?;
    let stored: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())")
        .fetch_one(&database.pool)
        .await?;
    stand.drop(database).await?;
    let seen = format!(
        "{:.0} blocks/s, {:.0} transactions/s, {:.0} MiB peak, {:.1} s of processor in {:.1} s",
        number(load.blocks) / run.took.as_secs_f64(),
        number(load.transactions) / run.took.as_secs_f64(),
        run.peak_mib,
        run.cpu.as_secs_f64(),
        run.took.as_secs_f64(),
    );
    let rate = load.rows_per_second(run.took);
    figures.push(
        Figure::ratio(
            "backfill",
            rate,
            "rows/s",
            load.rows_per_second(ceiling),
            Bar::AtLeast(0.6),
        )
        .with_note(seen),
    );
    if wanted("backfill_50ms") {
        let delay = Fault::Latency(Duration::from_millis(50));
        let rule = node.faults().on(ANY_METHOD, delay, When::Always);
        let delayed = load.index(stand, &node, ROOTS).await?;
        node.faults().remove(rule);
        let delayed = load.rows_per_second(delayed.took);
        figures.push(Figure::ratio(
            "backfill_50ms",
            delayed,
            "rows/s",
            rate,
            Bar::AtLeast(0.9),
        ));
    }
    if wanted("verify_cost") {
        figures.extend(verify_cost(stand, &load, &node, rate).await?);
    }
    if wanted("bytes_stored") {
        let transactions = number(load.transactions);
        figures.push(Figure::ratio(
            "bytes_stored",
            number(stored.unsigned_abs()) / transactions,
            "B/tx",
            number(load.json_bytes) / transactions,
            Bar::AtMost(0.7),
        ));
    }
    Ok(figures)
}

/// What each level of verification costs of the throughput.
async fn verify_cost(
    stand: &Stand,
    load: &Load,
    node: &Server,
    roots: f64,
) -> Result<Vec<Figure>, Failure> {
    let full = load.index(stand, node, &["--verify", "full"]).await?;
    let links = load.index(stand, node, &["--verify", "links"]).await?;
    let (full, links) = (
        load.rows_per_second(full.took),
        load.rows_per_second(links.took),
    );
    Ok(vec![
        Figure::ratio("verify_cost", roots, "rows/s", links, Bar::AtLeast(0.85))
            .with_note("hash, roots and bloom, against links alone"),
        Figure::ratio("sender_cost", full, "rows/s", roots, Bar::None)
            .with_note("sender recovery too, against roots"),
    ])
}
