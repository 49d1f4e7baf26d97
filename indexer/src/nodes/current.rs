//! The node that is followed: one at a time, so that its heads and its blocks are of one chain.
//!
//! It is left when it fails, lies, is busy or falls behind, for the next that is fit; some time later,
//! when the first of the list is well again and not behind, that one is returned to.

use super::standing::{Standing, Trust, Why};
use crate::{error::IndexError, identity, source::Source, tip::Tip};
use alloy::primitives::U64;
use std::{
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};
use store::state::Chain;

/// How long a node that is only compared with others may take.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// How long a node may take to say which chain it follows.
const INTRODUCTION_PATIENCE: Duration = Duration::from_secs(5);

/// The first node is returned to after so long at the earliest: longer than a restart. It doubles each
/// time that it is left again soon, up to the longest.
const FIRST_ABSENCE: Duration = Duration::from_secs(15);
const LONGEST_ABSENCE: Duration = Duration::from_mins(15);

/// A node that was followed for so long since its return is as good as new.
const SOON: Duration = Duration::from_mins(10);

/// When the first node of the list was left, and how often of late.
#[derive(Debug, Default)]
pub(crate) struct Absence {
    left: Option<Instant>,
    returned: Option<Instant>,
    times: u32,
}

impl Absence {
    fn leaves(&mut self, now: Instant) {
        if self
            .returned
            .is_some_and(|at| now.duration_since(at) > SOON)
        {
            self.times = 0;
        }
        self.left = Some(now);
        self.times += 1;
    }

    fn returns(&mut self, now: Instant) {
        (self.left, self.returned) = (None, Some(now));
    }

    fn is_over(&self, now: Instant) -> bool {
        let doublings = self.times.saturating_sub(1).min(10);
        let absence = (FIRST_ABSENCE * (1 << doublings)).min(LONGEST_ABSENCE);
        self.left
            .is_some_and(|left| now.duration_since(left) >= absence)
    }
}

/// How fit a node is to take over, best first; `None` when it is not to be asked.
fn fitness(standing: &Standing, now: Instant, anybody: bool) -> Option<u8> {
    match (&standing.trust, standing.resting(now)) {
        (Trust::Verified, None) => Some(0),
        (Trust::Unknown, _) => Some(1),
        (Trust::Verified, Some((_, Why::Busy | Why::Unreachable(_)))) => Some(2),
        (Trust::Verified, Some((_, Why::Quarantined(_)))) => anybody.then_some(3),
        (Trust::Foreign(_), _) => None,
    }
}

impl Source {
    /// Whether the current node was found to follow our chain; its place in the list otherwise.
    pub(crate) fn unverified(&self) -> Option<usize> {
        let index = self.current().0;
        (self.pool.standing(index).trust != Trust::Verified).then_some(index)
    }

    pub(crate) fn set_verified(&self, index: usize) {
        self.pool.standing(index).trust = Trust::Verified;
        self.pool.notify();
    }

    pub(crate) fn use_node(&self, index: usize) {
        let before = self.pool.current.swap(index, Ordering::Relaxed);
        self.left_or_returned(before, index);
    }

    /// Turns to the first node that follows our chain; false when there is none.
    pub(crate) fn use_first_verified(&self) -> bool {
        let mut all = 0..self.pool.nodes.len();
        let first = all.find(|index| self.pool.standing(*index).trust == Trust::Verified);
        if let Some(index) = first {
            self.use_node(index);
        }
        first.is_some()
    }

    /// Names the chain that every node must follow: from now on nodes that were away are introduced
    /// when they come back.
    pub fn expect_chain(&self, chain: &Chain) {
        let _ = self.pool.chain.set(chain.clone());
    }

    /// A node of another chain is not asked again, and another one is turned to.
    pub(crate) fn turn_away(&self, node: &str, foreign: &IndexError) {
        if let Some(index) = self.pool.index_of(node) {
            self.note_foreign(index, &foreign.to_string());
            self.fail_over(node);
        }
    }

    fn note_foreign(&self, index: usize, reason: &str) {
        if self.pool.standing(index).is_foreign(Instant::now(), reason) {
            tracing::warn!(node = self.pool.nodes[index].label(), "not used: {reason}");
        }
    }

    /// Turns to the next fit node, unless somebody already did since `failed` was asked.
    pub fn fail_over(&self, failed: &str) {
        let (index, node) = self.current();
        if node.label() != failed {
            return;
        }
        let (now, count) = (Instant::now(), self.pool.nodes.len());
        let foreign = matches!(self.pool.standing(index).trust, Trust::Foreign(_));
        let next = (1..count)
            .map(|distance| (index + distance) % count)
            .filter_map(|next| {
                let fitness = fitness(&self.pool.standing(next), now, foreign)?;
                Some((fitness, next))
            })
            .min_by_key(|(fitness, _)| *fitness);
        let Some((_, next)) = next else { return };
        let turned =
            self.pool
                .current
                .compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
        if turned.is_ok() {
            self.left_or_returned(index, next);
            let to = self.pool.nodes[next].label();
            tracing::warn!(node = failed, node.next = to, "turning to the next node");
        }
    }

