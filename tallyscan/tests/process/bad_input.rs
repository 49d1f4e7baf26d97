//! What cannot be used: exit code 2, one line that names the setting, and nothing is changed.

use crate::program::{Program, free_address, json, node, run};
use embedded::{Postgres, PostgresOptions};
use simnode::{CannedChain, Server};
use std::time::Duration;
use tallyscan_tests::{
    Database, GENERATED_CHAIN_ID, Generator, RunningIndexer, contents, eventually, folder,
    indexer_config, redis,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// In every URL and in no answer.
const SECRET: &str = "hunter2secret";

struct Scene {
    folder: TempDir,
    database: Database,
    redis: embedded::Redis,
    node: Server,
}

impl Scene {
    async fn indexed() -> Self {
        let folder = folder();
        let (database, redis) = (Database::create().await, redis(&folder).await);
        let (node, blocks) = node(1, 10);
        let config = indexer_config(&database, &redis.url(), &[node.http_url()]);
        let indexer = RunningIndexer::start(&database, config).await;
        indexer.reaches(blocks[10].hash).await;
        indexer.publishes_everything().await;
        indexer.stop().await;
        Self {
            folder,
            database,
            redis,
            node,
        }
    }

    /// The command ends with 2 and one line with all the words in it, and changes nothing.
    async fn refuses(&self, command: &str, wrong: &[(&str, &str)], words: &[&str]) {
        let node = self.node.http_url();
        let redis = self.redis.url();
        let mut settings = vec![
            ("DATABASE_URL", &*self.database.url),
            ("REDIS_URL", &redis),
            ("RPC_URL", &node),
            ("METRICS_ADDR", "127.0.0.1:0"),
            ("LISTEN_ADDR", "127.0.0.1:0"),
            ("RUST_LOG", "off"),
        ];
        settings.retain(|(name, _)| wrong.iter().all(|(other, _)| other != name));
        settings.extend(wrong.iter().filter(|(_, value)| *value != "(none)"));
        let before = everything(&self.database).await;
        let (code, stdout, stderr) = run(&self.folder, command, &settings).await;
        let what = format!("{command} with {wrong:?}: code {code}, says {stdout}{stderr}");
        assert_eq!(code, 2, "{what}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{what}");
        // A doctor says what it found before it came to the mistake.
        assert!(stdout.is_empty() || command.starts_with("doctor"), "{what}");
        for word in words {
            assert!(stderr.contains(word), "{what} — and not {word}");
        }
        assert!(!stderr.contains(SECRET), "{what}");
        assert_eq!(everything(&self.database).await, before, "{what}");
    }
}

/// All that an index holds, and the tables beside it.
async fn everything(database: &Database) -> Vec<String> {
    let mut all: Vec<String> = contents(&database.pool)
        .await
        .into_iter()
        .map(|table| format!("{table:?}"))
        .collect();
    for sql in [
        "SELECT t::text FROM chain t",
        "SELECT t::text FROM chain_state t",
        "SELECT t::text FROM reorgs t",
        "SELECT t::text FROM outbox t",
        "SELECT version::text FROM _sqlx_migrations t",
    ] {
        let rows: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(&database.pool)
            .await
            .expect("rows");
        all.extend(rows);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_be_used_is_refused_in_one_line() {
    let scene = Scene::indexed().await;
    let web = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let web_url = format!("http://{}/{SECRET}", web.local_addr().expect("an address"));
    let web = tokio::spawn(async move {
        while let Ok((mut client, _)) = web.accept().await {
            let mut request = [0; 4096];
            let _ = client.read(&mut request).await;
            let _ = client
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
    });
    let start = |chain_id, seed| {
        let genesis = Generator::seeded(seed).other_genesis();
        Server::start(CannedChain::with_blocks(chain_id, [genesis.canned()])).expect("a node")
    };
    let foreign = start(77, 1);
    let reset = start(GENERATED_CHAIN_ID, 2);
    for (url, words) in [
        (
            format!("ftp://user:{SECRET}@host/"),
            vec!["RPC_URL", "ftp", "http"],
        ),
        (SECRET.to_uppercase(), vec!["RPC_URL", "http"]),
        (String::new(), vec!["RPC_URL", "http"]),
        (
            format!("http://127.0.0.1:1/{SECRET}"),
            vec!["RPC_URL", "127.0.0.1:1"],
        ),
        (
            format!("ws://127.0.0.1:1/{SECRET}"),
            vec!["RPC_URL", "127.0.0.1:1"],
        ),
        (web_url, vec!["RPC_URL", "404"]),
        (foreign.http_url(), vec!["77", "4242", "DATABASE_URL"]),
        (reset.http_url(), vec!["genesis", "reset"]),
        (
            format!("{},{}", scene.node.http_url(), foreign.http_url()),
            vec!["77", "4242"],
        ),
    ] {
        scene.refuses("index", &[("RPC_URL", &url)], &words).await;
    }
    scene
        .refuses("index", &[("RPC_URL", "(none)")], &["RPC_URL"])
        .await;
    web.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_is_refused_in_one_line() {
    let scene = Scene::indexed().await;
    let mut wrong_password = url::Url::parse(&scene.database.url).expect("a URL");
    wrong_password
        .set_password(Some(SECRET))
        .expect("a password");
    let bare = Database::create_bare().await;
    let newer = Database::create().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'later', true, '', 0)",
    )
    .execute(&newer.pool)
    .await
    .expect("a later migration");
    let place = format!("postgres://user:{SECRET}@127.0.0.1:1/x");
    let malformed = format!("nonsense:{SECRET}");
    for command in ["index", "migrate", "doctor", "rollback --to 5"] {
        for (url, words) in [
            (
                malformed.as_str(),
                ["DATABASE_URL", "postgres://"].as_slice(),
            ),
            (wrong_password.as_str(), &["DATABASE_URL", "password"]),
            (&newer.url, &["999", "newer"]),
            ("(none)", &["DATABASE_URL"]),
        ] {
            scene
                .refuses(command, &[("DATABASE_URL", url)], words)
                .await;
        }
    }
    // Takes as long as a database may take to come up.
    scene
        .refuses(
            "index",
            &[("DATABASE_URL", &place)],
            &["DATABASE_URL", "127.0.0.1:1", "refused"],
        )
        .await;
    for command in ["serve", "doctor", "rollback --to 5"] {
        scene
            .refuses(
                command,
                &[("DATABASE_URL", &bare.url)],
                &["tallyscan migrate"],
            )
            .await;
    }
    scene
        .refuses("serve", &[("DATABASE_URL", &newer.url)], &["999", "newer"])
        .await;
    scene
        .refuses(
            "serve",
            &[("DATABASE_URL", &malformed)],
            &["DATABASE_URL", "postgres://"],
        )
        .await;
    scene
        .refuses(
            "serve",
            &[("DATABASE_READ_URL", &malformed)],
            &["DATABASE_READ_URL"],
        )
        .await;
    scene
        .refuses(
            "serve",
            &[("DATABASE_URL", wrong_password.as_str())],
            &["DATABASE_URL", "password"],
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_cannot_be_used_is_refused_in_one_line() {
    let scene = Scene::indexed().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let taken = taken
        .local_addr()
        .map(|address| (address.to_string(), taken))
        .expect("an address");
    let redis = format!("http://:{SECRET}@127.0.0.1:1");
    for (command, setting, value, words) in [
        (
            "index",
            "REDIS_URL",
            redis.as_str(),
            ["REDIS_URL", "redis://"].as_slice(),
        ),
        ("serve", "REDIS_URL", &redis, &["REDIS_URL", "redis://"]),
        (
            "index",
            "METRICS_ADDR",
            &taken.0,
            &["METRICS_ADDR", &taken.0],
        ),
        (
            "index",
            "METRICS_ADDR",
            "nowhere",
            &["METRICS_ADDR", "nowhere", "127.0.0.1"],
        ),
        ("serve", "LISTEN_ADDR", &taken.0, &["LISTEN_ADDR", &taken.0]),
        (
            "serve",
            "LISTEN_ADDR",
            "8080",
            &["LISTEN_ADDR", "8080", "127.0.0.1"],
        ),
        (
            "index",
            "FINALITY",
            "soon",
            &["FINALITY", "soon", "tags, instant and depth:N"],
        ),
        (
            "index",
            "VERIFY",
            "some",
            &["VERIFY", "some", "full, roots, links and off"],
        ),
        (
            "index",
            "TIMESCALE",
            "maybe",
            &["TIMESCALE", "maybe", "auto, require and off"],
        ),
        (
            "index",
            "CHAIN_START_BLOCK",
            "first",
            &["CHAIN_START_BLOCK", "first", "number"],
        ),
        (
            "index",
            "CHAIN_START_BLOCK",
            "5",
            &["CHAIN_START_BLOCK", "5", "block 0"],
        ),
        ("index", "LOG_FORMAT", "xml", &["LOG_FORMAT", "xml", "json"]),
        ("index", "RUST_LOG", "a=b=c", &["RUST_LOG", "a=b=c", "info"]),
        (
            "rollback --to 10",
            "FINALITY",
            "tags",
            &["--to 10", "0", "9"],
        ),
        (
            "doctor --from 5 --to 50",
            "FINALITY",
            "tags",
            &["--from 5", "--to 50", "10"],
        ),
    ] {
        scene.refuses(command, &[(setting, value)], words).await;
    }
    scene
        .refuses("index --nonsense", &[], &["--nonsense"])
        .await;
    scene.refuses("nonsense", &[], &["nonsense"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timescale_that_is_required_and_not_preloaded_is_refused_in_one_line() {
    let scene = Scene::indexed().await;
    let options = PostgresOptions {
        durable: false,
        settings: vec![("shared_preload_libraries".to_owned(), String::new())],
    };
    let plain = Postgres::start(&scene.folder.path().join("plain"), options)
        .await
        .expect("a Postgres");
    let url = plain.url("postgres");
    let settings = [("DATABASE_URL", &*url), ("TIMESCALE", "require")];
    scene
        .refuses(
            "migrate",
            &settings,
            &["TIMESCALE", "shared_preload_libraries"],
        )
        .await;
    let settings = [("DATABASE_URL", &*url), ("RUST_LOG", "off")];
    let (code, stdout, stderr) = run(&scene.folder, "migrate", &settings).await;
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("plain Postgres"), "{stdout}");
    plain.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_without_redis_says_so_once_and_goes_on() {
    let scene = Scene::indexed().await;
    let (database, metrics) = (Database::create().await, free_address());
    let (node, blocks) = node(3, 20);
    let settings = [
        ("DATABASE_URL", &*database.url),
        ("REDIS_URL", &format!("redis://:{SECRET}@127.0.0.1:1")),
        ("RPC_URL", &node.http_url()),
        ("METRICS_ADDR", &metrics),
    ];
    let program = Program::start(&scene.folder, "index", &settings);
    eventually("the head", || async {
        let health = json(&format!("http://{metrics}/health"))
            .await
            .unwrap_or_default();
        health["head"]["number"] == 20
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut generator = Generator::seeded(9);
    let next = generator.child(&blocks[20]);
    node.chain().push(next.canned());
    eventually("the next block", || async {
        let state = store::state::get_state(&database.pool)
            .await
            .expect("a state");
        state.head.is_some_and(|head| head.hash == next.hash)
    })
    .await;
    let said = program.stderr();
    let lines = said
        .lines()
        .filter(|line| line.to_lowercase().contains("publish"))
        .count();
    assert_eq!(lines, 1, "{said}");
    assert!(!said.contains(SECRET), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_help_shows_a_secret_from_the_environment() {
    let folder = folder();
    let url = format!("postgres://user:{SECRET}@host/x");
    let settings = [
        ("DATABASE_URL", &*url),
        ("DATABASE_READ_URL", &url),
        ("REDIS_URL", &url),
        ("RPC_URL", &url),
    ];
    for command in [
        "",
        "up ",
        "index ",
        "serve ",
        "migrate ",
        "doctor ",
        "rollback ",
    ] {
        for flag in ["--help", "-h"] {
            let (code, stdout, stderr) = run(&folder, &format!("{command}{flag}"), &settings).await;
            assert_eq!((code, stderr.as_str()), (0, ""), "{command}{flag}");
            assert!(stdout.contains("Usage"), "{stdout}");
            assert!(!stdout.contains(SECRET), "{stdout}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_level_of_logging_shows_a_secret() {
    let scene = Scene::indexed().await;
    let redis = scene.redis.url();
    let url = format!("http://user:{SECRET}@127.0.0.1:1/v3/{SECRET}");
    let sockets = format!("ws://user:{SECRET}@127.0.0.1:1/v3/{SECRET}");
    let settings = [
        ("DATABASE_URL", &*scene.database.url),
        ("REDIS_URL", &redis),
        ("RPC_URL", &*format!("{url},{sockets}")),
        ("METRICS_ADDR", "127.0.0.1:0"),
        ("RUST_LOG", "trace"),
    ];
    let (code, _, stderr) = run(&scene.folder, "index", &settings).await;
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("RPC_URL"), "{stderr}");
    assert!(!stderr.contains(SECRET), "{stderr}");
}
