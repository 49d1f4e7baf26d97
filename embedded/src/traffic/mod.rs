//! Keeps a dev chain busy: real transactions of every kind that an explorer has to show, failing ones
//! included, and now and then a reorg.
//!
//! In: a node's URL and a pace. Out: transactions in that node, one per tick, in an order that the
//! seed decides. Never: blob transactions (anvil computes a wrong transactions root for their blocks),
//! gas estimates (they would refuse what is meant to fail), nonces that the node fills in.
//! Errors do not end it: the first of a row is logged, nonces are read again, and it goes on.

mod accounts;
mod contracts;
mod envelopes;
mod kinds;
mod sender;
mod token;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

pub use kinds::Kind;
use sender::Sender;

/// After an error the node gets this long before the next attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// How busy the chain should be.
#[derive(Debug, Clone)]
pub struct TrafficOptions {
    /// Time between two transactions.
    pub interval: Duration,
    /// Time between two reorgs; None: no reorgs.
    pub reorg_every: Option<Duration>,
    /// The deepest reorg, in blocks.
    pub reorg_depth: u64,
    /// Decides senders, kinds, amounts and depths.
    pub seed: u64,
}

impl Default for TrafficOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(400),
            reorg_every: Some(Duration::from_secs(45)),
            reorg_depth: 3,
            seed: 1,
        }
    }
}

/// What was done. Sent does not mean included: a reorg may have dropped it since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Transactions that the node took, by kind.
    pub sent: BTreeMap<Kind, u64>,
    /// Reorgs caused.
    pub reorgs: u64,
    /// Requests that failed.
    pub errors: u64,
}

/// Traffic on a dev chain.
#[derive(Debug)]
pub struct Traffic {
    options: TrafficOptions,
    random: StdRng,
    sender: Sender,
    tally: Tally,
    failing: bool,
}

impl Traffic {
    /// Sends transactions to the anvil at `rpc_http_url` until `shutdown` is cancelled.
    pub async fn run(
        rpc_http_url: &str,
        options: TrafficOptions,
        shutdown: CancellationToken,
    ) -> Tally {
        let sender = match Sender::new(rpc_http_url) {
            Ok(sender) => sender,
            Err(error) => {
                tracing::error!(%error, "no traffic on the dev chain");
                return Tally::default();
            }
        };
        let random = StdRng::seed_from_u64(options.seed);
        let mut traffic = Self {
            options,
            random,
            sender,
            tally: Tally::default(),
            failing: false,
        };
        shutdown.run_until_cancelled(traffic.drive()).await;
        traffic.tally
    }

    async fn drive(&mut self) {
        let mut ticks = tokio::time::interval(self.options.interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_reorg = self.options.reorg_every.map(|every| Instant::now() + every);
        loop {
            ticks.tick().await;
            let done = if next_reorg.is_some_and(|due| Instant::now() >= due) {
                next_reorg = self.options.reorg_every.map(|every| Instant::now() + every);
                self.reorg().await
            } else {
                self.send_one().await
            };
            match done {
                Ok(()) => self.recovered(),
                Err(error) => self.failed(&error).await,
            }
        }
    }

    async fn send_one(&mut self) -> Result<(), sender::Error> {
        self.sender.prepare().await?;
        let kind = Kind::pick(&mut self.random);
        self.sender.send(kind, &mut self.random).await?;
        *self.tally.sent.entry(kind).or_default() += 1;
        Ok(())
    }

    async fn reorg(&mut self) -> Result<(), sender::Error> {
        let depth = self
            .random
            .random_range(1..=self.options.reorg_depth.max(1));
        if let Some(depth) = self.sender.reorg(depth).await? {
            self.tally.reorgs += 1;
            tracing::debug!(depth, "reorganised the dev chain");
        }
        Ok(())
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.failing) {
            tracing::info!("traffic on the dev chain goes on");
        }
    }

    async fn failed(&mut self, error: &sender::Error) {
        self.tally.errors += 1;
        self.sender.forget();
        if std::mem::replace(&mut self.failing, true) {
            // A single error may be a lost race with a reorg; a row of them is not worth hammering on.
            tokio::time::sleep(PAUSE).await;
        } else {
            tracing::warn!(%error, "traffic on the dev chain is interrupted, trying again");
        }
    }
}
