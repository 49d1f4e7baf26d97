//! The live head: how long a block takes from the node's announcement to a subscriber, and how long a
//! reorg takes against indexing as many blocks.

use crate::{
    figure::{Bar, Figure, number},
    stand::{Database, Failure, Stand},
};
use futures::StreamExt as _;
use simnode::{CannedChain, LoadChain, LoadProfile, Server, Tag};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use store::state;
use tallyscan_tests::{RunningIndexer, indexer_config};

/// Blocks whose way to a subscriber is measured.
const ANNOUNCED: u64 = 200;

/// The head that an indexer finds when it starts.
const FIRST: u64 = 10;

/// Blocks before the first that is measured.
const WARM_UP: u64 = 20;

/// Depth of the reorg.
const DEPTH: u64 = 64;

/// How often the reorg is measured.
const ROUNDS: u64 = 5;

/// A live chain whose head is moved by hand, over a WebSocket.
struct Live {
    node: Server,
    load: Arc<LoadChain>,
    database: Database,
    indexer: RunningIndexer,
}

impl Live {
    async fn start(stand: &Stand, blocks: u64, head: u64) -> Result<Self, Failure> {
        let load = Arc::new(LoadChain::generate(LoadProfile::default(), blocks)?);
        Self::over(stand, load, head, &[]).await
    }

    /// With wallets that the ledger knows from the beginning.
    async fn over(
        stand: &Stand,
        load: Arc<LoadChain>,
        head: u64,
        wallets: &[Vec<u8>],
    ) -> Result<Self, Failure> {
        let chain = CannedChain::with_load(load.clone());
        chain.set_head(head);
        chain.set_finalized(Tag::At(0));
        chain.set_safe(Tag::At(0));
        let node = Server::start(chain)?;
        let database = stand.database().await?;
        sqlx::query(
            "WITH house AS MATERIALIZED (SELECT ledger.create_party('house') AS party_id)
             INSERT INTO ledger.wallets SELECT address, party_id FROM unnest($1::bytea[]) AS address, house",
        )
        .bind(wallets)
        .execute(&database.pool)
        .await?;
        let harness = tallyscan_tests::Database {
            url: database.url.clone(),
            pool: database.pool.clone(),
        };
        let config = indexer_config(&harness, &stand.redis_url(), &[node.ws_url()]);
        let indexer = RunningIndexer::start(&harness, config).await;
        let live = Self {
            node,
            load,
            database,
            indexer,
        };
        live.reaches(head).await?;
        Ok(live)
    }

    /// Waits until a height of the node's chain is the committed head.
    async fn reaches(&self, number: u64) -> Result<(), Failure> {
        let block = self.node.chain().block(number).ok_or("no such block")?;
        let deadline = Instant::now() + Duration::from_mins(1);
        while Instant::now() < deadline {
            let head = state::get_state(&self.database.pool).await?.head;
            if head.is_some_and(|head| head.hash == block.hash) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!("block {number} was not indexed within a minute").into())
    }

    async fn stop(self, stand: &Stand) -> Result<(), Failure> {
        self.indexer.stop().await;
        stand.drop(self.database).await
    }
}

/// From the announcement to the message on the channel, which follows the commit; and what it takes more
/// where every transaction is one of the ledger's wallets'.
pub async fn latency(stand: &Stand) -> Result<Vec<Figure>, Failure> {
    let blocks = FIRST + WARM_UP + ANNOUNCED;
    let load = Arc::new(LoadChain::generate(LoadProfile::default(), blocks)?);
    let plain = announce(stand, load.clone(), &[]).await?;
    let tracked = announce(stand, load.clone(), &senders(&load)?).await?;
    Ok(vec![
        Figure::absolute("head_latency", at(&plain, 50), "ms p50", Bar::AtMost(50.0))
            .with_note("node announces → committed → published, 200 transactions a block"),
        Figure::absolute(
            "head_latency_p99",
            at(&plain, 99),
            "ms p99",
            Bar::AtMost(200.0),
        ),
        Figure::absolute(
            "leg_latency",
            at(&tracked, 50) - at(&plain, 50),
            "ms p50",
            Bar::AtMost(30.0),
        )
        .with_note("more, where every sender is a wallet of the ledger: 400 legs a block"),
    ])
}

