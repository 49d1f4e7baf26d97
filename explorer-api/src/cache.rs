//! Redis as this service uses it: one round trip a read, writes in the background, and never a wait
//! for a server that is not there.

use redis::{
    AsyncCommands as _, Client, Cmd, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Longest wait for a connection, and for a reply: past this Postgres would have answered.
const PATIENCE: Duration = Duration::from_millis(250);
/// Both of them, for a request that finds the connection gone.
const WHOLE_PATIENCE: Duration = Duration::from_millis(300);
/// How long a Redis that failed is not asked again, so that one request a second waits, not each.
const PAUSE: Duration = Duration::from_secs(1);
/// Most writes under way: beyond it an answer is not cached, which costs a later reader a query.
const MAX_WRITES: usize = 64;

/// Redis did not answer, or was not asked since it just failed.
#[derive(Debug)]
pub(crate) struct Unavailable;

/// The connection and what is known of its health.
struct Link {
    manager: ConnectionManager,
    /// Not asked before this time.
    paused_until: Option<Instant>,
    /// What was logged last, so that only a change is logged.
    down: bool,
    /// The same for writes that it refused.
    refused: bool,
}

/// Answers in Redis.
pub(crate) struct Cache {
    client: Client,
    link: Mutex<Link>,
    writes: Arc<Semaphore>,
}

impl Cache {
    /// Prepares a connection that is opened when it is first used.
    pub fn new(redis_url: &str) -> Result<Self, RedisError> {
        let client = Client::open(redis_url)?;
        let link = Link {
            manager: connect(&client)?,
            paused_until: None,
            down: false,
            refused: false,
        };
        Ok(Self {
            client,
            link: Mutex::new(link),
            writes: Arc::new(Semaphore::new(MAX_WRITES)),
        })
    }

    /// Reads two keys at one moment.
    pub async fn get_both(
        &self,
        first: String,
        second: String,
    ) -> Result<(Option<String>, Option<String>), Unavailable> {
        let mut manager = self.manager().ok_or(Unavailable)?;
        let read = async move { manager.mget(&[first, second]).await };
        let (first, second): (Option<Vec<u8>>, Option<Vec<u8>>) = self.attempt(read).await?;
        Ok((first.and_then(text), second.and_then(text)))
    }

    /// Reads one key.
    pub async fn get(&self, key: String) -> Result<Option<String>, Unavailable> {
        let mut manager = self.manager().ok_or(Unavailable)?;
        let value: Option<Vec<u8>> = self.attempt(async move { manager.get(key).await }).await?;
        Ok(value.and_then(text))
    }

    /// Writes a key in the background; a write that fails or finds no room is let go.
    pub fn put(self: &Arc<Self>, key: String, value: String, seconds: u64) {
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value).arg("EX").arg(seconds);
        self.write(command);
    }

    /// Adds to a set in the background, in the same way.
    pub fn add(self: &Arc<Self>, key: String, member: String) {
        let mut command = redis::cmd("SADD");
        command.arg(key).arg(member);
        self.write(command);
    }

    fn write(self: &Arc<Self>, command: Cmd) {
        let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned() else {
            return;
        };
        let Some(mut manager) = self.manager() else {
            return;
        };
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            let write = async move {
                match command.query_async(&mut manager).await {
                    // A Redis that is full or a replica refuses writes and can still be read.
                    Err(error) if !error.is_io_error() => Ok(Some(error)),
                    done => done.map(|()| None),
                }
            };
            if let Ok(refusal) = cache.attempt(write).await {
                cache.note_write(refusal.as_ref());
            }
            drop(permit);
        });
    }

    /// Whether Redis answers now; asked even while it is paused.
    pub async fn ping(&self) -> bool {
        let mut manager = self.lock().manager.clone();
        let pong = self.attempt(async move { manager.ping::<String>().await });
        pong.await.is_ok()
    }

    /// The connection, unless it just failed. After a pause one caller is let through and the
    /// others go on as before until it is known how that went.
    fn manager(&self) -> Option<ConnectionManager> {
        let mut link = self.lock();
        if let Some(until) = link.paused_until {
            let now = Instant::now();
            if now < until {
                return None;
            }
            link.paused_until = Some(now + PAUSE);
        }
        Some(link.manager.clone())
    }

    /// Runs a command within the time that Redis has, and notes how it went.
    async fn attempt<T>(
        &self,
        command: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Unavailable> {
        let reason = match tokio::time::timeout(WHOLE_PATIENCE, command).await {
            Ok(Ok(value)) => {
                self.note_up();
                return Ok(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no reply in time".to_owned(),
        };
        self.note_down(&reason);
        Err(Unavailable)
    }

    fn note_up(&self) {
        let mut link = self.lock();
        link.paused_until = None;
        if std::mem::take(&mut link.down) {
            tracing::info!("Redis answers again");
        }
        drop(link);
        metrics::gauge!("redis_up").set(1.0);
    }

    /// Tells of refused writes once, and once when they work again.
    fn note_write(&self, refusal: Option<&RedisError>) {
        let refused = std::mem::replace(&mut self.lock().refused, refusal.is_some());
        match refusal {
            Some(error) if !refused => {
                tracing::warn!(%error, "Redis refuses to cache answers: it can only be read");
            }
            None if refused => tracing::info!("Redis caches answers again"),
            _ => {}
        }
    }

    /// Pauses, and replaces the connection: a manager keeps the outcome of a refused login or of a
    /// server that was still loading for ever.
    fn note_down(&self, reason: &str) {
        let fresh = connect(&self.client);
        let mut link = self.lock();
        link.paused_until = Some(Instant::now() + PAUSE);
        if let Ok(manager) = fresh {
            link.manager = manager;
        }
        if !std::mem::replace(&mut link.down, true) {
            tracing::warn!(
                reason,
                "Redis does not answer: answers come from the database"
            );
        }
        drop(link);
        metrics::gauge!("redis_up").set(0.0);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Link> {
        // Nothing panics while it is held; if something did, the link is still a link.
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What we wrote is UTF-8; anything else is as good as not there.
fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

fn connect(client: &Client) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE))
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_redis_that_hangs_costs_one_wait_and_then_none() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let cache = Arc::new(Cache::new(&url).unwrap());
        let started = Instant::now();
        assert!(cache.get("a".to_owned()).await.is_err());
        assert!(started.elapsed() < Duration::from_secs(1));
        let started = Instant::now();
        for _ in 0..100 {
            assert!(
                cache
                    .get_both("a".to_owned(), "b".to_owned())
                    .await
                    .is_err()
            );
            cache.put("a".to_owned(), "b".to_owned(), 1);
        }
        assert!(started.elapsed() < Duration::from_millis(100));
    }

    #[tokio::test]
    async fn after_a_pause_one_caller_tries_and_the_others_do_not_wait() {
        let cache = Cache::new("redis://127.0.0.1:1").unwrap();
        cache.note_down("test");
        assert!(cache.manager().is_none());
        cache.lock().paused_until = Some(Instant::now());
        assert!(cache.manager().is_some());
        assert!(cache.manager().is_none());
        cache.note_up();
        assert!(cache.manager().is_some() && cache.manager().is_some());
    }

    #[tokio::test]
    async fn a_redis_that_is_not_there_is_no_error_at_start() {
        let cache = Cache::new("redis://127.0.0.1:1").unwrap();
        assert!(!cache.ping().await);
    }
}
