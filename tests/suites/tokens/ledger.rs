//! What follows from counted transfers and raw receipts: every table of counters and balances.

use super::recount::{Hex, Moved, ZERO};
use alloy::primitives::{Signed, U256, U512};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::{BTreeMap, BTreeSet};
use tallyscan_tests::quantity;

/// Base units: below zero, or more than a uint256 holds, where a token lies.
pub type Units = Signed<512, 8>;

/// Transfers of each kind, and base units minted and burnt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    transfers: [u64; 6],
    pub minted: Units,
    pub burnt: Units,
}

/// Balances and counters, added up from block 0 on.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By token and holder.
    pub balances: BTreeMap<(Hex, Hex), Units>,
    /// By token, id and holder.
    pub instances: BTreeMap<(Hex, U256, Hex), Units>,
    /// By token.
    pub totals: BTreeMap<Hex, Total>,
    /// By token and id.
    ids: BTreeMap<(Hex, U256), Total>,
    /// By address and bucket: transactions, sent, received, created, transfers, emitted.
    addresses: BTreeMap<(Hex, u64), [u64; 6]>,
}

impl Ledger {
    /// The ledger of a chain; buckets are of so many blocks.
    pub fn of(moved: &[Moved], receipts: &[Value], bucket_blocks: u64) -> Self {
        let mut ledger = Self::default();
        for receipt in receipts
            .iter()
            .flat_map(|block| block.as_array().expect("receipts"))
        {
            ledger.count_transaction(receipt, bucket_blocks);
        }
        for one in moved {
            ledger.add(one, bucket_blocks);
        }
        ledger.balances.retain(|_, balance| !balance.is_zero());
        ledger.instances.retain(|_, balance| !balance.is_zero());
        ledger
    }

    fn count_transaction(&mut self, receipt: &Value, bucket_blocks: u64) {
        let bucket = quantity(&receipt["blockNumber"]) / bucket_blocks;
        let succeeded = receipt["status"] == "0x1";
        let mut parties: BTreeMap<Hex, [u64; 6]> = BTreeMap::new();
        for (at, name) in [(1, "from"), (2, "to"), (3, "contractAddress")] {
            if let Some(address) = receipt[name].as_str().filter(|_| at < 3 || succeeded) {
                parties.entry(address[2..].to_lowercase()).or_default()[at] = 1;
            }
        }
        for (address, mut counts) in parties {
            counts[0] = 1;
            let row = self.addresses.entry((address, bucket)).or_default();
            row.iter_mut()
                .zip(counts)
                .for_each(|(sum, one)| *sum += one);
        }
    }

    fn add(&mut self, moved: &Moved, bucket_blocks: u64) {
        let Moved {
            token,
            from,
            to,
            id,
            amount,
            ..
        } = moved;
        let total = self.totals.entry(token.clone()).or_default();
        total.add(moved);
        for holder in BTreeSet::from([from, to]) {
            let key = (holder.clone(), moved.block / bucket_blocks);
            self.addresses.entry(key).or_default()[4] += 1;
        }
        let key = (token.clone(), moved.block / bucket_blocks);
        self.addresses.entry(key).or_default()[5] += 1;
        if let Some(id) = id {
            self.ids.entry((token.clone(), *id)).or_default().add(moved);
        }
        let amount = units(*amount);
        for (holder, change) in [(from, -amount), (to, amount)] {
            if holder == ZERO {
                continue;
            }
            let balance = self
                .balances
                .entry((token.clone(), holder.clone()))
                .or_default();
            *balance += change;
            if let Some(id) = id {
                let key = (token.clone(), *id, holder.clone());
                *self.instances.entry(key).or_default() += change;
            }
        }
    }

    /// How often a token was moved.
    pub fn transfers(&self, token: &str) -> u64 {
        let total = self.totals.get(token);
        total.map_or(0, |total| total.transfers.iter().sum())
    }

    /// What a holder has of a token.
    pub fn balance(&self, token: &str, holder: &str) -> Units {
        let key = (token.to_owned(), holder.to_owned());
        self.balances.get(&key).copied().unwrap_or_default()
    }

