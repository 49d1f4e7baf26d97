//! What a node's error asks for.
//!
//! Codes say little: -32005 is a rate limit at one provider and a range limit at another, and taking
//! one for the other means to repeat for ever what can never be answered. So the message is read.

use serde_json::Value;
use std::time::Duration;

/// The reaction that an error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The node does not have this method.
    Unsupported,
    /// Too many requests: wait, for as long as it says if it does.
    Busy(Option<Duration>),
    /// Too much was asked for at once: ask for less.
    TooLarge,
    /// The node took too long, or says so: ask for less, or elsewhere.
    TimedOut,
    /// The node no longer has the block's data.
    Pruned,
    /// Anything else.
    Other,
}

/// JSON-RPC codes that mean "this node cannot do that": method not found, and Besu's disabled method.
const UNSUPPORTED_CODES: [i64; 2] = [-32601, -32604];

/// EIP-4444 clients' code for history that was dropped.
const PRUNED_CODE: i64 = 4444;

const UNSUPPORTED: [&str; 4] = [
    "unsupported method",
    "method not found",
    "method not enabled",
    "method is not available",
];
/// How clients begin to say that a contract refused a call, which is no refusal of theirs. What follows
/// is the contract's own text.
const REVERTED: [&str; 3] = ["execution reverted", "vm execution error", "reverted"];

/// geth's code for the same.
const REVERTED_CODE: i64 = 3;

const PRUNED: [&str; 3] = ["pruned", "due to pruning", "neither stored"];
const BUSY: [&str; 16] = [
    "rate limit",
    "rate-limit",
    "rate exceeded",
    "ratelimit",
    "too many",
    "per second",
    "/second",
    "/sec",
    "capacity",
    "request count exceeded",
    "request limit reached",
    "throttl",
    "overload",
    "quota",
    "retry in",
    "try again later",
];
const TIMED_OUT: [&str; 3] = ["timeout", "timed out", "deadline exceeded"];
const TOO_LARGE: [&str; 6] = [
    "too large",
    "too big",
    "size",
    "range",
    "limit",
    "more than",
];

/// Reads a JSON-RPC error; `data` is its raw JSON where there is some.
pub(crate) fn read(code: i64, message: &str, data: Option<&str>) -> Refusal {
    let text = message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // A rate that is counted in batches is still a rate.
    let counts_by_time = says(&["per second", "/second", "/sec"]);
    if code == REVERTED_CODE || REVERTED.iter().any(|words| text.starts_with(words)) {
        Refusal::Other
    } else if UNSUPPORTED_CODES.contains(&code) || says(&UNSUPPORTED) {
        Refusal::Unsupported
    } else if code == PRUNED_CODE || says(&PRUNED) {
        Refusal::Pruned
    } else if text.contains("batch") && !counts_by_time {
        Refusal::TooLarge
    } else if code == 429 || says(&BUSY) {
        Refusal::Busy(asked_pause(&text, data))
    } else if says(&TIMED_OUT) {
        Refusal::TimedOut
    } else if says(&TOO_LARGE) {
        Refusal::TooLarge
    } else {
        Refusal::Other
    }
}

