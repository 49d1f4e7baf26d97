//! One running program and the watchdog that outlives us if we are killed.
//!
//! The watchdog is a small shell that leads a process group, blocks reading a pipe whose only write
//! end is ours, and asks its whole group to end when the pipe closes. The program joins that group
//! before it runs its first instruction, so there is no moment at which it exists unwatched, and no
//! process id is ever passed around that could have been reused. The group is not the terminal's
//! foreground group, so Ctrl-C does not reach it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::StartError;
use crate::folder::Folder;

/// How long a service may take to end after it was asked to. With the kill that follows, a whole stop
/// stays below five seconds.
pub(crate) const GRACE: Duration = Duration::from_secs(4);

const POLL: Duration = Duration::from_millis(10);
const LOG_LINES: usize = 20;
/// The end of the log that is searched for those lines.
const LOG_BYTES: u64 = 16 * 1024;

/// A line means that all has ended well; the end of the pipe means that we are gone. SIGINT asks all
/// three programs to end in an orderly way (Postgres: a fast shutdown); what has not by then is
/// killed, the shell included. The shell ignores what it sends to its own group first.
const WATCHDOG: &str =
    "trap '' INT TERM HUP; if read -r line; then exit 0; fi; kill -INT 0; sleep 4; kill -KILL 0";

/// Credentials to run a program with, other than our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunAs {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What to run and how it is asked to end.
pub(crate) struct Program {
    /// Its name in messages and of its log file.
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, OsString)>,
    pub(crate) run_as: Option<RunAs>,
    pub(crate) stop_signal: Signal,
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    watchdog: Child,
    stop_signal: Signal,
    log: PathBuf,
    stopped: bool,
}

impl Service {
    /// Starts the program; it is not ready yet when this returns.
    pub(crate) fn spawn(folder: &Folder, program: &Program) -> Result<Self, StartError> {
        let action = || format!("start {}", program.path.display());
        let log = folder.join(&format!("{}.log", program.name));
        // The previous run's log may tell why it ended.
        match fs::rename(&log, log.with_extension("log.1")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StartError::io(format!("rename {}", log.display()))(error));
            }
            _ => {}
        }
        let output =
            File::create(&log).map_err(StartError::io(format!("write {}", log.display())))?;
        let errors = output.try_clone().map_err(StartError::io(action()))?;
        let mut watchdog = watch().map_err(StartError::io("start /bin/sh"))?;
        let child = group_of(&watchdog).and_then(|group| {
            let mut command = Command::new(&program.path);
            command
                .args(&program.args)
                .envs(program.env.iter().map(|(key, value)| (key, value)))
                // Would make a Rust program write our own log levels into its log.
                .env_remove("RUST_LOG")
                .current_dir(folder.path())
                .stdin(folder.lock_as_stdin().map_err(io::Error::other)?)
                .stdout(output)
                .stderr(errors)
                .process_group(group);
            run_as(&mut command, program.run_as.as_ref());
            command.spawn()
        });
        match child {
            Ok(child) => Ok(Self {
                name: program.name,
                child,
                watchdog,
                stop_signal: program.stop_signal,
                log,
                stopped: false,
            }),
            Err(error) => {
                dismiss(&mut watchdog);
                Err(StartError::io(action())(error))
            }
        }
    }

    /// Waits until `probe` answers true while the program is running.
    pub(crate) async fn wait_until_ready(
        &mut self,
        deadline: Duration,
        mut probe: impl AsyncFnMut() -> bool,
    ) -> Result<(), StartError> {
        let started = Instant::now();
        loop {
            // A probe can hang on a socket that nobody reads.
            let ready = tokio::time::timeout(Duration::from_secs(2), probe())
                .await
                .unwrap_or(false);
            // In this order: another process may have taken the port, and answer in its place.
            if self.try_wait().is_some() {
                return Err(StartError::Ended {
                    service: self.name,
                    tail: tail(&self.log),
                    log: self.log.clone(),
                });
            }
            if ready {
                return Ok(());
            }
            if started.elapsed() > deadline {
                return Err(StartError::NotReady {
                    service: self.name,
                    waited: deadline,
                    tail: tail(&self.log),
                    log: self.log.clone(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The process id, for tests and messages.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the program to end, kills it when it does not within [`GRACE`], and returns when it is gone.
    pub(crate) async fn stop(mut self) {
        // Waiting blocks; the runtime's other tasks go on meanwhile. Should the runtime be shutting
        // down, dropping does the same work.
        let _ = tokio::task::spawn_blocking(move || self.shut_down()).await;
    }

    fn shut_down(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        self.signal(self.stop_signal);
        let deadline = Instant::now() + GRACE;
        while self.try_wait().is_none() {
            if Instant::now() > deadline {
                tracing::warn!(service = self.name, "did not stop in time, killing it");
                self.signal(Signal::SIGKILL);
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(POLL);
        }
        dismiss(&mut self.watchdog);
    }

    /// Until its exit is collected here, the process id cannot belong to another process.
    fn signal(&mut self, signal: Signal) {
        if self.try_wait().is_none()
            && let Ok(pid) = i32::try_from(self.child.id())
        {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn watch() -> io::Result<Child> {
    // The standard library's pipes are closed on exec: no service can hold this one's write end open.
    Command::new("/bin/sh")
        .args(["-c", WATCHDOG])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
}

fn group_of(watchdog: &Child) -> io::Result<i32> {
    i32::try_from(watchdog.id()).map_err(io::Error::other)
}

fn dismiss(watchdog: &mut Child) {
    if let Some(mut pipe) = watchdog.stdin.take() {
        let _ = pipe.write_all(b"ended\n");
    }
    let _ = watchdog.wait();
}

/// Setting the user id as root also clears the supplementary groups.
pub(crate) fn run_as(command: &mut Command, user: Option<&RunAs>) {
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
}

/// The last lines of a log file.
pub(crate) fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LOG_LINES)..];
    if tail.is_empty() {
        "(it is empty)".to_owned()
    } else {
        tail.join("\n")
    }
}
