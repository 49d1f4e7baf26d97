//! What a question is about, in one spelling: parts of keys.

use store::read::{Flow, ListKey, Page, Range};

/// A page.
pub(super) fn page<K: ListKey>(page: &Page<K>) -> String {
    match page.from {
        None => page.limit.to_string(),
        Some(from) => {
            let from = alloy::hex::encode(from.erased().encode());
            format!("{}:{from}", page.limit)
        }
    }
}

/// A direction.
pub(super) fn flow(flow: Option<Flow>) -> &'static str {
    match flow {
        None => "",
        Some(Flow::In) => "in",
        Some(Flow::Out) => "out",
    }
}

/// Heights and times.
pub(super) fn range(range: Range) -> String {
    let number = |number: Option<u64>| number.map(|it| it.to_string()).unwrap_or_default();
    [
        range.from_block,
        range.to_block,
        range.from_time,
        range.to_time,
    ]
    .map(number)
    .join("-")
}
