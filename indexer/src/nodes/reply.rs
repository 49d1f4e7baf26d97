//! What came back from a node: results in the order of their calls, or errors by what they ask for.

use super::refusal::{self, Refusal};
use alloy::{
    rpc::json_rpc::{ErrorPayload, Id, ResponsePacket, ResponsePayload, RpcError},
    transports::{TransportError, TransportErrorKind},
};
use serde_json::value::RawValue;
use std::{collections::HashMap, time::Duration};

/// JSON-RPC codes that answer a question for good: invalid parameters, and Besu's "Unknown block".
/// Any other may be the node's condition (warming up, overloaded, broken) and pass.
const ANSWER_CODES: [i64; 2] = [-32602, -39001];

/// Most of a node's error message that is repeated in ours: it may hold the whole reply.
const MESSAGE_LIMIT: usize = 200;

/// A reply that is no result.
#[derive(Debug)]
pub enum CallError {
    /// The node does not have this method.
    Unsupported,
    /// The node answered with an error.
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// Its message.
        message: String,
    },
    /// Too much was asked for at once.
    TooLarge(String),
    /// The node no longer has what was asked for.
    Pruned(String),
    /// The node has too much to do, and perhaps says for how long.
    Busy(Option<Duration>),
    /// No answer came in time.
    TimedOut(String),
    /// What came is no whole JSON-RPC answer.
    Garbled(String),
    /// No answer came.
    Unreachable(String),
}

impl CallError {
    /// Whether this is the node's answer to the question, and not a sign of its condition.
    pub(crate) fn is_an_answer(&self) -> bool {
        match self {
            Self::Unsupported | Self::Pruned(_) => true,
            Self::Refused { code, .. } => ANSWER_CODES.contains(code),
            _ => false,
        }
    }

    /// Whether the connection is to be made anew.
    pub(crate) fn breaks_the_connection(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Garbled(_)
        )
    }

    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Refused { .. } => "refused",
            Self::TooLarge(_) => "too_large",
            Self::Pruned(_) => "pruned",
            Self::Busy(_) => "busy",
            Self::TimedOut(_) => "timeout",
            Self::Garbled(_) => "garbled",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

/// What one call of a batch came to.
pub(crate) type Reply = Result<Box<RawValue>, CallError>;

/// The replies of a batch in the order of its calls. Nodes answer a batch that they refuse with one
/// error, alone or in a list, under any id (geth: that of the first call).
pub(crate) fn sort(ids: &[Id], packet: ResponsePacket) -> Result<Vec<Reply>, CallError> {
    let responses = match packet {
        ResponsePacket::Single(response) => vec![response],
        ResponsePacket::Batch(responses) => responses,
    };
    let count = responses.len();
    let mut unclaimed = None;
    let mut replies: HashMap<Id, Reply> = HashMap::with_capacity(count);
    for response in responses {
        let reply = match response.payload {
            ResponsePayload::Success(result) => Ok(result),
            ResponsePayload::Failure(error) => Err(refusal(&error)),
        };
        match reply {
            Err(error) if count < ids.len() => unclaimed = Some(error),
            reply => drop(replies.insert(response.id, reply)),
        }
    }
    if let Some(error) = unclaimed {
        return Err(error);
    }
    let sorted = ids.iter().map(|id| replies.remove(id)).collect();
    let sorted: Option<Vec<Reply>> = sorted;
    sorted
        .ok_or_else(|| CallError::Garbled(format!("a batch of {} has {count} replies", ids.len())))
}

pub(crate) fn read(error: TransportError) -> CallError {
    match error {
        RpcError::ErrorResp(payload) => refusal(&payload),
        RpcError::DeserError { err, .. } => {
            CallError::Garbled(format!("the reply is not JSON-RPC: {err}"))
        }
        RpcError::Transport(TransportErrorKind::HttpErrorWithRetryAfter {
            retry_after, ..
        }) => CallError::Busy(Some(retry_after)),
        RpcError::Transport(TransportErrorKind::HttpError(error)) => {
            let status = format!("HTTP status {}", error.status);
            match error.status {
                413 => CallError::TooLarge(status),
                429 => CallError::Busy(None),
                408 | 504 | 524 => CallError::TimedOut(status),
                _ => CallError::Unreachable(status),
            }
        }
        other => CallError::Unreachable(shorten(&sources(&other))),
    }
}

fn refusal(payload: &ErrorPayload) -> CallError {
    let data = payload.data.as_deref().map(RawValue::get);
    let message = shorten(&payload.message);
    match refusal::read(payload.code, &payload.message, data) {
        Refusal::Unsupported => CallError::Unsupported,
        Refusal::Busy(pause) => CallError::Busy(pause),
        Refusal::TooLarge => CallError::TooLarge(message),
        Refusal::TimedOut => CallError::TimedOut(message),
        Refusal::Pruned => CallError::Pruned(message),
        Refusal::Other => CallError::Refused {
            code: payload.code,
            message,
        },
    }
}

/// An error with its causes: the outermost alone often says only "error sending request".
fn sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn shorten(text: &str) -> String {
    // A URL in a message may hold a key: reqwest adds "for url (…)".
    let text = match text.split_once(" for url (") {
        Some((before, after)) => {
            let rest = after.split_once(')').map_or("", |(_, rest)| rest);
            format!("{before}{rest}")
        }
        None => text.to_owned(),
    };
    match text.char_indices().nth(MESSAGE_LIMIT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(reply: &str) -> Result<Vec<Reply>, CallError> {
        sort(
            &[Id::Number(1), Id::Number(2)],
            serde_json::from_str(reply).expect("a reply"),
        )
    }

    #[test]
    fn replies_are_put_in_the_order_of_their_calls() {
        let replies = sorted(
            r#"[{"jsonrpc":"2.0","id":2,"error":{"code":-32003,"message":"response too large"}},
                {"jsonrpc":"2.0","id":1,"result":"one"}]"#,
        );
        let replies = replies.expect("replies");
        assert_eq!(replies[0].as_ref().expect("a result").get(), "\"one\"");
        assert!(matches!(replies[1], Err(CallError::TooLarge(_))));
    }

    #[test]
    fn one_error_for_a_whole_batch_is_understood_in_every_form() {
        let error =
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}"#;
        let first = error.replace("null", "1");
        for reply in [error, &format!("[{error}]"), &format!("[{first}]")] {
            assert!(
                matches!(sorted(reply), Err(CallError::TooLarge(_))),
                "{reply}"
            );
        }
        let short = r#"[{"jsonrpc":"2.0","id":1,"result":"one"}]"#;
        assert!(matches!(sorted(short), Err(CallError::Garbled(_))));
    }

    #[test]
    fn a_url_is_cut_out_of_a_message_and_its_cause_is_kept() {
        let message = "error sending request for url (http://u:p@h/key): connection refused";
        assert_eq!(
            shorten(message),
            "error sending request: connection refused"
        );
        assert!(shorten(&"x".repeat(1_000)).chars().count() <= MESSAGE_LIMIT + 1);
    }
}
