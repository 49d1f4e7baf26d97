//! What tokens, counters and balances cost of the backfill's throughput.
//!
//! The same chain twice: once with its token transfers, from the start to the last balance; and once with
//! logs of the same size that are no transfers, from the start until the last block, transaction, receipt
//! and log is there. So the first has everything that is derived, and the second next to nothing of it.

use crate::{
    backfill::ROOTS,
    figure::{Bar, Figure, number},
    load::{self, Load},
    stand::{Database, Failure, Stand},
};
use simnode::LoadProfile;
use std::time::{Duration, Instant};

/// How often it is looked whether the history is there.
const POLL: Duration = Duration::from_millis(50);

/// Throughput with everything that is derived against that of the plain chain: as it is run by default,
/// and where senders are not recovered, which leaves less to compare with.
pub async fn measure(stand: &Stand, blocks: u64) -> Result<[Figure; 3], Failure> {
    let bar = Bar::AtLeast(2.0 / 3.0);
    let as_on_mainnet = load::as_on_mainnet();
    Ok([
        compare(stand, blocks, ("derived", bar), (&as_on_mainnet, &[])).await?,
        compare(
            stand,
            blocks,
            ("derived_roots", Bar::None),
            (&as_on_mainnet, ROOTS),
        )
        .await?,
        compare(
            stand,
            blocks,
            ("derived_even", Bar::None),
            (&LoadProfile::default(), ROOTS),
        )
        .await?,
    ])
}

/// With such blocks, indexed with such options.
async fn compare(
    stand: &Stand,
    blocks: u64,
    (name, bar): (&'static str, Bar),
    (profile, options): (&LoadProfile, &[&str]),
) -> Result<Figure, Failure> {
    let without = LoadProfile {
        transfers: false,
        ..profile.clone()
    };
    let (plain, _) = run(stand, blocks, without, options).await?;
    let (rows, counted) = run(stand, blocks, profile.clone(), options).await?;
    let transactions = number(blocks * 200);
    let rate = |took: Duration| transactions / took.as_secs_f64();
    let note = format!(
        "all rows there after {:.1} s, all counted after {:.1} s; the plain chain after {:.1} s",
        rows.as_secs_f64(),
        counted.as_secs_f64(),
        plain.as_secs_f64()
    );
    Ok(Figure::ratio(name, rate(counted), "tx/s", rate(plain), bar).with_note(note))
}

/// How long it took until all rows were there, and until all of them were counted.
async fn run(
    stand: &Stand,
    blocks: u64,
    profile: LoadProfile,
    options: &[&str],
) -> Result<(Duration, Duration), Failure> {
    let load = Load::generate(profile, blocks)?;
    let node = load.node()?;
    let database = stand.database().await?;
    let started = Instant::now();
    let (url, top) = (node.http_url(), load.blocks);
    let indexing = stand.index(&database, &url, top, options, |_, _| {});
    let (run, rows) = tokio::join!(indexing, filled(&database, top, started));
    let run = run?;
    stand.drop(database).await?;
    Ok((rows?, run.took))
}

/// Waits until every block up to a height is indexed.
async fn filled(database: &Database, top: u64, started: Instant) -> Result<Duration, Failure> {
    let all = format!("{{[0,{})}}", top + 1);
    loop {
        let filled: bool =
            sqlx::query_scalar("SELECT blocks @> $1::text::int8multirange FROM coverage")
                .bind(&all)
                .fetch_one(&database.pool)
                .await?;
        if filled {
            return Ok(started.elapsed());
        }
        tokio::time::sleep(POLL).await;
    }
}
