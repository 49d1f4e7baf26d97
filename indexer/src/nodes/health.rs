//! What operators see of the nodes. Labels only: URLs hold keys.

use super::standing::{Trust, Why};
use crate::source::Source;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Whether a node is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It is.
    Usable,
    /// It asked to be left alone.
    Busy,
    /// It lied; the reason.
    Quarantined(String),
    /// It gives no usable answer; the reason.
    Unreachable(String),
    /// It was not yet found to follow our chain.
    Unverified,
    /// It follows another chain.
    Foreign(String),
    /// It is used for blocks from this height on: older ones are pruned.
    PrunedBelow(u64),
}

/// One node, for health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeHealth {
    /// Host and port.
    pub label: String,
    /// Whether it is used.
    pub state: NodeState,
    /// Whether it is the one that is followed.
    pub followed: bool,
    /// Usual time of a batch's reply, once there was one.
    pub latency_ms: Option<u64>,
    /// Requests that it may have in flight.
    pub concurrency: usize,
    /// Blocks that one request asks for.
    pub batch: usize,
}

impl Source {
    /// How each node stands, in the order of preference.
    #[must_use]
    pub fn nodes_health(&self) -> Vec<NodeHealth> {
        let (now, current) = (Instant::now(), self.current().0);
        let nodes = self.pool.nodes.iter().enumerate();
        nodes
            .map(|(index, node)| {
                let standing = self.pool.standing(index);
                let state = match (&standing.trust, standing.resting(now)) {
                    (Trust::Unknown, _) => NodeState::Unverified,
                    (Trust::Foreign(reason), _) => NodeState::Foreign(reason.clone()),
                    (_, Some((_, Why::Busy))) => NodeState::Busy,
                    (_, Some((_, Why::Unreachable(reason)))) => {
                        NodeState::Unreachable(reason.clone())
                    }
                    (_, Some((_, Why::Quarantined(reason)))) => {
                        NodeState::Quarantined(reason.clone())
                    }
                    (_, None) => standing
                        .pruned_below(now)
                        .map_or(NodeState::Usable, NodeState::PrunedBelow),
                };
                NodeHealth {
                    label: node.label().to_owned(),
                    state,
                    followed: index == current,
                    latency_ms: standing.limits.reply().map(milliseconds),
                    concurrency: standing.concurrency(),
                    batch: standing.limits.blocks(),
                }
            })
            .collect()
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
