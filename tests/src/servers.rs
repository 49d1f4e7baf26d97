//! Private servers: one Postgres for all tests of a process, a Redis for each test.

use embedded::{Postgres, PostgresOptions, Redis, RedisOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};
use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};
use store::schema::{self, TimescaleMode};
use tempfile::TempDir;

/// The database that all others are copied from: migrated once, copied in a fraction of a second.
const TEMPLATE: &str = "template_tallyscan";

/// What a database has before it is used.
const FIRST_ROWS: &str = "
    INSERT INTO chain_state DEFAULT VALUES;
    INSERT INTO coverage DEFAULT VALUES;
    INSERT INTO backfill_settings DEFAULT VALUES;
    INSERT INTO indexer_status DEFAULT VALUES;
    INSERT INTO tally_state DEFAULT VALUES;
    INSERT INTO enrichment (kind) VALUES ('traces'), ('balances'), ('contracts'), ('tokens');";

/// What the shared server is reached by. The server itself lives in a thread of its own until the
/// process ends, when its watchdog stops it.
struct Cluster {
    admin_url: String,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A folder that every user may enter: Postgres does not run as root.
#[must_use]
pub fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("tallyscan-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .expect("a temporary folder")
}

fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let folder = folder();
                let options = PostgresOptions {
                    durable: false,
                    // Every test has a database or two of its own: looking into hundreds of them that are
                    // done with takes longer than their tests gain from it.
                    settings: vec![("autovacuum".to_owned(), "off".to_owned())],
                };
                let server = Postgres::start(&folder.path().join("postgres"), options)
                    .await
                    .expect("a private Postgres (scripts/setup installs it)");
                let mut admin = PgConnection::connect(&server.url("postgres"))
                    .await
                    .expect("the private Postgres answers");
                sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE}")))
                    .execute(&mut admin)
                    .await
                    .expect("a template database");
                let pool = PgPool::connect(&server.url(TEMPLATE))
                    .await
                    .expect("the template answers");
                schema::migrate(&pool, TimescaleMode::Auto)
                    .await
                    .expect("the schema applies");
                pool.close().await;
                let admin_url = server.url("postgres");
                sender.send(Cluster { admin_url }).expect("somebody waits");
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().expect("the server started")
    })
}

/// A database of one test; dropped with the server.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its URL, as the server's owner.
    pub url: String,
    /// A pool on it.
    pub pool: PgPool,
}

impl Database {
    /// A migrated, empty database.
    pub async fn create() -> Self {
        Self::create_from(TEMPLATE).await
    }

    /// A database without any schema.
    pub async fn create_bare() -> Self {
        Self::create_from("template0").await
    }

    /// Makes it as empty as a new one, for a tenth of what that costs.
    pub async fn empty(&self) {
        let tables: String = sqlx::query_scalar(
            "SELECT string_agg(format('%I', relname), ', ') FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
               AND relname <> '_sqlx_migrations'",
        )
        .fetch_one(&self.pool)
        .await
        .expect("the tables can be listed");
        let statements = format!("TRUNCATE {tables} RESTART IDENTITY; {FIRST_ROWS}");
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&self.pool)
            .await
            .expect("the tables can be emptied");
    }

    /// The same without making its chunks anew: far cheaper, and only for what does not have to show that
    /// it can begin from nothing.
    pub async fn clear(&self) {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I', relname) FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
               AND relname <> '_sqlx_migrations'",
        )
        .fetch_all(&self.pool)
        .await
        .expect("the tables can be listed");
        let delete = tables.iter().map(|table| format!("DELETE FROM {table};"));
        let statements = format!(
            "SET LOCAL session_replication_role = replica; {} {FIRST_ROWS}",
            delete.collect::<String>()
        );
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&self.pool)
            .await
            .expect("the tables can be cleared");
    }

    async fn create_from(template: &str) -> Self {
        // The first test waits here for the server, on a thread that may block.
        let cluster = tokio::task::spawn_blocking(cluster)
            .await
            .expect("a server");
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect(&cluster.admin_url)
            .await
            .expect("the private Postgres answers");
        sqlx::raw_sql(AssertSqlSafe(format!(
            "CREATE DATABASE {name} TEMPLATE {template}"
        )))
        .execute(&mut admin)
        .await
        .expect("a copy of the template");
        let mut url = url::Url::parse(&cluster.admin_url).expect("a URL");
        url.set_path(&name);
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .connect(url.as_str())
            .await
            .expect("the database answers");
        Self {
            url: url.into(),
            pool,
        }
    }
}

/// A Redis of one test's own.
pub async fn redis(folder: &TempDir) -> Redis {
    Redis::start(&folder.path().join("redis"), RedisOptions::default())
        .await
        .expect("a private Redis (scripts/setup installs it)")
}
