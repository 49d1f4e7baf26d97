//! Health: whether everything works, and which dependency does not.
//!
//! It is about the lag behind the node, not about being up: an indexer that stands still is not
//! healthy, however well it answers.

use crate::{answer::HeadView, api::Api};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{
    cache::Head,
    coverage::{History, get_history},
    enrichment::{Reading, ReadingProgress, ReadingStatus, get_progress},
    state::{ChainState, IndexerStatus, find_chain, get_indexer_status, get_state},
};

/// Seconds from which an event that waits in the outbox is a problem: publishing takes milliseconds.
const UNPUBLISHED_LIMIT: f64 = 10.0;

/// Longest wait for the database: whoever asks for health has a time limit of its own.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn router() -> Router<Arc<Api>> {
    Router::new().route("/health", get(get_health))
}

#[derive(Serialize)]
struct Health {
    status: Status,
    /// One sentence for each thing that is wrong.
    problems: Vec<String>,
    head: Option<HeadView>,
    node_head: Option<u64>,
    /// Blocks that the node has and we have not.
    lag_blocks: Option<u64>,
    /// Age of our head while the node has a newer one, else 0.
    lag_seconds: Option<u64>,
    /// What is missing below the head; none before the first commit.
    history: Option<History>,
    /// What is read from the node beside the blocks, by kind; empty while the database is not there.
    readings: BTreeMap<&'static str, ReadingView>,
    components: Components,
    version: &'static str,
}

/// How far a kind of reading is. A node that has no traces is no problem of ours.
#[derive(Debug, PartialEq, Serialize)]
struct ReadingView {
    status: ReadingStatus,
    problem: Option<String>,
    /// Indexed blocks that are not read yet; none for kinds that do not go by height.
    missing_blocks: Option<u64>,
    /// Lowest block from which all up to the head are read.
    complete_from: Option<u64>,
    /// Lowest block that the node still tells of.
    floor: Option<u64>,
}

