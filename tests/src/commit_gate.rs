//! A door in front of Postgres that holds a COMMIT: on its way there, or its answer on the way back.
//!
//! Whoever waits for that answer cannot know what became of the transaction. Messages are those of
//! protocol version 3 ("Frontend/Backend Protocol" in the Postgres manual).

use std::{collections::HashMap, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex, watch},
    task::JoinHandle,
};
use url::Url;

/// What a transaction of the indexer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commits {
    /// It moves the head and writes an event.
    Live,
    /// It fills in history.
    History,
}

/// When a COMMIT is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The server has not seen it: nothing is committed.
    Before,
    /// The server has answered, and nobody has heard: all is committed.
    After,
}

/// What the gate is about to do, or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Pass,
    Hold(Commits, Moment),
    /// A COMMIT is held, until this is over.
    Held,
}

/// Forwards everything, until it is told to hold a COMMIT.
pub struct CommitGate {
    port: u16,
    plan: Arc<watch::Sender<Plan>>,
    task: JoinHandle<()>,
}

impl Drop for CommitGate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl CommitGate {
    /// A gate in front of the server of a URL.
    pub async fn before(database_url: &str) -> Self {
        let target = Url::parse(database_url)
            .expect("a URL")
            .port()
            .expect("a port");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let plan = Arc::new(watch::Sender::new(Plan::Pass));
        let shared = plan.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let plan = shared.clone();
                tokio::spawn(async move {
                    // A connection that ends is what this is for.
                    let _ = forward(client, target, &plan).await;
                });
            }
        });
        Self { port, plan, task }
    }

    /// A URL of the server with the gate's address in it.
    #[must_use]
    pub fn url(&self, server_url: &str) -> String {
        let mut url = Url::parse(server_url).expect("a URL");
        url.set_port(Some(self.port)).expect("a URL with a port");
        // What is encrypted cannot be told apart.
        url.set_query(Some("sslmode=disable"));
        url.into()
    }

    /// Holds the next such COMMIT.
    pub fn hold(&self, commits: Commits, moment: Moment) {
        self.plan.send_replace(Plan::Hold(commits, moment));
    }

    /// Waits until one is held.
    pub async fn held(&self) {
        let mut plan = self.plan.subscribe();
        let held = plan.wait_for(|plan| *plan == Plan::Held);
        let waited = tokio::time::timeout(crate::PATIENCE, held).await;
        waited.expect("a COMMIT is held in time").expect("a gate");
    }

    /// Cuts off the connection whose COMMIT is held, and lets the next ones pass.
    pub fn cut(&self) {
        self.plan.send_replace(Plan::Pass);
    }
}

async fn forward(
    client: TcpStream,
    target: u16,
    plan: &watch::Sender<Plan>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let to_client = Arc::new(Mutex::new(to_client));
    let answers = watch::Sender::new(0_u64);
    let heard = answers.subscribe();
    let out = ask(from_client, to_server, (&to_client, heard), plan);
    tokio::select! {
        ended = answer(from_server, &to_client, &answers) => ended,
        ended = out => ended,
    }
}

/// Server to client; counts what came before it is passed on.
async fn answer(
    mut from_server: OwnedReadHalf,
    to_client: &Mutex<OwnedWriteHalf>,
    answers: &watch::Sender<u64>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = from_server.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        answers.send_modify(|answers| *answers += 1);
        to_client.lock().await.write_all(&bytes[..count]).await?;
    }
}

/// Client to server, message by message.
async fn ask(
    mut from_client: OwnedReadHalf,
    mut to_server: OwnedWriteHalf,
    (to_client, mut answers): (&Mutex<OwnedWriteHalf>, watch::Receiver<u64>),
    plan: &watch::Sender<Plan>,
) -> std::io::Result<()> {
    let length = from_client.read_u32().await?;
    let mut startup = vec![0; body_length(length)];
    from_client.read_exact(&mut startup).await?;
    to_server
        .write_all(&[&length.to_be_bytes(), &*startup].concat())
        .await?;
    let mut session = Session::default();
    loop {
        let kind = from_client.read_u8().await?;
        let length = from_client.read_u32().await?;
        let mut body = vec![0; body_length(length)];
        from_client.read_exact(&mut body).await?;
        let message = [&[kind][..], &length.to_be_bytes(), &body].concat();
        let committed = session.read(kind, &body);
        let moment = committed.and_then(|commits| take(plan, commits));
        if moment == Some(Moment::Before) {
            return wait_for_the_cut(plan).await;
        }
        if moment == Some(Moment::After) {
            let _deaf = to_client.lock().await;
            answers.mark_unchanged();
            to_server.write_all(&message).await?;
            // The sender lives as long as this does.
            let _ = answers.changed().await;
            return wait_for_the_cut(plan).await;
        }
        to_server.write_all(&message).await?;
    }
}

/// The moment at which this COMMIT is to be held, which then is nobody else's.
fn take(plan: &watch::Sender<Plan>, commits: Commits) -> Option<Moment> {
    let mut taken = None;
    plan.send_if_modified(|plan| {
        if let Plan::Hold(these, moment) = *plan
            && these == commits
        {
            taken = Some(moment);
            // Others pass; it is held once the moment has come.
            *plan = Plan::Pass;
        }
        taken.is_some()
    });
    taken
}

async fn wait_for_the_cut(plan: &watch::Sender<Plan>) -> std::io::Result<()> {
    plan.send_replace(Plan::Held);
    // The sender is the gate's own.
    let _ = plan.subscribe().wait_for(|plan| *plan != Plan::Held).await;
    Ok(())
}

fn body_length(length: u32) -> usize {
    usize::try_from(length).expect("a length") - 4
}

/// What a connection is doing.
#[derive(Default)]
struct Session {
    /// Prepared statements that tell what a transaction is for, by name.
    telling: HashMap<Vec<u8>, Commits>,
    doing: Option<Commits>,
}

impl Session {
    /// Reads a message; returns what is committed when it is a COMMIT.
    fn read(&mut self, kind: u8, body: &[u8]) -> Option<Commits> {
        let mut texts = body.split(|byte| *byte == 0);
        let (first, second) = (texts.next()?, texts.next().unwrap_or_default());
        match kind {
            // Query.
            b'Q' if first.eq_ignore_ascii_case(b"COMMIT") => self.doing.take(),
            b'Q' if first.eq_ignore_ascii_case(b"BEGIN") => {
                self.doing = None;
                None
            }
            // Parse: name, text.
            b'P' => {
                self.telling.remove(first);
                if let Some(commits) = told_by(second) {
                    self.telling.insert(first.to_vec(), commits);
                }
                None
            }
            // Bind: portal, name.
            b'B' => {
                self.doing = self.telling.get(second).copied().or(self.doing);
                None
            }
            _ => None,
        }
    }
}

/// What a statement tells of its transaction.
fn told_by(statement: &[u8]) -> Option<Commits> {
    let statement = String::from_utf8_lossy(statement);
    if statement.starts_with("INSERT INTO outbox") {
        Some(Commits::Live)
    } else if statement.starts_with("SET LOCAL lock_timeout") {
        Some(Commits::History)
    } else {
        None
    }
}
