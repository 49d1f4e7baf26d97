//! Answers as clients see them: the cached data as it stands, wrapped in what depends on the head.
//!
//! Finality and confirmations are computed here, from the head that the answer is given under, and
//! are never cached.

use crate::{cursor::Cursor, problem::Problem};
use alloy::primitives::B256;
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use chain::Finality;
use serde::Serialize;
use serde_json::value::RawValue;
use store::{
    answer::List,
    cache::{Entry, Head, Subject},
    read::Start,
    state::Chain,
    view::InternalHistory,
};

/// What every answer says to caches on the way: ask again. Confirmations and `as_of` belong to the
/// moment of the answer, so not even final data may be kept as it stands.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Data with the head that it is shown under.
#[derive(Debug)]
pub(crate) struct Answer {
    pub entry: Entry,
    pub head: Head,
}

/// How final the data is.
#[derive(Debug, PartialEq, Serialize)]
struct FinalityView {
    status: Finality,
    confirmations: u64,
}

/// The head that an answer is right for.
#[derive(Serialize)]
struct AsOf {
    number: u64,
    hash: B256,
    safe: Option<u64>,
    finalized: Option<u64>,
}

#[derive(Serialize)]
struct Single<'a> {
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    finality: Option<FinalityView>,
    as_of: AsOf,
}

#[derive(Serialize)]
struct Listing<'a> {
    data: &'a RawValue,
    next: Option<String>,
    prev: Option<String>,
    #[serde(flatten)]
    internal: Option<InternalHistory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finality: Option<FinalityView>,
    as_of: AsOf,
}

/// What the network's figures are shown with; they follow as they stand.
#[derive(Serialize)]
struct Network {
    chain_id: u64,
    finality_profile: String,
    head: HeadView,
    safe: Option<u64>,
    finalized: Option<u64>,
}

/// The newest block.
#[derive(Serialize)]
pub(crate) struct HeadView {
    number: u64,
    hash: B256,
    timestamp: u64,
    time: String,
}

impl From<&Head> for HeadView {
    fn from(head: &Head) -> Self {
        Self {
            number: head.block.number,
            hash: head.block.hash,
            timestamp: head.timestamp,
            time: store::view::rfc3339(head.timestamp),
        }
    }
}

impl Answer {
    /// One thing, with its finality if it is about one block.
    pub fn single(&self) -> Result<Response, Problem> {
        let body = Single {
            data: raw(&self.entry.body)?,
            finality: finality(self.entry.subject, &self.head),
            as_of: self.as_of(),
        };
        respond(&body)
    }

    /// Part of a list.
    pub fn list(&self) -> Result<Response, Problem> {
        let list: List<&RawValue> =
            serde_json::from_str(&self.entry.body).map_err(Problem::internal)?;
        let cursor = |start: Option<Start>| start.map(|start| Cursor(start).to_string());
        let body = Listing {
            data: list.items,
            next: cursor(list.older),
            prev: cursor(list.newer),
            internal: list.internal,
            finality: finality(self.entry.subject, &self.head),
            as_of: self.as_of(),
        };
        respond(&body)
    }

    /// Part of a list whose cursors the caller made.
    pub fn page(&self, next: Option<String>, prev: Option<String>) -> Result<Response, Problem> {
        let body = Listing {
            data: raw(&self.entry.body)?,
            next,
            prev,
            internal: None,
            finality: None,
            as_of: self.as_of(),
        };
        respond(&body)
    }

    /// The network's figures, with what is known of the chain itself.
    pub fn network(&self, chain: &Chain) -> Result<Response, Problem> {
        let network = Network {
            chain_id: chain.chain_id,
            finality_profile: chain.finality_profile.to_string(),
            head: HeadView::from(&self.head),
            safe: self.head.safe,
            finalized: self.head.finalized,
        };
        let network = serde_json::to_string(&network).map_err(Problem::internal)?;
        let data = join_objects(&network, &self.entry.body)
            .ok_or_else(|| Problem::internal("the network's figures are no JSON object"))?;
        let body = Single {
            data: raw(&data)?,
            finality: None,
            as_of: self.as_of(),
        };
        respond(&body)
    }

    fn as_of(&self) -> AsOf {
        AsOf {
            number: self.head.block.number,
            hash: self.head.block.hash,
            safe: self.head.safe,
            finalized: self.head.finalized,
        }
    }
}

/// How final something is under a head; none for what is about no single block.
fn finality(subject: Subject, head: &Head) -> Option<FinalityView> {
    match subject {
        Subject::Many => None,
        Subject::Block(number) => Some(FinalityView {
            status: Finality::of(number, head.safe, head.finalized),
            confirmations: (head.block.number + 1).saturating_sub(number),
        }),
        Subject::Orphaned => Some(FinalityView {
            status: Finality::Orphaned,
            confirmations: 0,
        }),
    }
}

/// Two JSON objects in one text; the first has members.
pub(crate) fn join_objects(first: &str, second: &str) -> Option<String> {
    let first = first.strip_suffix('}')?;
    let second = second.strip_prefix('{')?;
    let comma = if second == "}" { "" } else { "," };
    Some(format!("{first}{comma}{second}"))
}

