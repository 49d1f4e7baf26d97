//! Random histories that end at a head leave the index of that head; see [`tallyscan_tests::history`].

use tallyscan_tests::history::{Host, Script, live_all, seeds};

/// Seeds of a usual run; `SEED` or `SEEDS` ask for others.
const SEEDS: u64 = 200;

/// Histories lived at once: most of the time each waits.
const AT_ONCE: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn any_history_that_ends_at_a_head_leaves_the_index_of_that_head() {
    live_all(seeds(SEEDS), AT_ONCE, Script::of, Host::Task).await;
}
