//! JSON text that is kept as it came and handed out without being serialised again.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _};

/// A piece of valid JSON inside a shared text: a whole block, or one receipt of a block's receipts.
///
/// A clone costs one reference count. Nothing is parsed or copied until it is spliced into a reply.
#[derive(Clone)]
pub struct Json {
    text: Arc<String>,
    span: Range<usize>,
}

impl Json {
    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.text[self.span.clone()]
    }

    /// The part of this text that `part` borrows, or a copy when it is borrowed from elsewhere.
    pub(crate) fn part(&self, part: &str) -> Self {
        match place_of(&self.text, part) {
            Some(span) => Self {
                text: Arc::clone(&self.text),
                span,
            },
            None => Self::from(part),
        }
    }

    /// The part of this text at a place. It must be JSON by itself.
    pub(crate) fn slice(&self, place: Range<usize>) -> Self {
        let start = self.span.start;
        Self {
            text: Arc::clone(&self.text),
            span: start + place.start..start + place.end,
        }
    }

    /// The text for a reply, shared.
    pub(crate) fn bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// JSON `null`.
    pub fn null() -> Self {
        Self::from("null")
    }

    /// A JSON string. `text` must need no escapes: hex, decimal numbers, client versions.
    pub(crate) fn quoted(text: &str) -> Self {
        Self::from(format!("\"{text}\""))
    }

    /// A number as JSON-RPC writes quantities: `"0x2a"`.
    pub(crate) fn quantity(number: u64) -> Self {
        Self::from(format!("\"{number:#x}\""))
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        let span = 0..text.len();
        let text = Arc::new(text);
        Self { text, span }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<Arc<str>> for Json {
    fn from(text: Arc<str>) -> Self {
        Self::from(&*text)
    }
}

impl AsRef<[u8]> for Json {
    fn as_ref(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        Self::from(value.to_string())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where in `whole` the borrowed `part` lies; `None` when it was borrowed from another text.
pub(crate) fn place_of(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start + part.len();
    (end <= whole.len()).then_some(start..end)
}

/// Reads `"0x2a"` (JSON-RPC's quantity) for serde's `deserialize_with`.
pub(crate) fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    parse_quantity(text).ok_or_else(|| D::Error::custom(format!("not a quantity: {text}")))
}

/// `"0x2a"` → 42.
pub(crate) fn parse_quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
