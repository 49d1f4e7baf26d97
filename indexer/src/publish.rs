//! From the outbox to Redis.
//!
//! In: committed events, in the order of their ids. Out: the head, the hot set and the messages on
//! the channels `blocks`, `transactions` and `reorgs`. An event is announced by one script that moves
//! the head, remembers the event's number and sends its messages together, and does nothing for a
//! number it has seen: a crash between announcing and deleting neither loses nor doubles an event.
//! Redis being away is no reason to stop: events wait in the outbox. Never touches the chain's rows.

use crate::metrics;
use redis::{
    AsyncCommands as _, Client, Script, aio::ConnectionManager, aio::ConnectionManagerConfig,
};
use sqlx::{PgPool, Row as _};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use store::{
    answer,
    cache::{Entry, Head, Keys, Validity, ttl},
    event::{Event, messages},
    read::Snapshot,
    state::Chain,
};
use tokio::sync::Notify;

/// Events read from the outbox at a time: enough to empty a long queue quickly, few enough to hold.
const EVENTS_AT_ONCE: i64 = 64;

/// How often the outbox is looked at when nobody says that there is something.
const POLL: Duration = Duration::from_secs(1);

/// Pause after Redis failed.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Newest blocks whose answers are written ahead of being asked for.
const HOT_BLOCKS: u64 = 8;

/// Moves the head and sends an event's messages, unless that event was announced before.
///
/// KEYS: announced, head. ARGV: number, head, then channel and message in turn.
const ANNOUNCE: &str = r"
local last = redis.call('GET', KEYS[1])
if last and tonumber(last) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1])
for i = 3, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end
return 1
";

/// Sets the head, unless an event was announced since it was compared.
///
/// KEYS: announced, head. ARGV: announced when compared, head.
const RESTORE: &str = r"
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
";

