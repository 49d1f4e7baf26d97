//! The wallet directory: labelled wallets by name.
//!
//! Never out of the cache: searches are seldom asked twice, and what is internal must not be there. Both
//! kinds of viewers are answered by the same steps.

use crate::{
    answer::Answer,
    api::Api,
    parameters::{DEFAULT_LIMIT, Values, malformed_cursor, parse_limit},
    problem::{Code, Problem, quoted},
    viewer::Viewer,
};
use alloy::primitives::Address;
use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::Response,
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::Arc;
use store::{
    answer,
    labels::{MAX_CATEGORY, MAX_LABEL},
    read::{Direction, DirectoryEntry, LabelPage, LabelPlace, list_directory},
};

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/wallets", get(list_wallets))
}

/// Raised when the layout of cursors changes. Cursors of other lists have other versions.
const CURSOR_VERSION: u8 = 0x41;

/// What is searched for, and which part of it.
struct Search(LabelPage);

impl<S: Send + Sync> FromRequestParts<S> for Search {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let accepted = ["label", "category", "limit", "cursor"];
        let values = Values::of(&parts.uri, &accepted)?;
        let text = |name, code, most| {
            let given = values.get(name);
            given
                .map(|given| searched(name, given, code, most))
                .transpose()
        };
        Ok(Self(LabelPage {
            text: text("label", Code::MalformedLabel, MAX_LABEL)?,
            category: text("category", Code::MalformedCategory, MAX_CATEGORY)?,
            limit: values.get("limit").map_or(Ok(DEFAULT_LIMIT), parse_limit)?,
            from: values.get("cursor").map(parse_cursor).transpose()?,
        }))
    }
}

/// A text that may be searched for.
fn searched(name: &str, given: &str, code: Code, most: usize) -> Result<String, Problem> {
    let text = given.trim();
    let length = text.chars().count();
    if (1..=most).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    let detail = format!(
        "{name} is {}: accepted are 1 to {most} characters without control characters.",
        quoted(given)
    );
    Err(Problem::new(code, detail))
}

/// Version, direction, address, label.
fn cursor(direction: Direction, place: &LabelPlace) -> String {
    let direction = match direction {
        Direction::Older => b'o',
        Direction::Newer => b'n',
    };
    let mut bytes = vec![CURSOR_VERSION, direction];
    bytes.extend_from_slice(place.address.as_slice());
    bytes.extend_from_slice(place.label.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parse_cursor(text: &str) -> Result<(Direction, LabelPlace), Problem> {
    let parse = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let ([CURSOR_VERSION, direction], rest) = bytes.split_first_chunk::<2>()? else {
            return None;
        };
        let direction = match direction {
            b'o' => Direction::Older,
            b'n' => Direction::Newer,
            _ => return None,
        };
        let (address, label) = rest.split_first_chunk::<20>()?;
        let label = std::str::from_utf8(label).ok()?;
        let is_label = label.chars().count() <= MAX_LABEL && !label.contains(char::is_control);
        let place = LabelPlace {
            label: label.to_owned(),
            address: Address::from(*address),
        };
        is_label.then_some((direction, place))
    };
    parse().ok_or_else(|| malformed_cursor(text))
}

async fn list_wallets(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Search(page): Search,
) -> Result<Response, Problem> {
    let (mut snapshot, head) = api.snapshot().await?;
    let slice = list_directory(snapshot.connection(), &page, viewer.visibility()).await?;
    // A page without items leads back to where it was asked from.
    let edge = page.from.map(|(_, place)| place);
    let (first, last) = (slice.items.first(), slice.items.last());
    let next = slice
        .older
        .then(|| last.map(DirectoryEntry::place).or_else(|| edge.clone()));
    let prev = slice
        .newer
        .then(|| first.map(DirectoryEntry::place).or_else(|| edge.clone()));
    let entry = answer::directory(&snapshot, &slice.items)?;
    Answer { entry, head }.page(
        next.flatten().map(|place| cursor(Direction::Older, &place)),
        prev.flatten().map(|place| cursor(Direction::Newer, &place)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursors_read_back_as_they_were_written(label in "\\PC{1,80}", bytes: [u8; 20], older: bool) {
            let direction = if older { Direction::Older } else { Direction::Newer };
            let place = LabelPlace { label, address: Address::from(bytes) };
            let read = parse_cursor(&cursor(direction, &place)).ok();
            prop_assert_eq!(read, Some((direction, place)));
        }

        #[test]
        fn garbage_never_panics(text: String) {
            let _ = parse_cursor(&text);
        }
    }
}
