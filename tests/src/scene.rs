//! Everything that one test needs, private to it: a database, a Redis and a dev chain.

use crate::{
    Api, Database, DevChain, Events, RunningIndexer, assert_twins, folder, indexer_config, redis,
};
use embedded::{AnvilOptions, Redis};
use indexer::IndexerConfig;
use sqlx::AssertSqlSafe;
use store::state::ChainState;
use tempfile::TempDir;

/// Nothing listens there.
const NO_REDIS: &str = "redis://127.0.0.1:1/";

/// A stage for one test.
pub struct Scene {
    /// The database.
    pub database: Database,
    /// The Redis.
    pub redis: Redis,
    /// The node.
    pub chain: DevChain,
    _folder: TempDir,
}

impl Scene {
    /// An empty stage with a dev chain of one block.
    pub async fn start() -> Self {
        Self::start_with(AnvilOptions::default()).await
    }

    /// The same with options for the dev chain.
    pub async fn start_with(options: AnvilOptions) -> Self {
        let folder = folder();
        let (database, redis, chain) = tokio::join!(
            Database::create(),
            redis(&folder),
            DevChain::start_with(options)
        );
        Self {
            database,
            redis,
            chain,
            _folder: folder,
        }
    }

    /// What an indexer over WebSocket would be told.
    #[must_use]
    pub fn over_ws(&self) -> IndexerConfig {
        indexer_config(&self.database, &self.redis.url(), &[self.chain.ws_url()])
    }

    /// What an indexer over HTTP would be told.
    #[must_use]
    pub fn over_http(&self) -> IndexerConfig {
        indexer_config(&self.database, &self.redis.url(), &[self.chain.http_url()])
    }

    /// Starts an indexer over WebSocket.
    pub async fn index(&self) -> RunningIndexer {
        RunningIndexer::start(&self.database, self.over_ws()).await
    }

    /// Starts an API.
    pub async fn api(&self) -> Api {
        Api::start(&self.database, &self.redis.url()).await
    }

    /// Subscribes to everything that is published from now on.
    pub async fn events(&self) -> Events {
        Events::subscribe(&self.redis.url()).await
    }

    /// The state of the chain in the database.
    pub async fn state(&self) -> ChainState {
        let state = store::state::get_state(&self.database.pool).await;
        state.expect("the state can be read")
    }

    /// A number that a query returns.
    pub async fn count(&self, sql: &str) -> i64 {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let count = query.fetch_one(&self.database.pool).await;
        count.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Indexes the node's chain from nothing and compares the two databases row by row.
    pub async fn assert_twin(&self) {
        let head = self.chain.head().await;
        let twin = Database::create().await;
        let config = indexer_config(&twin, NO_REDIS, &[self.chain.http_url()]);
        let fresh = RunningIndexer::start(&twin, config).await;
        fresh.reaches(head).await;
        fresh.stop().await;
        assert_twins(&self.database.pool, &twin.pool).await;
    }
}