impl ReadingView {
    fn new(reading: Reading, progress: &ReadingProgress) -> Self {
        let by_height = |height: Option<u64>| height.filter(|_| reading.goes_by_height());
        Self {
            status: progress.status,
            problem: progress.problem.clone(),
            missing_blocks: by_height(Some(progress.missing_blocks)),
            complete_from: by_height(progress.complete_from),
            floor: progress.floor,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Degraded,
    Down,
}

#[derive(Debug, PartialEq, Serialize)]
struct Components {
    database: Component,
    redis: Component,
    indexer: Indexer,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Component {
    Ok,
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Indexer {
    Ok,
    /// No sign of life for too long.
    Stale,
    /// It says that it cannot go on.
    Halted,
    /// None has ever worked on this database, or the database cannot be asked.
    None,
}

/// What the database says.
struct Records {
    indexed: bool,
    state: ChainState,
    history: Option<History>,
    readings: Vec<(Reading, ReadingProgress)>,
    indexer: IndexerStatus,
}

/// How the database was found.
enum Database {
    Down,
    /// It answers and has no tables yet.
    Empty,
    Filled(Box<Records>),
}

/// How far the indexer may be behind.
#[derive(Clone, Copy)]
struct Limits {
    blocks: u64,
    silence: Duration,
}

impl Health {
    fn judge(database: &Database, redis_up: bool, limits: Limits, now: u64) -> Self {
        let mut problems = Vec::new();
        let records = match database {
            Database::Filled(records) => Some(records),
            Database::Down => {
                problems.push("The database cannot be reached.".to_owned());
                None
            }
            Database::Empty => {
                problems.push("The database has no tables yet: no indexer has run.".to_owned());
                None
            }
        };
        if !redis_up {
            problems.push("Redis does not answer: the database answers everything.".to_owned());
        }
        let head = records.and_then(|records| Head::of(&records.state));
        let node_head = records.and_then(|records| records.indexer.node_head);
        let lag_blocks = node_head
            .zip(head.as_ref())
            .map(|(node, head)| node.saturating_sub(head.block.number));
        let lag_seconds = lag_blocks.zip(head.as_ref()).map(|(lag, head)| {
            let age = now.saturating_sub(head.timestamp);
            if lag == 0 { 0 } else { age }
        });
        if let Some(lag) = lag_blocks.filter(|lag| *lag > limits.blocks) {
            problems.push(format!(
                "The indexer is {lag} blocks behind its node (limit {}).",
                limits.blocks
            ));
        }
        let indexer = records.map_or(Indexer::None, |records| {
            judge_indexer(records, limits.silence, &mut problems)
        });
        Self {
            status: match database {
                Database::Down => Status::Down,
                _ if problems.is_empty() => Status::Ok,
                _ => Status::Degraded,
            },
            problems,
            head: head.as_ref().map(HeadView::from),
            node_head,
            lag_blocks,
            lag_seconds,
            history: records.and_then(|records| records.history),
            readings: records.map_or_else(BTreeMap::new, |records| {
                let readings = records.readings.iter();
                readings
                    .map(|(kind, progress)| (kind.name(), ReadingView::new(*kind, progress)))
                    .collect()
            }),
            components: Components {
                database: match database {
                    Database::Down => Component::Down,
                    Database::Empty | Database::Filled(_) => Component::Ok,
                },
                redis: if redis_up {
                    Component::Ok
                } else {
                    Component::Down
                },
                indexer,
            },
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// What the indexer's own record says.
fn judge_indexer(records: &Records, limit: Duration, problems: &mut Vec<String>) -> Indexer {
    let status = &records.indexer;
    let too_long = |seconds: f64| seconds > limit.as_secs_f64();
    let limit = limit.as_secs();
    let Some(heartbeat) = status.heartbeat_seconds else {
        problems.push("No indexer has worked on this database yet.".to_owned());
        return Indexer::None;
    };
    if !records.indexed || records.state.head.is_none() {
        problems.push("The indexer has not committed its first block yet.".to_owned());
    }
    let stale = too_long(heartbeat);
    if stale {
        problems.push(format!(
            "The indexer has given no sign of life for {heartbeat:.0} s (limit {limit} s)."
        ));
    }
    match status.node_seen_seconds {
        // A stale indexer's last word on its node says nothing about the node.
        Some(seconds) if too_long(seconds) && !stale => problems.push(format!(
            "The indexer's node has not answered for {seconds:.0} s (limit {limit} s)."
        )),
        None => problems.push("The indexer's node has not answered yet.".to_owned()),
        Some(_) => {}
    }
    if let Some(seconds) = status
        .unpublished_seconds
        .filter(|seconds| *seconds > UNPUBLISHED_LIMIT)
    {
        problems.push(format!(
            "What was committed {seconds:.0} s ago is not published yet: answers from Redis are older."
        ));
    }
    if let Some(problem) = &status.history_problem {
        problems.push(format!("The history below the head is held up: {problem}"));
    }
    match &status.problem {
        Some(problem) => {
            problems.push(format!("The indexer cannot go on: {problem}"));
            Indexer::Halted
        }
        None if stale => Indexer::Stale,
        None => Indexer::Ok,
    }
}

/// Reads everything over one connection: with one each, three pools of patience would add up.
async fn read_records(api: &Api) -> Result<Records, sqlx::Error> {
    let mut connection = api.database.acquire().await?;
    let chain = find_chain(&mut *connection).await?;
    let mut readings = Vec::new();
    for reading in Reading::ALL {
        readings.push((reading, get_progress(&mut *connection, reading).await?));
    }
    Ok(Records {
        indexed: chain.is_some(),
        state: get_state(&mut *connection).await?,
        history: get_history(&mut *connection).await?,
        readings,
        indexer: get_indexer_status(&mut *connection).await?,
    })
}

async fn find_database(api: &Api) -> Database {
    match tokio::time::timeout(PATIENCE, read_records(api)).await {
        Ok(Ok(records)) => Database::Filled(Box::new(records)),
        Ok(Err(sqlx::Error::Database(error))) if error.code().as_deref() == Some("42P01") => {
            Database::Empty
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "health: the database failed");
            Database::Down
        }
        Err(_) => Database::Down,
    }
}

async fn get_health(State(api): State<Arc<Api>>) -> Response {
    let (database, redis_up) = tokio::join!(find_database(&api), api.cache.ping());
    let limits = Limits {
        blocks: api.lag_limit_blocks,
        silence: api.lag_limit,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let health = Health::judge(&database, redis_up, limits, now);
    let status = match health.status {
        Status::Ok | Status::Degraded => StatusCode::OK,
        Status::Down => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, [(header::CACHE_CONTROL, "no-cache")], Json(health)).into_response()
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
