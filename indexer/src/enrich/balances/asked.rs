//! Addresses that pages asked for: the API cannot write to the database, so it leaves them in Redis.

use alloy::primitives::Address;
use redis::{
    Client, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use std::time::Duration;
use store::{cache::Keys, state::Chain};
use tokio::sync::mpsc;

/// How often Redis is asked.
const POLL: Duration = Duration::from_millis(500);

/// Pause after Redis failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Addresses taken at a time: as many as one step of the reader takes besides its blocks.
const ADDRESSES_AT_ONCE: usize = 200;

/// Addresses on their way from Redis to the reader.
pub(crate) struct Asked(mpsc::Receiver<Vec<Address>>);

impl Asked {
    /// The way and its beginning. No more is taken from Redis than the reader takes.
    pub(crate) fn new() -> (mpsc::Sender<Vec<Address>>, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Self(receiver))
    }

    pub(super) fn next(&mut self) -> Option<Vec<Address>> {
        self.0.try_recv().ok()
    }
}

/// Takes addresses out of Redis until dropped; nothing happens while Redis is away.
pub(crate) async fn take_from_redis(url: &str, chain: &Chain, sender: mpsc::Sender<Vec<Address>>) {
    let key = Keys::new(chain.chain_id, &chain.instance).wanted();
    let settings = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(Duration::from_secs(5)))
        .set_number_of_retries(0);
    // A bad URL is the publisher's to name.
    let manager = Client::open(url)
        .and_then(|client| ConnectionManager::new_lazy_with_config(client, settings));
    let Ok(mut redis) = manager else { return };
    loop {
        tokio::time::sleep(POLL).await;
        let Ok(place) = sender.reserve().await else {
            return;
        };
        let mut pop = redis::cmd("SPOP");
        pop.arg(&key).arg(ADDRESSES_AT_ONCE);
        let popped: Result<Vec<String>, RedisError> = pop.query_async(&mut redis).await;
        match popped {
            Ok(members) => {
                let addresses: Vec<Address> = members
                    .iter()
                    .filter_map(|member| member.parse().ok())
                    .collect();
                if !addresses.is_empty() {
                    place.send(addresses);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "nobody's balance is asked for: Redis does not answer");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}
