//! Path segments and query parameters as extractors, with problems that name what is accepted.

use crate::{
    cursor::Cursor,
    filter::Filter,
    problem::{Code, Problem, quoted},
};
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{Uri, request::Parts},
};
use serde::de::DeserializeOwned;
use store::read::{ListKey, Page, Start};

/// How many items a page has when nothing else is asked for.
pub(crate) const DEFAULT_LIMIT: u32 = 25;
/// Most items of a page: bounds the work and the bytes of one request.
const MAX_LIMIT: u32 = 100;

/// The one variable segment of a path.
pub(crate) struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        path(parts).await.map(Self)
    }
}

/// The two variable segments of a path.
pub(crate) struct Segments(pub String, pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let (first, second) = path(parts).await?;
        Ok(Self(first, second))
    }
}

async fn path<T: DeserializeOwned + Send>(parts: &mut Parts) -> Result<T, Problem> {
    match Path::<T>::from_request_parts(parts, &()).await {
        Ok(Path(segments)) => Ok(segments),
        Err(_) => Err(Problem::new(
            Code::MalformedRequest,
            "The path is not percent-encoded UTF-8.",
        )),
    }
}

/// No query parameters.
pub(crate) struct NoParameters;

impl<S: Send + Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Values::of(&parts.uri, &[]).map(|_| Self)
    }
}

/// Which part of a list is asked for, and what it is narrowed to.
#[derive(Debug)]
pub(crate) struct Listing<K, F = ()> {
    pub page: Page<K>,
    pub filter: F,
}

impl<K: ListKey, F: Filter> Listing<K, F> {
    fn of(uri: &Uri) -> Result<Self, Problem> {
        let values = Values::of(uri, F::NAMES)?;
        let limit = values.get("limit");
        Ok(Self {
            page: Page {
                from: values.get("cursor").map(parse_cursor).transpose()?,
                limit: limit.map_or(Ok(DEFAULT_LIMIT), parse_limit)?,
            },
            filter: F::read(&values)?,
        })
    }
}

impl<S: Send + Sync, K: ListKey, F: Filter> FromRequestParts<S> for Listing<K, F> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.uri)
    }
}

/// Parameters of what is no list.
pub(crate) struct Parameters<F>(pub F);

impl<S: Send + Sync, F: Filter> FromRequestParts<S> for Parameters<F> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        F::read(&Values::of(&parts.uri, F::NAMES)?).map(Self)
    }
}

pub(crate) fn parse_limit(text: &str) -> Result<u32, Problem> {
    text.parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| {
            Problem::new(
                Code::MalformedLimit,
                format!(
                    "limit is {}: accepted is a number from 1 to {MAX_LIMIT}.",
                    quoted(text)
                ),
            )
        })
}

fn parse_cursor<K: ListKey>(text: &str) -> Result<Start<K>, Problem> {
    let cursor = Cursor::parse(text).and_then(|Cursor(start)| start.of());
    cursor.ok_or_else(|| malformed_cursor(text))
}

pub(crate) fn malformed_cursor(text: &str) -> Problem {
    Problem::new(
        Code::MalformedCursor,
        format!(
            "cursor is {}: accepted is the next or prev of an earlier page of this list, as it was \
             given.",
            quoted(text)
        ),
    )
}

/// The values of a query's parameters.
#[derive(Debug)]
pub(crate) struct Values(Vec<(String, String)>);

impl Values {
    /// Anything but the accepted parameters is a mistake worth telling, since ignoring a misspelt one
    /// answers another question than the one that was asked.
    pub fn of(uri: &Uri, accepted: &[&str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| {
            Problem::new(
                Code::MalformedRequest,
                "The query is not percent-encoded UTF-8.",
            )
        })?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !accepted.contains(&name.as_str()) {
                let accepted = match accepted.split_last() {
                    None => "this route accepts none".to_owned(),
                    Some((last, [])) => format!("accepted is {last}"),
                    Some((last, names)) => format!("accepted are {} and {last}", names.join(", ")),
                };
                return Err(Problem::new(
                    Code::UnknownParameter,
                    format!("Parameter {} is unknown: {accepted}.", quoted(name)),
                ));
            }
            if pairs[..at].iter().any(|(before, _)| before == name) {
                return Err(Problem::new(
                    Code::RepeatedParameter,
                    format!("Parameter {name} is given more than once: accepted is one value."),
                ));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter; none where it is not given.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::read::{BlockNumber, Direction, Position};

    fn listing(query: &str) -> Result<Listing<Position>, Problem> {
        Listing::of(&format!("/api/v1/transactions?{query}").parse().unwrap())
    }

    #[test]
    fn a_page_has_25_items_unless_asked() {
        assert_eq!(listing("").unwrap().page.limit, 25);
        assert_eq!(listing("limit=100").unwrap().page.limit, 100);
    }

    #[test]
    fn a_cursor_is_taken_as_it_was_given_and_by_its_own_list_only() {
        let start = Start::after(
            Direction::Newer,
            Position {
                block_number: 9,
                tx_index: 1,
            },
        );
        let cursor = Cursor(start.erased());
        let read = listing(&format!("limit=1&cursor={cursor}")).unwrap();
        assert_eq!(read.page.from, Some(start));
        let uri = format!("/api/v1/blocks?cursor={cursor}").parse().unwrap();
        let refused = Listing::<BlockNumber>::of(&uri).unwrap_err();
        assert_eq!(refused.code, Code::MalformedCursor);
    }

    #[test]
    fn each_mistake_has_its_code() {
        for (query, code) in [
            ("limit=0", Code::MalformedLimit),
            ("limit=101", Code::MalformedLimit),
            ("limit=ten", Code::MalformedLimit),
            ("limit=", Code::MalformedLimit),
            ("cursor=", Code::MalformedCursor),
            ("cursor=abc", Code::MalformedCursor),
            ("offset=1", Code::UnknownParameter),
            ("limit=1&limit=2", Code::RepeatedParameter),
        ] {
            assert_eq!(listing(query).unwrap_err().code, code, "{query}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_accepted_ones() {
        let json = listing("page=2").unwrap_err().to_json("r");
        assert!(
            json.contains("page") && json.contains("limit and cursor"),
            "{json}"
        );
    }
}
