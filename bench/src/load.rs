//! A chain to index, as a node serves it and as rows.

use crate::{
    figure::number,
    stand::{Database, Failure, Run, Stand},
};
use chain::{Parts, VerifyLevel};
use simnode::{CannedChain, LoadChain, LoadProfile, Server, Tag};
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

    /// What COPY takes for all rows.
    pub async fn copy(&self, database: &Database) -> Result<Duration, Failure> {
        let span = chunks::find_span(&database.pool).await?;
        for (lowest, _) in &self.batches {
            if span.is_some() {
                chunks::prepare(&database.pool, *lowest).await?;
            }
        }
        let queue = Mutex::new(self.batches.iter());
        let take = || queue.lock().ok().and_then(|mut queue| queue.next());
        let started = Instant::now();
        let lanes = (0..CONNECTIONS).map(|_| async {
            let mut connection = database.pool.acquire().await?;
            while let Some((_, batch)) = take() {
                let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
                batch.write(&mut transaction).await?;
                batch.write_rest(&mut transaction).await?;
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
        let database = stand.database().await?;
        let run = stand
            .index(&database, &node.http_url(), self.blocks, options, |_, _| {})
            .await?;
        stand.drop(database).await?;
        Ok(run)
    }

    /// Rows of every table in a second.
    pub fn rows_per_second(&self, took: Duration) -> f64 {
        number(self.rows) / took.as_secs_f64()
    }
}
