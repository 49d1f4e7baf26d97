//! The three services: starting, stopping, starting again, being refused.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use redis::AsyncCommands;
use sqlx::{Connection, PgConnection};
use tallyscan_embedded::{
    Anvil, AnvilOptions, Postgres, PostgresOptions, Redis, RedisOptions, StartError,
};
use tempfile::TempDir;

/// Open to the user that Postgres runs as when the tests run as root.
fn folder() -> TempDir {
    tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

fn for_tests() -> PostgresOptions {
    PostgresOptions {
        durable: false,
        ..PostgresOptions::default()
    }
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn postgres_keeps_its_data_over_a_restart_on_another_port() {
    let folder = folder();
    let dir = folder.path().join("postgres");
    let postgres = Postgres::start(&dir, for_tests()).await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url("postgres"))
        .await
        .unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT 7 AS number")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(
        setting(&mut connection, "listen_addresses").await,
        "127.0.0.1"
    );
    assert_eq!(
        setting(&mut connection, "unix_socket_directories").await,
        ""
    );
    assert_eq!(setting(&mut connection, "server_encoding").await, "UTF8");
    assert_eq!(setting(&mut connection, "fsync").await, "off");
    // An open session must not hold up the stop.
    let stopping = Instant::now();
    postgres.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(5));

    let postgres = Postgres::start(&dir, PostgresOptions::default())
        .await
        .unwrap();
    let mut connection = PgConnection::connect(&postgres.url("postgres"))
        .await
        .unwrap();
    let number: i32 = sqlx::query_scalar("SELECT number FROM kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(number, 7);
    assert_eq!(setting(&mut connection, "fsync").await, "on");
    postgres.stop().await;
}

#[tokio::test]
async fn timescaledb_can_be_created_where_it_is_preloaded() {
    let folder = folder();
    let postgres = Postgres::start(&folder.path().join("postgres"), for_tests())
        .await
        .unwrap();
    let mut connection = PgConnection::connect(&postgres.url("postgres"))
        .await
        .unwrap();
    let created = sqlx::query("CREATE EXTENSION timescaledb")
        .execute(&mut connection)
        .await;
    assert_eq!(created.is_ok(), postgres.timescaledb());
    postgres.stop().await;
}

#[tokio::test]
async fn postgres_wants_the_password() {
    let folder = folder();
    let postgres = Postgres::start(&folder.path().join("postgres"), for_tests())
        .await
        .unwrap();
    let guess = format!(
        "postgres://tallyscan:guess@127.0.0.1:{}/postgres",
        postgres.port()
    );
    let refused = PgConnection::connect(&guess).await.unwrap_err().to_string();
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
    let mode = folder
        .path()
        .join("postgres/password")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    postgres.stop().await;
}

#[tokio::test]
async fn started_by_root_postgres_runs_as_another_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not checked: these tests do not run as root");
        return;
    }
    let folder = folder();
    let postgres = Postgres::start(&folder.path().join("postgres"), for_tests())
        .await
        .unwrap();
    let process = std::fs::metadata(format!("/proc/{}", postgres.pid())).unwrap();
    assert_ne!(process.uid(), 0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", postgres.pid())).unwrap();
    let groups = status
        .lines()
        .find(|line| line.starts_with("Groups:"))
        .unwrap();
    assert_eq!(groups.trim(), "Groups:", "root's groups are gone");
    postgres.stop().await;
}

#[tokio::test]
async fn a_folder_that_the_other_user_cannot_enter_is_named() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not checked: these tests do not run as root");
        return;
    }
    let folder = folder();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let error = Postgres::start(&closed.join("deep/postgres"), for_tests())
        .await
        .unwrap_err();
    let StartError::Untraversable { folder: named, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*named, closed);
}

#[tokio::test]
async fn a_stale_pid_file_does_not_stop_a_restart() {
    let folder = folder();
    let dir = folder.path().join("postgres");
    Postgres::start(&dir, for_tests())
        .await
        .unwrap()
        .stop()
        .await;
    // The file of a crashed server whose process id belongs to another process by now: to us.
    let stale = format!(
        "{}\n{}\n1700000000\n",
        std::process::id(),
        dir.join("data").display()
    );
    std::fs::write(dir.join("data/postmaster.pid"), stale).unwrap();
    Postgres::start(&dir, for_tests())
        .await
        .unwrap()
        .stop()
        .await;
}

#[tokio::test]
async fn services_stop_when_dropped_and_start_again_at_once() {
    let folder = folder();
    let dir = folder.path().join("postgres");
    let postgres = Postgres::start(&dir, for_tests()).await.unwrap();
    let pid = postgres.pid();
    drop(postgres);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    drop(Postgres::start(&dir, for_tests()).await.unwrap());
}

#[tokio::test]
async fn services_side_by_side_get_ports_of_their_own() {
    let folder = folder();
    let dirs = ["a", "b", "c", "d"].map(|name| folder.path().join(name));
    let all: [Result<Redis, StartError>; 4] = tokio::join!(
        Redis::start(&dirs[0], RedisOptions::default()),
        Redis::start(&dirs[1], RedisOptions::default()),
        Redis::start(&dirs[2], RedisOptions::default()),
        Redis::start(&dirs[3], RedisOptions::default()),
    )
    .into();
    let mut ports: Vec<u16> = all
        .iter()
        .map(|redis| redis.as_ref().unwrap().port())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 4);
}

#[tokio::test]
async fn redis_keeps_its_data_over_a_stop_but_not_over_a_crash() {
    let folder = folder();
    let dir = folder.path().join("redis");
    let redis = Redis::start(&dir, RedisOptions::default()).await.unwrap();
    let () = connect(&redis).await.set("kept", 7).await.unwrap();
    redis.stop().await;

    let redis = Redis::start(&dir, RedisOptions::default()).await.unwrap();
    let kept: Option<u8> = connect(&redis).await.get("kept").await.unwrap();
    assert_eq!(kept, Some(7));
    kill_hard(redis.pid());
    drop(redis);

    let redis = Redis::start(&dir, RedisOptions::default()).await.unwrap();
    let kept: Option<u8> = connect(&redis).await.get("kept").await.unwrap();
    assert_eq!(kept, None);
    redis.stop().await;
}

#[tokio::test]
async fn the_end_of_the_log_is_in_the_error() {
    let folder = folder();
    let options = AnvilOptions {
        extra_args: vec!["--no-such-argument".to_owned()],
        ..AnvilOptions::default()
    };
    let error = Anvil::start(folder.path(), options).await.unwrap_err();
    assert!(matches!(error, StartError::Ended { .. }));
    assert!(error.to_string().contains("--no-such-argument"), "{error}");
}

async fn connect(redis: &Redis) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(redis.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

fn kill_hard(pid: u32) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}
