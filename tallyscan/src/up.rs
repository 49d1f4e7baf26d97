//! `tallyscan up`: everything at once, from the machine's own programs.
//!
//! Whatever no URL is given for is started: a private Postgres, a private Redis, a dev chain with
//! traffic on it; all data in one folder, all ports free ones on the loopback interface. Stopping
//! stops what was started; data stays, and the next start goes on.

use crate::{
    Failure,
    cli::UpArgs,
    connect,
    index::{self, CONNECTIONS},
    serve, shutdown,
};
use embedded::{
    Anvil, AnvilOptions, Postgres, PostgresOptions, Redis, RedisOptions,
    traffic::{Traffic, TrafficOptions},
};
use explorer_api::Server;
use indexer::{Indexer, IndexerConfig, ProgressStyle};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use store::schema::{self, TimescaleMode};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Seconds between two blocks of the dev chain: slow enough to watch.
const BLOCK_TIME: f64 = 2.0;

/// Finality of the dev chain: final is what is twice this many blocks deep. Deeper than its reorgs
/// and than what a crash of its node loses, shallow enough to be seen within a minute.
const SLOTS_IN_AN_EPOCH: u64 = 8;

/// What the API is served on when nobody says otherwise and it is free.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// How long requests under way get when stopping.
const DRAIN: Duration = Duration::from_secs(1);

/// The login that the API reads with.
const API_LOGIN: &str = "tallyscan_api";

/// What was started here and must be stopped here.
#[derive(Default)]
struct Started {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    anvil: Option<Anvil>,
}

impl Started {
    /// Stops everything at once; the chain last to write is not the last to be waited for.
    async fn stop(self) {
        tokio::join!(
            async {
                if let Some(anvil) = self.anvil {
                    anvil.stop().await;
                }
            },
            async {
                if let Some(redis) = self.redis {
                    redis.stop().await;
                }
            },
            async {
                if let Some(postgres) = self.postgres {
                    postgres.stop().await;
                }
            },
        );
    }
}

/// Runs everything until it is stopped.
pub(crate) async fn run(args: UpArgs) -> Result<(), Failure> {
    let shutdown = shutdown::on_signal()?;
    let mut started = Started::default();
    let ended = tokio::select! {
        ended = run_all(args, &mut started, &shutdown) => ended,
        // Stopped while still starting.
        () = async { shutdown.cancelled().await; tokio::time::sleep(2 * DRAIN).await } => Ok(()),
    };
    started.stop().await;
    ended
}

async fn run_all(
    args: UpArgs,
    started: &mut Started,
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    let folder = data_folder(args.data_dir)?;
    let metrics = connect::metrics()?;
    let dev_chain = args.rpc_url.is_none();
    let rpc_url = match args.rpc_url {
        Some(url) => url,
        None => start_anvil(&folder, started).await?,
    };
    let rpc_urls = IndexerConfig::parse_rpc_urls(&rpc_url)?;
    let redis_url = match args.redis_url {
        Some(url) => url,
        None => start_redis(&folder, started).await?,
    };
    connect::check_redis_url(&redis_url)?;
    let private = args.database_url.is_none();
    let write_url = match args.database_url {
        Some(url) => url,
        None => start_postgres(&folder, &rpc_urls, started).await?,
    };
    let pool = connect::database("DATABASE_URL", &write_url, CONNECTIONS).await?;
    schema::migrate(&pool, TimescaleMode::Auto).await?;
    let read_url = if private {
        create_api_login(&pool, &write_url).await?
    } else {
        write_url.clone()
    };

    let config = index::config(args.follow, rpc_urls, pool, redis_url.clone(), None, None);
    let indexer = Indexer::prepare(config, metrics.clone(), ProgressStyle::Log).await?;
    let listen = args.listen_addr.unwrap_or_else(free_or_any);
    let server = serve::bind(
        "DATABASE_URL",
        &read_url,
        redis_url,
        listen,
        args.api,
        metrics,
    )
    .await?;
    let traffic = dev_chain
        .then(|| start_traffic(started, shutdown.clone()))
        .flatten();
    announce(
        &server,
        &folder,
        private.then_some(&*write_url),
        dev_chain.then_some(&*rpc_url),
    );
    follow_and_serve(indexer, server, shutdown).await?;
    if let Some(traffic) = traffic {
        let _ = tokio::time::timeout(DRAIN, traffic).await;
    }
    Ok(())
}

async fn follow_and_serve(
    indexer: Indexer,
    server: Server,
    shutdown: &CancellationToken,
) -> Result<(), Failure> {
    let serving = server.run(shutdown.clone().cancelled_owned());
    let serving = async {
        tokio::select! {
            ended = serving => ended,
            () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
        }
    };
    let (followed, answered) = tokio::join!(indexer.run(shutdown.clone()), serving);
    followed.map_err(|error| Failure::Failed(error.to_string()))?;
    answered.map_err(|error| Failure::Failed(error.to_string()))
}