/// The pause that a message names: Infura's `data.rate.backoff_seconds`, or "retry in 10s".
fn asked_pause(text: &str, data: Option<&str>) -> Option<Duration> {
    let data: Option<Value> = data.and_then(|data| serde_json::from_str(data).ok());
    let named = data
        .as_ref()
        .and_then(|data| data.pointer("/rate/backoff_seconds"))
        .and_then(Value::as_f64)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    named.or_else(|| {
        let (_, after) = text.split_once("retry in ")?;
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = after.split_at(digits);
        let seconds = number.parse().ok()?;
        unit.trim_start()
            .starts_with('s')
            .then(|| Duration::from_secs(seconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As clients and providers say it.
    const MESSAGES: &[(&str, i64, &str, Refusal)] = &[
        ("geth", -32600, "batch too large", Refusal::TooLarge),
        ("geth", -32003, "response too large", Refusal::TooLarge),
        ("geth", -32002, "request timed out", Refusal::TimedOut),
        ("geth", 4444, "pruned history unavailable", Refusal::Pruned),
        ("geth", -32000, "finalized block not found", Refusal::Other),
        ("geth", -32000, "header not found", Refusal::Other),
        (
            "geth",
            -32601,
            "the method eth_getBlockReceipts does not exist/is not available",
            Refusal::Unsupported,
        ),
        (
            "Besu",
            -32602,
            "Number of requests in batch exceeds --rpc-max-batch-size.",
            Refusal::TooLarge,
        ),
        (
            "Besu",
            -32005,
            "Requested range exceeds maximum RPC range limit",
            Refusal::TooLarge,
        ),
        ("Besu", -32603, "Timeout expired", Refusal::TimedOut),
        ("Besu", -32604, "Method not enabled", Refusal::Unsupported),
        ("Besu", -39001, "Unknown block", Refusal::Other),
        (
            "Erigon",
            -32000,
            "batch limit 100 exceeded (can increase by --rpc.batch.limit). Requested batch of size: 256",
            Refusal::TooLarge,
        ),
        (
            "Erigon",
            -32000,
            "old data not available due to pruning",
            Refusal::Pruned,
        ),
        (
            "jsonrpsee",
            -32010,
            "The batch request was too large",
            Refusal::TooLarge,
        ),
        (
            "Nethermind",
            -32602,
            "Receipts for block 5 (0x00) are neither stored nor reproducible from state history.",
            Refusal::Pruned,
        ),
        (
            "Nethermind",
            -32005,
            "Batch size limit exceeded",
            Refusal::TooLarge,
        ),
        (
            "Nethermind",
            -32005,
            "Unable to start new queued requests for eth_call. Too many queued requests. Queued calls 500.",
            Refusal::Busy(None),
        ),
        (
            "Infura",
            -32005,
            "project ID request rate exceeded",
            Refusal::Busy(None),
        ),
        (
            "Infura",
            -32005,
            "daily request count exceeded, request rate limited",
            Refusal::Busy(None),
        ),
        (
            "Infura",
            -32005,
            "query returned more than 10000 results",
            Refusal::TooLarge,
        ),
        (
            "Alchemy",
            429,
            "Your app has exceeded its compute units per second capacity. If you have retries enabled, you can safely ignore this message.",
            Refusal::Busy(None),
        ),
        (
            "Alchemy",
            -32600,
            "Unsupported method: eth_getBlockReceipts. See available methods",
            Refusal::Unsupported,
        ),
        (
            "Alchemy",
            -32602,
            "Log response size exceeded.",
            Refusal::TooLarge,
        ),
        (
            "QuickNode",
            -32007,
            "50/second request limit reached - reduce calls per second or upgrade your account at quicknode.com",
            Refusal::Busy(None),
        ),
        (
            "QuickNode",
            -32614,
            "eth_getLogs is limited to a 10,000 range",
            Refusal::TooLarge,
        ),
        (
            "Ankr",
            -32090,
            "Too many requests, reason: call rate limit exhausted, retry in 10s",
            Refusal::Busy(Some(Duration::from_secs(10))),
        ),
        ("Ankr", -32062, "Batch size is too large", Refusal::TooLarge),
        (
            "dRPC",
            31,
            "Batch of more than 3 requests are not allowed on free tier",
            Refusal::TooLarge,
        ),
        (
            "dRPC",
            30,
            "Request timeout on the free tier, please upgrade your tier to the paid one",
            Refusal::TimedOut,
        ),
        ("EIP-1474", -32005, "Limit exceeded", Refusal::TooLarge),
        ("any", -32603, "Internal error", Refusal::Other),
        (
            "a contract by geth",
            3,
            "execution reverted: too many requests, retry in 999s",
            Refusal::Other,
        ),
        (
            "a contract by Besu",
            -32000,
            "Execution reverted: method not found",
            Refusal::Other,
        ),
        (
            "any",
            -32000,
            "batch requests limited to 10 per second",
            Refusal::Busy(None),
        ),
    ];

    #[test]
    fn messages_of_clients_and_providers_are_read_as_what_they_mean() {
        for (who, code, message, meant) in MESSAGES {
            assert_eq!(read(*code, message, None), *meant, "{who}: {message}");
        }
    }

    #[test]
    fn a_pause_that_is_named_in_the_data_is_found() {
        let data = r#"{"rate":{"allowed_rps":1,"backoff_seconds":30.5,"current_rps":1.4}}"#;
        let found = read(-32005, "project ID request rate exceeded", Some(data));
        assert_eq!(found, Refusal::Busy(Some(Duration::from_millis(30_500))));
        let broken = read(-32005, "rate limit", Some("{"));
        assert_eq!(broken, Refusal::Busy(None));
        let huge = read(429, "retry in 99999999999999999999999s", None);
        assert_eq!(huge, Refusal::Busy(None));
    }
}
