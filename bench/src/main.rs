//! `make bench`: every figure of docs/PERFORMANCE.md, each beside what it is measured against.
//!
//! Prints a table, and writes the same as JSON lines. Ratios are of one run on one machine; absolute
//! figures are told beside them and mean nothing elsewhere.

mod backfill;
mod derived;
mod figure;
mod head;
mod ledger;
mod load;
mod long;
mod lookup;
mod stand;
mod wallet;

use clap::Parser;
use figure::Figure;
use stand::{Failure, Stand};
use std::{io::Write as _, path::PathBuf};

/// What can be measured by itself.
const FIGURES: [&str; 12] = [
    "backfill",
    "backfill_50ms",
    "verify_cost",
    "bytes_stored",
    "derived",
    "head_latency",
    "reorg_64",
    "tx_lookup",
    "wallet_page",
    "ledger_post",
    "memory",
    "insert_decay",
];

/// Measures Tallyscan on this machine.
#[derive(Debug, Parser)]
struct Options {
    /// Only these figures, comma separated.
    #[arg(long, env = "ONLY", value_delimiter = ',')]
    only: Vec<String>,
    /// Blocks of 200 transactions that a backfill is measured over.
    #[arg(long, env = "BENCH_BLOCKS", default_value_t = 3_000)]
    blocks: u64,
    /// Blocks of 200 transactions that memory and pace are watched over: 25,000 are five million.
    #[arg(long, env = "BENCH_LONG_BLOCKS", default_value_t = 25_000)]
    long_blocks: u64,
    /// Where the JSON lines go.
    #[arg(long, env = "BENCH_OUT", default_value = "target/bench.jsonl")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let only = options.only.iter().map(String::as_str);
    let only: Vec<&str> = only.filter(|only| !only.is_empty()).collect();
    if let Some(unknown) = only.iter().find(|only| !FIGURES.contains(only)) {
        return Err(format!("ONLY={unknown}: accepted are {}", FIGURES.join(", ")).into());
    }
    let wanted = |name: &str| only.is_empty() || only.contains(&name);
    println!("{}", machine());
    println!("{}", figure::head());
    let mut out = std::fs::File::create(&options.out)?;
    let mut show = |figure: Figure| -> Result<(), Failure> {
        println!("{}", figure::row(&figure));
        Ok(writeln!(out, "{}", serde_json::to_string(&figure)?)?)
    };
    let stand = Stand::start().await?;
    if ["backfill", "backfill_50ms", "bytes_stored", "verify_cost"]
        .iter()
        .any(|name| wanted(name))
    {
        for figure in backfill::measure(&stand, options.blocks, wanted).await? {
            show(figure)?;
        }
    }
    if wanted("derived") {
        for figure in derived::measure(&stand, options.blocks).await? {
            show(figure)?;
        }
    }
    if wanted("head_latency") {
        for figure in head::latency(&stand).await? {
            show(figure)?;
        }
    }
    if wanted("reorg_64") {
        show(head::reorg(&stand).await?)?;
    }
    if wanted("tx_lookup") {
        show(lookup::measure(&stand).await?)?;
    }
    if wanted("wallet_page") {
        for figure in wallet::measure(&stand).await? {
            show(figure)?;
        }
    }
    if wanted("ledger_post") {
        for figure in ledger::measure(&stand).await? {
            show(figure)?;
        }
    }
    if wanted("memory") || wanted("insert_decay") {
        for figure in long::measure(&stand, options.long_blocks).await? {
            show(figure)?;
        }
    }
    Ok(())
}

/// What the figures were measured on.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let commit = std::process::Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_default();
    format!(
        "{cores} cores, {} GiB, commit {}",
        memory / (1 << 20),
        commit.trim()
    )
}