    fn left_or_returned(&self, before: usize, after: usize) {
        let mut absence = self.absence();
        if after == 0 && before != 0 {
            absence.returns(Instant::now());
        } else if after != 0 && before == 0 {
            absence.leaves(Instant::now());
        }
    }

    fn absence(&self) -> MutexGuard<'_, Absence> {
        let absence: &Mutex<Absence> = &self.pool.absence;
        absence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns to the node whose head is highest, if that is at least `least`, else back to the first of
    /// the list when it is well again; returns the head of the node turned to.
    pub(crate) async fn turn_to_a_higher_head(&self, least: u64) -> Option<u64> {
        let current = self.current().0;
        let others = (0..self.pool.nodes.len()).filter(|index| *index != current);
        let heads = others.map(|index| async move { Some((self.probe_head(index).await?, index)) });
        let heads = futures::future::join_all(heads).await;
        let (head, index) = heads.into_iter().flatten().max()?;
        if head < least {
            return self.return_to_the_first().await;
        }
        self.use_node(index);
        tracing::warn!(
            node = self.pool.nodes[current].label(),
            node.next = self.pool.nodes[index].label(),
            node.head = head,
            "the node is behind another one: turning to that"
        );
        Some(head)
    }

    /// The head of a node that may be turned to; a stranger is introduced first.
    async fn probe_head(&self, index: usize) -> Option<u64> {
        let stranger = {
            let (mut standing, now) = (self.pool.standing(index), Instant::now());
            let rests = matches!(
                standing.resting(now),
                Some((_, Why::Quarantined(_) | Why::Busy))
            );
            if rests {
                return None;
            }
            let stranger = standing.trust != Trust::Verified;
            if stranger && !standing.is_to_be_introduced(now) {
                return None;
            }
            stranger
        };
        if stranger && !self.introduce(index).await {
            return None;
        }
        let node = &self.pool.nodes[index];
        let asked = node.call("eth_blockNumber", ());
        let answer = tokio::time::timeout(PROBE_PATIENCE, asked).await;
        let head: Option<U64> = answer
            .ok()
            .and_then(Result::ok)
            .and_then(|raw| serde_json::from_str(raw.get()).ok());
        let head = head?;
        self.pool.standing(index).answered();
        Some(head.saturating_to())
    }

    /// Turns back to the first node, when it was away long enough and has the head of the current one.
    async fn return_to_the_first(&self) -> Option<u64> {
        let now = Instant::now();
        if self.pool.is_current(0)
            || !self.absence().is_over(now)
            || !self.pool.standing(0).is_usable(now)
        {
            return None;
        }
        let head = self.head().await.ok()?;
        let same =
            self.pool.nodes[0].call("eth_getBlockByNumber", (U64::from(head.number()), false));
        let same = tokio::time::timeout(PROBE_PATIENCE, same)
            .await
            .ok()?
            .ok()?;
        let same: Option<Tip> = serde_json::from_str(same.get()).ok()?;
        if same?.hash != head.hash {
            return None;
        }
        self.use_node(0);
        let node = self.pool.nodes[0].label();
        tracing::info!(node, "turning back to the first node");
        Some(head.number())
    }

    /// Asks nodes that were away, or of another chain, which chain they follow now; in the background,
    /// so that nobody waits for a node that does not answer.
    pub(crate) fn introduce_strangers(&self) {
        if self.pool.chain.get().is_none() {
            return;
        }
        for index in 0..self.pool.nodes.len() {
            if self
                .pool
                .standing(index)
                .is_to_be_introduced(Instant::now())
            {
                let source = self.clone();
                tokio::spawn(async move { source.introduce(index).await });
            }
        }
    }

    /// Asks a node which chain it follows. Whether it is ours.
    async fn introduce(&self, index: usize) -> bool {
        let Some(chain) = self.pool.chain.get() else {
            return false;
        };
        let node = &self.pool.nodes[index];
        let asked = identity::introduce(self, index);
        match tokio::time::timeout(INTRODUCTION_PATIENCE, asked).await {
            Ok(Ok(found)) => match identity::compare(chain, node, found) {
                Ok(()) => {
                    self.set_verified(index);
                    return true;
                }
                Err(foreign) => self.note_foreign(index, &foreign.to_string()),
            },
            Ok(Err(error)) => {
                tracing::debug!(node = node.label(), %error, "node does not answer");
            }
            Err(_) => tracing::debug!(node = node.label(), "node does not answer in time"),
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_fails_soon_after_its_return_is_returned_to_later() {
        let (mut absence, now) = (Absence::default(), Instant::now());
        assert!(!absence.is_over(now), "it was never left");
        absence.leaves(now);
        assert!(!absence.is_over(now));
        assert!(absence.is_over(now + FIRST_ABSENCE));
        absence.returns(now);
        absence.leaves(now);
        assert!(!absence.is_over(now + FIRST_ABSENCE));
        assert!(absence.is_over(now + 2 * FIRST_ABSENCE));
        absence.returns(now);
        absence.leaves(now + 2 * SOON);
        assert!(absence.is_over(now + 2 * SOON + FIRST_ABSENCE));
    }
}
