//! `tallyscan up`: everything at once.

use crate::program::{Program, json, node};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{path::Path, time::Duration};
use tallyscan_tests::{eventually, folder};
use tempfile::TempDir;

/// Processes that have something to do with a folder: their arguments or where they run name it.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("a path");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        let at = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if arguments.contains(folder) || at.starts_with(folder) {
            found.push(arguments);
        }
    }
    found
}

struct Up {
    program: Program,
    base: String,
}

impl Up {
    async fn start(folder: &TempDir, data: &Path, settings: &[(&str, &str)]) -> Self {
        let data = data.to_str().expect("a path");
        let mut all = vec![("DATA_DIR", data), ("LISTEN_ADDR", "127.0.0.1:0")];
        all.extend(settings);
        let program = Program::start(folder, "up", &all);
        program.says("Tallyscan is up").await;
        program.says("Ctrl-C").await;
        let said = program.stdout();
        let at = said
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let base = format!("http://{}", at.expect("an address"));
        for part in ["newest blocks", "health", "metrics", "SQL"] {
            assert!(said.contains(part), "{said}");
        }
        Self { program, base }
    }

    async fn get(&self, path: &str) -> Value {
        json(&format!("{}{path}", self.base))
            .await
            .unwrap_or_default()
    }

    async fn height(&self) -> u64 {
        self.get("/api/v1/blocks/latest").await["data"]["number"]
            .as_u64()
            .unwrap_or(0)
    }

    async fn hash(&self, number: u64) -> String {
        let answer = self.get(&format!("/api/v1/blocks/{number}")).await;
        answer["data"]["hash"].as_str().expect("a hash").to_owned()
    }

    async fn reaches(&self, height: u64) {
        eventually(&format!("block {height}"), || async {
            self.height().await >= height
        })
        .await;
    }
}

async fn nothing_is_left(data: &Path, within: Duration) {
    let started = std::time::Instant::now();
    loop {
        let left = processes_of(data);
        if left.is_empty() {
            return;
        }
        assert!(
            started.elapsed() < within,
            "still there after {within:?}: {left:#?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_up_goes_away_and_goes_on_where_it_stopped() {
    let folder = folder();
    let data = folder.path().join("data");
    let mut up = Up::start(&folder, &data, &[]).await;
    up.reaches(3).await;
    eventually("transactions", || async {
        let answer = up.get("/api/v1/transactions").await;
        answer["data"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
    })
    .await;
    let health = up.get("/health").await;
    assert_eq!(health["status"], "ok", "{health}");
    let early = [up.hash(0).await, up.hash(1).await];
    let height = up.height().await;
    up.program.signal(Signal::SIGINT);
    let status = up.program.ends_within(Duration::from_secs(5)).await;
    assert!(status.success(), "{status}: {}", up.program.stderr());
    nothing_is_left(&data, Duration::from_millis(200)).await;

    let up = Up::start(&folder, &data, &[]).await;
    up.reaches(height + 1).await;
    assert_eq!([up.hash(0).await, up.hash(1).await], early);
    drop(up); // kill -9
    nothing_is_left(&data, Duration::from_secs(5)).await;

    let mut up = Up::start(&folder, &data, &[]).await;
    up.reaches(height + 1).await;
    assert_eq!([up.hash(0).await, up.hash(1).await], early);
    up.program.signal(Signal::SIGTERM);
    up.program.ends_within(Duration::from_secs(5)).await;
    nothing_is_left(&data, Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_given_is_followed_instead_of_a_dev_chain() {
    let folder = folder();
    let data = folder.path().join("data");
    let (node, blocks) = node(6, 25);
    let mut up = Up::start(&folder, &data, &[("RPC_URL", &node.ws_url())]).await;
    up.reaches(25).await;
    assert_eq!(up.hash(25).await, format!("{:?}", blocks[25].hash));
    assert!(
        !processes_of(&data)
            .iter()
            .any(|process| process.contains("anvil"))
    );
    up.program.signal(Signal::SIGINT);
    up.program.ends_within(Duration::from_secs(5)).await;
    nothing_is_left(&data, Duration::from_millis(200)).await;
}
