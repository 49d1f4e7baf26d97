//! A private Redis.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::StartError;
use crate::folder::{Folder, free_port, write_private};
use crate::programs;
use crate::service::{Program, Service};

const READY: Duration = Duration::from_secs(30);

/// Where Redis keeps its data between runs.
const SNAPSHOT: &str = "dump.rdb";

/// How the private Redis should behave.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Whether data outlives an orderly stop.
    pub keep: bool,
    /// The most memory it may use, such as `256mb`; the least recently used keys go first. None: no limit.
    pub max_memory: Option<String>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            keep: true,
            max_memory: None,
        }
    }
}

/// A running private Redis. Stops when dropped; better: [`Redis::stop`].
#[derive(Debug)]
pub struct Redis {
    service: Service,
    port: u16,
    password: String,
    _folder: Folder,
}

impl Redis {
    /// Starts Redis with `dir` as its folder, on a free port of 127.0.0.1, behind a random password.
    ///
    /// Data is written out by an orderly stop only, and taken back once: after a crash Redis starts
    /// empty, since a cache that is cold does no harm and one that is behind the database does.
    pub async fn start(dir: &Path, options: RedisOptions) -> Result<Self, StartError> {
        let program = programs::redis_server()?;
        let folder = Folder::open(dir).await?;
        let password = folder.secret("password")?;
        let mut attempts = 5;
        loop {
            attempts -= 1;
            let port = free_port()?;
            let settings = folder.join("redis.conf");
            // A file rather than arguments, which everybody on the machine can read.
            write_private(
                &settings,
                configuration(&folder, port, &password, &options).as_bytes(),
            )?;
            let mut service = Service::spawn(
                &folder,
                &Program {
                    name: "redis",
                    path: program.clone(),
                    args: vec![settings.into()],
                    env: Vec::new(),
                    run_as: None,
                    stop_signal: Signal::SIGTERM,
                },
            )?;
            match service
                .wait_until_ready(READY, async || answers(port, &password).await)
                .await
            {
                Ok(()) => {
                    forget_snapshot(&folder)?;
                    return Ok(Self {
                        service,
                        port,
                        password,
                        _folder: folder,
                    });
                }
                Err(error) if attempts > 0 && error.is_port_taken() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The URL, with the password in it.
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/", self.password, self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Stops the server, which writes its data out first.
    pub async fn stop(self) {
        self.service.stop().await;
    }
}

fn configuration(folder: &Folder, port: u16, password: &str, options: &RedisOptions) -> String {
    // A save point far away: Redis writes at the end only when there is one, and never before.
    let save = if options.keep { "31536000 1" } else { "\"\"" };
    let mut text = format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndaemonize no\ndir \"{}\"\n\
         dbfilename {SNAPSHOT}\nappendonly no\nsave {save}\nlogfile \"\"\n",
        folder.path().display(),
    );
    if let Some(limit) = &options.max_memory {
        text.push_str("maxmemory-policy allkeys-lru\nmaxmemory ");
        text.push_str(limit);
        text.push('\n');
    }
    text
}

/// What was loaded is in memory now; were it still there after a crash, it would be stale.
fn forget_snapshot(folder: &Folder) -> Result<(), StartError> {
    let path = folder.join(SNAPSHOT);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StartError::io(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

async fn answers(port: u16, password: &str) -> bool {
    ping(port, password)
        .await
        .is_ok_and(|answer| answer == "+OK\r\n+PONG\r\n")
}

/// While it is loading its data, Redis answers PING with an error.
async fn ping(port: u16, password: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("AUTH {password}\r\nPING\r\nQUIT\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    // QUIT makes Redis close the connection after its own "+OK".
    socket.take(1024).read_to_string(&mut answer).await?;
    Ok(answer
        .strip_suffix("+OK\r\n")
        .unwrap_or_default()
        .to_owned())
}