/// Cached JSON as it stands. It is scanned, not built: a body that is no JSON would otherwise break
/// the answer around it.
fn raw(body: &str) -> Result<&RawValue, Problem> {
    serde_json::from_str(body).map_err(Problem::internal)
}

fn respond<T: Serialize>(body: &T) -> Result<Response, Problem> {
    let body = serde_json::to_string(body).map_err(Problem::internal)?;
    let json = HeaderValue::from_static("application/json");
    let headers = [
        (header::CONTENT_TYPE, json),
        (header::CACHE_CONTROL, NO_CACHE),
    ];
    Ok((headers, body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use store::{
        cache::Validity,
        read::{Direction, Position},
        state::BlockRef,
        view::Completeness,
    };

    fn head() -> Head {
        Head {
            seq: 1,
            block: BlockRef {
                number: 10,
                hash: B256::repeat_byte(1),
            },
            timestamp: 0,
            safe: Some(7),
            finalized: Some(5),
            epoch: 0,
            final_epoch: 0,
            history_epoch: 0,
        }
    }

    fn answer(validity: Validity, subject: Subject, body: &str) -> Answer {
        Answer {
            entry: Entry {
                validity,
                subject,
                body: body.to_owned(),
            },
            head: head(),
        }
    }

    async fn json_of(response: Response) -> Value {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        serde_json::from_slice(&bytes.unwrap()).unwrap()
    }

    #[test]
    fn confirmations_count_the_block_itself() {
        let of = |subject| finality(subject, &head()).map(|f| (f.status, f.confirmations));
        assert_eq!(of(Subject::Block(10)), Some((Finality::Latest, 1)));
        assert_eq!(of(Subject::Block(7)), Some((Finality::Safe, 4)));
        assert_eq!(of(Subject::Block(5)), Some((Finality::Finalized, 6)));
        assert_eq!(of(Subject::Block(0)), Some((Finality::Finalized, 11)));
        assert_eq!(of(Subject::Orphaned), Some((Finality::Orphaned, 0)));
        assert_eq!(of(Subject::Many), None);
    }

    #[tokio::test]
    async fn a_single_answer_wraps_the_data_as_it_stands() {
        let body = r#"{"value":"115792089237316195423570985008687907853","n":1.50}"#;
        let answer = answer(Validity::Final(0), Subject::Block(5), body);
        let json = json_of(answer.single().unwrap()).await;
        assert_eq!(json["data"], serde_json::from_str::<Value>(body).unwrap());
        assert_eq!(
            json["finality"],
            json!({"status": "finalized", "confirmations": 6})
        );
        assert_eq!(
            json["as_of"],
            json!({"number": 10, "hash": B256::repeat_byte(1), "safe": 7, "finalized": 5})
        );
    }

    #[test]
    fn no_answer_may_be_kept_on_the_way() {
        for validity in [Validity::Final(0), Validity::Epoch(0)] {
            let answer = answer(validity, Subject::Block(5), "{}");
            let response = answer.single().unwrap();
            assert_eq!(response.headers()[header::CACHE_CONTROL], NO_CACHE);
        }
    }

    #[tokio::test]
    async fn a_list_has_cursors_only_to_where_there_is_more() {
        let position = Position {
            block_number: 8,
            tx_index: 3,
        };
        let older = Start::after(Direction::Older, position).erased();
        let list = List {
            items: [1, 2],
            older: Some(older),
            newer: None,
            internal: None,
        };
        let body = serde_json::to_string(&list).unwrap();
        let answer = answer(Validity::Epoch(0), Subject::Many, &body);
        let json = json_of(answer.list().unwrap()).await;
        assert_eq!(json["data"], json!([1, 2]));
        assert_eq!(json["prev"], Value::Null);
        assert!(json.get("finality").is_none() && json.get("internal").is_none());
        let next = Cursor::parse(json["next"].as_str().unwrap()).unwrap();
        assert_eq!(next, Cursor(older));
    }

    #[tokio::test]
    async fn a_list_of_internal_transfers_says_how_complete_it_is() {
        let list = List {
            items: [(); 0],
            older: None,
            newer: None,
            internal: Some(InternalHistory {
                internal: Completeness::Partial,
                complete_from: Some(7),
            }),
        };
        let body = serde_json::to_string(&list).unwrap();
        let answer = answer(Validity::Epoch(0), Subject::Many, &body);
        let json = json_of(answer.list().unwrap()).await;
        assert_eq!(
            (&json["internal"], &json["complete_from"]),
            (&json!("partial"), &json!(7))
        );
    }

    #[test]
    fn objects_are_joined_without_being_read() {
        let joined = |second| join_objects(r#"{"a":1}"#, second);
        assert_eq!(joined(r#"{"b":2}"#).as_deref(), Some(r#"{"a":1,"b":2}"#));
        assert_eq!(joined("{}").as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(joined("[]"), None);
    }
}
