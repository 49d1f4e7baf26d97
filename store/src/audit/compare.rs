//! What the blocks of a range lead to, compared with what is stored.

use super::Certificate;
use crate::{
    pg::{CopyBuffer, TableRow},
    rebuild,
    rows::{BlockRow, RowBatch},
    state::BlockRef,
};
use chain::{ProvenBlock, VerifyLevel};
use std::collections::{BTreeMap, HashSet};

/// Proves the blocks of a range and compares what they lead to with what is stored.
pub(super) fn check_range(
    certificate: &mut Certificate,
    stored: &RowBatch,
    low: u64,
    high: u64,
    parent: &mut Option<BlockRef>,
) {
    let mut expected = RowBatch::default();
    let (mut withdrawals, mut transactions, mut logs) = (
        stored.withdrawals.as_slice(),
        stored.transactions.as_slice(),
        stored.logs.as_slice(),
    );
    let mut due = low;
    for row in &stored.blocks {
        if row.number != due {
            let detail = format!("blocks {due} to {} are missing", row.number - 1);
            certificate.add(Some(due), "gap", detail);
            *parent = None;
        }
        due = row.number + 1;
        let own_withdrawals = take(&mut withdrawals, row.number, |row| row.block_number);
        let own_transactions = take(&mut transactions, row.number, |row| row.block_number);
        let own_logs = take(&mut logs, row.number, |row| row.block_number);
        check_link(certificate, row, parent);
        let proven = rebuild::block(row, own_withdrawals, own_transactions, own_logs)
            .map_err(|error| error.to_string())
            .and_then(|(body, receipts)| {
                chain::prove(body, receipts, VerifyLevel::Full.checks(true))
                    .map_err(|error| error.to_string())
            });
        match proven {
            Ok(block) => {
                certificate.blocks += 1;
                push_expected(&mut expected, &block, row);
            }
            Err(reason) => certificate.add(Some(row.number), "proof", reason),
        }
    }
    if due <= high {
        certificate.add(
            Some(due),
            "gap",
            format!("blocks {due} to {high} are missing"),
        );
    }
    certificate.transactions += count(expected.transactions.len());
    certificate.logs += count(expected.logs.len());
    certificate.first = certificate.first.or(stored.blocks.first().map(reference));
    certificate.last = stored.blocks.last().map(reference).or(certificate.last);
    compare_all(certificate, stored, &expected);
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn reference(row: &BlockRow) -> BlockRef {
    BlockRef {
        number: row.number,
        hash: row.hash,
    }
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

fn check_link(certificate: &mut Certificate, row: &BlockRow, parent: &mut Option<BlockRef>) {
    if let Some(parent) = parent.filter(|parent| parent.hash != row.parent_hash) {
        let detail = format!("its parent is {}, below it is {parent}", row.parent_hash);
        certificate.add(Some(row.number), "link", detail);
    }
    *parent = Some(reference(row));
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

fn compare_all(certificate: &mut Certificate, stored: &RowBatch, expected: &RowBatch) {
    // Only blocks that could be proven are compared: of the others that much is said already.
    let proven: HashSet<u64> = expected.blocks.iter().map(|row| row.number).collect();
    let mut compare = Comparison {
        certificate,
        proven: &proven,
    };
    compare.table(&stored.blocks, &expected.blocks, |row| row.number);
    compare.table(&stored.withdrawals, &expected.withdrawals, |row| {
        row.block_number
    });
    compare.table(&stored.transactions, &expected.transactions, |row| {
        row.block_number
    });
    compare.table(&stored.logs, &expected.logs, |row| row.block_number);
    compare.table(&stored.activity, &expected.activity, |row| row.block_number);
    compare.table(&stored.stats, &expected.stats, |row| row.number);
    compare.table(&stored.block_lookup, &expected.block_lookup, |row| {
        row.block_number
    });
    compare.table(&stored.tx_lookup, &expected.tx_lookup, |row| {
        row.block_number
    });
}

struct Comparison<'a> {
    certificate: &'a mut Certificate,
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
                self.certificate.add(Some(number), "rows", detail);
            }
        }
    }
}
