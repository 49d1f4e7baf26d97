//! Path segments and query parameters as extractors, with problems that name what is accepted.

use crate::{
    cursor::Cursor,
    problem::{Code, Problem, quoted},
};
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{Uri, request::Parts},
};
use store::read::Page;

/// How many items a page has when nothing else is asked for.
const DEFAULT_LIMIT: u32 = 25;
/// Most items of a page: bounds the work and the bytes of one request.
const MAX_LIMIT: u32 = 100;

/// The one variable segment of a path.
pub(crate) struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(segment)) => Ok(Self(segment)),
            Err(_) => Err(Problem::new(
                Code::MalformedRequest,
                "The path is not percent-encoded UTF-8.",
            )),
        }
    }
}

/// No query parameters.
pub(crate) struct NoParameters;

impl<S: Send + Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&parts.uri, []).map(|[]| Self)
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    pub limit: u32,
    pub cursor: Option<Cursor>,
}

impl Paging {
    fn of(uri: &Uri) -> Result<Self, Problem> {
        let [limit, cursor] = read(uri, ["limit", "cursor"])?;
        Ok(Self {
            limit: limit.as_deref().map_or(Ok(DEFAULT_LIMIT), parse_limit)?,
            cursor: cursor.as_deref().map(parse_cursor).transpose()?,
        })
    }

    /// The same for the store.
    pub fn page(self) -> Page {
        Page {
            from: self
                .cursor
                .map(|cursor| (cursor.direction, cursor.position)),
            limit: self.limit,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.uri)
    }
}

fn parse_limit(text: &str) -> Result<u32, Problem> {
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

fn parse_cursor(text: &str) -> Result<Cursor, Problem> {
    Cursor::parse(text).ok_or_else(|| {
        Problem::new(
            Code::MalformedCursor,
            format!(
                "cursor is {}: accepted is the next or prev of an earlier page, as it was given.",
                quoted(text)
            ),
        )
    })
}

/// The values of the accepted parameters; anything else in the query is a mistake worth telling,
/// since ignoring a misspelt parameter answers another question than the one that was asked.
fn read<const N: usize>(uri: &Uri, accepted: [&str; N]) -> Result<[Option<String>; N], Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| {
        Problem::new(
            Code::MalformedRequest,
            "The query is not percent-encoded UTF-8.",
        )
    })?;
    let mut values = [const { None }; N];
    for (name, value) in pairs {
        let Some(place) = accepted.iter().position(|known| *known == name) else {
            let accepted = match accepted.as_slice() {
                [] => "this route accepts none".to_owned(),
                names => format!("accepted are {}", names.join(" and ")),
            };
            return Err(Problem::new(
                Code::UnknownParameter,
                format!("Parameter {} is unknown: {accepted}.", quoted(&name)),
            ));
        };
        if values[place].replace(value).is_some() {
            return Err(Problem::new(
                Code::RepeatedParameter,
                format!("Parameter {name} is given more than once: accepted is one value."),
            ));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::read::Position;

    fn paging(query: &str) -> Result<Paging, Problem> {
        Paging::of(&format!("/api/v1/blocks?{query}").parse().unwrap())
    }

    #[test]
    fn a_page_has_25_items_unless_asked() {
        assert_eq!(paging("").unwrap().limit, 25);
        assert_eq!(paging("limit=100").unwrap().limit, 100);
    }

    #[test]
    fn a_cursor_is_taken_as_it_was_given() {
        let cursor = Cursor::newer(Position {
            block_number: 9,
            tx_index: 1,
        });
        let read = paging(&format!("limit=1&cursor={cursor}")).unwrap();
        assert_eq!(read.cursor, Some(cursor));
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
            assert_eq!(paging(query).unwrap_err().code, code, "{query}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_accepted_ones() {
        let json = paging("page=2").unwrap_err().to_json("r");
        assert!(
            json.contains("page") && json.contains("limit and cursor"),
            "{json}"
        );
    }
}
