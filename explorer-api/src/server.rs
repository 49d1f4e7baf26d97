//! The server: binds, serves, and drains what is under way when it is told to stop.

use crate::{abi::Abis, api::Api, cache::Cache, observe, routes, viewer::InternalKey};
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::oneshot};

/// How often the served chain is read again and histograms are folded.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// How long requests under way may go on after the signal to stop: as long as one may take at all,
/// and a little for slow readers.
const DRAIN_LIMIT: Duration = Duration::from_secs(12);

/// What the service needs to know.
#[derive(Debug)]
pub struct ApiConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections to the database, or to a replica of it; never written to.
    pub database: PgPool,
    /// `redis://` or `rediss://` address; it need not answer.
    pub redis_url: String,
    /// How many blocks the indexer may be behind its node before health says degraded.
    pub lag_limit_blocks: u64,
    /// How long the indexer, or its node, may be silent before health says degraded.
    pub lag_limit: Duration,
    /// Where ABIs of contracts are, `<address>.json` each; read again when they change.
    pub abi_dir: Option<PathBuf>,
    /// What opens internal labels; without one nobody sees them.
    pub internal_key: Option<InternalKey>,
    /// Renders the process' metrics.
    pub metrics: PrometheusHandle,
}

/// Why the service cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program listens there.
    #[error(
        "LISTEN_ADDR is {0}, and another program listens there: stop it, or choose another \
         address (port 0 takes a free one)"
    )]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("LISTEN_ADDR is {address}, which cannot be listened on ({source}): choose another")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Not an address of a Redis. It is not shown: it may hold a password.
    #[error(
        "REDIS_URL is not an address of a Redis ({0}): accepted are redis://[user:password@]host:port[/db] \
         and rediss:// for TLS"
    )]
    RedisUrl(String),
    /// The server stopped on its own.
    #[error("the HTTP server failed: {0}")]
    Serve(io::Error),
}

/// A bound server that does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    api: Arc<Api>,
}

impl Server {
    /// Takes the address. Neither Redis nor the database is asked: what is away is told to clients,
    /// and found again when it is back.
    pub async fn bind(config: ApiConfig) -> Result<Self, ServeError> {
        let cache = Cache::new(&config.redis_url)
            .map_err(|error| ServeError::RedisUrl(error.to_string()))?;
        let address = config.listen;
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::InUse(address),
            _ => ServeError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        observe::describe_metrics();
        let abis = Abis::new(config.abi_dir, config.database.clone());
        let api = Api::new(
            config.database,
            cache,
            config.metrics,
            config.lag_limit_blocks,
            config.lag_limit,
            abis,
            config.internal_key,
        );
        Ok(Self {
            listener,
            address,
            api: Arc::new(api),
        })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done, then answers what is under way.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let router: Router = routes::router(Arc::clone(&self.api));
        let (stopping, stopped) = oneshot::channel();
        let shutdown = async move {
            shutdown.await;
            // The receiver is gone only when serving is over.
            let _ = stopping.send(());
        };
        let serve = axum::serve(self.listener, router).with_graceful_shutdown(shutdown);
        let drain_limit = async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(DRAIN_LIMIT).await;
        };
        tracing::info!(listen = %self.address, "explorer API is served");
        tokio::select! {
            result = serve.into_future() => result.map_err(ServeError::Serve),
            () = drain_limit => {
                tracing::warn!("explorer API stops with requests still under way");
                Ok(())
            }
            () = refresh(&self.api) => Ok(()),
        }
    }
}

/// Keeps what is known of the chain and the metrics fresh; never ends.
async fn refresh(api: &Api) {
    let mut tick = tokio::time::interval(REFRESH_EVERY);
    loop {
        tick.tick().await;
        // A request that needs the chain asks again and tells the client what is missing.
        let _ = api.refresh_chain().await;
        api.abis.refresh().await;
        api.metrics.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::{config, lonely_pool};

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_setting() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = config(lonely_pool());
        config.listen = taken.local_addr().unwrap();
        let address = config.listen.to_string();
        let error = Server::bind(config).await.err().unwrap().to_string();
        assert!(
            error.contains(&address) && error.contains("LISTEN_ADDR"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_bad_redis_address_is_told_without_its_password() {
        let mut config = config(lonely_pool());
        config.redis_url = "http://user:secret@host".to_owned();
        let error = Server::bind(config).await.err().unwrap().to_string();
        assert!(
            error.contains("REDIS_URL") && !error.contains("secret"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn it_starts_with_everything_away_and_stops_when_told() {
        let server = Server::bind(config(lonely_pool())).await.unwrap();
        assert_ne!(server.local_addr().port(), 0);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
    }
}
