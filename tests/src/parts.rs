//! An indexer and an API, run inside a test.

use crate::{Database, eventually, eventually_within};
use alloy::primitives::B256;
use chain::VerifyLevel;
use explorer_api::{ApiConfig, InternalKey, Server};
use indexer::{BackfillLimits, Indexer, IndexerConfig, ProgressStyle, Status};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::Value;
use sqlx::PgPool;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use store::enrichment::{Reading, ReadingStatus, get_progress};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// How long everything that a node tells beside the chain may take to be read: it executes every block
/// again for its traces, and proves every account.
const READING_PATIENCE: Duration = Duration::from_mins(2);

/// A handle on metrics that nobody collects.
#[must_use]
pub fn metrics_handle() -> PrometheusHandle {
    PrometheusBuilder::new().build_recorder().handle()
}

/// What `tallyscan index` would be told, from block 0.
#[must_use]
pub fn indexer_config(database: &Database, redis_url: &str, rpc_urls: &[String]) -> IndexerConfig {
    IndexerConfig {
        rpc_urls: rpc_urls
            .iter()
            .map(|url| Url::parse(url).expect("a node's URL"))
            .collect(),
        database: database.pool.clone(),
        redis_url: redis_url.to_owned(),
        start_block: None,
        finality: None,
        verify: VerifyLevel::Full,
        listen: None,
        until: None,
        backfill: BackfillLimits::default(),
    }
}

/// An indexer that runs until it is stopped or dropped.
pub struct RunningIndexer {
    database: Database,
    status: Arc<Status>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), indexer::IndexError>>,
}

impl RunningIndexer {
    /// Starts an indexer.
    pub async fn start(database: &Database, config: IndexerConfig) -> Self {
        let indexer = Indexer::prepare(config, metrics_handle(), ProgressStyle::Log)
            .await
            .expect("the indexer can begin");
        let shutdown = CancellationToken::new();
        Self {
            database: database.clone(),
            status: indexer.status(),
            task: tokio::spawn(indexer.run(shutdown.clone())),
            shutdown,
        }
    }

    /// What it knows about itself.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Waits until a block is the committed head, nothing is missing below it, all is counted, and
    /// everything is read that its node tells of.
    pub async fn reaches(&self, hash: B256) {
        self.shows(hash).await;
        eventually("a complete history", || async {
            store::coverage::get_history(&self.database.pool)
                .await
                .is_ok_and(|history| history.is_some_and(|history| history.missing_blocks == 0))
        })
        .await;
        eventually("complete counters", || async {
            sqlx::query_scalar::<_, bool>(
                "SELECT c.blocks <@ t.blocks FROM coverage c, tally_state t",
            )
            .fetch_one(&self.database.pool)
            .await
            .is_ok_and(|complete| complete)
        })
        .await;
        let what = || "complete readings".to_owned();
        eventually_within(READING_PATIENCE, what, || {
            readings_complete(&self.database.pool)
        })
        .await;
    }

    /// Waits until a kind of reading is complete, or found to be impossible.
    pub async fn has_read(&self, reading: Reading) {
        eventually(&format!("{} to be read", reading.name()), || {
            is_read(&self.database.pool, reading)
        })
        .await;
    }

    /// Waits until a block is the committed head, whatever is missing below it.
    pub async fn shows(&self, hash: B256) {
        let what = || format!("head {hash}; it knows {:?}", self.status.known());
        eventually_within(crate::PATIENCE, what, || async {
            store::state::get_state(&self.database.pool)
                .await
                .is_ok_and(|state| state.head.is_some_and(|head| head.hash == hash))
        })
        .await;
    }

    /// Waits until everything committed is published.
    pub async fn publishes_everything(&self) {
        eventually("an empty outbox", || async {
            sqlx::query_scalar::<_, bool>("SELECT NOT EXISTS (SELECT FROM outbox)")
                .fetch_one(&self.database.pool)
                .await
                .expect("the outbox can be read")
        })
        .await;
    }

    /// Waits until it says why it cannot go on, and returns that.
    pub async fn halts(&self) -> String {
        eventually("a problem", || async {
            self.status.known().problem.is_some()
        })
        .await;
        self.status.known().problem.unwrap_or_default()
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task
            .await
            .expect("the indexer does not panic")
            .expect("the indexer ends well");
    }

    /// Drops it in the middle of whatever it does.
    pub async fn abort(self) {
        self.task.abort();
        // Cancelled, as it was asked to be.
        let _ = self.task.await;
    }
}

/// Whether everything that is read block by block is read, or cannot be.
pub async fn readings_complete(pool: &PgPool) -> bool {
    is_read(pool, Reading::Traces).await && is_read(pool, Reading::Balances).await
}

async fn is_read(pool: &PgPool, reading: Reading) -> bool {
    let progress = get_progress(pool, reading).await;
    progress.is_ok_and(|progress| match progress.status {
        ReadingStatus::Unavailable | ReadingStatus::Off => true,
        ReadingStatus::Working => progress.missing_blocks == 0,
        ReadingStatus::Starting => false,
    })
}

/// What an API may be told beside where its servers are.
#[derive(Clone, Default)]
pub struct ApiOptions {
    /// Where ABIs are.
    pub abi_dir: Option<PathBuf>,
    /// What opens internal labels.
    pub internal_key: Option<InternalKey>,
}

/// An API that serves until it is dropped.
pub struct Api {
    base: String,
    client: reqwest::Client,
    shutdown: CancellationToken,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Api {
    /// Starts an API on a free port.
    pub async fn start(database: &Database, redis_url: &str) -> Self {
        Self::start_with(database, redis_url, ApiOptions::default()).await
    }

    /// The same with options.
    pub async fn start_with(database: &Database, redis_url: &str, options: ApiOptions) -> Self {
        let server = Server::bind(ApiConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            database: database.pool.clone(),
            redis_url: redis_url.to_owned(),
            lag_limit_blocks: 16,
            lag_limit: Duration::from_secs(30),
            abi_dir: options.abi_dir,
            internal_key: options.internal_key,
            metrics: metrics_handle(),
        })
        .await
        .expect("the API can be bound");
        let base = format!("http://{}", server.local_addr());
        let shutdown = CancellationToken::new();
        tokio::spawn(server.run(shutdown.clone().cancelled_owned()));
        Self {
            base,
            client: reqwest::Client::new(),
            shutdown,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Asks for a path and returns status and JSON.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let reply = self
            .client
            .get(format!("{}{path}", self.base))
            .send()
            .await
            .expect("the API answers");
        let status = reply.status().as_u16();
        let body = reply.json().await.unwrap_or(Value::Null);
        (status, body)
    }

    /// Asks in any way and returns status, content type and JSON.
    pub async fn request(&self, method: &str, path: &str) -> (u16, String, Value) {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.base));
        let reply = request.send().await.expect("the API answers");
        let status = reply.status().as_u16();
        let content_type = reply.headers().get("content-type");
        let content_type = content_type.map(|value| value.to_str().expect("text").to_owned());
        let body = reply.json().await.unwrap_or(Value::Null);
        (status, content_type.unwrap_or_default(), body)
    }

    /// Asks for something that must be there.
    pub async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }
}
