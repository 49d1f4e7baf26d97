//! The node as a server: its own thread, its own runtime, a port on the loopback interface.
//!
//! In: connections. Out: answers from the chain, spoiled by the faults. When full: the kernel's accept
//! queue holds the rest. How it stops: the runtime is dropped, which cuts every open connection at
//! once, as a killed node does. Never: touches the caller's runtime, so a test may pause its clock,
//! and a benchmark can tell the node's work from the indexer's.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::serve::ListenerExt;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::chain::CannedChain;
use crate::faults::Faults;
use crate::json::Json;
use crate::limits::BatchRefusal;
use crate::methods::RpcError;
use crate::node::Node;
use crate::requests::RequestCounts;
use crate::{http, socket};

/// Where and how a node serves.
#[derive(Debug, Clone, Copy)]
pub struct ServerConfig {
    /// Port 0 takes any free port, which the node then keeps for its whole life.
    pub listen: SocketAddr,
    /// Threads that answer. One is enough for tests; a benchmark's source may want more.
    pub workers: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            workers: 1,
        }
    }
}

/// A running (or stopped) node. Dropping it stops it.
pub struct Server {
    node: Arc<Node>,
    config: ServerConfig,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    stopped: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Serves a chain on a free port of 127.0.0.1.
    pub fn start(chain: CannedChain) -> io::Result<Self> {
        Self::start_with(chain, ServerConfig::default())
    }

    /// Serves a chain at a given address.
    pub fn start_at(chain: CannedChain, listen: SocketAddr) -> io::Result<Self> {
        let config = ServerConfig {
            listen,
            ..ServerConfig::default()
        };
        Self::start_with(chain, config)
    }

    /// Serves a chain as configured.
    pub fn start_with(chain: CannedChain, config: ServerConfig) -> io::Result<Self> {
        let mut server = Self {
            node: Arc::new(Node::new(chain)),
            config,
            running: None,
        };
        server.restart()?;
        Ok(server)
    }

    /// Stops if need be, then serves again at the same address: same chain, faults and counts.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop_blocking();
        let listener = TcpListener::bind(self.config.listen)?;
        listener.set_nonblocking(true)?;
        self.config.listen = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.config.workers.max(1))
            .thread_name("simnode")
            .enable_all()
            .build()?;
        let stop = CancellationToken::new();
        let (report, stopped) = oneshot::channel();
        let (node, token) = (Arc::clone(&self.node), stop.clone());
        let thread = thread::Builder::new()
            .name("simnode".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = token.cancelled() => {}
                        () = serve(listener, node) => {}
                    }
                });
                drop(runtime);
                // Nobody waits when the server was dropped.
                let _ = report.send(());
            })?;
        self.running = Some(Running {
            stop,
            stopped,
            thread,
        });
        Ok(())
    }

    /// Stops and cuts open connections; the port is free afterwards. [`restart`](Self::restart) comes back.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.cancel();
            // An error means that the thread ended without a report: stopped as well.
            let _ = running.stopped.await;
        }
    }

    fn stop_blocking(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.cancel();
            // A panic of the thread has been printed; the node is stopped either way.
            let _ = running.thread.join();
        }
    }

    /// Where it listens, also while stopped.
    pub fn address(&self) -> SocketAddr {
        self.config.listen
    }

    /// For HTTP clients. Any path is served, as with providers that put a key there.
    pub fn http_url(&self) -> String {
        format!("http://{}/", self.config.listen)
    }

    /// For WebSocket clients, on the same port.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/", self.config.listen)
    }

    /// The chain that is served.
    pub fn chain(&self) -> &CannedChain {
        &self.node.chain
    }

    /// How the node misbehaves.
    pub fn faults(&self) -> &Faults {
        &self.node.faults
    }

    /// How often a method was called.
    pub fn calls(&self, method: &str) -> u64 {
        self.counts().calls.get(method).copied().unwrap_or(0)
    }

    /// Everything that was counted.
    pub fn counts(&self) -> RequestCounts {
        self.node.requests.snapshot()
    }

    /// Counts from nothing again.
    pub fn reset_counts(&self) {
        self.node.requests.reset();
    }

    /// Refuses batches of more calls (-32600 "batch too large"); `None` lifts the limit.
    pub fn set_batch_limit(&self, calls: Option<usize>) {
        self.refuse_batches(calls.map(|calls| (calls, BatchRefusal::InvalidRequest)));
    }

    /// Refuses batches of more calls in this way; `None` lifts the limit.
    pub fn refuse_batches(&self, limit: Option<(usize, BatchRefusal)>) {
        self.node.limits.set_batch(limit);
    }

    /// Answers with errors (-32003 "response too large") from the result on that would make a reply larger
    /// than this many bytes of results; `None` lifts the limit.
    pub fn set_response_limit(&self, bytes: Option<usize>) {
        self.node.limits.set_response(bytes);
    }

    /// Answers a further method, or replaces one: traces, balances, whatever a test needs.
    pub fn serve_method(
        &self,
        method: impl Into<String>,
        respond: impl Fn(&[Value]) -> Result<Json, RpcError> + Send + Sync + 'static,
    ) {
        let mut responders = self
            .node
            .responders
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        responders.insert(method.into(), Arc::new(respond));
    }

    /// Every WebSocket that is open now dies silently: it stays connected, and nothing is read or sent
    /// any more. New ones work.
    pub fn mute_sockets(&self) {
        let mut switches = self
            .node
            .sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        switches.mute.cancel();
        switches.mute = CancellationToken::new();
    }

    /// Closes every WebSocket that is open now, muted or not. New ones work.
    pub fn close_sockets(&self) {
        let mut switches = self
            .node
            .sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        switches.close.cancel();
        switches.close = CancellationToken::new();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_blocking();
    }
}

async fn serve(listener: TcpListener, node: Arc<Node>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("simnode cannot listen: {error}");
            return;
        }
    };
    // Small replies must not wait for an acknowledgement.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let methods = get(socket::upgrade).post(http::post);
    let router = Router::new()
        .route("/", methods.clone())
        .route("/{*path}", methods)
        .layer(DefaultBodyLimit::disable())
        .with_state(node);
    // Returns on no error: axum retries failed accepts.
    let _ = axum::serve(listener, router).await;
}
