//! Names of the indexer's metrics. Labels are few and bounded: never a hash, an address or a URL.

use crate::nodes::standing::Standing;
use ::metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use std::time::Duration;

/// Describes every metric, for the reader of `/metrics`.
pub fn describe() {
    describe_gauge!(
        "indexer_head_number",
        "Height of the newest committed block"
    );
    describe_gauge!("indexer_node_head_number", "Height of the node's head");
    describe_gauge!(
        "indexer_head_lag_blocks",
        "Blocks between the node's head and ours"
    );
    describe_gauge!(
        "indexer_head_lag_seconds",
        Unit::Seconds,
        "Age of the newest committed block"
    );
    describe_gauge!(
        "indexer_finalized_number",
        "Height of the newest final block"
    );
    describe_gauge!(
        "indexer_outbox_pending",
        "Events committed and not yet published"
    );
    describe_gauge!(
        "indexer_backfill_missing_blocks",
        "Blocks below the head that are not there yet"
    );
    describe_gauge!(
        "indexer_traces_missing_blocks",
        "Blocks whose internal transfers are not read yet"
    );
    describe_counter!(
        "indexer_traces_blocks_total",
        "Blocks whose internal transfers were read"
    );
    describe_counter!(
        "indexer_traces_failures_total",
        "Blocks that could not be traced, by kind"
    );
    describe_counter!("indexer_blocks_total", "Blocks committed");
    describe_counter!("indexer_rows_total", "Rows committed");
    describe_counter!("indexer_reorgs_total", "Reorgs followed, by depth");
    describe_counter!("indexer_events_published_total", "Events published");
    describe_counter!(
        "indexer_verify_failures_total",
        "Blocks refused, by node and reason"
    );
    describe_counter!(
        "indexer_rpc_requests_total",
        "Requests to nodes, by method and outcome"
    );
    describe_histogram!(
        "indexer_rpc_request_duration_seconds",
        Unit::Seconds,
        "Time of a request to a node"
    );
    describe_gauge!("indexer_node_in_flight", "Requests in flight, by node");
    describe_gauge!(
        "indexer_node_concurrency_limit",
        "Requests that a node may have in flight"
    );
    describe_gauge!(
        "indexer_node_batch_blocks",
        "Blocks that one request to a node asks for"
    );
    describe_gauge!(
        "indexer_node_latency_seconds",
        Unit::Seconds,
        "Usual time of a batch's reply, by node"
    );
    describe_counter!(
        "indexer_node_quarantines_total",
        "Times that a node failed a proof and was left alone"
    );
    describe_histogram!(
        "indexer_verify_duration_seconds",
        Unit::Seconds,
        "Time to prove a block"
    );
    describe_histogram!(
        "indexer_commit_duration_seconds",
        Unit::Seconds,
        "Time to commit a batch"
    );
    describe_histogram!(
        "indexer_publish_duration_seconds",
        Unit::Seconds,
        "Time to publish a batch of events"
    );
}

pub(crate) fn rpc_request(node: &str, method: &'static str, outcome: &'static str, took: Duration) {
    let node = node.to_owned();
    counter!("indexer_rpc_requests_total", "node" => node.clone(), "method" => method, "outcome" => outcome)
        .increment(1);
    histogram!("indexer_rpc_request_duration_seconds", "node" => node, "method" => method)
        .record(took);
}

/// How a node is used now.
pub(crate) fn node(label: &str, standing: &Standing) {
    let number = |n: usize| u32::try_from(n).map_or(f64::MAX, f64::from);
    let set = |name: &'static str, value: f64| gauge!(name, "node" => label.to_owned()).set(value);
    set("indexer_node_in_flight", number(standing.in_flight));
    set(
        "indexer_node_concurrency_limit",
        number(standing.concurrency()),
    );
    set(
        "indexer_node_batch_blocks",
        number(standing.limits.blocks()),
    );
    if let Some(latency) = standing.limits.reply() {
        set("indexer_node_latency_seconds", latency.as_secs_f64());
    }
}

pub(crate) fn node_quarantined(label: &str) {
    counter!("indexer_node_quarantines_total", "node" => label.to_owned()).increment(1);
}

pub(crate) fn verified(took: Duration) {
    histogram!("indexer_verify_duration_seconds").record(took);
}

pub(crate) fn refused(node: &str, reason: &'static str) {
    counter!("indexer_verify_failures_total", "node" => node.to_owned(), "reason" => reason)
        .increment(1);
}

pub(crate) fn committed(blocks: usize, rows: usize, took: Duration) {
    let total = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    counter!("indexer_blocks_total").increment(total(blocks));
    counter!("indexer_rows_total").increment(total(rows));
    histogram!("indexer_commit_duration_seconds").record(took);
}

pub(crate) fn reorged(depth: u64) {
    let bucket = match depth {
        0..=1 => "1",
        2..=3 => "2-3",
        4..=7 => "4-7",
        8..=31 => "8-31",
        32..=63 => "32-63",
        _ => "64+",
    };
    counter!("indexer_reorgs_total", "depth" => bucket).increment(1);
}

pub(crate) fn published(events: usize, took: Duration) {
    counter!("indexer_events_published_total").increment(u64::try_from(events).unwrap_or(u64::MAX));
    histogram!("indexer_publish_duration_seconds").record(took);
}

pub(crate) fn traced(blocks: usize) {
    counter!("indexer_traces_blocks_total").increment(u64::try_from(blocks).unwrap_or(u64::MAX));
}

pub(crate) fn trace_failed(kind: &'static str) {
    counter!("indexer_traces_failures_total", "kind" => kind).increment(1);
}

/// Sets a gauge to a height or a count; doubles hold those exactly far beyond any chain's life.
pub(crate) fn level(name: &'static str, value: u64) {
    let value = u32::try_from(value).map_or(f64::MAX, f64::from);
    gauge!(name).set(value);
}
