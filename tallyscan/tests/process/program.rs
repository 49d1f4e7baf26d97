//! The built program, run with an environment of its own.

use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::Value;
use simnode::{CannedChain, Server};
use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tallyscan_tests::{GENERATED_CHAIN_ID, GeneratedBlock, Generator, eventually};
use tempfile::TempDir;

static RUNS: AtomicU32 = AtomicU32::new(0);

/// A run of the program; killed when dropped.
pub struct Program {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts a command; of the caller's environment only what finds programs is passed on.
    pub fn start(folder: &TempDir, command: &str, settings: &[(&str, &str)]) -> Self {
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let stdout = folder.path().join(format!("{run}.out"));
        let stderr = folder.path().join(format!("{run}.err"));
        let mut program = Command::new(env!("CARGO_BIN_EXE_tallyscan"));
        program.args(command.split(' ')).env_clear();
        for name in ["PATH", "HOME", "TMPDIR", "LANG"] {
            if let Some(value) = std::env::var_os(name) {
                program.env(name, value);
            }
        }
        let child = program
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a file"))
            .stderr(File::create(&stderr).expect("a file"))
            .spawn()
            .expect("the program starts");
        Self {
            child,
            stdout,
            stderr,
        }
    }

    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).expect("its output")
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).expect("its errors")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        nix::sys::signal::kill(Pid::from_raw(pid), signal).expect("a signal is sent");
    }

    /// Waits for the end, for so long at most.
    pub async fn ends_within(&mut self, patience: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status;
            }
            assert!(
                started.elapsed() < patience,
                "still running after {patience:?}: {}",
                self.stderr()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until it has said something on one of its streams.
    pub async fn says(&self, words: &str) {
        let what = format!("{words:?}; it says {} {}", self.stdout(), self.stderr());
        eventually(&what, || async {
            self.stderr().contains(words) || self.stdout().contains(words)
        })
        .await;
    }
}

/// Runs a command to its end.
pub async fn run(
    folder: &TempDir,
    command: &str,
    settings: &[(&str, &str)],
) -> (i32, String, String) {
    let mut program = Program::start(folder, command, settings);
    let status = program.ends_within(Duration::from_secs(25)).await;
    (
        status.code().expect("an exit code"),
        program.stdout(),
        program.stderr(),
    )
}

/// A port that nobody has just now.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// A canned node with so many generated blocks above block 0.
pub fn node(seed: u64, blocks: usize) -> (Server, Vec<GeneratedBlock>) {
    let mut generator = Generator::seeded(seed);
    let mut all = vec![generator.genesis()];
    let branch = generator.branch(&all[0], blocks);
    all.extend(branch);
    let chain =
        CannedChain::with_blocks(GENERATED_CHAIN_ID, all.iter().map(GeneratedBlock::canned));
    (Server::start(chain).expect("a node"), all)
}

/// A page as JSON, when there is one.
pub async fn json(url: &str) -> Option<Value> {
    reqwest::get(url).await.ok()?.json().await.ok()
}

/// A page as text, when there is one.
pub async fn text(url: &str) -> Option<String> {
    reqwest::get(url).await.ok()?.text().await.ok()
}
