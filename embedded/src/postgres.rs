//! A private Postgres, with TimescaleDB preloaded where it is installed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};

use crate::StartError;
use crate::folder::{Folder, free_port};
use crate::programs::PostgresPrograms;
use crate::service::{Program, RunAs, Service, run_as, tail};
use crate::startup_probe::accepts_sessions;

const SUPERUSER: &str = "tallyscan";

/// Long enough for recovery from a crash in the middle of a large load.
const READY: Duration = Duration::from_mins(2);

/// How the private Postgres should behave.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// False trades survival of a power cut for speed: for tests. A killed process loses nothing
    /// either way.
    pub durable: bool,
    /// Settings by name that override ours, such as `("shared_buffers", "1GB")`.
    pub settings: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            durable: true,
            settings: Vec::new(),
        }
    }
}

/// A running private Postgres. Stops when dropped; better: [`Postgres::stop`].
#[derive(Debug)]
pub struct Postgres {
    service: Service,
    port: u16,
    password: String,
    timescaledb: bool,
    // After the service: fields drop in order, and the folder is ours until Postgres is gone.
    _folder: Folder,
}

impl Postgres {
    /// Starts Postgres on the data in `dir`, creating it when there is none.
    ///
    /// Listens on a free port of 127.0.0.1 only, for the superuser `tallyscan`, whose password is
    /// random and kept beside the data. Started by root it runs as `postgres`, else `nobody`.
    pub async fn start(dir: &Path, options: PostgresOptions) -> Result<Self, StartError> {
        let folder = Folder::open(dir).await?;
        let data = folder.join("data");
        let programs = PostgresPrograms::find(&data)?;
        let user = service_user()?;
        let password = folder.secret("password")?;
        hand_over(&folder, user.as_ref())?;
        if !data.join("PG_VERSION").is_file() {
            create_cluster(&folder, &programs, user.as_ref(), options.durable)?;
        }
        forget_previous_run(&data)?;
        let mut attempts = 5;
        loop {
            attempts -= 1;
            let port = free_port()?;
            let mut service = Service::spawn(
                &folder,
                &Program {
                    name: "postgres",
                    path: programs.program("postgres"),
                    args: arguments(&data, port, programs.timescaledb, &options),
                    env: vec![("LC_ALL", "C".into())],
                    run_as: user.clone(),
                    // A "fast" shutdown: sessions are ended, then everything is written out.
                    stop_signal: Signal::SIGINT,
                },
            )?;
            match service
                .wait_until_ready(READY, async || accepts_sessions(port, SUPERUSER).await)
                .await
            {
                Ok(()) => {
                    let timescaledb = programs.timescaledb;
                    return Ok(Self {
                        service,
                        port,
                        password,
                        timescaledb,
                        _folder: folder,
                    });
                }
                Err(error) if attempts > 0 && error.is_port_taken() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The URL of a database, with the superuser's password in it. `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}",
            self.password, self.port
        )
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TimescaleDB is preloaded, so that `CREATE EXTENSION timescaledb` works.
    pub fn timescaledb(&self) -> bool {
        self.timescaledb
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Stops the server; the data stays.
    pub async fn stop(self) {
        self.service.stop().await;
    }
}

fn arguments(
    data: &Path,
    port: u16,
    timescaledb: bool,
    options: &PostgresOptions,
) -> Vec<OsString> {
    let mut settings: Vec<(&str, &str)> = vec![
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("password_encryption", "scram-sha-256"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        // Many pools of many tests; idle sessions cost little.
        ("max_connections", "300"),
        // A statement over a hypertable locks each of its chunks and their indexes.
        ("max_locks_per_transaction", "512"),
        ("shared_buffers", "256MB"),
        ("max_wal_size", "4GB"),
        ("checkpoint_timeout", "15min"),
        // Compiling a query costs more than these queries take.
        ("jit", "off"),
        // Nobody replicates a private server, and bulk loads then write less.
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
    ];
    if timescaledb {
        settings.push(("shared_preload_libraries", "timescaledb"));
        // Its scheduler keeps sessions open in every database, which block CREATE DATABASE … TEMPLATE.
        settings.push(("timescaledb.max_background_workers", "0"));
    }
    if !options.durable {
        settings.extend([
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
        ]);
        settings.push(("shared_buffers", "128MB"));
    }
    // The last one wins.
    settings.extend(
        options
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    let mut arguments: Vec<OsString> = vec![
        "-D".into(),
        data.into(),
        "-p".into(),
        port.to_string().into(),
    ];
    for (name, value) in settings {
        arguments.extend(["-c".into(), format!("{name}={value}").into()]);
    }
    arguments
}

/// Postgres refuses to run as root.
fn service_user() -> Result<Option<RunAs>, StartError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(|user| RunAs {
            name: user.name,
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
        })
        .map(Some)
        .ok_or(StartError::NoUnprivilegedUser)
}

/// Makes the folder the user's own, and makes sure that the user can get there.
fn hand_over(folder: &Folder, user: Option<&RunAs>) -> Result<(), StartError> {
    let data = folder.join("data");
    let Some(user) = user else {
        return match fs::metadata(&data) {
            Ok(metadata) if metadata.uid() != geteuid().as_raw() => {
                Err(StartError::NotOurs { folder: data })
            }
            _ => Ok(()),
        };
    };
    for path in [folder.path().to_owned(), folder.join("password")] {
        give(&path, user)?;
    }
    if data.is_dir() {
        give_all(&data, user)?;
    }
    // Outermost first: the one to open is the first that is closed.
    let ancestors: Vec<&Path> = folder.path().ancestors().collect();
    if can_enter(user, folder.path()) {
        return Ok(());
    }
    let closed = ancestors
        .into_iter()
        .rev()
        .find(|path| !can_enter(user, path));
    Err(StartError::Untraversable {
        folder: closed.unwrap_or(folder.path()).to_owned(),
        user: user.name.clone(),
    })
}

fn give(path: &Path, user: &RunAs) -> Result<(), StartError> {
    chown(path, Some(user.uid), Some(user.gid)).map_err(StartError::io(format!(
        "give {} to {}",
        path.display(),
        user.name
    )))
}

/// Data that another user made (Tallyscan was not root before) changes hands; links are left alone.
fn give_all(path: &Path, user: &RunAs) -> Result<(), StartError> {
    let action = || format!("read {}", path.display());
    let metadata = fs::symlink_metadata(path).map_err(StartError::io(action()))?;
    if metadata.is_symlink() || metadata.uid() == user.uid {
        return Ok(());
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(StartError::io(action()))? {
            give_all(&entry.map_err(StartError::io(action()))?.path(), user)?;
        }
    }
    // The folder after its content: an interruption is then taken up where it stopped.
    give(path, user)
}

/// Asks the kernel, as that user: permissions, ACLs and mount options all count.
fn can_enter(user: &RunAs, folder: &Path) -> bool {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "cd -- \"$1\"", "sh"])
        .arg(folder)
        .current_dir("/");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    run_as(&mut command, Some(user));
    command.status().is_ok_and(|status| status.success())
}

/// `initdb`, into another folder first: one that was interrupted is not taken for a cluster.
fn create_cluster(
    folder: &Folder,
    programs: &PostgresPrograms,
    user: Option<&RunAs>,
    durable: bool,
) -> Result<(), StartError> {
    let unfinished = folder.join("data.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .map_err(StartError::io(format!("remove {}", unfinished.display())))?;
    }
    let log = folder.join("initdb.log");
    let output =
        fs::File::create(&log).map_err(StartError::io(format!("write {}", log.display())))?;
    let errors = output.try_clone().map_err(StartError::io("start initdb"))?;
    let mut command = Command::new(programs.program("initdb"));
    command
        .arg("-D")
        .arg(&unfinished)
        .arg("--pwfile")
        .arg(folder.join("password"));
    command.args([
        "-U",
        SUPERUSER,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
    ]);
    if !durable {
        command.arg("--no-sync");
    }
    command.env("LC_ALL", "C").current_dir(folder.path());
    command
        .stdin(folder.lock_as_stdin()?)
        .stdout(output)
        .stderr(errors);
    // Like the services: Ctrl-C is for us to handle.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    run_as(&mut command, user);
    let status = command.status().map_err(StartError::io("start initdb"))?;
    if !status.success() {
        return Err(StartError::Ended {
            service: "initdb",
            tail: tail(&log),
            log,
        });
    }
    let data = folder.join("data");
    fs::rename(&unfinished, &data)
        .map_err(StartError::io(format!("rename {}", unfinished.display())))
}

/// After `kill -9` or a power cut a `postmaster.pid` stays behind. Postgres takes it for a running
/// server when its process id now belongs to any other process of that user, and refuses to start,
/// which is common in containers, where ids are small. We hold the folder's lock, so no server of
/// ours is left; one that somebody started by hand shows in its working directory.
fn forget_previous_run(data: &Path) -> Result<(), StartError> {
    let path = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(());
    };
    let pid = text.lines().next().unwrap_or_default().trim();
    let served = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == data);
    if served {
        return Err(StartError::InUse {
            folder: data.to_owned(),
        });
    }
    fs::remove_file(&path).map_err(StartError::io(format!("remove {}", path.display())))
}
