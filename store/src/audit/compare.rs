//! What the blocks of a range lead to, compared with what is stored. Pure.

use super::{
    certificate::{Findings, Kind},
    damage::Heights,
    stored::Part,
};
use crate::{
    pg::{CopyBuffer, TableRow},
    rebuild,
    rows::{BlockRow, RowBatch},
    state::BlockRef,
};
use alloy::primitives::B256;
use chain::{ProvenBlock, VerifyLevel};
use std::collections::{BTreeMap, HashSet};

/// What a range of blocks came to.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub findings: Findings,
    /// Blocks proven, with their transactions and logs.
    pub blocks: u64,
    pub transactions: u64,
    pub logs: u64,
    /// The lowest and the highest block there are, proven or not.
    pub first: Option<BlockRef>,
    pub last: Option<BlockRef>,
    /// Blocks that do not prove themselves or that the block above does not link to.
    pub unproven: Heights,
    /// Blocks that are proven and whose rows differ.
    pub wrong_rows: Heights,
    /// The lowest and the highest block when they are proven: what a link stands on.
    bottom: Option<Proven>,
    top: Option<Proven>,
}

/// A proven block's place in the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proven {
    pub block: BlockRef,
    pub parent: B256,
}

impl Report {
    /// The lowest block, when it is proven.
    pub(super) fn bottom(&self) -> Option<Proven> {
        self.bottom
    }

    /// Adds the report of the range above this one, and checks the link between the two.
    pub(super) fn append(&mut self, mut above: Self) {
        if let (Some(below), Some(block)) = (self.top, above.bottom) {
            above.check_link(below.block, block);
        }
        above.findings.cut();
        self.findings.append(above.findings);
        self.blocks += above.blocks;
        self.transactions += above.transactions;
        self.logs += above.logs;
        if self.first.is_none() {
            (self.first, self.bottom) = (above.first, above.bottom);
        }
        if above.last.is_some() {
            (self.last, self.top) = (above.last, above.top);
        }
        self.unproven.extend(&above.unproven);
        self.wrong_rows.extend(&above.wrong_rows);
    }

    /// Only proven blocks are compared: what an unproven one says of its parent or of its own hash
    /// means nothing, and that much is said of it already.
    fn check_link(&mut self, below: BlockRef, block: Proven) {
        if below.number + 1 == block.block.number && below.hash != block.parent {
            let detail = format!("its parent is {}, below it is {below}", block.parent);
            let number = block.block.number;
            self.findings.add(Some(number), Kind::Link, detail);
            // The upper one hangs on the head; so it is the lower one that is another chain's.
            self.unproven.insert(below.number, below.number);
        }
    }

    /// The report of a block whose rows cannot even be read.
    pub(super) fn unreadable(number: u64, reason: String) -> Self {
        let mut report = Self::default();
        report.unproven.insert(number, number);
        report.findings.add(Some(number), Kind::Proof, reason);
        report
    }

    fn push(&mut self, row: &BlockRow, proven: Option<Proven>) {
        if let (Some(below), Some(block)) = (self.top, proven) {
            self.check_link(below.block, block);
        }
        if self.first.is_none() {
            (self.first, self.bottom) = (Some(reference(row)), proven);
        }
        (self.last, self.top) = (Some(reference(row)), proven);
    }
}

fn reference(row: &BlockRow) -> BlockRef {
    BlockRef {
        number: row.number,
        hash: row.hash,
    }
}

/// What some stored blocks lead to.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// The rows of those that are proven.
    pub rows: RowBatch,
    /// Why the others are not.
    pub refused: Vec<(u64, String)>,
}

/// Puts every block of some rows together and proves it in full.
pub(super) fn prove(stored: &RowBatch) -> Proof {
    let mut proof = Proof::default();
    let (mut withdrawals, mut transactions, mut logs) = (
        stored.withdrawals.as_slice(),
        stored.transactions.as_slice(),
        stored.logs.as_slice(),
    );
    for row in &stored.blocks {
        let own_withdrawals = take(&mut withdrawals, row.number, |row| row.block_number);
        let own_transactions = take(&mut transactions, row.number, |row| row.block_number);
        let own_logs = take(&mut logs, row.number, |row| row.block_number);
        let proven = rebuild::block(row, own_withdrawals, own_transactions, own_logs)
            .map_err(|error| error.to_string())
            .and_then(|(body, receipts)| {
                chain::prove(body, receipts, VerifyLevel::Full.checks(true))
                    .map_err(|error| error.to_string())
            });
        match proven {
            Ok(block) => push_expected(&mut proof.rows, &block, row),
            Err(reason) => proof.refused.push((row.number, reason)),
        }
    }
    proof
}

