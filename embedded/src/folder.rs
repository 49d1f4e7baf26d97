//! A service's folder: the lock that keeps it to one service, and files in it that hold secrets.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::Rng;
use rand::distr::Alphanumeric;

use crate::StartError;

/// After `kill -9` of a previous run its services are still writing their data out; they get
/// [`crate::service::GRACE`] for that and are killed then, so this is always enough.
const PREVIOUS_RUN_ENDS: Duration = Duration::from_secs(10);

/// A folder that no other service uses for as long as this, or any process that was given
/// [`Folder::lock_as_stdin`], lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: File,
}

impl Folder {
    /// Creates the folder when it is missing and locks it, waiting for a previous run to end.
    pub(crate) async fn open(path: &Path) -> Result<Self, StartError> {
        let action = || format!("open the folder {}", path.display());
        // Parents with the usual permissions: as root, Postgres has to pass through them as another user.
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(StartError::io(action()))?;
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(StartError::io(action()))?;
        let path = fs::canonicalize(path).map_err(StartError::io(action()))?;
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(StartError::io(action()))?;
        let deadline = Instant::now() + PREVIOUS_RUN_ENDS;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { path, lock }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(TryLockError::WouldBlock) => return Err(StartError::InUse { folder: path }),
                Err(TryLockError::Error(source)) => return Err(StartError::io(action())(source)),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The locked file itself, to be a service's standard input: it is empty, so it reads like
    /// `/dev/null`, and the lock stays held until the last process that inherited it has ended,
    /// whatever became of us.
    pub(crate) fn lock_as_stdin(&self) -> Result<File, StartError> {
        self.lock.try_clone().map_err(StartError::io(format!(
            "use the folder {}",
            self.path.display()
        )))
    }

    /// The secret kept in the file `name`, made up at the first call. Only its owner can read it.
    pub(crate) fn secret(&self, name: &str) -> Result<String, StartError> {
        let path = self.join(name);
        match fs::read_to_string(&path) {
            Ok(secret) if !secret.trim().is_empty() => return Ok(secret.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StartError::io(format!("read {}", path.display()))(error)),
        }
        // Letters and digits only: it goes into URLs and configuration files as it is.
        let secret: String = rand::rng()
            .sample_iter(Alphanumeric)
            .take(32)
            .map(char::from)
            .collect();
        write_private(&path, secret.as_bytes())?;
        Ok(secret)
    }
}

/// Writes a file that only its owner can read. The content is there whole, or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), StartError> {
    let action = || format!("write {}", path.display());
    let temporary = path.with_extension("new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(content));
    written.map_err(StartError::io(action()))?;
    fs::rename(&temporary, path).map_err(StartError::io(action()))
}

/// A loopback port that is free at this moment.
pub(crate) fn free_port() -> Result<u16, StartError> {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(StartError::io("find a free port"))
}
