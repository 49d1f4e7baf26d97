//! Commands and settings. Every setting is also an environment variable of the name shown; secrets
//! are never shown.

use chain::{FinalityProfile, VerifyLevel};
use clap::{Args, Parser, Subcommand, ValueEnum};
use indexer::BackfillLimits;
use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};
use store::{labels::Visibility, schema::TimescaleMode};

/// Scan a chain, tally the books: a verified, reorg-safe indexer and explorer API for one EVM chain.
#[derive(Debug, Parser)]
#[command(name = "tallyscan", version, about)]
pub(crate) struct Cli {
    /// How log lines are written (RUST_LOG chooses which).
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything at once: starts what no URL is given for (Postgres, Redis, a dev chain with traffic).
    Up(UpArgs),
    /// Follow a node: verify, store, announce.
    Index(IndexArgs),
    /// Serve the read-only explorer API.
    Serve(ServeArgs),
    /// Bring the database to this program's schema.
    Migrate(DatabaseArgs),
    /// Check everything: services, schema, and that the data is complete and proves itself.
    Doctor(DoctorArgs),
    /// The wallet directory: what addresses are called, and who may see it.
    Labels(LabelsArgs),
    /// Change how much a running backfill may take.
    Tune(TuneArgs),
    /// Go back to a block by hand, after a halt; what is above is kept as orphaned.
    Rollback(RollbackArgs),
}

const DATABASE_URL_HELP: &str = "postgres://user:password@host:port/database";

#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help = DATABASE_URL_HELP)]
    pub database_url: String,
    /// Use TimescaleDB: auto (when the server has it), require or off.
    #[arg(long, env = "TIMESCALE", default_value = "auto")]
    pub timescale: TimescaleMode,
}

/// How the chain is followed; the same for `index` and `up`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FollowArgs {
    /// First block to index [default: 0]; a later start may give a lower one, never a higher one.
    #[arg(
        long,
        visible_alias = "from",
        env = "CHAIN_START_BLOCK",
        value_name = "NUMBER"
    )]
    pub start_block: Option<u64>,
    /// How blocks become final: tags, instant or depth:N [default: found out at the node].
    #[arg(long, env = "FINALITY", value_name = "PROFILE")]
    pub finality: Option<FinalityProfile>,
    /// What is proven before it is kept: full, roots (senders only at the head), links or off.
    #[arg(long, env = "VERIFY", default_value = "full", value_name = "LEVEL")]
    pub verify: VerifyLevel,
    /// Connections that write history at the same time; see also `tallyscan tune`.
    #[arg(
        long,
        env = "BACKFILL_WORKERS",
        default_value_t = BackfillLimits::default().workers,
        value_parser = clap::value_parser!(u32).range(1..=64),
        value_name = "COUNT"
    )]
    pub backfill_workers: u32,
    /// MiB of replies that are fetched and not yet written, at most.
    #[arg(
        long,
        env = "BACKFILL_BUDGET_MB",
        default_value_t = BackfillLimits::default().budget_bytes >> 20,
        value_parser = clap::value_parser!(u64).range(8..=65_536),
        value_name = "MIB"
    )]
    pub backfill_budget_mb: u64,
}

#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// Nodes: http(s) and ws(s) URLs, comma separated, in order of preference.
    #[arg(long, env = "RPC_URL", hide_env_values = true, value_name = "URLS")]
    pub rpc_url: String,
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// redis://[user:password@]host:port, or rediss:// for TLS.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: String,
    #[command(flatten)]
    pub follow: FollowArgs,
    /// Index up to this block, and end when everything up to it is there.
    #[arg(long, visible_alias = "to", value_name = "NUMBER")]
    pub until: Option<u64>,
    /// Where the indexer's own /health and /metrics are served.
    #[arg(
        long,
        env = "METRICS_ADDR",
        default_value = "127.0.0.1:9464",
        value_name = "ADDRESS"
    )]
    pub metrics_addr: SocketAddr,
}

/// What the API is told beside where its servers are; the same for `serve` and `up`.
#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    /// Key that opens internal labels to those who send it as "Authorization: Bearer KEY" [default: none
    /// does]; 16 to 256 visible ASCII characters.
    // Any text is taken here, so that a refusal does not repeat it.
    #[arg(
        long,
        env = "INTERNAL_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    pub internal_api_key: Option<String>,
    /// Folder of ABIs, <address>.json each, that inputs and logs are decoded with [default: none]; files
    /// may come, change and go while the API runs.
    #[arg(long, env = "ABI_DIR", value_name = "FOLDER")]
    pub abi_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help = DATABASE_URL_HELP)]
    pub database_url: String,
    /// A replica to read from instead.
    #[arg(
        long,
        env = "DATABASE_READ_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database_read_url: Option<String>,
    /// redis://[user:password@]host:port, or rediss:// for TLS.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: String,
    /// Where the API is served.
    #[arg(
        long,
        env = "LISTEN_ADDR",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    pub listen_addr: SocketAddr,
    #[command(flatten)]
    pub api: ApiArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Where everything is kept [default: /var/lib/tallyscan as root, else below the home folder].
    #[arg(long, env = "DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Follow these nodes instead of a dev chain.
    #[arg(long, env = "RPC_URL", hide_env_values = true, value_name = "URLS")]
    pub rpc_url: Option<String>,
    /// Use this database instead of a private one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Use this Redis instead of a private one.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: Option<String>,
    /// Where the API is served [default: 127.0.0.1:8080, or a free port when that is taken].
    #[arg(long, env = "LISTEN_ADDR", value_name = "ADDRESS")]
    pub listen_addr: Option<SocketAddr>,
    #[command(flatten)]
    pub api: ApiArgs,
    #[command(flatten)]
    pub follow: FollowArgs,
}

