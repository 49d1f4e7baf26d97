//! A subscriber that writes down every event.

use futures::StreamExt as _;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Channel.
    pub channel: String,
    /// Message.
    pub message: Value,
}

/// Everything that was published since it was made.
pub struct Events {
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Events {
    /// Subscribes to all three channels.
    pub async fn subscribe(redis_url: &str) -> Self {
        let client = redis::Client::open(redis_url).expect("a Redis URL");
        let mut pubsub = client.get_async_pubsub().await.expect("Redis answers");
        pubsub
            .subscribe(&["blocks", "transactions", "reorgs"])
            .await
            .expect("Redis subscribes");
        let received = Arc::new(Mutex::new(Vec::new()));
        let writing = received.clone();
        let task = tokio::spawn(async move {
            let mut messages = pubsub.on_message();
            while let Some(message) = messages.next().await {
                let text: String = message.get_payload().expect("text");
                writing.lock().expect("no panic").push(Received {
                    channel: message.get_channel_name().to_owned(),
                    message: serde_json::from_str(&text).expect("JSON"),
                });
            }
        });
        Self { received, task }
    }

    /// Everything so far, in order.
    #[must_use]
    pub fn all(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }

    /// The messages of one channel so far, in order.
    #[must_use]
    pub fn of(&self, channel: &str) -> Vec<Value> {
        let all = self.all().into_iter();
        all.filter(|event| event.channel == channel)
            .map(|event| event.message)
            .collect()
    }

    /// Replays blocks and reorgs into the chain of hashes they describe, checking that every block
    /// links to the one before and that nothing comes twice. Starts below the first block announced.
    #[must_use]
    pub fn replayed_chain(&self) -> Vec<(u64, String)> {
        let mut chain: Vec<(u64, String)> = Vec::new();
        let text = |value: &Value, key: &str| value[key].as_str().expect("a string").to_owned();
        for event in self.all() {
            let message = &event.message;
            match event.channel.as_str() {
                "reorgs" => {
                    let ancestor = message["ancestor"]["number"].as_u64().expect("a height");
                    let before = chain.len();
                    chain.retain(|(number, _)| *number <= ancestor);
                    let dropped = message["dropped"].as_array().expect("a list").len();
                    assert!(
                        before - chain.len() <= dropped,
                        "a reorg drops what it says"
                    );
                }
                "blocks" => {
                    let number = message["number"].as_u64().expect("a height");
                    if let Some((last, hash)) = chain.last() {
                        assert_eq!(number, last + 1, "blocks come in order, once");
                        assert_eq!(&text(message, "parent_hash"), hash, "blocks link");
                    }
                    chain.push((number, text(message, "hash")));
                }
                _ => {}
            }
        }
        chain
    }
}
