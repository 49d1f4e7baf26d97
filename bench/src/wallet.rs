//! The pages of a wallet with a million transactions and a hundred thousand transfers, and of a token with
//! a million holders, in a database of few chunks and in one of many.
//!
//! The rows are made by the database itself (`wallet.sql`), and counted as the indexer counts history.
//! Every page is read as the API reads what is not cached: in a snapshot of its own, on a connection of a
//! pool, planning included, from the newest end and from places anywhere in the list.

use crate::{
    figure::{Bar, Figure},
    stand::{Database, Failure, Stand},
};
use alloy::primitives::{Address, B256, U512, address};
use std::time::{Duration, Instant};
use store::{
    answer,
    labels::Visibility,
    read::{
        ActivityFilter, BalanceHeight, Direction, Flow, HolderRank, InternalFilter, Page, Position,
        Quantity, Snapshot, Start, TracePosition, TransferFilter, TransferPosition,
    },
    schema, state,
    tally::history,
};

const BLOCKS: u64 = 10_000;
const CHUNKS: [u64; 2] = [5, 500];

const WALLET: Address = address!("0x00000000000000000000000000000000feedbeef");
const TOKEN: Address = address!("0x00000000000000000000000000000000c0ffee00");
/// One of the fifty tokens that the wallet moves.
const RARE: Address = address!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee07");

/// How often each page is read, after a few times that do not count.
const ROUNDS: u64 = 60;
const WARM_UP: u64 = 3;

/// Items of a page, the API's default.
const LIMIT: u32 = 25;

/// A page that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Wallet,
    Transactions,
    Sent,
    Transfers,
    TransfersIn,
    TransfersOfToken,
    TransfersNewer,
    Internal,
    BalanceHistory,
    Tokens,
    AllTokens,
    Token,
    Holders,
    TokenTransfers,
}

const KINDS: [Kind; 14] = [
    Kind::Wallet,
    Kind::Transactions,
    Kind::Sent,
    Kind::Transfers,
    Kind::TransfersIn,
    Kind::TransfersOfToken,
    Kind::TransfersNewer,
    Kind::Internal,
    Kind::BalanceHistory,
    Kind::Tokens,
    Kind::AllTokens,
    Kind::Token,
    Kind::Holders,
    Kind::TokenTransfers,
];

/// How long each page took, in every round.
type Times = Vec<(Kind, Vec<Duration>)>;

