//! Hints that a node has a new head.
//!
//! In: `newHeads` of every WebSocket node. Out: the newest header that each announced. A hint only
//! says to look sooner: the follower polls whether hints come or not. Subscriptions die silently, so
//! one that stays quiet for longer than the chain's blocks take is replaced.

use crate::{node::Node, tip::Tip};
use alloy::{
    providers::{Provider as _, ProviderBuilder, RootProvider},
    transports::{TransportError, ws::WsConnect},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A quiet subscription is replaced after at least this long.
const LEAST_PATIENCE: Duration = Duration::from_secs(20);

/// And at the latest after this long, on chains that only make blocks when there is something in them.
const MOST_PATIENCE: Duration = Duration::from_mins(5);

/// How many block times a subscription may be quiet for.
const QUIET_BLOCKS: u32 = 8;

/// Pause before a broken subscription is made again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The newest announced header and the node that announced it.
pub(crate) type Hint = Option<(Arc<str>, Tip)>;

/// Listens to all WebSocket nodes until dropped.
#[derive(Debug)]
pub(crate) struct Heads {
    newest: watch::Receiver<Hint>,
    taken: Hint,
    listeners: Vec<AbortOnDropHandle<()>>,
}

impl Heads {
    pub(crate) fn listen(nodes: &[Arc<Node>]) -> Self {
        let (sender, newest) = watch::channel(None);
        let listeners = nodes
            .iter()
            .filter_map(|node| Some((node.clone(), node.websocket()?)))
            .map(|(node, connect)| {
                let sender = sender.clone();
                AbortOnDropHandle::new(tokio::spawn(listen(node, connect, sender)))
            })
            .collect();
        Self {
            newest,
            taken: None,
            listeners,
        }
    }

    /// Whether any node can announce its heads.
    pub(crate) fn any(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// The newest header that a node announced, once.
    pub(crate) fn take(&mut self, node: &str) -> Option<Tip> {
        let hint = self.newest.borrow_and_update().clone();
        if hint == self.taken {
            return None;
        }
        self.taken = hint;
        let (label, tip) = self.taken.as_ref()?;
        (**label == *node).then_some(*tip)
    }

    /// Waits for the next hint; forever when no node gives any.
    pub(crate) async fn changed(&mut self) {
        if self.newest.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn listen(node: Arc<Node>, connect: WsConnect, sender: watch::Sender<Hint>) {
    let label: Arc<str> = node.label().into();
    let pace = Pace::default();
    loop {
        match subscribe_once(&label, connect.clone(), &sender, &pace).await {
            Ok(()) => tracing::debug!(
                node = &*label,
                "head subscription went quiet, making another"
            ),
            Err(error) => tracing::debug!(node = &*label, %error, "head subscription broke"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Listens until the subscription ends, breaks or stays quiet for too long.
async fn subscribe_once(
    label: &Arc<str>,
    connect: WsConnect,
    sender: &watch::Sender<Hint>,
    pace: &Pace,
) -> Result<(), TransportError> {
    let subscribing = async {
        let provider: RootProvider = ProviderBuilder::default().connect_ws(connect).await?;
        let heads = provider.subscribe::<_, Tip>(("newHeads",)).await?;
        Ok::<_, TransportError>((provider, heads))
    };
    let Ok(subscribed) = tokio::time::timeout(LEAST_PATIENCE, subscribing).await else {
        return Ok(());
    };
    let (_provider, mut heads) = subscribed?;
    while let Ok(Ok(tip)) = tokio::time::timeout(pace.patience(), heads.recv()).await {
        pace.tick();
        sender.send_replace(Some((label.clone(), tip)));
    }
    Ok(())
}

/// How fast heads come.
#[derive(Debug, Default)]
struct Pace(Mutex<Option<(Instant, Duration)>>);

impl Pace {
    fn tick(&self) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let interval = slot.map_or(Duration::ZERO, |(last, _)| now - last);
        *slot = Some((now, interval));
    }

    fn patience(&self) -> Duration {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *slot {
            Some((_, interval)) if !interval.is_zero() => {
                (interval * QUIET_BLOCKS).clamp(LEAST_PATIENCE, MOST_PATIENCE)
            }
            _ => LEAST_PATIENCE,
        }
    }
}