/// The folder for all data, made when it is not there.
fn data_folder(given: Option<PathBuf>) -> Result<PathBuf, String> {
    let folder = match given {
        Some(folder) => folder,
        // The home folder of root is closed to everybody else, and Postgres must run as another user.
        None if nix::unistd::geteuid().is_root() => PathBuf::from("/var/lib/tallyscan"),
        None => std::env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")))
            .ok_or("DATA_DIR: there is no home folder: set DATA_DIR to a folder to keep data in")?
            .join("tallyscan"),
    };
    std::fs::create_dir_all(&folder)
        .and_then(|()| folder.canonicalize())
        .map_err(|error| format!("DATA_DIR: {} cannot be used: {error}", folder.display()))
}

async fn start_anvil(folder: &Path, started: &mut Started) -> Result<String, Failure> {
    let options = AnvilOptions {
        block_time: Some(BLOCK_TIME),
        slots_in_an_epoch: SLOTS_IN_AN_EPOCH,
        ..AnvilOptions::default()
    };
    let anvil = Anvil::start(&folder.join("anvil"), options).await?;
    let url = anvil.ws_url();
    started.anvil = Some(anvil);
    Ok(url)
}

async fn start_redis(folder: &Path, started: &mut Started) -> Result<String, Failure> {
    let redis = Redis::start(&folder.join("redis"), RedisOptions::default()).await?;
    let url = redis.url();
    started.redis = Some(redis);
    Ok(url)
}

/// Starts Postgres with a database for the chain that the nodes follow, and returns its URL.
async fn start_postgres(
    folder: &Path,
    rpc_urls: &[Url],
    started: &mut Started,
) -> Result<String, Failure> {
    // One database for each chain: the dev chain today, another node tomorrow.
    let name = indexer::database_name(rpc_urls).await?;
    let postgres = Postgres::start(&folder.join("postgres"), PostgresOptions::default()).await?;
    let (admin, url) = (postgres.url("postgres"), postgres.url(&name));
    started.postgres = Some(postgres);
    let mut connection = PgConnection::connect(&admin).await?;
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&name)
            .fetch_one(&mut connection)
            .await?;
    if !exists {
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await?;
    }
    Ok(url)
}

/// A login that may only read, with a new password for every run; returns its URL.
async fn create_api_login(pool: &PgPool, write_url: &str) -> Result<String, Failure> {
    let password = format!("{:032x}", rand::random::<u128>());
    sqlx::raw_sql(AssertSqlSafe(format!(
        "DO $$ BEGIN
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{API_LOGIN}') THEN
                 CREATE ROLE {API_LOGIN} LOGIN IN ROLE app_readonly;
             END IF;
         END $$;
         ALTER ROLE {API_LOGIN} PASSWORD '{password}'"
    )))
    .execute(pool)
    .await?;
    let mut url = Url::parse(write_url)?;
    if url.set_username(API_LOGIN).is_err() || url.set_password(Some(&password)).is_err() {
        let sentence = "the private database's URL cannot be used";
        return Err(Failure::Unusable(sentence.to_owned()));
    }
    Ok(url.into())
}

/// The default address when it is free, any free port otherwise.
fn free_or_any() -> SocketAddr {
    match std::net::TcpListener::bind(DEFAULT_LISTEN) {
        Ok(_) => DEFAULT_LISTEN,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}

fn start_traffic(
    started: &Started,
    shutdown: CancellationToken,
) -> Option<tokio::task::JoinHandle<()>> {
    let url = started.anvil.as_ref()?.http_url();
    let options = TrafficOptions {
        seed: rand::random(),
        ..TrafficOptions::default()
    };
    Some(tokio::spawn(async move {
        let tally = Traffic::run(&url, options, shutdown).await;
        tracing::debug!(?tally, "traffic ended");
    }))
}

/// Says where to look. URLs are shown of what was started here; others may hold secrets.
fn announce(server: &Server, folder: &Path, database: Option<&str>, dev_chain: Option<&str>) {
    let api = server.local_addr();
    let chain = match dev_chain {
        Some(url) => format!("a dev chain with traffic and a reorg now and then, at {url}"),
        None => "your node".to_owned(),
    };
    let sql = database.map_or_else(String::new, |url| {
        format!("SQL             psql '{url}'\n  ")
    });
    println!(
        "\nTallyscan is up, following {chain}.\n\n  \
         newest blocks   http://{api}/api/v1/blocks\n  \
         newest block    http://{api}/api/v1/blocks/latest\n  \
         transactions    http://{api}/api/v1/transactions\n  \
         network         http://{api}/api/v1/network/stats\n  \
         health          http://{api}/health\n  \
         metrics         http://{api}/metrics\n  \
         {sql}data            {}\n\nCtrl-C stops everything; data stays.\n",
        folder.display()
    );
}
