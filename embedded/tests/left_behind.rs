//! `kill -9` of the process that started them leaves no service behind, and the folders usable.
//!
//! The test starts this very test binary again as the process to be killed.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tallyscan_embedded::{Anvil, AnvilOptions, Postgres, PostgresOptions, Redis, RedisOptions};

const FOLDER: &str = "LEFT_BEHIND_FOLDER";
/// Stands before the process ids, since the test harness prints lines of its own.
const MARK: &str = "services: ";

async fn start_all(folder: &Path) -> (Postgres, Redis, Anvil) {
    let anvil = AnvilOptions {
        block_time: Some(1.0),
        ..AnvilOptions::default()
    };
    (
        Postgres::start(&folder.join("postgres"), PostgresOptions::default())
            .await
            .unwrap(),
        Redis::start(&folder.join("redis"), RedisOptions::default())
            .await
            .unwrap(),
        Anvil::start(&folder.join("anvil"), anvil).await.unwrap(),
    )
}

#[tokio::test]
#[ignore = "is the process that the other test kills"]
async fn start_and_wait_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let (postgres, redis, anvil) = start_all(Path::new(&folder)).await;
    println!("\n{MARK}{} {} {}", postgres.pid(), redis.pid(), anvil.pid());
    std::future::pending::<()>().await;
}

/// A zombie has ended, whoever has yet to collect it.
fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

/// The leader of the process's group: the watchdog.
fn watchdog_of(pid: &str) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name in parentheses: state, parent, group.
    let fields = stat.rsplit(')').next().unwrap();
    fields.split_whitespace().nth(2).unwrap().to_owned()
}

/// The command lines of all processes that work in the folder.
fn lives_in(folder: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|entry| entry.path())
        .filter(|process| {
            std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
        })
        .map(|process| std::fs::read_to_string(process.join("cmdline")).unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn nothing_is_left_behind_by_a_killed_parent() {
    let folder = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([
            "start_and_wait_to_be_killed",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(parent.stdout.take().unwrap());
    let line = output
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with(MARK))
        .expect("the services have started");
    let pids: Vec<&str> = line.trim_start_matches(MARK).split_whitespace().collect();
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| lives(pid)));

    let watchdogs: Vec<String> = pids.iter().map(|pid| watchdog_of(pid)).collect();
    assert!(
        watchdogs
            .iter()
            .all(|watchdog| lives(watchdog) && !pids.contains(&watchdog.as_str()))
    );

    parent.kill().unwrap();
    parent.wait().unwrap();
    let killed = Instant::now();
    while pids.iter().any(|pid| lives(pid)) || !lives_in(folder.path()).is_empty() {
        let left = lives_in(folder.path());
        assert!(
            killed.elapsed() < Duration::from_secs(6),
            "left behind: {left:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "the services were gone {} ms after the kill",
        killed.elapsed().as_millis()
    );
    while watchdogs.iter().any(|watchdog| lives(watchdog)) {
        assert!(
            killed.elapsed() < Duration::from_secs(6),
            "a watchdog stays"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let (postgres, redis, anvil) = start_all(folder.path()).await;
    anvil.stop().await;
    redis.stop().await;
    postgres.stop().await;
}

#[tokio::test]
async fn a_start_right_after_the_kill_waits_for_the_previous_run() {
    let folder = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([
            "start_and_wait_to_be_killed",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(parent.stdout.take().unwrap());
    assert!(
        output
            .lines()
            .map_while(Result::ok)
            .any(|line| line.starts_with(MARK))
    );
    parent.kill().unwrap();
    parent.wait().unwrap();
    drop(start_all(folder.path()).await);
    assert_eq!(lives_in(folder.path()), Vec::<String>::new());
}
