//! What history adds to the counters, as it is put together while its rows are at hand and as it is put
//! together from the tables: the same, row for row, so that either goes on where the other stopped. And
//! a reorg that comes in between takes away what it orphans, and nothing of that.

use alloy::primitives::B256;
use chain::{FinalityProfile, Parts, ProvenBlock, VerifyLevel};
use simnode::{CannedBlock, LoadChain, LoadProfile};
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeMap;
use store::{
    RowBatch, state,
    tally::{
        self,
        deltas::Deltas,
        history::{self, Piece, Staged},
    },
};
use tallyscan_tests::{Database, GeneratedBlock, Generator, contents};

/// Blocks of a bucket: the chains lie in several.
const BUCKET: u64 = 7;

/// Whose rows a slice is merged from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Tables,
    Memory,
}

fn prove(canned: &CannedBlock) -> ProvenBlock {
    let receipts = canned.receipts.as_ref().expect("receipts");
    let parts = Parts::parse(canned.block.as_str(), receipts.as_str()).expect("a block");
    chain::verify(parts, VerifyLevel::Roots.checks(false)).expect("a valid block")
}

/// Rows of so many blocks with transfers of every kind.
fn generated(seed: u64, length: usize) -> RowBatch {
    batch_of(&generate(seed, length))
}

fn generate(seed: u64, length: usize) -> Vec<CannedBlock> {
    let mut generator = Generator::seeded(seed);
    let genesis = generator.genesis();
    let branch = generator.branch(&genesis, length);
    let blocks = std::iter::once(&genesis).chain(&branch);
    blocks.map(GeneratedBlock::canned).collect()
}

fn batch_of(blocks: &[CannedBlock]) -> RowBatch {
    let mut batch = RowBatch::default();
    for block in blocks {
        batch.push(&prove(block));
    }
    batch
}

/// Writes blocks from 0 on as history that nobody counted.
async fn write(pool: &PgPool, batch: &RowBatch) -> Piece {
    let high = batch.blocks.last().expect("blocks").number;
    let instant = FinalityProfile::Instant;
    state::insert_chain(pool, 1, B256::ZERO, instant, (0, high + 1), Some(BUCKET))
        .await
        .expect("a chain");
    let mut transaction = pool.begin().await.expect("a transaction");
    batch.clone().write(&mut transaction).await.expect("rows");
    let covered = format!("UPDATE coverage SET blocks = '{{[0,{high}]}}'");
    sqlx::raw_sql(sqlx::AssertSqlSafe(covered))
        .execute(&mut *transaction)
        .await
        .expect("coverage");
    transaction.commit().await.expect("a commit");
    Piece { low: 0, high }
}

/// Counts everything anew, as if the indexer died after every slice; `from` says what the n-th one comes
/// from. Returns how many slices there were, and the counters.
async fn count(
    pool: &PgPool,
    (batch, piece): (&RowBatch, Piece),
    from: impl Fn(usize) -> From,
) -> (usize, BTreeMap<&'static str, Vec<String>>) {
    let mut connection = pool.acquire().await.expect("a connection");
    tally::reset(&mut connection)
        .await
        .expect("nothing counted");
    let claimed = history::claim_piece(&mut connection, piece).await;
    assert!(claimed.expect("an answer"), "the piece was not begun");
    let mut slices = 0;
    loop {
        let staged = match from(slices) {
            From::Tables => Staged::gather(pool, piece).await,
            From::Memory => {
                let deltas = Deltas::of(&batch.activity, &batch.token_transfers, BUCKET)
                    .expect("sums of 256 bits");
                Staged::at_hand(pool, piece, deltas.sorted()).await
            }
        };
        if !staged
            .expect("rows")
            .merge_slice(state::UNLED)
            .await
            .expect("a slice")
        {
            break;
        }
        slices += 1;
    }
    finish(&mut connection, piece).await;
    assert_exact(&mut connection).await;
    (slices, counters(pool).await)
}

async fn counters(pool: &PgPool) -> BTreeMap<&'static str, Vec<String>> {
    let mut counters = contents(pool).await;
    counters.retain(|table, _| {
        table.starts_with("token_") || *table == "nft_balances" || *table == "address_totals"
    });
    counters
}

async fn finish(connection: &mut PgConnection, piece: Piece) {
    let finished = history::finish(connection, piece).await;
    assert!(finished.expect("an end"));
}

/// Holds the counters against the rows of the blocks they include.
async fn assert_exact(connection: &mut PgConnection) {
    let findings = tally::check(connection).await.expect("an audit");
    assert_eq!(findings.map(|found| found.len()), Some(0));
}