#[derive(Debug, Args)]
#[command(after_long_help = DOCTOR_HELP)]
pub(crate) struct DoctorArgs {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help = DATABASE_URL_HELP)]
    pub database_url: String,
    /// Check Redis too; after a repair, publish what changed at once instead of leaving it to the indexer.
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: Option<String>,
    /// First block to check [default: the first indexed one].
    #[arg(long, value_name = "NUMBER")]
    pub from: Option<u64>,
    /// Last block to check [default: the head].
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<u64>,
    /// How many connections read and how many cores prove [default: the machine's cores].
    #[arg(long, value_name = "NUMBER")]
    pub jobs: Option<NonZeroUsize>,
    /// Print the certificate as JSON.
    #[arg(long)]
    pub json: bool,
    /// Put right what differs, then check again.
    #[arg(long)]
    pub repair: bool,
    /// Only say what a repair would do.
    #[arg(long, requires = "repair")]
    pub dry_run: bool,
    /// Nodes to fetch damaged blocks from, for --repair.
    #[arg(long, env = "RPC_URL", hide_env_values = true, value_name = "URLS")]
    pub rpc_url: Option<String>,
}

/// What the options alone do not tell.
const DOCTOR_HELP: &str = "\
Every block of the range is put back together from its rows and proven against its own header: hash, \
parent, transactions, senders, withdrawals, receipts, logs, blooms. Lookups, wallet activity and \
statistics are computed again and compared. A check of the whole chain, which is the default, also \
proves the blocks that reorgs dropped and compares coverage, state and waiting events. It reads one \
snapshot: an indexer may go on meanwhile.

A repair rewrites the damaged blocks and nothing else, and may run beside an indexer. Blocks that still \
prove themselves are computed again from their own rows. Others are fetched from RPC_URL, proven in \
full, and refused unless they are the very blocks that the chain above them names. What reorgs dropped \
cannot be fetched again.

Exit code: 0 complete and without a difference, 1 gaps or differences, 2 it could not begin.";

#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help = DATABASE_URL_HELP)]
    pub database_url: String,
    /// Go back to what the indexer was started with, before anything given here.
    #[arg(long)]
    pub reset: bool,
    /// Connections that write history at the same time; 0 pauses it [default: as it is].
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=64), value_name = "COUNT")]
    pub backfill_workers: Option<u32>,
    /// MiB of replies that are fetched and not yet written [default: as it is].
    #[arg(long, value_parser = clap::value_parser!(u64).range(8..=65_536), value_name = "MIB")]
    pub backfill_budget_mb: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct LabelsArgs {
    #[command(subcommand)]
    pub command: LabelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabelsCommand {
    /// Take labels over from a file: all of it, or nothing when a row is not accepted.
    Import(LabelsImportArgs),
    /// Write the labels to a file that can be imported again.
    Export(LabelsExportArgs),
}

#[derive(Debug, Args)]
#[command(after_long_help = LABELS_HELP)]
pub(crate) struct LabelsImportArgs {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help = DATABASE_URL_HELP)]
    pub database_url: String,
    /// CSV with a header, or a JSON array of objects; - reads standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How the file is written [default: as its name ends, csv for -].
    #[arg(long, value_enum)]
    pub format: Option<LabelFormat>,
    /// Remove labels that the file does not have.
    #[arg(long)]
    pub replace: bool,
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = LABELS_HELP)]
pub(crate) struct LabelsExportArgs {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help = DATABASE_URL_HELP)]
    pub database_url: String,
    /// Where to; - is standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
    /// How to write [default: as the name of --out ends, csv for -].
    #[arg(long, value_enum)]
    pub format: Option<LabelFormat>,
    /// Only labels that are public, or only those that are internal [default: both].
    #[arg(long, value_name = "VISIBILITY")]
    pub visibility: Option<Visibility>,
}

/// How a file of labels is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabelFormat {
    /// Comma separated, with a header.
    Csv,
    /// An array of objects.
    Json,
}

const LABELS_HELP: &str = "\
Columns of CSV, and members of JSON objects: address, label (to 80 characters), category (to 40), visibility \
(public or internal), and if wanted owner (to 80) and note (to 500). Control characters are not accepted, \
space around a text is dropped. A label is known by its address and its text: one that is there already is \
changed. Owners, and labels that are internal, are only shown by the API to those with INTERNAL_API_KEY.

Texts are exported as they are, so that importing them again changes nothing: a spreadsheet may take one \
that begins with = + - or @ for a formula.

Exit code: 0 done, 2 nothing was changed.";

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help = DATABASE_URL_HELP)]
    pub database_url: String,
    /// The newest block to keep.
    #[arg(long, value_name = "NUMBER")]
    pub to: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