/// The time in milliseconds that so many in a hundred do not exceed.
fn at(taken: &[Duration], percent: usize) -> f64 {
    let index = (taken.len() * percent / 100).min(taken.len() - 1);
    taken[index].as_secs_f64() * 1000.0
}

/// Whoever sent something.
fn senders(load: &LoadChain) -> Result<Vec<Vec<u8>>, Failure> {
    let mut senders = BTreeSet::new();
    for number in 1..=load.head() {
        let block = load.canned(number).ok_or("no such block")?;
        let block: serde_json::Value = serde_json::from_str(block.block.as_str())?;
        for transaction in block["transactions"].as_array().into_iter().flatten() {
            let from = transaction["from"].as_str().unwrap_or_default();
            senders.insert(alloy::hex::decode(from)?);
        }
    }
    Ok(senders.into_iter().collect())
}

/// Announces one block after the other; how long each took, sorted.
async fn announce(
    stand: &Stand,
    load: Arc<LoadChain>,
    wallets: &[Vec<u8>],
) -> Result<Vec<Duration>, Failure> {
    let mut subscription = redis::Client::open(stand.redis_url())?
        .get_async_pubsub()
        .await?;
    subscription.subscribe("blocks").await?;
    let mut announced = subscription.on_message();
    let live = Live::over(stand, load, FIRST, wallets).await?;
    let mut taken = Vec::new();
    for number in FIRST + 1..=FIRST + WARM_UP + ANNOUNCED {
        let started = Instant::now();
        live.node.chain().advance(1);
        loop {
            let message = tokio::time::timeout(Duration::from_secs(10), announced.next()).await?;
            let message: String = message.ok_or("the subscription ended")?.get_payload()?;
            let block: serde_json::Value = serde_json::from_str(&message)?;
            if block["number"] == number {
                break;
            }
        }
        if number > FIRST + WARM_UP {
            taken.push(started.elapsed());
        }
    }
    live.stop(stand).await?;
    taken.sort_unstable();
    Ok(taken)
}

/// A reorg of 64 blocks against indexing 64 blocks.
pub async fn reorg(stand: &Stand) -> Result<Figure, Failure> {
    let first = 10;
    let live = Live::start(stand, first + DEPTH * ROUNDS, first).await?;
    let (mut indexed, mut reorged) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        let ancestor = first + DEPTH * round;
        let chain = live.node.chain();
        let started = Instant::now();
        chain.set_head(ancestor + DEPTH);
        live.reaches(ancestor + DEPTH).await?;
        indexed += started.elapsed();

        let branch = live.load.branch(ancestor, 1_000 + round, DEPTH)?;
        let started = Instant::now();
        chain.replace_from(ancestor + 1, branch);
        live.reaches(ancestor + DEPTH).await?;
        reorged += started.elapsed();
        // Back to the chain's own blocks, on which the next round builds.
        let own =
            (ancestor + 1..=ancestor + 2 * DEPTH).filter_map(|number| live.load.canned(number));
        chain.replace_from(ancestor + 1, own.collect::<Vec<_>>());
        live.reaches(ancestor + DEPTH).await?;
    }
    live.stop(stand).await?;
    let milliseconds = |took: Duration| took.as_secs_f64() * 1000.0 / number(ROUNDS);
    Ok(Figure::ratio(
        "reorg_64",
        milliseconds(reorged),
        "ms",
        milliseconds(indexed),
        Bar::AtMost(2.0),
    )
    .with_note("200 transactions a block, against indexing as many blocks at the head"))
}
