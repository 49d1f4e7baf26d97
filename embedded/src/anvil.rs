//! A local dev chain that survives restarts.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use alloy::network::Ethereum;
use alloy::providers::{Provider, RootProvider};
use nix::sys::signal::Signal;

use crate::StartError;
use crate::chain_state::{self, Keeper};
use crate::folder::{Folder, free_port};
use crate::programs;
use crate::service::{Program, Service};

const READY: Duration = Duration::from_mins(1);

/// What a killed chain loses at most. Writing the state takes longer as the chain grows, so not every
/// second.
const STATE_INTERVAL: Duration = Duration::from_secs(10);

/// How the dev chain should behave.
#[derive(Debug, Clone)]
pub struct AnvilOptions {
    /// Seconds between blocks; None: a block for every transaction.
    pub block_time: Option<f64>,
    /// The chain id.
    pub chain_id: u64,
    /// `safe` is this many blocks behind the head, `finalized` twice as many.
    pub slots_in_an_epoch: u64,
    /// Whether the chain goes on where it stopped when started again on the same folder.
    pub keep_state: bool,
    /// How many funded accounts of the standard mnemonic there are.
    pub accounts: u32,
    /// A port of 127.0.0.1; None: a free one.
    pub port: Option<u16>,
    /// Further arguments, such as `--hardfork prague`.
    pub extra_args: Vec<String>,
}

impl Default for AnvilOptions {
    fn default() -> Self {
        Self {
            block_time: None,
            chain_id: 31_337,
            slots_in_an_epoch: 32,
            keep_state: true,
            accounts: 10,
            port: None,
            extra_args: Vec::new(),
        }
    }
}

/// A running dev chain. Stops when dropped; better: [`Anvil::stop`].
#[derive(Debug)]
pub struct Anvil {
    // Fields drop in order: the chain writes its state last, the folder is ours until it has.
    keeper: Option<Keeper>,
    service: Service,
    port: u16,
    _folder: Folder,
}

impl Anvil {
    /// Starts the chain kept in `dir`, or a new one.
    pub async fn start(dir: &Path, options: AnvilOptions) -> Result<Self, StartError> {
        let program = programs::anvil()?;
        let folder = Folder::open(dir).await?;
        if options.keep_state {
            chain_state::prepare(folder.path())?;
        }
        let mut attempts = 5;
        loop {
            attempts -= 1;
            let port = options.port.map_or_else(free_port, Ok)?;
            let mut service = Service::spawn(
                &folder,
                &Program {
                    name: "anvil",
                    path: program.clone(),
                    args: arguments(&folder, port, &options),
                    // It keeps files below the home folder, too.
                    env: vec![("HOME", folder.path().into())],
                    run_as: None,
                    stop_signal: Signal::SIGINT,
                },
            )?;
            let expected = options.chain_id;
            match service
                .wait_until_ready(READY, async || chain_id(port).await == Some(expected))
                .await
            {
                Ok(()) => {
                    let keeper = options
                        .keep_state
                        .then(|| Keeper::start(folder.path(), STATE_INTERVAL));
                    return Ok(Self {
                        keeper,
                        service,
                        port,
                        _folder: folder,
                    });
                }
                Err(error) if attempts > 0 && options.port.is_none() && error.is_port_taken() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The JSON-RPC URL.
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The WebSocket URL.
    pub fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the node.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Stops the node, which writes its state out.
    pub async fn stop(self) {
        drop(self.keeper);
        self.service.stop().await;
    }
}

fn arguments(folder: &Folder, port: u16, options: &AnvilOptions) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut set = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    set("--host", "127.0.0.1".into());
    set("--port", port.to_string().into());
    set("--chain-id", options.chain_id.to_string().into());
    set("--accounts", options.accounts.to_string().into());
    set(
        "--slots-in-an-epoch",
        options.slots_in_an_epoch.to_string().into(),
    );
    // By fees, a block's order would depend on more than the order of sending.
    set("--order", "fifo".into());
    // The default cache is shared by all chains of the machine and grows by gigabytes.
    set("--cache-path", folder.join("cache").into());
    if let Some(seconds) = options.block_time {
        set("--block-time", seconds.to_string().into());
    }
    if options.keep_state {
        set("--state", folder.join(chain_state::FILE).into());
        set(
            "--state-interval",
            STATE_INTERVAL.as_secs().to_string().into(),
        );
    }
    // Otherwise its log has a line for every request.
    arguments.push("--quiet".into());
    arguments.extend(options.extra_args.iter().map(OsString::from));
    arguments
}

async fn chain_id(port: u16) -> Option<u64> {
    let url = format!("http://127.0.0.1:{port}").parse().ok()?;
    RootProvider::<Ethereum>::new_http(url)
        .get_chain_id()
        .await
        .ok()
}
