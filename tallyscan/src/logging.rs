//! Log lines: to standard error, chosen by RUST_LOG.

use crate::cli::LogFormat;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Ours at info; of the libraries only what is wrong.
const DEFAULT: &str = "warn,tallyscan=info,tallyscan_indexer=info,tallyscan_explorer_api=info,\
                       tallyscan_store=info,tallyscan_embedded=info";

/// Libraries whose spans and lines repeat URLs, which may hold keys: never heard, whatever is asked
/// for. What they have to say of failures, the indexer says itself.
const SECRETIVE: [&str; 7] = [
    "alloy_transport_http",
    "alloy_transport_ws",
    "alloy_rpc_client",
    "alloy_pubsub",
    "tungstenite",
    "tokio_tungstenite",
    "hyper_util",
];

/// Starts logging.
pub(crate) fn init(format: LogFormat) -> Result<(), String> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text).map_err(|error| {
            format!("RUST_LOG: {text:?} cannot be used ({error}): directives like info or tallyscan_indexer=debug are accepted")
        })?,
        _ => EnvFilter::new(DEFAULT),
    };
    let filter = SECRETIVE
        .iter()
        .filter_map(|target| format!("{target}=off").parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init(),
    }
    Ok(())
}