async fn assert_same(batch: RowBatch) -> usize {
    let database = Database::create().await;
    let pool = &database.pool;
    let all = (&batch, write(pool, &batch).await);
    let (slices, gathered) = count(pool, all, |_| From::Tables).await;
    let plans: [&dyn Fn(usize) -> From; 3] = [
        &|_| From::Memory,
        &|n| [From::Memory, From::Tables][n % 2],
        &|n| [From::Tables, From::Memory][n % 2],
    ];
    for plan in plans {
        assert!(count(pool, all, plan).await == (slices, gathered.clone()));
    }
    slices
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_every_kind_are_counted_the_same_at_hand_and_from_the_tables() {
    let batch = generated(11, 40);
    assert!(
        batch
            .token_transfers
            .iter()
            .any(|row| row.token_id.is_some())
    );
    assert_same(batch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_goes_on_in_the_middle_of_a_table_whoever_began_it() {
    let profile = LoadProfile {
        unevenness: LoadProfile::AS_ON_MAINNET,
        ..LoadProfile::default()
    };
    let load = LoadChain::generate(profile, 20).expect("a chain");
    let mut batch = RowBatch::default();
    for number in 0..=load.head() {
        batch.push(&prove(&load.canned(number).expect("a block")));
    }
    // One for each of the five tables, and more for some.
    assert!(assert_same(batch).await > 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_whose_progress_an_update_made_unknown_begins_anew_with_everything() {
    let batch = generated(12, 20);
    let database = Database::create().await;
    let pool = &database.pool;
    write(pool, &batch).await;
    let mut connection = pool.acquire().await.expect("a connection");
    let mut behind = async |above| history::find_left_behind(&mut connection, above).await;
    let bucket = Piece { low: 14, high: 20 };
    assert_eq!(behind(3).await.expect("an answer"), Some(bucket));
    let rest = Piece { low: 19, high: 20 };
    assert_eq!(behind(18).await.expect("an answer"), Some(rest));
    let begun = history::claim(&mut connection).await.expect("an answer");
    let begun = begun.expect("a piece");
    let mut staged = Staged::gather(pool, begun).await.expect("rows");
    assert!(staged.merge_slice(state::UNLED).await.expect("a slice"));
    // As the migration leaves a merge that an earlier version began.
    sqlx::query("UPDATE tally_state SET pending_stage = -1, pending_row = 0")
        .execute(&mut *connection)
        .await
        .expect("an update");
    while let Some(piece) = history::claim(&mut connection).await.expect("an answer") {
        let mut staged = Staged::gather(pool, piece).await.expect("rows");
        while staged.merge_slice(state::UNLED).await.expect("a slice") {}
        finish(&mut connection, piece).await;
    }
    assert_exact(&mut connection).await;
    let behind = history::find_left_behind(&mut connection, 3).await;
    assert_eq!(behind.expect("an answer"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_in_the_middle_of_a_merge_takes_away_nothing_of_what_is_merged() {
    let blocks = generate(13, 40);
    let (history, live) = blocks.split_at(21);
    let (history, live) = (batch_of(history), batch_of(live));
    let database = Database::create().await;
    let pool = &database.pool;
    write(pool, &batch_of(&blocks)).await;
    let mut connection = pool.acquire().await.expect("a connection");
    let piece = Piece { low: 0, high: 20 };
    let (slices, alone) = count(pool, (&history, piece), |_| From::Tables).await;
    for merged in 0..=slices {
        tally::reset(&mut connection)
            .await
            .expect("nothing counted");
        tally::add(&mut connection, &live).await.expect("counted");
        let claimed = history::claim_piece(&mut connection, piece).await;
        assert!(claimed.expect("an answer"), "the piece was not begun");
        let mut staged = Staged::gather(pool, piece).await.expect("rows");
        for _ in 0..merged {
            assert!(staged.merge_slice(state::UNLED).await.expect("a slice"));
        }
        let removed = tally::remove_above(&mut connection, piece.high).await;
        removed.expect("a reorg");
        while staged.merge_slice(state::UNLED).await.expect("a slice") {}
        finish(&mut connection, piece).await;
        assert_exact(&mut connection).await;
        assert!(counters(pool).await == alone, "{merged} slices were merged");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_indexer_that_lost_the_lead_in_the_middle_of_a_merge_merges_no_more() {
    let batch = generated(14, 10);
    let database = Database::create().await;
    let pool = &database.pool;
    let piece = write(pool, &batch).await;
    let mut connection = pool.acquire().await.expect("a connection");
    let claimed = history::claim_piece(&mut connection, piece).await;
    assert!(claimed.expect("an answer"), "the piece was not begun");
    let mut staged = Staged::gather(pool, piece).await.expect("rows");
    assert!(staged.merge_slice(state::UNLED).await.expect("a slice"));
    sqlx::raw_sql("UPDATE chain_state SET leader_token = 1")
        .execute(&mut *connection)
        .await
        .expect("another leader");
    let before = counters(pool).await;
    assert!(!staged.merge_slice(state::UNLED).await.expect("an answer"));
    assert!(counters(pool).await == before);
    assert!(staged.merge_slice(1).await.expect("a slice"));
}
