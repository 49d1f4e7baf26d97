//! What was checked and what was found, for a person and for a program.

use crate::state::BlockRef;
use alloy::primitives::B256;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Differences that are listed; more are only counted, since one cause often has thousands.
pub(super) const LISTED: usize = 100;

/// What is recomputed of every block.
const PROVEN: [&str; 9] = [
    "header hash",
    "parent links",
    "transactions root",
    "senders",
    "withdrawals root",
    "receipts root and blooms",
    "lookups and address activity",
    "token transfers",
    "block statistics",
];

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Blocks that are not there.
    Gap,
    /// A block that names another parent than the block below it.
    Link,
    /// A block whose rows do not hash to what its header says.
    Proof,
    /// Rows of a block that is proven are missing, doubled or altered.
    Rows,
    /// Rows that nothing leads to.
    Stray,
    /// Coverage names other heights than those of the blocks.
    Coverage,
    /// The state says something else than the blocks.
    State,
    /// A dropped block or its rows are not complete or do not prove themselves.
    Orphan,
    /// The row of a reorg says something else than the blocks that it dropped.
    Reorg,
    /// Events that wait are not what a commit writes.
    Outbox,
    /// Counters or balances are not what the rows come to.
    Counters,
    /// The ledger's journal breaks one of its rules, or its legs are not what the blocks come to.
    Ledger,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gap => "gap",
            Self::Link => "link",
            Self::Proof => "proof",
            Self::Rows => "rows",
            Self::Stray => "stray",
            Self::Coverage => "coverage",
            Self::State => "state",
            Self::Orphan => "orphan",
            Self::Reorg => "reorg",
            Self::Outbox => "outbox",
            Self::Counters => "counters",
            Self::Ledger => "ledger",
        })
    }
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// Height, where it belongs to one.
    pub block_number: Option<u64>,
    /// What it is about.
    pub kind: Kind,
    /// A sentence.
    pub detail: String,
}

/// A range of heights that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// First missing height.
    pub from: u64,
    /// Last missing height.
    pub to: u64,
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// Version of the program that checked.
    pub version: &'static str,
    /// When the check began, RFC 3339 in UTC.
    pub checked_at: String,
    /// How long it took.
    pub elapsed_seconds: f64,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Genesis hash of the chain.
    pub genesis: B256,
    /// First height of the range.
    pub from: u64,
    /// Last height of the range.
    pub to: u64,
    /// The lowest block there is in the range.
    pub first: Option<BlockRef>,
    /// The highest.
    pub last: Option<BlockRef>,
    /// Blocks proven.
    pub blocks: u64,
    /// Transactions proven, senders included.
    pub transactions: u64,
    /// Logs proven.
    pub logs: u64,
    /// Heights of the range that are not there, the first of them.
    pub gaps: Vec<Gap>,
    /// The level of proof; always the highest, whatever the index was made with.
    pub level: &'static str,
    /// What was recomputed.
    pub proven: Vec<&'static str>,
    /// Reorgs whose dropped blocks were proven; none when only a part of the chain was checked.
    pub reorgs: u64,
    /// Dropped blocks proven.
    pub orphaned_blocks: u64,
    /// Whether everything there is to check was checked: the whole chain, dropped blocks, events.
    pub whole: bool,
    /// Whether nothing is missing and nothing differs.
    pub clean: bool,
    /// How many differences there are.
    pub difference_count: u64,
    /// And of each kind.
    pub difference_counts: BTreeMap<Kind, u64>,
    /// The first of them.
    pub differences: Vec<Difference>,
}

impl Certificate {
    pub(super) fn new(chain_id: u64, genesis: B256, from: u64, to: u64) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            checked_at: now.format(&Rfc3339).unwrap_or_default(),
            elapsed_seconds: 0.0,
            chain_id,
            genesis,
            from,
            to,
            first: None,
            last: None,
            blocks: 0,
            transactions: 0,
            logs: 0,
            gaps: Vec::new(),
            level: "full",
            proven: PROVEN.to_vec(),
            reorgs: 0,
            orphaned_blocks: 0,
            whole: false,
            clean: true,
            difference_count: 0,
            difference_counts: BTreeMap::new(),
            differences: Vec::new(),
        }
    }

    /// Whether nothing is missing and nothing differs.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.clean
    }

    pub(super) fn add(&mut self, block_number: Option<u64>, kind: Kind, detail: String) {
        let difference = Difference {
            block_number,
            kind,
            detail,
        };
        self.merge(Findings::from(difference));
    }

    pub(super) fn add_gap(&mut self, from: u64, to: u64) {
        if self.gaps.len() < LISTED {
            self.gaps.push(Gap { from, to });
        }
    }

    pub(super) fn merge(&mut self, findings: Findings) {
        for (kind, count) in findings.counts {
            *self.difference_counts.entry(kind).or_default() += count;
            self.difference_count += count;
        }
        let room = LISTED - self.differences.len();
        self.differences
            .extend(findings.listed.into_iter().take(room));
        self.clean = self.difference_count == 0;
    }

    pub(super) fn took(&mut self, elapsed: Duration) {
        self.elapsed_seconds = elapsed.as_secs_f64();
    }
}

/// Differences of one part of an audit, in the order of heights, cut where the whole list would be.
#[derive(Debug, Default)]
pub(super) struct Findings {
    counts: BTreeMap<Kind, u64>,
    listed: Vec<Difference>,
}

impl From<Difference> for Findings {
    fn from(difference: Difference) -> Self {
        Self {
            counts: BTreeMap::from([(difference.kind, 1)]),
            listed: vec![difference],
        }
    }
}

impl Findings {
    /// Counts and keeps a difference of a batch.
    pub(super) fn add(&mut self, block_number: Option<u64>, kind: Kind, detail: String) {
        *self.counts.entry(kind).or_default() += 1;
        self.listed.push(Difference {
            block_number,
            kind,
            detail,
        });
    }

    /// Puts a batch in order of heights, so that how the range was cut shows nowhere.
    pub(super) fn cut(&mut self) {
        self.listed.sort();
        self.listed.truncate(LISTED);
    }

    /// Adds what was found further up.
    pub(super) fn append(&mut self, later: Self) {
        for (kind, count) in later.counts {
            *self.counts.entry(kind).or_default() += count;
        }
        self.listed.extend(later.listed);
        self.cut();
    }

    /// Whether all are of one kind.
    pub(super) fn all(&self, kind: Kind) -> bool {
        self.counts.keys().all(|found| *found == kind)
    }

    /// How many are of other kinds.
    pub(super) fn count_except(&self, kind: Kind) -> usize {
        let others = self.counts.iter().filter(|(found, _)| **found != kind);
        usize::try_from(others.map(|(_, count)| count).sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// The same under another kind and with other words.
    pub(super) fn map(self, kind: Kind, words: impl Fn(&str) -> String) -> Self {
        let total = self.counts.values().sum();
        Self {
            counts: if total == 0 {
                BTreeMap::new()
            } else {
                BTreeMap::from([(kind, total)])
            },
            listed: self
                .listed
                .into_iter()
                .map(|it| Difference {
                    kind,
                    detail: words(&it.detail),
                    ..it
                })
                .collect(),
        }
    }
}
