//! A chain to index, as a node serves it and as rows.

use crate::{
    figure::number,
    stand::{Database, Failure, Run, Stand},
};
use chain::{Parts, VerifyLevel};
use futures::TryStreamExt as _;
use simnode::{CannedChain, LoadChain, LoadProfile, Server, Tag};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use store::{
    RowBatch, chunks,
    rows::{CopyBatch, EncodedRows},
};

/// Connections, the indexer's default.
pub const CONNECTIONS: usize = 4;

/// Rows of a batch, as the backfill has them.
const ROWS_PER_BATCH: usize = 60_000;

/// Blocks of 200 token transfers, drawn as unevenly as on mainnet.
pub fn as_on_mainnet() -> LoadProfile {
    LoadProfile {
        unevenness: LoadProfile::AS_ON_MAINNET,
        ..LoadProfile::default()
    }
}

/// Tables of counters, with their keys.
const COUNTERS: [(&str, &str); 5] = [
    ("address_totals", "address, bucket"),
    ("token_balances", "holder, token"),
    ("token_totals", "token"),
    ("nft_balances", "token, token_id, holder"),
    ("token_instances", "token, token_id"),
];

/// Bytes of a message of COPY.
const MESSAGE: usize = 1 << 16;

/// A chain to index, with its rows.
pub struct Load {
    pub chain: Arc<LoadChain>,
    pub blocks: u64,
    /// Highest first, as the backfill writes them.
    batches: Vec<(u64, CopyBatch)>,
    pub rows: u64,
    pub transactions: u64,
    /// Bytes of the JSON-RPC bodies.
    pub json_bytes: u64,
}

impl Load {
    /// Generates a chain, proves it and keeps its rows.
    pub fn generate(profile: LoadProfile, blocks: u64) -> Result<Self, Failure> {
        let chain = Arc::new(LoadChain::generate(profile, blocks)?);
        let mut load = Self {
            chain,
            blocks,
            batches: Vec::new(),
            rows: 0,
            transactions: 0,
            json_bytes: 0,
        };
        let mut parts = Vec::new();
        let mut rows = 0;
        for number in (0..=blocks).rev() {
            let (block, receipts) = load.json(number)?;
            load.json_bytes += u64::try_from(block.len() + receipts.len())?;
            let proven = chain::verify(
                Parts::parse(&block, &receipts)?,
                VerifyLevel::Roots.checks(false),
            )?;
            let mut batch = RowBatch::default();
            batch.push(&proven);
            load.transactions += u64::try_from(batch.transactions.len())?;
            rows += batch.len();
            load.rows += u64::try_from(batch.len())?;
            parts.push(EncodedRows::of(batch)?);
            if rows >= ROWS_PER_BATCH || number == 0 {
                load.batches.push((
                    number,
                    CopyBatch::of(std::mem::take(&mut parts), |_, _| ())?,
                ));
                rows = 0;
            }
        }
        Ok(load)
    }

    fn json(&self, number: u64) -> Result<(String, String), Failure> {
        let canned = self.chain.canned(number).ok_or("no such block")?;
        let receipts = canned.receipts.as_ref().ok_or("no receipts")?;
        Ok((
            canned.block.as_str().to_owned(),
            receipts.as_str().to_owned(),
        ))
    }

    /// A node that serves it, all of it final.
    pub fn node(&self) -> Result<Server, Failure> {
        let chain = CannedChain::with_load(self.chain.clone());
        chain.set_finalized(Tag::At(self.blocks));
        chain.set_safe(Tag::At(self.blocks));
        Ok(Server::start(chain)?)
    }

    /// What COPY takes for all rows, those of the counters among them.
    pub async fn copy(
        &self,
        database: &Database,
        counters: &[Counters],
    ) -> Result<Duration, Failure> {
        let span = chunks::find_span(&database.pool).await?;
        for (lowest, _) in &self.batches {
            if span.is_some() {
                chunks::prepare(&database.pool, *lowest).await?;
            }
        }
        let whole = counters.iter().map(Work::Counters);
        let queue =
            Mutex::new(whole.chain(self.batches.iter().map(|(_, batch)| Work::Rows(batch))));
        let take = || queue.lock().ok().and_then(|mut queue| queue.next());
        let started = Instant::now();
        let lanes = (0..CONNECTIONS).map(|_| async {
            let mut connection = database.pool.acquire().await?;
            while let Some(work) = take() {
                let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
                match work {
                    Work::Rows(batch) => {
                        batch.write(&mut transaction).await?;
                        batch.write_rest(&mut transaction).await?;
                    }
                    Work::Counters(counters) => counters.write(&mut transaction).await?,
                }
                transaction.commit().await?;
            }
            Ok::<_, sqlx::Error>(())
        });
        futures::future::try_join_all(lanes).await?;
        Ok(started.elapsed())
    }

    /// What the indexer takes for all of it, into a database that is thrown away.
    pub async fn index(
        &self,
        stand: &Stand,
        node: &Server,
        options: &[&str],
    ) -> Result<Run, Failure> {
        let (run, database) = self.index_and_keep(stand, node, options).await?;
        stand.drop(database).await?;
        Ok(run)
    }

    /// The same, with the database.
    pub async fn index_and_keep(
        &self,
        stand: &Stand,
        node: &Server,
        options: &[&str],
    ) -> Result<(Run, Database), Failure> {
        let database = stand.database().await?;
        let run = stand
            .index(&database, &node.http_url(), self.blocks, options, |_, _| {})
            .await?;
        Ok((run, database))
    }

    /// Rows of every table in a second.
    pub fn rows_per_second(&self, took: Duration) -> f64 {
        number(self.rows) / took.as_secs_f64()
    }
}

/// What there is to write.
enum Work<'a> {
    Rows(&'a CopyBatch),
    Counters(&'a Counters),
}

/// A table of counters, as COPY takes it, in the order of its key.
pub struct Counters {
    table: &'static str,
    pub rows: u64,
    binary: Vec<u8>,
}

impl Counters {
    /// Those that an indexer left.
    pub async fn read(database: &Database) -> Result<Vec<Self>, Failure> {
        let mut connection = database.pool.acquire().await?;
        let mut all = Vec::new();
        for (table, key) in COUNTERS {
            let rows: i64 =
                sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
                    .fetch_one(&mut *connection)
                    .await?;
            let sorted =
                format!("COPY (SELECT * FROM {table} ORDER BY {key}) TO STDOUT (FORMAT binary)");
            let binary = connection.copy_out_raw(&sorted).await?;
            all.push(Self {
                table,
                rows: rows.unsigned_abs(),
                binary: binary.try_collect::<Vec<_>>().await?.concat(),
            });
        }
        Ok(all)
    }

    async fn write(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let statement = format!("COPY {} FROM STDIN (FORMAT binary)", self.table);
        let mut copy = connection.copy_in_raw(&statement).await?;
        for part in self.binary.chunks(MESSAGE) {
            copy.send(part).await?;
        }
        copy.finish().await?;
        Ok(())
    }
}
