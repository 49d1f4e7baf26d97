//! What every measurement stands on: a private Postgres and Redis with the settings of `tallyscan up`,
//! and the indexer as the program that users run.

use embedded::{Postgres, PostgresOptions, Redis, RedisOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};
use std::{
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use store::schema::{self, TimescaleMode};
use tempfile::TempDir;
use tokio::process::Command;

/// Why a measurement could not be made.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Private servers.
pub struct Stand {
    postgres: Postgres,
    redis: Redis,
    next: AtomicU32,
    _folder: TempDir,
}

/// A database of one measurement.
pub struct Database {
    /// Its URL.
    pub url: String,
    /// A pool on it.
    pub pool: PgPool,
    name: String,
}

/// What a run of the indexer took.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// From its start to its end.
    pub took: Duration,
    /// Most memory it ever had, in MiB.
    pub peak_mib: f64,
    /// Processor time it used.
    pub cpu: Duration,
}

impl Stand {
    /// Starts the servers.
    pub async fn start() -> Result<Self, Failure> {
        let folder = tallyscan_tests::folder();
        let postgres =
            Postgres::start(&folder.path().join("postgres"), PostgresOptions::default()).await?;
        let redis = Redis::start(&folder.path().join("redis"), RedisOptions::default()).await?;
        Ok(Self {
            postgres,
            redis,
            next: AtomicU32::new(0),
            _folder: folder,
        })
    }

    /// An empty database with our schema.
    pub async fn database(&self) -> Result<Database, Failure> {
        let name = format!("bench_{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.admin(format!("CREATE DATABASE {name}")).await?;
        let url = self.postgres.url(&name);
        let pool = PgPoolOptions::new()
            .max_connections(16)
            // As the API's connections are set.
            .after_connect(|connection, _| {
                Box::pin(async move {
                    sqlx::query("SET plan_cache_mode = force_custom_plan")
                        .execute(connection)
                        .await
                        .map(|_| ())
                })
            })
            .connect(&url)
            .await?;
        schema::migrate(&pool, TimescaleMode::Auto).await?;
        Ok(Database { url, pool, name })
    }

    /// Throws a database away: its files would slow the next measurement down.
    pub async fn drop(&self, database: Database) -> Result<(), Failure> {
        database.pool.close().await;
        self.admin(format!("DROP DATABASE {} WITH (FORCE)", database.name))
            .await?;
        self.admin("CHECKPOINT".to_owned()).await
    }

    async fn admin(&self, statement: String) -> Result<(), Failure> {
        let mut admin = PgConnection::connect(&self.postgres.url("postgres")).await?;
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut admin)
            .await?;
        Ok(admin.close().await?)
    }

    /// A program that came with the server.
    pub fn beside_postgres(&self, name: &str) -> Result<PathBuf, Failure> {
        let server = std::fs::read_link(format!("/proc/{}/exe", self.postgres.pid()))?;
        Ok(server.with_file_name(name))
    }

    /// The private Redis.
    pub fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// Runs `tallyscan index` over a node's chain up to a height.
    pub async fn index(
        &self,
        database: &Database,
        node: &str,
        until: u64,
        options: &[&str],
        mut watch: impl FnMut(Duration, u64),
    ) -> Result<Run, Failure> {
        let started = Instant::now();
        let mut child = Command::new(program()?)
            .arg("index")
            .args(["--rpc-url", node, "--database-url", &database.url])
            .args(["--redis-url", &self.redis.url()])
            .args(["--metrics-addr", "127.0.0.1:0"])
            .args(["--until", &until.to_string()])
            .args(options)
            // As the image and the service description set it.
            .env("MALLOC_ARENA_MAX", "2")
            .env(
                "RUST_LOG",
                std::env::var("BENCH_LOG").unwrap_or("warn".to_owned()),
            )
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or("the indexer did not start")?;
        let (mut peak_mib, mut cpu) = (0.0_f64, Duration::ZERO);
        loop {
            let ended = tokio::time::timeout(Duration::from_millis(100), child.wait()).await;
            if let Ok(status) = ended {
                let status = status?;
                if !status.success() {
                    return Err(format!("the indexer ended with {status}").into());
                }
                break;
            }
            if let Some((kib, used)) = memory_and_cpu(pid) {
                peak_mib = peak_mib.max(crate::figure::number(kib) / 1024.0);
                cpu = used;
                watch(started.elapsed(), kib / 1024);
            }
        }
        Ok(Run {
            took: started.elapsed(),
            peak_mib,
            cpu,
        })
    }
}

/// The program beside this one.
fn program() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?.with_file_name("tallyscan");
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("{} is not there: use `make bench`", program.display()).into())
    }
}

/// Resident memory in KiB and processor time of a process, as Linux tells them.
fn memory_and_cpu(pid: u32) -> Option<(u64, Duration)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let resident = resident.split_whitespace().next()?.parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name in brackets; utime and stime are the 12th and 13th field from there, in 1/100 s.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some((resident, Duration::from_millis(ticks * 10)))
}
