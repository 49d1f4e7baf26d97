//! Who asks: the public, or somebody with the internal key (`Authorization: Bearer …`).
//!
//! In: every request to the API. Out: the request with its viewer, or the problem of a wrong key. An
//! answer to somebody with the key may be kept by nobody on the way.

use crate::{
    api::Api,
    problem::{Code, Problem},
};
use alloy::primitives::{B256, keccak256};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{convert::Infallible, fmt, sync::Arc};
use store::labels::Visibility;
use subtle::ConstantTimeEq as _;

/// Fewest characters of a key: so many can not be guessed over a network.
const MIN_KEY: usize = 16;
/// Most of them, well within what servers take as a header.
const MAX_KEY: usize = 256;

/// The key that opens what is internal. Only its hash is kept, and it is never shown.
#[derive(Clone)]
pub struct InternalKey(B256);

impl InternalKey {
    /// Takes a key that a header can carry. The error does not repeat it.
    pub fn new(text: &str) -> Result<Self, String> {
        let length = text.len();
        if !(MIN_KEY..=MAX_KEY).contains(&length) {
            return Err(format!(
                "it has {length} characters: accepted are {MIN_KEY} to {MAX_KEY}"
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "it has a character that a header cannot carry: accepted are visible ASCII \
                 characters without spaces"
                    .to_owned(),
            );
        }
        Ok(Self(keccak256(text)))
    }

    /// Compares hashes, and those in constant time: how long it takes tells nothing of the key, not even
    /// its length.
    fn is(&self, given: &[u8]) -> bool {
        self.0.as_slice().ct_eq(keccak256(given).as_slice()).into()
    }
}

impl fmt::Debug for InternalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InternalKey(…)")
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Viewer {
    /// Anybody.
    Public,
    /// Somebody with the key.
    Internal,
}

impl Viewer {
    /// What they may see.
    pub fn visibility(self) -> Visibility {
        match self {
            Self::Public => Visibility::Public,
            Self::Internal => Visibility::Internal,
        }
    }

    /// No key is the public; a key that is wrong, or anything else in its place, is a mistake worth
    /// telling. It is the same mistake where there is no key to be right.
    fn of(headers: &HeaderMap, key: Option<&InternalKey>) -> Result<Self, Problem> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let Some(first) = given.next() else {
            return Ok(Self::Public);
        };
        let is_right = bearer(first)
            .zip(key)
            .is_some_and(|(given, key)| key.is(given));
        if is_right && given.next().is_none() {
            return Ok(Self::Internal);
        }
        Err(Problem::new(
            Code::WrongKey,
            "The Authorization header does not hold this service's key: accepted are Bearer and the \
             internal key, or no such header for what is public.",
        ))
    }
}

/// The token of `Bearer …` (RFC 6750); the scheme's name is in any case (RFC 9110).
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// Finds out who asks, and keeps what they are told from caches.
pub(crate) async fn recognize(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let viewer = Viewer::of(request.headers(), api.internal_key.as_ref());
    let is_public = matches!(viewer, Ok(Viewer::Public));
    let mut response = match viewer {
        Ok(viewer) => {
            request.extensions_mut().insert(viewer);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("authorization"));
    if !is_public {
        let private = HeaderValue::from_static("private, no-store");
        headers.insert(header::CACHE_CONTROL, private);
    }
    response
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self::Public))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "correct-horse-battery";

    fn viewer(given: &[&str]) -> Option<Viewer> {
        let key = InternalKey::new(KEY).unwrap();
        let mut headers = HeaderMap::new();
        for value in given {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Viewer::of(&headers, Some(&key)).ok()
    }

    #[test]
    fn the_key_opens_and_nothing_else_does() {
        let right = format!("Bearer {KEY}");
        assert_eq!(viewer(&[]), Some(Viewer::Public));
        assert_eq!(viewer(&[&right]), Some(Viewer::Internal));
        assert_eq!(viewer(&[&format!("bearer  {KEY}")]), Some(Viewer::Internal));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            KEY,
            &format!("Basic {KEY}"),
            &format!("Bearer {}", &KEY[1..]),
            &format!("Bearer {KEY}x"),
            &format!("Bearer {}", KEY.to_uppercase()),
        ] {
            assert_eq!(viewer(&[wrong]), None, "{wrong}");
        }
        assert_eq!(viewer(&[&right, &right]), None, "which of them counts?");
    }

    #[test]
    fn without_a_key_every_key_is_wrong() {
        let mut headers = HeaderMap::new();
        assert_eq!(Viewer::of(&headers, None).ok(), Some(Viewer::Public));
        headers.insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
        assert_eq!(Viewer::of(&headers, None).unwrap_err().code, Code::WrongKey);
    }

    #[test]
    fn a_key_is_long_enough_fits_a_header_and_is_never_shown() {
        assert!(InternalKey::new(&"k".repeat(16)).is_ok());
        for bad in [
            "short-secret",
            "",
            "with a space inside it",
            "geheimschlüssel-1",
            &"k".repeat(257),
        ] {
            let error = InternalKey::new(bad).unwrap_err();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        let shown = format!("{:?}", InternalKey::new(KEY).unwrap());
        assert_eq!(shown, "InternalKey(…)");
    }
}
