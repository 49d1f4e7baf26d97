//! How a question is answered: from Redis if what is there still fits the head, else from one
//! snapshot of the database, which then fills Redis.

use crate::{
    abi::Abis,
    answer::Answer,
    cache::Cache,
    id::Tag,
    problem::Problem,
    question::{Question, fits},
    viewer::InternalKey,
};
use alloy::primitives::Address;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use std::{
    future::Future,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use store::{
    answer::BlockId,
    cache::{Entry, Head, Keys},
    read::Snapshot,
    state::{Chain, find_chain},
};

/// Longest wait for a connection to the database: beyond it the database counts as away. Shorter
/// than a request's own time, so that the client learns what is away and not only that it waited.
const DATABASE_PATIENCE: Duration = Duration::from_secs(3);

/// What every handler works with.
pub(crate) struct Api {
    pub database: PgPool,
    pub cache: Arc<Cache>,
    pub metrics: PrometheusHandle,
    /// How many blocks behind its node the indexer may be.
    pub lag_limit_blocks: u64,
    /// How old its last sign of life may be.
    pub lag_limit: Duration,
    pub abis: Abis,
    /// What opens internal labels; without one nobody sees them.
    pub internal_key: Option<InternalKey>,
    known: RwLock<Option<Arc<Known>>>,
}

/// The chain in the database, and the names of its keys.
pub(crate) struct Known {
    pub chain: Chain,
    keys: Keys,
}

/// What was found in Redis.
enum Lookup {
    /// An answer that fits the published head.
    Hit(Box<Answer>),
    /// Nothing there.
    Miss,
    /// An answer that does not fit any more, or not yet.
    Stale,
    /// Redis did not answer.
    Error,
}

impl Lookup {
    /// Reads the published head and an entry, as they were at one moment.
    fn judge(head: Option<&str>, entry: Option<&str>) -> Self {
        let (Some(head), Some(entry)) = (head, entry) else {
            return Self::Miss;
        };
        match (parse_head(head), Entry::decode(entry)) {
            (Some(head), Some(entry)) if fits(&entry, &head) => {
                Self::Hit(Box::new(Answer { entry, head }))
            }
            _ => Self::Stale,
        }
    }

    fn outcome(&self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Error => "error",
        }
    }
}

impl Api {
    pub fn new(
        database: PgPool,
        cache: Cache,
        metrics: PrometheusHandle,
        lag_limit_blocks: u64,
        lag_limit: Duration,
        abis: Abis,
        internal_key: Option<InternalKey>,
    ) -> Self {
        Self {
            database,
            cache: Arc::new(cache),
            metrics,
            lag_limit_blocks,
            lag_limit,
            abis,
            internal_key,
            known: RwLock::new(None),
        }
    }

    /// The chain that is served; a problem until the indexer has written which one it is.
    pub async fn chain(&self) -> Result<Arc<Known>, Problem> {
        match self.known() {
            Some(known) => Ok(known),
            None => self.refresh_chain().await,
        }
    }

    /// Reads again which chain is served: a development database may be dropped and made anew under
    /// a running service, and the keys in Redis carry the database's own name.
    pub async fn refresh_chain(&self) -> Result<Arc<Known>, Problem> {
        let chain = in_time(find_chain(&self.database)).await?;
        let fresh = chain.map(|chain| {
            let keys = Keys::new(chain.chain_id, &chain.instance);
            Arc::new(Known { chain, keys })
        });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.clone_from(&fresh);
        fresh.ok_or_else(Problem::not_indexed_yet)
    }

