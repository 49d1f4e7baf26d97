//! What it costs to serve a load chain: time to generate it, CPU of the node per block and per megabyte.
//!
//! `cargo run --release -p tallyscan-simnode --example serve_load -- [blocks] [transactions per block]`

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tallyscan_simnode::{CannedChain, LoadChain, LoadProfile, Server, ServerConfig};

/// Blocks, with their receipts, in one request.
const BATCH: u64 = 10;

/// Requests on the way at once.
const AT_ONCE: u64 = 4;

/// Blocks that are pulled.
const PULLED: u64 = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse());
    let blocks: u64 = arguments.next().transpose()?.unwrap_or(5_000);
    let profile = LoadProfile {
        transactions: usize::try_from(arguments.next().transpose()?.unwrap_or(200))?,
        ..LoadProfile::default()
    };
    let transactions = profile.transactions;
    let started = Instant::now();
    let load = Arc::new(LoadChain::generate(profile, blocks)?);
    println!(
        "generated {blocks} blocks of {transactions} in {:.1?}",
        started.elapsed()
    );
    println!("resident: {} kB", resident()?);

    let chain = CannedChain::with_load(Arc::clone(&load));
    let config = ServerConfig {
        workers: 2,
        ..ServerConfig::default()
    };
    pull(
        "written on request",
        &Server::start_with(chain, config)?,
        blocks,
    )
    .await?;

    // The same blocks kept whole in memory: what sending alone costs.
    let kept = blocks.min(200);
    let whole = (0..=kept).filter_map(|number| load.canned(number));
    let chain = CannedChain::with_blocks(load.chain_id(), whole);
    pull("kept in memory", &Server::start_with(chain, config)?, kept).await?;
    println!("resident: {} kB", resident()?);
    Ok(())
}

/// Pulls blocks with receipts in batches and prints what that cost the node's threads.
async fn pull(what: &str, node: &Server, blocks: u64) -> Result<(), Box<dyn Error>> {
    let client = reqwest::Client::new();
    let (next, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let worker = || async {
        loop {
            let first = next.fetch_add(BATCH, Ordering::Relaxed);
            if first >= PULLED {
                return Ok::<_, Box<dyn Error>>(());
            }
            let calls = (first..first + BATCH).flat_map(|n| {
                let at = format!("{:#x}", 1 + n % blocks);
                [
                    json!({"jsonrpc": "2.0", "id": n, "method": "eth_getBlockByNumber", "params": [at, true]}),
                    json!({"jsonrpc": "2.0", "id": n, "method": "eth_getBlockReceipts", "params": [at]}),
                ]
            });
            let calls: Vec<_> = calls.collect();
            let reply = client.post(node.http_url()).json(&calls).send().await?;
            let length = u64::try_from(reply.bytes().await?.len())?;
            bytes.fetch_add(length, Ordering::Relaxed);
        }
    };
    let (cpu, started) = (node_cpu()?, Instant::now());
    futures::future::try_join_all((0..AT_ONCE).map(|_| worker())).await?;
    let (cpu, wall) = (node_cpu()?.saturating_sub(cpu), started.elapsed());
    let micros = u64::try_from(cpu.as_micros())?;
    let megabytes = bytes.load(Ordering::Relaxed) / 1_000_000;
    println!(
        "{what}: {PULLED} blocks, {megabytes} MB in {wall:.2?}; node: {} µs a block, {} µs a MB",
        micros / PULLED,
        micros / megabytes.max(1)
    );
    Ok(())
}

/// CPU time of the threads that the node named, user and kernel together (proc(5), 10 ms a tick).
fn node_cpu() -> Result<Duration, Box<dyn Error>> {
    let mut ticks = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let stat = fs::read_to_string(task?.path().join("stat"))?;
        let (name, rest) = stat.rsplit_once(')').unwrap_or_default();
        if name.ends_with("(simnode") {
            let fields = rest.split_whitespace().skip(11).take(2);
            for field in fields {
                ticks += field.parse::<u64>()?;
            }
        }
    }
    Ok(Duration::from_millis(10 * ticks))
}

fn resident() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.and_then(|line| line.split_whitespace().next());
    Ok(figure.ok_or("no VmRSS")?.parse()?)
}