    fn holders(&self, token: &str) -> usize {
        let balances = self.balances.iter();
        balances
            .filter(|((of, _), balance)| of == token && balance.is_positive())
            .count()
    }

    /// Holds every table of the database against this.
    pub async fn assert_tallied(&self, pool: &PgPool) {
        let balances = self.balances.iter();
        let expected =
            balances.map(|((token, holder), balance)| format!("{token} {holder} {balance}"));
        let sql = "SELECT concat_ws(' ', encode(token, 'hex'), encode(holder, 'hex'), balance) FROM token_balances";
        assert_rows(pool, "token_balances", sql, expected.collect()).await;

        let instances = self.instances.iter();
        let expected = instances
            .map(|((token, id, holder), balance)| format!("{token} {id} {holder} {balance}"));
        let sql = "SELECT concat_ws(' ', encode(token, 'hex'), token_id, encode(holder, 'hex'), balance) FROM nft_balances";
        assert_rows(pool, "nft_balances", sql, expected.collect()).await;

        let expected = self.totals.iter().map(|(token, total)| {
            let Total {
                transfers: [_, erc20, erc721, erc1155, deposits, withdrawals],
                minted,
                burnt,
            } = total;
            let (wraps, holders) = (deposits + withdrawals, self.holders(token));
            format!("{token} {erc20} {erc721} {erc1155} {wraps} {holders} {minted} {burnt}")
        });
        let sql = "SELECT concat_ws(' ', encode(token, 'hex'), erc20_count, erc721_count, erc1155_count, wrap_count, holder_count, minted, burnt) FROM token_totals";
        assert_rows(pool, "token_totals", sql, expected.collect()).await;

        let expected = self.ids.iter().map(|((token, id), total)| {
            let held = self.instances.iter().filter(|((of, one, _), balance)| {
                (of, one) == (token, id) && balance.is_positive()
            });
            let (count, holders): (u64, _) = (total.transfers.iter().sum(), held.count());
            format!(
                "{token} {id} {count} {holders} {} {}",
                total.minted, total.burnt
            )
        });
        let sql = "SELECT concat_ws(' ', encode(token, 'hex'), token_id, transfer_count, holder_count, minted, burnt) FROM token_instances";
        assert_rows(pool, "token_instances", sql, expected.collect()).await;

        let expected = self.addresses.iter().map(|((address, bucket), counts)| {
            let [tx, sent, received, created, transfers, emitted] = counts;
            format!("{address} {bucket} {tx} {sent} {received} {created} {transfers} {emitted}")
        });
        // Who took part in nothing but internal transfers is not in any receipt.
        let sql = "SELECT concat_ws(' ', encode(address, 'hex'), bucket, tx_count, sent_count, received_count, created_count, transfer_count, emitted_count)
            FROM address_totals WHERE tx_count + transfer_count + emitted_count > 0";
        assert_rows(pool, "address_totals", sql, expected.collect()).await;
    }
}

impl Total {
    fn add(&mut self, moved: &Moved) {
        self.transfers[usize::from(moved.kind)] += 1;
        if moved.from == ZERO {
            self.minted += units(moved.amount);
        }
        if moved.to == ZERO {
            self.burnt += units(moved.amount);
        }
    }
}

/// The same number, with room for any sum of such.
pub fn units(amount: U256) -> Units {
    Units::from_raw(U512::from(amount))
}

/// Compares rows in any order; a difference shows its first rows.
pub async fn assert_rows(pool: &PgPool, table: &str, sql: &str, mut expected: Vec<String>) {
    let found = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
    let mut found: Vec<String> = found.fetch_all(pool).await.expect("rows");
    found.sort();
    expected.sort();
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let missing = these.iter().filter(|row| those.binary_search(row).is_err());
        missing.take(3).cloned().collect()
    };
    assert!(
        found == expected,
        "{table}: {} rows, {} expected\nonly found: {:#?}\nonly expected: {:#?}",
        found.len(),
        expected.len(),
        only(&found, &expected),
        only(&expected, &found),
    );
}
