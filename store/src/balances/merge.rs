//! Readings of one address into its rows, so that the rows are the same in whatever order blocks are read.

use super::BalanceRow;
use std::ops::RangeInclusive;

/// The end of the run at which blocks are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The top; also for a run's first blocks.
    Above,
    /// The bottom.
    Below,
}

/// Rows that an address has in the run, as far as they matter; lowest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The newest one below the blocks that are read.
    pub before: Option<BalanceRow>,
    /// Those from there on; below the run, its first two.
    pub after: Vec<BalanceRow>,
}

/// What becomes of the rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Rows that go; they go before others come.
    pub gone: Vec<BalanceRow>,
    /// Rows that come.
    pub new: Vec<BalanceRow>,
}

impl Change {
    /// Adds what becomes of one address' rows when the blocks of a range are read: `readings` are what it
    /// has after each block that touched it, lowest first, led by its opening unless `known` has a row
    /// before.
    pub fn add(
        &mut self,
        known: &Known,
        side: Side,
        range: &RangeInclusive<u64>,
        readings: Vec<BalanceRow>,
    ) {
        let Some(last) = readings.last().cloned() else {
            return;
        };
        let mut newest = known.before.as_ref().map(|row| row.balance);
        for row in readings {
            if newest != Some(row.balance) {
                newest = Some(row.balance);
                self.new.push(row);
            }
        }
        match side {
            Side::Above => self.settle_above(known, range, &last),
            Side::Below => self.settle_below(known, &last),
        }
    }

    /// Rows from here on are of addresses that were asked for: those of blocks that are read now give
    /// way, and the next one goes when it says nothing new.
    fn settle_above(&mut self, known: &Known, range: &RangeInclusive<u64>, last: &BalanceRow) {
        let mut later = known.after.iter().peekable();
        while let Some(row) = later.next_if(|row| row.block_number <= *range.end()) {
            self.gone.push(row.clone());
        }
        self.gone.extend(
            later
                .next()
                .filter(|row| row.balance == last.balance)
                .cloned(),
        );
    }

    /// The opening gives way to what is known now. What the block above it left behind is a row of its
    /// own, or was left out since it is what the opening says; either way it is compared anew.
    fn settle_below(&mut self, known: &Known, last: &BalanceRow) {
        let Some(opening) = known.after.first() else {
            return;
        };
        self.gone.push(opening.clone());
        let first = opening.block_number + 1;
        match known.after.get(1).filter(|row| row.block_number == first) {
            Some(row) if row.balance == last.balance => self.gone.push(row.clone()),
            None if opening.balance != last.balance => self.new.push(BalanceRow {
                block_number: first,
                ..opening.clone()
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::Address;
    use chain::Wei;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn row(block_number: u64, balance: u64) -> BalanceRow {
        BalanceRow {
            address: Address::ZERO,
            block_number,
            balance: Wei::from(balance),
            proven: false,
        }
    }

    /// One address' rows in a database that reads a chain.
    #[derive(Default)]
    struct Table {
        rows: BTreeMap<u64, BalanceRow>,
        run: Option<(u64, u64)>,
    }

    /// What the address has after each block, and which of them touched it as far as is known.
    struct World {
        balances: Vec<u64>,
        touched: Vec<bool>,
    }

    impl Table {
        fn read(&mut self, world: &World, low: u64, high: u64) {
            let at = |number: u64| usize::try_from(number).expect("small");
            let side = match self.run {
                Some((bottom, _)) if high < bottom => Side::Below,
                _ => Side::Above,
            };
            let first_row = self.run.map_or(low, |(bottom, _)| bottom).saturating_sub(1);
            let (bottom, top) = self.run.unwrap_or((low, high));
            self.run = Some((bottom.min(low), top.max(high)));
            let touched: Vec<u64> = (low..=high).filter(|n| world.touched[at(*n)]).collect();
            let Some(first) = touched.first() else {
                return;
            };
            let mut known = Known::default();
            match side {
                Side::Above => {
                    known.before = self
                        .rows
                        .range(first_row..low)
                        .next_back()
                        .map(|(_, row)| row.clone());
                    known.after = self.rows.range(low..).map(|(_, row)| row.clone()).collect();
                }
                Side::Below => {
                    let rows = self.rows.range(first_row..).take(2);
                    known.after = rows.map(|(_, row)| row.clone()).collect();
                }
            }
            let opening = first.checked_sub(1).filter(|_| known.before.is_none());
            let heights = opening.into_iter().chain(touched.iter().copied());
            let readings = heights.map(|n| row(n, world.balances[at(n)])).collect();
            let mut change = Change::default();
            change.add(&known, side, &(low..=high), readings);
            for gone in change.gone {
                assert!(self.rows.remove(&gone.block_number).is_some());
            }
            for new in change.new {
                assert!(self.rows.insert(new.block_number, new).is_none());
            }
        }
    }

    proptest! {
        /// Whether every change of the balance is known (traces are there) or not.
        #[test]
        fn the_rows_do_not_depend_on_the_order_of_reading(
            balances in proptest::collection::vec(0..3_u64, 24),
            touched in proptest::collection::vec(proptest::bool::weighted(0.4), 24),
            everything_known: bool,
            start in 1..23_u64,
            steps in proptest::collection::vec((any::<bool>(), 1..5_u64), 48),
        ) {
            let mut world = World { balances, touched };
            if everything_known {
                for n in 1..24 {
                    if !world.touched[n] {
                        world.balances[n] = world.balances[n - 1];
                    }
                }
            }
            let mut straight = Table::default();
            for n in 1..24 {
                straight.read(&world, n, n);
            }
            let mut lived = Table::default();
            lived.read(&world, start, start);
            for (up, blocks) in steps {
                let (bottom, top) = lived.run.expect("a run");
                if up && top < 23 {
                    lived.read(&world, top + 1, (top + blocks).min(23));
                } else if !up && bottom > 1 {
                    lived.read(&world, bottom.saturating_sub(blocks).max(1), bottom - 1);
                }
            }
            let (bottom, top) = lived.run.expect("a run");
            if top < 23 {
                lived.read(&world, top + 1, 23);
            }
            if bottom > 1 {
                lived.read(&world, 1, bottom - 1);
            }
            prop_assert_eq!(&lived.rows, &straight.rows);
            // Where every change is known, the newest row at a height is the balance there.
            if everything_known && !lived.rows.is_empty() {
                for n in 1..24 {
                    let newest = lived.rows.range(..=n).next_back().or(lived.rows.first_key_value());
                    let at = usize::try_from(n).expect("small");
                    prop_assert_eq!(newest.expect("a row").1.balance, Wei::from(world.balances[at]));
                }
            }
        }
    }

    #[test]
    fn a_balance_that_was_asked_for_gives_way_when_its_block_is_read() {
        let known = Known {
            before: Some(row(3, 5)),
            after: vec![row(7, 6), row(12, 8)],
        };
        let mut change = Change::default();
        change.add(&known, Side::Above, &(5..=9), vec![row(6, 6), row(8, 8)]);
        assert_eq!(change.new, [row(6, 6), row(8, 8)]);
        assert_eq!(change.gone, [row(7, 6), row(12, 8)]);
    }
}
