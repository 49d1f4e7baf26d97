//! A database that restarts, and one whose disk is full.

use super::{Lab, is_half_filled_in};
use embedded::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use std::{
    io::Write as _,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use store::schema::{self, TimescaleMode};
use tallyscan_tests::{Database, Gate, RunningIndexer, eventually, folder, redis};

/// MiB of a small disk: an empty database takes a third of it.
const DISK_MIB: u32 = 32;

/// A Postgres of its own, which may go away and come back at the same address.
struct Fragile {
    server: Option<Postgres>,
    gate: Gate,
    database: Database,
    folder: tempfile::TempDir,
}

async fn postgres(folder: &Path) -> Postgres {
    let options = PostgresOptions {
        durable: false,
        ..PostgresOptions::default()
    };
    let server = Postgres::start(&folder.join("postgres"), options).await;
    server.expect("a private Postgres")
}

impl Fragile {
    /// With its tables on a disk, where one is given.
    async fn start(disk: Option<&Disk>) -> Self {
        let folder = folder();
        let server = postgres(folder.path()).await;
        let gate = Gate::new(server.port(), true).await;
        let url = gate.url(&server.url("chain"));
        let admin = PgPool::connect(&server.url("postgres"))
            .await
            .expect("the server answers");
        let place = match disk {
            Some(Disk::Small(disk)) => tablespace(&admin, disk.path(), folder.path()).await,
            _ => "",
        };
        run(&admin, &format!("CREATE DATABASE chain {place}")).await;
        let pool = PgPoolOptions::new().max_connections(8).connect(&url).await;
        let pool = pool.expect("the database answers");
        schema::migrate(&pool, TimescaleMode::Auto)
            .await
            .expect("the schema applies");
        Self {
            server: Some(server),
            gate,
            database: Database { url, pool },
            folder,
        }
    }

    async fn stop(&mut self) {
        self.server.take().expect("a server").stop().await;
    }

    async fn come_back(&mut self) {
        let server = postgres(self.folder.path()).await;
        self.gate.turn_to(server.port());
        self.server = Some(server);
    }
}

async fn run(pool: &PgPool, sql: &str) {
    let ran = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(pool)
        .await;
    ran.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Tables on a disk, in a folder of whom the server's own data belongs to.
async fn tablespace(admin: &PgPool, disk: &Path, server: &Path) -> &'static str {
    let place = disk.join("tables");
    std::fs::create_dir(&place).expect("a folder");
    let owner = std::fs::metadata(server.join("postgres/data")).expect("the server's data");
    chown(&place, Some(owner.uid()), Some(owner.gid())).expect("an owner");
    let place = place.display();
    run(
        admin,
        &format!("CREATE TABLESPACE small LOCATION '{place}'"),
    )
    .await;
    "TABLESPACE small"
}

/// Waits until something of these words is said to be wrong, with the head or the history.
async fn says(indexer: &RunningIndexer, words: &str) {
    eventually(words, || async {
        let known = indexer.status().known();
        let history = known.history.and_then(|history| history.problem);
        let problems = [known.problem, history];
        problems
            .into_iter()
            .flatten()
            .any(|problem| problem.contains(words))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_restarts_is_waited_for() {
    let mut lab = Lab::new(31);
    let node = lab.node();
    let folder = folder();
    let (mut postgres, redis) = tokio::join!(Fragile::start(None), redis(&folder));
    let database = postgres.database.clone();
    let config = Lab::config(&database, &redis, &[&node]);
    let indexer = RunningIndexer::start(&database, config).await;
    // In the middle of the history.
    is_half_filled_in(&database).await;
    postgres.stop().await;
    says(&indexer, "the database failed").await;
    postgres.come_back().await;
    indexer
        .reaches(lab.blocks.last().expect("a head").hash)
        .await;
    // In the middle of live indexing.
    let growth = async {
        for _ in 0..20 {
            lab.grow(&[&node]);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(growth, postgres.stop());
    says(&indexer, "the database failed").await;
    postgres.come_back().await;
    lab.assert_unharmed(indexer, &database).await;
}

/// A disk that can be full.
enum Disk {
    /// A small file system with the tables on it, where one may be mounted.
    Small(tempfile::TempDir),
    /// Elsewhere a trigger refuses every block with what a full disk is refused with, SQLSTATE 53100:
    /// not the real thing, since nothing is half written then.
    Pretended,
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Small(folder) = self {
            // Lazily: a Postgres that is ending may still have files open there.
            let _ = Command::new("umount").arg("-l").arg(folder.path()).status();
        }
    }
}

impl Disk {
    fn mount() -> Self {
        let folder = folder();
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={DISK_MIB}m,mode=0755"),
                "tmpfs",
            ])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Self::Small(folder);
        }
        tallyscan_tests::say("nothing may be mounted here: the full disk is pretended");
        Self::Pretended
    }

    async fn fill(&self, pool: &PgPool) {
        match self {
            Self::Small(folder) => {
                let ballast = std::fs::File::create(folder.path().join("ballast"));
                let mut ballast = ballast.expect("a file");
                // Until there is no room for a page.
                while ballast.write_all(&[0; 4096]).is_ok() {}
            }
            Self::Pretended => {
                run(
                    pool,
                    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                         RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
                     END $$;
                     CREATE TRIGGER full_disk BEFORE INSERT ON blocks FOR EACH ROW EXECUTE FUNCTION refuse();",
                )
                .await;
            }
        }
    }

    async fn make_room(&self, pool: &PgPool) {
        match self {
            Self::Small(folder) => {
                std::fs::remove_file(folder.path().join("ballast")).expect("the ballast");
            }
            Self::Pretended => run(pool, "DROP FUNCTION refuse CASCADE").await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_waited_for() {
    let mut lab = Lab::new(32);
    let node = lab.node();
    let folder = folder();
    let disk = Disk::mount();
    let (mut postgres, redis) = tokio::join!(Fragile::start(Some(&disk)), redis(&folder));
    let database = postgres.database.clone();
    let config = Lab::config(&database, &redis, &[&node]);
    let indexer = RunningIndexer::start(&database, config).await;
    is_half_filled_in(&database).await;
    disk.fill(&database.pool).await;
    says(&indexer, "No space left on device").await;
    lab.grow(&[&node]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    disk.make_room(&database.pool).await;
    lab.grow(&[&node]);
    lab.assert_unharmed(indexer, &database).await;
    postgres.stop().await;
}