/// Proves the blocks of a range and compares what they lead to with what is stored.
pub(super) fn check(stored: &RowBatch, part: Part) -> Report {
    let mut report = Report::default();
    let proof = prove(stored);
    let proven: HashSet<u64> = proof.rows.blocks.iter().map(|row| row.number).collect();
    for row in &stored.blocks {
        let proven = proven.contains(&row.number).then(|| Proven {
            block: reference(row),
            parent: row.parent_hash,
        });
        report.push(row, proven);
    }
    for (number, reason) in proof.refused {
        report.unproven.insert(number, number);
        report.findings.add(Some(number), Kind::Proof, reason);
    }
    report.blocks = count(proof.rows.blocks.len());
    report.transactions = count(proof.rows.transactions.len());
    report.logs = count(proof.rows.logs.len());
    compare_all(&mut report, stored, &proof.rows, &proven, part);
    report.findings.cut();
    report
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Takes the rows of one block off the front; rows of lower heights belong to no block and go too.
fn take<'a, R>(rows: &mut &'a [R], number: u64, height: impl Fn(&R) -> u64) -> &'a [R] {
    let skipped = rows.iter().take_while(|row| height(row) < number).count();
    let rest = &rows[skipped..];
    let own = rest.iter().take_while(|row| height(row) == number).count();
    let (own, rest) = rest.split_at(own);
    *rows = rest;
    own
}

fn push_expected(expected: &mut RowBatch, block: &ProvenBlock, row: &BlockRow) {
    expected.push(block);
    // Uncle headers are not stored, so what they proved when they were there cannot be proven again.
    if !row.uncles.is_empty()
        && let (Some(block), Some(stats)) = (expected.blocks.last_mut(), expected.stats.last_mut())
    {
        block.uncles_proven = row.uncles_proven;
        block.size = row.size;
        stats.size = row.size;
    }
}

fn compare_all(
    report: &mut Report,
    stored: &RowBatch,
    expected: &RowBatch,
    proven: &HashSet<u64>,
    part: Part,
) {
    let mut compare = Comparison { report, proven };
    compare.table(&stored.blocks, &expected.blocks, |row| row.number);
    compare.table(&stored.withdrawals, &expected.withdrawals, |row| {
        row.block_number
    });
    compare.table(&stored.transactions, &expected.transactions, |row| {
        row.block_number
    });
    compare.table(&stored.logs, &expected.logs, |row| row.block_number);
    if part != Part::Canonical {
        return;
    }
    compare.table(&stored.activity, &expected.activity, |row| row.block_number);
    compare.table(&stored.token_transfers, &expected.token_transfers, |row| {
        row.block_number
    });
    compare.table(&stored.credits, &expected.credits, |row| row.block_number);
    compare.table(&stored.stats, &expected.stats, |row| row.number);
    compare.table(&stored.block_lookup, &expected.block_lookup, |row| {
        row.block_number
    });
    compare.table(&stored.tx_lookup, &expected.tx_lookup, |row| {
        row.block_number
    });
}

struct Comparison<'a> {
    report: &'a mut Report,
    /// Only blocks that could be proven are compared: of the others that much is said already.
    proven: &'a HashSet<u64>,
}

impl Comparison<'_> {
    /// Compares rows as sets: what is expected and not there, and the other way round.
    fn table<R: TableRow>(&mut self, stored: &[R], expected: &[R], height: impl Fn(&R) -> u64) {
        let encode = |rows: &[R]| -> BTreeMap<Vec<u8>, (u64, i64)> {
            let mut set = BTreeMap::new();
            for row in rows {
                if let Ok(bytes) = CopyBuffer::row(row) {
                    set.entry(bytes).or_insert((height(row), 0)).1 += 1;
                }
            }
            set
        };
        let (stored, expected) = (encode(stored), encode(expected));
        let mut wrong: BTreeMap<u64, (i64, i64)> = BTreeMap::new();
        for (row, (number, copies)) in &expected {
            let there = stored.get(row).map_or(0, |(_, there)| *there);
            wrong.entry(*number).or_default().0 += (copies - there).max(0);
        }
        for (row, (number, copies)) in &stored {
            let due = expected.get(row).map_or(0, |(_, due)| *due);
            wrong.entry(*number).or_default().1 += (copies - due).max(0);
        }
        for (number, (missing, extra)) in wrong {
            if (missing, extra) != (0, 0) && self.proven.contains(&number) {
                let detail = format!(
                    "{}: {missing} rows missing or altered, {extra} rows that no block led to",
                    R::TABLE
                );
                let report = &mut *self.report;
                report.findings.add(Some(number), Kind::Rows, detail);
                report.wrong_rows.insert(number, number);
            }
        }
    }
}