/// The slowest page in a hundred, and what five hundred chunks cost.
pub async fn measure(stand: &Stand) -> Result<Vec<Figure>, Failure> {
    let mut measured = Vec::new();
    for chunks in CHUNKS {
        let database = stand.database().await?;
        fill(&database, BLOCKS / chunks).await?;
        measured.push(read_all(&database).await?);
        stand.drop(database).await?;
    }
    let [few, many] = measured.as_slice() else {
        return Err("two databases are measured".into());
    };
    let (mut slowest, mut worst) = ((Kind::Wallet, Duration::ZERO), (Kind::Wallet, 0.0_f64));
    for ((kind, few), (_, many)) in few.iter().zip(many) {
        let p99 = percentile(many, 99);
        if p99 > slowest.1 {
            slowest = (*kind, p99);
        }
        let ratio = percentile(many, 50).as_secs_f64() / percentile(few, 50).as_secs_f64();
        if ratio > worst.1 {
            worst = (*kind, ratio);
        }
    }
    let all = |times: &Times| {
        let each = times.iter().map(|(_, times)| percentile(times, 50));
        each.sum::<Duration>().as_secs_f64() * 1e3
    };
    let p50: Vec<String> = many
        .iter()
        .map(|(kind, times)| format!("{kind:?} {:.1}", millis(percentile(times, 50))))
        .collect();
    Ok(vec![
        Figure::absolute(
            "wallet_page",
            millis(slowest.1),
            "ms p99",
            Bar::AtMost(20.0),
        )
        .with_note(format!("slowest: {:?}; p50: {}", slowest.0, p50.join(", "))),
        Figure::ratio("wallet_chunks", all(many), "ms", all(few), Bar::AtMost(1.5)).with_note(
            format!(
                "all pages, 500 chunks against 5; most: {:?} × {:.2}",
                worst.0, worst.1
            ),
        ),
        Figure::absolute("wallet_worst", worst.1, "×", Bar::AtMost(1.5))
            .with_note(format!("the page that 500 chunks cost most: {:?}", worst.0)),
    ])
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

/// Makes the chain, counts it, and leaves the database as a running one is.
async fn fill(database: &Database, chunk_blocks: u64) -> Result<(), Failure> {
    let pool = &database.pool;
    schema::set_chunk_blocks(pool, chunk_blocks).await?;
    let profile = chain::FinalityProfile::Instant;
    let bucket = Some(chunk_blocks);
    state::insert_chain(pool, 1337, B256::ZERO, profile, (0, BLOCKS), bucket).await?;
    let literal = |address: Address| format!("'\\x{}'::bytea", alloy::hex::encode(address));
    let statements = include_str!("wallet.sql")
        .replace("{blocks}", &BLOCKS.to_string())
        .replace("{wallet}", &literal(WALLET))
        .replace("{token}", &literal(TOKEN))
        .replace(
            "{other}",
            "decode(lpad(to_hex(n * 100 + i + 1), 40, 'a'), 'hex')",
        );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
        .execute(pool)
        .await?;
    loop {
        let mut connection = pool.acquire().await?;
        let Some(piece) = history::claim(&mut connection).await? else {
            break;
        };
        let mut staged = history::Staged::gather(pool, piece).await?;
        while staged.merge_slice(state::UNLED).await? {}
        history::finish(&mut connection, piece).await?;
    }
    let complete: bool =
        sqlx::query_scalar("SELECT c.blocks <@ t.blocks FROM coverage c, tally_state t")
            .fetch_one(pool)
            .await?;
    if !complete {
        return Err("the chain was not counted".into());
    }
    sqlx::raw_sql("VACUUM ANALYZE").execute(pool).await?;
    Ok(())
}

async fn read_all(database: &Database) -> Result<Times, Failure> {
    let mut times = Times::new();
    for kind in KINDS {
        let mut taken = Vec::new();
        for round in 0..WARM_UP + ROUNDS {
            // The newest end first, then places spread over the whole chain.
            let at = (round > WARM_UP).then_some(round * 7_919 % BLOCKS);
            let started = Instant::now();
            let mut snapshot = Snapshot::open(&database.pool).await?;
            let bytes = read(&mut snapshot, kind, at).await?;
            drop(snapshot);
            if round >= WARM_UP {
                taken.push(started.elapsed());
            }
            if bytes < 40 {
                return Err(format!("{kind:?} at {at:?} is empty").into());
            }
        }
        times.push((kind, taken));
    }
    Ok(times)
}

fn page<K>(from: Option<K>) -> Page<K> {
    Page {
        from: from.map(|key| Start::after(Direction::Older, key)),
        limit: LIMIT,
    }
}

/// Reads a page; returns how long the answer is.
async fn read(snapshot: &mut Snapshot, kind: Kind, at: Option<u64>) -> Result<usize, Failure> {
    let transfers = |filter| {
        let from = at.map(|block_number| TransferPosition {
            block_number,
            log_index: 55,
            position: 0,
        });
        (filter, page(from))
    };
    let activity = page(at.map(|block_number| Position {
        block_number,
        tx_index: 50,
    }));
    let entry = match kind {
        Kind::Wallet => answer::wallet(snapshot, WALLET, Visibility::Public).await?,
        Kind::Transactions | Kind::Sent => {
            let filter = ActivityFilter {
                flow: (kind == Kind::Sent).then_some(Flow::Out),
                ..ActivityFilter::default()
            };
            answer::wallet_transactions(snapshot, WALLET, filter, activity).await?
        }
        Kind::Transfers | Kind::TransfersIn | Kind::TransfersOfToken => {
            let (filter, page) = transfers(TransferFilter {
                flow: (kind == Kind::TransfersIn).then_some(Flow::In),
                token: (kind == Kind::TransfersOfToken).then_some(RARE),
                ..TransferFilter::default()
            });
            answer::wallet_transfers(snapshot, WALLET, filter, page).await?
        }
        Kind::TransfersNewer => {
            let (filter, mut page) = transfers(TransferFilter::default());
            if let Some(from) = &mut page.from {
                from.direction = Direction::Newer;
            }
            answer::wallet_transfers(snapshot, WALLET, filter, page).await?
        }
        Kind::BalanceHistory => {
            let from = at.map(|block_number| BalanceHeight { block_number });
            answer::wallet_balance_history(snapshot, WALLET, page(from)).await?
        }
        Kind::Internal => {
            let from = at.map(|block_number| TracePosition {
                block_number,
                tx_index: 5,
                trace_index: 0,
            });
            let filter = InternalFilter::default();
            answer::wallet_internal(snapshot, WALLET, filter, page(from)).await?
        }
        Kind::Tokens => answer::wallet_tokens(snapshot, WALLET, page(None)).await?,
        Kind::AllTokens => answer::tokens(snapshot, None, page(None)).await?,
        Kind::Token => answer::token(snapshot, TOKEN).await?.ok_or("no token")?,
        Kind::Holders => {
            let from = at.map(|number| HolderRank {
                balance: Quantity(U512::from(number * 100 + 50)),
                holder: Address::ZERO,
            });
            let holders = answer::holders(snapshot, TOKEN, page(from)).await?;
            holders.ok_or("no token")?
        }
        Kind::TokenTransfers => {
            let (filter, page) = transfers(TransferFilter::default());
            let found = answer::token_transfers(snapshot, TOKEN, filter, page).await?;
            found.ok_or("no token")?
        }
    };
    Ok(entry.body.len())
}