/// Why a round of publishing failed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Redis failed.
    #[error("Redis failed: {0}")]
    Redis(#[from] redis::RedisError),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// An event could not be read or written as JSON.
    #[error("an event is malformed: {0}")]
    Json(#[from] serde_json::Error),
}

/// Publishes what was committed.
pub struct Publisher {
    pool: PgPool,
    redis: ConnectionManager,
    keys: Keys,
    chain_id: u64,
    announce: Script,
    restore: Script,
    committed: Arc<Notify>,
    /// Whether Redis' memory was compared with the database's.
    compared: bool,
}

impl Publisher {
    /// A publisher for one chain; `committed` wakes it up.
    pub fn new(
        pool: PgPool,
        redis_url: &str,
        chain: &Chain,
        committed: Arc<Notify>,
    ) -> Result<Self, PublishError> {
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(Duration::from_secs(5)))
            .set_number_of_retries(1);
        let client = Client::open(redis_url)?;
        Ok(Self {
            pool,
            redis: ConnectionManager::new_lazy_with_config(client, settings)?,
            keys: Keys::new(chain.chain_id, &chain.instance),
            chain_id: chain.chain_id,
            announce: Script::new(ANNOUNCE),
            restore: Script::new(RESTORE),
            committed,
            compared: false,
        })
    }

    /// Publishes until dropped.
    pub async fn run(mut self) {
        let mut failing = false;
        loop {
            match self.publish_all().await {
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("publishing again");
                    }
                    // A notification or the poll: which of the two does not matter.
                    let _ = tokio::time::timeout(POLL, self.committed.notified()).await;
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "cannot publish; events wait in the outbox");
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Empties the outbox, then makes sure that Redis shows the head.
    pub async fn publish_all(&mut self) -> Result<(), PublishError> {
        if !self.compared {
            self.forget_other_lives().await?;
            self.compared = true;
        }
        while self.publish_some().await? {}
        self.restore_head().await
    }

    /// A database that was restored from a backup counts its events from an earlier number. Redis would
    /// take them for old ones, so what it remembers of the lost future is dropped.
    async fn forget_other_lives(&mut self) -> Result<(), PublishError> {
        let announced: Option<i64> = self.redis.get(self.keys.announced()).await?;
        let drawn: Option<i64> = sqlx::query_scalar(
            "SELECT last_value FROM pg_sequences
             WHERE format('%I.%I', schemaname, sequencename)::regclass
                   = pg_get_serial_sequence('outbox', 'id')::regclass",
        )
        .fetch_optional(&self.pool)
        .await?
        .flatten();
        if announced > drawn {
            tracing::warn!(
                announced,
                drawn,
                "Redis remembers events that this database never had (a restored backup?): announcing from here on"
            );
            let _: () = self.redis.del(self.keys.announced()).await?;
        }
        Ok(())
    }

    /// Publishes the oldest events; false when there were none.
    async fn publish_some(&mut self) -> Result<bool, PublishError> {
        let started = Instant::now();
        let rows = sqlx::query("SELECT id, payload FROM outbox ORDER BY id LIMIT $1")
            .bind(EVENTS_AT_ONCE)
            .fetch_all(&self.pool)
            .await?;
        let mut last = None;
        let mut news = false;
        for row in &rows {
            let id: i64 = row.try_get("id")?;
            let payload: &serde_json::value::RawValue = row.try_get("payload")?;
            let event: Event = serde_json::from_str(payload.get())?;
            self.announce(id, &event).await?;
            news |= !event.blocks.is_empty() || event.reorg.is_some();
            last = Some(id);
        }
        let Some(last) = last else {
            metrics::level("indexer_outbox_pending", 0);
            return Ok(false);
        };
        metrics::published(rows.len(), started.elapsed());
        // History moves the head without being news: nobody asks for it by the second.
        if news {
            self.fill_hot_set().await?;
        }
        sqlx::query("DELETE FROM outbox WHERE id <= $1")
            .bind(last)
            .execute(&self.pool)
            .await?;
        let pending: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(&self.pool)
            .await?;
        metrics::level("indexer_outbox_pending", pending.unsigned_abs());
        Ok(true)
    }

    async fn announce(&mut self, id: i64, event: &Event) -> Result<(), PublishError> {
        let head = Head {
            seq: id,
            ..event.head.clone()
        };
        let mut call = self.announce.prepare_invoke();
        call.key(self.keys.announced())
            .key(self.keys.head())
            .arg(id)
            .arg(serde_json::to_string(&head)?);
        for (channel, message) in messages(id, self.chain_id, event)? {
            call.arg(channel).arg(message);
        }
        let _: i64 = call.invoke_async(&mut self.redis).await?;
        Ok(())
    }

    /// Writes the answers that are asked for first: the newest blocks, the transactions of the very
    /// newest, the network's figures.
    async fn fill_hot_set(&mut self) -> Result<(), PublishError> {
        let mut snapshot = Snapshot::open(&self.pool).await?;
        let Some(head) = snapshot.state.head else {
            return Ok(());
        };
        let mut pipe = redis::pipe();
        let mut set = |key: String, entry: &Entry, seconds: u64| {
            let seconds = match entry.validity {
                Validity::Final(_) => ttl::FINAL,
                _ => seconds,
            };
            pipe.set_ex(key, entry.encode(), seconds).ignore();
        };
        let first = head.number.saturating_sub(HOT_BLOCKS - 1);
        for number in first..=head.number {
            if let Some(block) = answer::block(&mut snapshot, number).await? {
                set(self.keys.block(number), &block, ttl::RECENT);
            }
        }
        for (hash, entry) in answer::transactions_of(&mut snapshot, head.number).await? {
            set(self.keys.transaction(&hash), &entry, ttl::RECENT);
        }
        let network = answer::network(&mut snapshot).await?;
        set(self.keys.network(), &network, ttl::NETWORK);
        pipe.query_async::<()>(&mut self.redis).await?;
        Ok(())
    }

    /// Puts the head back where Redis lost it or was restored from an older copy. Only when no event
    /// waits: then the head of this snapshot is the one of the last event.
    async fn restore_head(&mut self) -> Result<(), PublishError> {
        let keys = [self.keys.announced(), self.keys.head()];
        let (announced, shown): (Option<String>, Option<String>) = self.redis.mget(&keys).await?;
        let shown: Option<Head> = shown.and_then(|json| serde_json::from_str(&json).ok());
        let mut snapshot = Snapshot::open(&self.pool).await?;
        let waiting: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM outbox)")
            .fetch_one(snapshot.connection())
            .await?;
        let Some(head) = Head::of(&snapshot.state).filter(|_| !waiting) else {
            return Ok(());
        };
        // History that was filled in meanwhile is no loss of Redis'.
        let moved = shown
            .as_ref()
            .is_some_and(|shown| shown.block == head.block);
        let same = shown.is_some_and(|shown| {
            let seq = shown.seq;
            shown
                == Head {
                    seq,
                    ..head.clone()
                }
        });
        if !same {
            let mut call = self.restore.prepare_invoke();
            let restored: bool = call
                .key(&keys)
                .arg(announced.unwrap_or_default())
                .arg(serde_json::to_string(&head)?)
                .invoke_async(&mut self.redis)
                .await?;
            if restored && !moved {
                tracing::info!(
                    block.number = head.block.number,
                    "put the head back into Redis"
                );
            }
        }
        Ok(())
    }
}
