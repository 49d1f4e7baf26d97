//! Errors as clients see them: `application/problem+json` (RFC 9457) with a stable code.
//!
//! A problem travels as an extension of an empty response; the outermost layer writes its body,
//! since only there the request's id is known. The cause of a failure goes to the log there, under
//! that id, and never into the answer.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::fmt::Display;

/// What went wrong; its spelling is part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    MalformedRequest,
    MalformedBlockId,
    MalformedHash,
    MalformedAddress,
    WrongChecksum,
    MalformedLimit,
    MalformedCursor,
    MalformedFilter,
    MalformedTokenId,
    RangeTooWide,
    MalformedLabel,
    MalformedCategory,
    UnknownParameter,
    RepeatedParameter,
    BlockNotFound,
    TransactionNotFound,
    TokenNotFound,
    InstanceNotFound,
    ContractNotFound,
    RouteNotFound,
    MethodNotAllowed,
    WrongKey,
    NotIndexedYet,
    DatabaseUnavailable,
    Timeout,
    Internal,
}

impl Code {
    /// Status, code and title.
    pub const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        const MISSING: StatusCode = StatusCode::NOT_FOUND;
        const AWAY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
        match self {
            Self::MalformedRequest => (BAD, "malformed_request", "Malformed request"),
            Self::MalformedBlockId => (BAD, "malformed_block_id", "Malformed block id"),
            Self::MalformedHash => (BAD, "malformed_hash", "Malformed hash"),
            Self::MalformedAddress => (BAD, "malformed_address", "Malformed address"),
            Self::WrongChecksum => (BAD, "wrong_checksum", "Wrong address checksum"),
            Self::MalformedLimit => (BAD, "malformed_limit", "Malformed limit"),
            Self::MalformedCursor => (BAD, "malformed_cursor", "Malformed cursor"),
            Self::MalformedFilter => (BAD, "malformed_filter", "Malformed filter"),
            Self::MalformedTokenId => (BAD, "malformed_token_id", "Malformed token id"),
            Self::RangeTooWide => (BAD, "range_too_wide", "Range too wide"),
            Self::MalformedLabel => (BAD, "malformed_label", "Malformed label"),
            Self::MalformedCategory => (BAD, "malformed_category", "Malformed category"),
            Self::UnknownParameter => (BAD, "unknown_parameter", "Unknown parameter"),
            Self::RepeatedParameter => (BAD, "repeated_parameter", "Repeated parameter"),
            Self::BlockNotFound => (MISSING, "block_not_found", "Block not found"),
            Self::TransactionNotFound => {
                (MISSING, "transaction_not_found", "Transaction not found")
            }
            Self::TokenNotFound => (MISSING, "token_not_found", "Token not found"),
            Self::InstanceNotFound => (MISSING, "instance_not_found", "Instance not found"),
            Self::ContractNotFound => (MISSING, "contract_not_found", "Contract not found"),
            Self::RouteNotFound => (MISSING, "route_not_found", "Route not found"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
            ),
            Self::WrongKey => (StatusCode::UNAUTHORIZED, "wrong_key", "Wrong key"),
            Self::NotIndexedYet => (AWAY, "not_indexed_yet", "Not indexed yet"),
            Self::DatabaseUnavailable => (AWAY, "database_unavailable", "Database unavailable"),
            Self::Timeout => (AWAY, "timeout", "Timed out"),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
            ),
        }
    }
}

/// An error on its way to the client.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub code: Code,
    /// One sentence: what was given, what is accepted.
    detail: String,
    /// For the log only.
    pub cause: Option<String>,
}

/// The body, in the order of RFC 9457 with our own members last.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            cause: None,
        }
    }

    pub fn because(mut self, cause: impl Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    pub fn internal(cause: impl Display) -> Self {
        let detail = "Something went wrong here; the log has the cause under this request id.";
        Self::new(Code::Internal, detail).because(cause)
    }

    pub fn database_unavailable(cause: impl Display) -> Self {
        let detail = "The database cannot be reached at the moment; try again shortly.";
        Self::new(Code::DatabaseUnavailable, detail).because(cause)
    }

    pub fn not_indexed_yet() -> Self {
        let detail = "Nothing is indexed yet: the indexer has not committed its first block.";
        Self::new(Code::NotIndexedYet, detail)
    }

    pub fn status(&self) -> StatusCode {
        self.code.parts().0
    }

    /// The body.
    pub fn to_json(&self, request_id: &str) -> String {
        let (status, code, title) = self.code.parts();
        let body = Body {
            r#type: format!("urn:tallyscan:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            request_id,
        };
        // Strings and a number: nothing that could fail.
        serde_json::to_string(&body).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = status.into_response();
        let headers = response.headers_mut();
        let no_cache = header::HeaderValue::from_static("no-cache");
        headers.insert(header::CACHE_CONTROL, no_cache);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = header::HeaderValue::from_static("5");
            headers.insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// What a failed query says about the request: that the database is away, that it is empty, or that
/// something is wrong with us.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        let away = match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => true,
            E::Database(database) => {
                let code = database.code().unwrap_or_default();
                // Not migrated yet: the indexer does that when it starts.
                if code == "42P01" {
                    return Self::not_indexed_yet().because(error);
                }
                // Connections, logins, the database's name, resources, shutdown and start.
                ["08", "28", "3D", "53", "57P"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }
            _ => false,
        };
        if away {
            Self::database_unavailable(error)
        } else {
            Self::internal(error)
        }
    }
}

/// What a client sent, quoted and cut to what fits a sentence.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_every_member_of_the_rfc_and_ours() {
        let problem = Problem::new(Code::MalformedHash, "\"0x1\" is not a hash.");
        let json: serde_json::Value = serde_json::from_str(&problem.to_json("r-1")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:tallyscan:problem:malformed_hash",
                "title": "Malformed hash",
                "status": 400,
                "detail": "\"0x1\" is not a hash.",
                "code": "malformed_hash",
                "request_id": "r-1",
            })
        );
    }

    #[test]
    fn a_cause_is_kept_for_the_log_and_out_of_the_body() {
        let problem = Problem::internal("password of the database");
        assert_eq!(problem.cause.as_deref(), Some("password of the database"));
        assert!(!problem.to_json("r").contains("password"));
    }

    #[test]
    fn a_database_that_is_away_is_told_from_a_fault_of_ours() {
        assert_eq!(
            Problem::from(sqlx::Error::PoolTimedOut).code,
            Code::DatabaseUnavailable
        );
        assert_eq!(Problem::from(sqlx::Error::RowNotFound).code, Code::Internal);
    }

    #[test]
    fn what_a_client_sent_is_escaped_and_cut() {
        assert_eq!(quoted("a\"b\n"), r#""a\"b\n""#);
        assert_eq!(quoted(&"ü".repeat(200)).chars().count(), 83);
    }
}