    fn known(&self) -> Option<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// Answers a question.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Problem> {
        let known = self.chain().await?;
        match self.look_up(&known, question).await {
            Lookup::Hit(answer) => Ok(*answer),
            Lookup::Miss | Lookup::Stale | Lookup::Error => {
                let mut snapshot = in_time(Snapshot::open(&self.database)).await?;
                self.build(&known, &mut snapshot, question).await
            }
        }
    }

    /// A snapshot to answer from without the cache: what not everybody may see, and what is not worth
    /// keeping.
    pub async fn snapshot(&self) -> Result<(Snapshot, Head), Problem> {
        let snapshot = in_time(Snapshot::open(&self.database)).await?;
        let head = Head::of(&snapshot.state).ok_or_else(Problem::not_indexed_yet)?;
        Ok((snapshot, head))
    }

    /// Answers a question about a block that is named by its place in the chain.
    ///
    /// The height and the answer come from the same head: if the head moves between the two reads
    /// of Redis so that the tag means another block, one snapshot decides both.
    pub async fn ask_tagged(
        &self,
        tag: Tag,
        question: impl Fn(BlockId) -> Question,
    ) -> Result<Answer, Problem> {
        let known = self.chain().await?;
        let question = |height| question(BlockId::Number(height));
        let published = self.published_head(&known).await;
        let height = published.and_then(|head| tag.height(&head, &known.chain));
        if let Some(height) = height
            && let Lookup::Hit(answer) = self.look_up(&known, &question(height)).await
            && tag.height(&answer.head, &known.chain) == Some(height)
        {
            return Ok(*answer);
        }
        let mut snapshot = in_time(Snapshot::open(&self.database)).await?;
        let head = Head::of(&snapshot.state).ok_or_else(Problem::not_indexed_yet)?;
        let height = tag.height(&head, &known.chain);
        let height = height.ok_or_else(|| tag.missing())?;
        self.build(&known, &mut snapshot, &question(height)).await
    }

    /// Asks the indexer to read what only a node can tell of an address: it takes from this set. Never
    /// waits, and is let go when Redis is down; the next page asks again.
    pub fn want(&self, address: Address) {
        if let Some(known) = self.known() {
            let address = format!("{address:#x}");
            self.cache.add(known.keys.wanted(), address);
        }
    }

    async fn published_head(&self, known: &Known) -> Option<Head> {
        let head = self.cache.get(known.keys.head()).await.ok().flatten();
        parse_head(&head?)
    }

    async fn look_up(&self, known: &Known, question: &Question) -> Lookup {
        let (head, key) = (known.keys.head(), question.key(&known.keys));
        let lookup = match self.cache.get_both(head, key).await {
            Ok((head, entry)) => Lookup::judge(head.as_deref(), entry.as_deref()),
            Err(_) => Lookup::Error,
        };
        metrics::counter!(
            "cache_requests_total",
            "kind" => question.kind(),
            "outcome" => lookup.outcome(),
        )
        .increment(1);
        lookup
    }

    /// Answers from a snapshot, whose head is the answer's, and leaves the answer in Redis. A fill
    /// that is overtaken by a commit does no harm: it says what it depends on.
    async fn build(
        &self,
        known: &Known,
        snapshot: &mut Snapshot,
        question: &Question,
    ) -> Result<Answer, Problem> {
        let head = Head::of(&snapshot.state).ok_or_else(Problem::not_indexed_yet)?;
        let Some(entry) = question.build(snapshot).await? else {
            return Err(question.missing(&head, &known.chain));
        };
        let (key, seconds) = (question.key(&known.keys), question.ttl(&entry));
        self.cache.put(key, entry.encode(), seconds);
        Ok(Answer { entry, head })
    }
}

fn parse_head(text: &str) -> Option<Head> {
    serde_json::from_str(text).ok()
}

/// Waits for the database as long as it may take to get a connection from it.
async fn in_time<T>(query: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Problem> {
    match tokio::time::timeout(DATABASE_PATIENCE, query).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Problem::database_unavailable("no connection in time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"seq":4,"number":7,"hash":"0x0101010101010101010101010101010101010101010101010101010101010101","timestamp":9,"safe":null,"finalized":3,"epoch":2}"#;

    #[test]
    fn an_entry_is_used_only_with_a_head_that_it_fits() {
        let outcome = |head, entry| Lookup::judge(head, entry).outcome();
        assert_eq!(outcome(Some(HEAD), Some("e2 b7\n{}")), "hit");
        assert_eq!(outcome(Some(HEAD), Some("f0 b3\n{}")), "hit");
        assert_eq!(outcome(Some(HEAD), Some("h2:7:0 -\n{}")), "hit");
        assert_eq!(outcome(Some(HEAD), Some("e1 b7\n{}")), "stale");
        assert_eq!(outcome(Some(HEAD), Some("e2 b8\n{}")), "stale");
        assert_eq!(outcome(Some(HEAD), Some("f0 b8\n{}")), "stale");
        assert_eq!(outcome(Some(HEAD), Some("f1 b3\n{}")), "stale");
        assert_eq!(outcome(Some(HEAD), Some("h2:6:0 -\n{}")), "stale");
        assert_eq!(outcome(Some(HEAD), Some("not ours")), "stale");
        assert_eq!(outcome(Some("{}"), Some("e2 b7\n{}")), "stale");
        assert_eq!(outcome(Some(HEAD), None), "miss");
        assert_eq!(outcome(None, Some("f0 b3\n{}")), "miss");
    }
}
