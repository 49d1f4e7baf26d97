//! Why a private service did not start. Every message is one line that says what to do, followed by
//! the end of the service's log where there is one.

use std::path::PathBuf;
use std::time::Duration;

/// Why a private service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program is not installed.
    #[error("{program} is not installed; run: scripts/setup")]
    MissingProgram {
        /// What was looked for, in words.
        program: String,
    },

    /// The data was written by a version of Postgres that is no longer here.
    #[error("{} was made by PostgreSQL {major}, which is not installed; install postgresql-{major} or choose another folder", .folder.display())]
    MissingMajor {
        /// The data folder.
        folder: PathBuf,
        /// The major version that wrote it.
        major: String,
    },

    /// Another process holds the service's folder.
    #[error("{} is in use by another process; stop that one first or choose another folder", .folder.display())]
    InUse {
        /// The service's folder.
        folder: PathBuf,
    },

    /// As root, Postgres runs as another user, and that one cannot get to the folder.
    #[error("{} cannot be entered by user {user}, which Postgres runs as when started by root; choose another folder for the data or run: chmod o+x {}", .folder.display(), .folder.display())]
    Untraversable {
        /// The outermost folder that is closed to the user.
        folder: PathBuf,
        /// The user that Postgres runs as.
        user: String,
    },

    /// The data belongs to somebody else.
    #[error("{} belongs to another user; run as that user or choose another folder", .folder.display())]
    NotOurs {
        /// The data folder.
        folder: PathBuf,
    },

    /// Root, and no other user to run Postgres as.
    #[error("Postgres cannot run as root, and this machine has neither a user postgres nor nobody")]
    NoUnprivilegedUser,

    /// The program ended before it was ready.
    #[error("{service} ended while starting; the end of {}:\n{tail}", .log.display())]
    Ended {
        /// The service.
        service: &'static str,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },

    /// The program runs but did not become ready in time.
    #[error("{service} was not ready after {} s; the end of {}:\n{tail}", .waited.as_secs(), .log.display())]
    NotReady {
        /// The service.
        service: &'static str,
        /// How long it was given.
        waited: Duration,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },

    /// The operating system refused.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was being done, to what.
        action: String,
        /// The refusal.
        source: std::io::Error,
    },
}

impl StartError {
    /// For `map_err`: attaches what was being done.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// Whether the service found its port taken. The port is chosen free and released before the
    /// service binds it, so another process can win it in between; another one is tried then.
    pub(crate) fn is_port_taken(&self) -> bool {
        match self {
            Self::Ended { tail, .. } => {
                tail.to_ascii_lowercase().contains("address already in use")
            }
            _ => false,
        }
    }
}
