//! The JSON-RPC envelope: requests are parsed, replies are spliced around bodies that are text already.

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::Json;
use crate::methods::{Answer, RpcError};

/// One call. Its id is kept as text: what the client sent comes back to the letter.
#[derive(Debug, Deserialize)]
pub(crate) struct Call {
    #[serde(default)]
    pub(crate) id: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) method: String,
    #[serde(default)]
    params: Value,
}

impl Call {
    pub(crate) fn params(&self) -> &[Value] {
        self.params.as_array().map_or(&[], Vec::as_slice)
    }
}

/// What one message or HTTP body asks for.
#[derive(Debug)]
pub(crate) enum Request {
    One(Call),
    Batch(Vec<Call>),
}

pub(crate) fn parse(text: &str) -> Result<Request, RpcError> {
    let parsed = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map(Request::Batch)
    } else {
        serde_json::from_str(text).map(Request::One)
    };
    match parsed {
        Ok(Request::Batch(calls)) if calls.is_empty() => {
            Err(RpcError::new(-32600, "Invalid Request: empty batch"))
        }
        Ok(request) => Ok(request),
        Err(error) => Err(RpcError::new(-32700, format!("Parse error: {error}"))),
    }
}

/// From this many bytes on a body is handed on as it is; below, a copy is cheaper than a piece.
const SHARED_FROM: usize = 4_096;

/// A reply in pieces: envelopes are written here, large bodies are shared with the chain.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pieces: Vec<Bytes>,
    /// What comes after the last piece.
    tail: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&mut self, text: &str) {
        self.tail.extend_from_slice(text.as_bytes());
    }

    fn body(&mut self, body: &Json) {
        if body.as_str().len() < SHARED_FROM {
            return self.text(body.as_str());
        }
        self.pieces.push(std::mem::take(&mut self.tail).into());
        self.pieces.push(body.bytes());
    }

    /// The pieces in order, to be written without being joined.
    pub(crate) fn into_pieces(mut self) -> Vec<Bytes> {
        self.pieces.push(self.tail.into());
        self.pieces
    }

    /// All of it in one text.
    pub(crate) fn into_text(self) -> String {
        let whole = self.into_pieces().concat();
        String::from_utf8(whole).unwrap_or_else(|error| unreachable!("JSON is text: {error}"))
    }
}

/// Writes one reply. `id` is `None` where the request could not be read.
pub(crate) fn write_reply(out: &mut Reply, id: Option<&RawValue>, answer: &Answer) {
    out.text(r#"{"jsonrpc":"2.0","id":"#);
    out.text(id.map_or("null", RawValue::get));
    match answer {
        Ok(body) => {
            out.text(r#","result":"#);
            out.body(body);
            out.text("}");
        }
        Err(error) => {
            let message = Value::from(error.message.as_str());
            let code = error.code;
            out.text(&format!(
                r#","error":{{"code":{code},"message":{message}}}}}"#
            ));
        }
    }
}

/// The replies of a batch, in the order of its calls.
pub(crate) fn write_batch<'a>(replies: impl Iterator<Item = (&'a Call, &'a Answer)>) -> Reply {
    let mut out = Reply::default();
    out.text("[");
    for (index, (call, answer)) in replies.enumerate() {
        if index > 0 {
            out.text(",");
        }
        write_reply(&mut out, call.id.as_deref(), answer);
    }
    out.text("]");
    out
}

/// A `newHeads` notification.
pub(crate) fn notification(subscription: u64, header: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{subscription:#x}","result":{header}}}}}"#
    )
}
