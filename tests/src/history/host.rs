//! Where the indexer of a history runs: in the test, or as the program that operators run.

use crate::{Database, RunningIndexer, folder, indexer_config};
use std::{
    fs::File,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long the program gets to end in order.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Where the indexer runs.
#[derive(Clone, Debug)]
pub enum Host {
    /// As a task, whose abrupt end is to be dropped.
    Task,
    /// As a process of this program, whose abrupt end is `kill -9`.
    Process(PathBuf),
}

/// What an indexer is told.
pub(super) struct Place {
    pub database: Database,
    pub redis_url: String,
    pub urls: Vec<String>,
    pub folder: TempDir,
}

/// An indexer, wherever it runs.
pub(super) enum Running {
    Task(RunningIndexer),
    Process(Process),
}

/// A process that is killed when dropped.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    /// A place whose nodes are not known yet.
    pub(super) fn new(database: &Database, redis_url: String) -> Self {
        Self {
            database: database.clone(),
            redis_url,
            urls: Vec::new(),
            folder: folder(),
        }
    }
}

impl Host {
    pub(super) async fn start(&self, place: &Place) -> Running {
        match self {
            Self::Task => {
                let config = indexer_config(&place.database, &place.redis_url, &place.urls);
                Running::Task(RunningIndexer::start(&place.database, config).await)
            }
            Self::Process(program) => Running::Process(Process::start(program, place)),
        }
    }
}

impl Running {
    pub(super) async fn stop(self) {
        match self {
            Self::Task(indexer) => indexer.stop().await,
            Self::Process(process) => process.stop().await,
        }
    }

    pub(super) async fn kill(self) {
        match self {
            Self::Task(indexer) => indexer.abort().await,
            Self::Process(process) => drop(process),
        }
    }

    /// What it says about itself.
    pub(super) fn says(&self) -> String {
        match self {
            Self::Task(indexer) => format!("{:?}", indexer.status().known()),
            Self::Process(process) => process.says(),
        }
    }
}

impl Process {
    fn start(program: &PathBuf, place: &Place) -> Self {
        let log = place.folder.path().join("index.log");
        let output = File::options().create(true).append(true).open(&log);
        let output = output.expect("a file");
        let child = Command::new(program)
            .arg("index")
            .env_clear()
            .envs([
                ("DATABASE_URL", &*place.database.url),
                ("REDIS_URL", &place.redis_url),
                ("RPC_URL", &place.urls.join(",")),
                ("METRICS_ADDR", "127.0.0.1:0"),
            ])
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn()
            .expect("the program starts");
        Self { child, log }
    }

    async fn stop(mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.expect("kill runs").success(), "{}", self.says());
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                // Asked so soon that it did not listen yet, it ends all the same.
                let asked = status.signal() == Some(15);
                assert!(
                    status.success() || asked,
                    "it ended with {status}: {}",
                    self.says()
                );
                return;
            }
            assert!(since.elapsed() < ENDS_WITHIN, "it goes on: {}", self.says());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn says(&self) -> String {
        let all = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
