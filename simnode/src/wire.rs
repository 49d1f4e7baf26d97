//! The JSON-RPC envelope: requests are parsed, replies are spliced around bodies that are text already.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

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

/// Writes one reply. `id` is `None` where the request could not be read.
pub(crate) fn write_reply(out: &mut String, id: Option<&RawValue>, answer: &Answer) {
    out.push_str(r#"{"jsonrpc":"2.0","id":"#);
    out.push_str(id.map_or("null", RawValue::get));
    match answer {
        Ok(body) => {
            out.reserve(body.as_str().len() + 16);
            out.push_str(r#","result":"#);
            out.push_str(body.as_str());
            out.push('}');
        }
        Err(error) => {
            let message = Value::from(error.message.as_str());
            let body = format!(
                r#","error":{{"code":{},"message":{message}}}}}"#,
                error.code
            );
            out.push_str(&body);
        }
    }
}

/// A `newHeads` notification.
pub(crate) fn notification(subscription: u64, header: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{subscription:#x}","result":{header}}}}}"#
    )
}
