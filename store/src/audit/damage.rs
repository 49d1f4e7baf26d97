//! What an audit found, in the form in which a repair needs it: complete, where the certificate's list
//! of differences is cut short.

use crate::state::BlockRef;
use std::collections::{BTreeMap, BTreeSet};

/// A set of heights, kept as ranges: damage is often one long run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heights {
    /// First height of a range → its last one; ranges neither overlap nor touch.
    ranges: BTreeMap<u64, u64>,
}

impl Heights {
    /// Adds every height from `low` to `high`, both included.
    pub fn insert(&mut self, low: u64, high: u64) {
        let (mut low, mut high) = (low, high);
        let below = self.ranges.range(..=low).next_back();
        if let Some((first, last)) = below.filter(|(_, last)| last.saturating_add(1) >= low) {
            (low, high) = (*first, high.max(*last));
        }
        while let Some((first, last)) = self.ranges.range(low..=high.saturating_add(1)).next() {
            let first = *first;
            high = high.max(*last);
            self.ranges.remove(&first);
        }
        self.ranges.insert(low, high);
    }

    /// Adds all heights of another set.
    pub fn extend(&mut self, other: &Self) {
        for (low, high) in other.ranges() {
            self.insert(low, high);
        }
    }

    /// Whether a height is in the set.
    #[must_use]
    pub fn contains(&self, height: u64) -> bool {
        let below = self.ranges.range(..=height).next_back();
        below.is_some_and(|(_, last)| *last >= height)
    }

    /// The ranges, first and last height of each, from the lowest to the highest.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().map(|(low, high)| (*low, *high))
    }

    /// The highest of them.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        self.ranges.last_key_value().map(|(_, last)| *last)
    }

    /// How many heights there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges().map(|(low, high)| high - low + 1).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// A row that nothing leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Its table.
    pub table: &'static str,
    /// Its height.
    pub block_number: u64,
    /// Its key as a JSON object.
    pub key: String,
}

/// What must be done about what an audit found.
#[derive(Clone, Debug, Default)]
pub struct Damage {
    /// Blocks that are missing, do not prove themselves or do not link: only a node has them.
    pub refetch: Heights,
    /// Blocks that prove themselves and whose rows are wrong all the same: computed again from
    /// themselves.
    pub rewrite: Heights,
    /// Rows that nothing leads to; at most [`MOST_STRAYS`] of a table, so a repair looks again.
    pub strays: Vec<Stray>,
    /// Heights that coverage does not name although their blocks are there.
    pub uncovered: Heights,
    /// Whether coverage names heights beyond the head or below the first block.
    pub covers_beyond: bool,
    /// The head's hash or time, or finality, is not what the blocks say.
    pub head: bool,
    /// By how much the state's count of transactions must change.
    pub tx_count: i64,
    /// Rows of orphaned blocks that can be computed again: reorg and height.
    pub orphans: Vec<(u64, u64)>,
    /// Rows of `reorgs` that follow from the blocks they dropped.
    pub reorgs: Vec<ReorgFacts>,
    /// Events that cannot be read, or a queue that does not end with the head.
    pub outbox: Vec<i64>,
    /// What is not what the rows come to, and is forgotten: a running indexer derives all of it again.
    pub derived: BTreeSet<Derived>,
    /// Differences that nothing here and no node can undo.
    pub beyond_repair: usize,
}

/// What a running indexer derives from the rows behind the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Derived {
    /// Counters and token balances.
    Counters,
    /// The ledger's transfer legs.
    Legs,
}

/// Most rows of one table that are remembered as strays in one audit.
pub const MOST_STRAYS: i64 = 10_000;

/// What the row of a reorg must say, by the blocks it dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReorgFacts {
    /// The reorg.
    pub id: u64,
    /// Newest block that both branches share: the parent of the first dropped one.
    pub ancestor: BlockRef,
    /// The last dropped one.
    pub old_head: BlockRef,
    /// How many were dropped.
    pub blocks: u64,
    /// How many transactions they had.
    pub transactions: u64,
}

impl Damage {
    /// Whether there is something that a repair can try.
    #[must_use]
    pub fn is_repairable(&self) -> bool {
        self.needs_nodes()
            || !self.rewrite.is_empty()
            || !self.strays.is_empty()
            || !self.uncovered.is_empty()
            || self.covers_beyond
            || self.head
            || self.tx_count != 0
            || !self.orphans.is_empty()
            || !self.reorgs.is_empty()
            || !self.outbox.is_empty()
            || !self.derived.is_empty()
    }

    /// Whether some of it can only be had from a node.
    #[must_use]
    pub fn needs_nodes(&self) -> bool {
        !self.refetch.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn heights_are_the_set_of_what_was_inserted(
            ranges in prop::collection::vec((0_u64..60, 0_u64..8), 0..20),
        ) {
            let (mut heights, mut set) = (Heights::default(), BTreeSet::new());
            for (low, length) in ranges {
                heights.insert(low, low + length);
                set.extend(low..=low + length);
            }
            let listed: BTreeSet<u64> = heights.ranges().flat_map(|(low, high)| low..=high).collect();
            prop_assert_eq!(&listed, &set);
            prop_assert_eq!(heights.count(), u64::try_from(set.len()).unwrap());
            prop_assert_eq!(heights.last(), set.last().copied());
            prop_assert!((0..70).all(|height| heights.contains(height) == set.contains(&height)));
            let ends: Vec<(u64, u64)> = heights.ranges().collect();
            prop_assert!(ends.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
