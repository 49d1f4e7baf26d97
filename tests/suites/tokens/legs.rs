//! Legs of the ledger's wallets: those of the final chain, however it came about and whenever a wallet was
//! added.

use super::{all_receipts, assert_rows, economy::Economy, recount, small_buckets};
use alloy::primitives::{Address, U256, keccak256};
use indexer::Repair;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{collections::BTreeSet, num::NonZeroUsize, time::Duration};
use store::audit::{self, Kind, Scope};
use tallyscan_tests::{
    Database, DevChain, RunningIndexer, Scene, assert_twins, eventually, history::seeds,
    indexer_config, say,
};

/// Nothing listens there.
const NO_REDIS: &str = "redis://127.0.0.1:1/";

/// Rounds in which the indexer dies and a wallet is added.
const ROUNDS: u8 = 8;

async fn add_wallet(pool: &PgPool, address: Address) {
    let added = sqlx::query("SELECT ledger.add_wallet($1, 'house')");
    let party = sqlx::query("SELECT ledger.create_party('house')");
    party.execute(pool).await.expect("a party");
    added
        .bind(address.as_slice())
        .execute(pool)
        .await
        .expect("a wallet");
}

/// Waits until everything is looked through, traces included.
async fn all_looked_through(pool: &PgPool) {
    eventually("legs of all blocks", || async {
        let complete: bool = sqlx::query_scalar(
            "SELECT s.blocks = c.blocks AND e.blocks @> c.blocks AND NOT EXISTS (SELECT FROM ledger.wallet_replays)
             FROM ledger.leg_state s, coverage c, enrichment e WHERE e.kind = 'traces'",
        )
        .fetch_one(pool)
        .await
        .expect("an answer");
        complete
    })
    .await;
    let faults: Vec<String> =
        sqlx::query_scalar("SELECT f::text FROM ledger.find_leg_faults() AS f")
            .fetch_all(pool)
            .await
            .expect("an audit");
    assert!(faults.is_empty(), "{faults:?}");
}

/// What raw blocks and receipts say of some wallets: value, gas and tokens.
async fn expected(chain: &DevChain, wallets: &BTreeSet<Address>) -> Vec<String> {
    let names: BTreeSet<String> = wallets.iter().map(alloy::hex::encode).collect();
    let text = |value: &Value| value.as_str().expect("text")[2..].to_lowercase();
    let number =
        |value: &Value| -> U256 { value.as_str().expect("text").parse().expect("a number") };
    let mut legs = Vec::new();
    for (height, receipts) in all_receipts(chain).await.iter().enumerate() {
        let id = format!("{height:#x}");
        let block = chain.ask("eth_getBlockByNumber", json!([id, true])).await;
        let mut first_logs = Vec::new();
        let mut next = 0;
        let both = block["transactions"]
            .as_array()
            .expect("transactions")
            .iter();
        for (tx, receipt) in both.zip(receipts.as_array().expect("receipts")) {
            first_logs.push(next);
            next += receipt["logs"].as_array().expect("logs").len();
            let from = text(&tx["from"]);
            let to = if tx["to"].is_null() {
                &receipt["contractAddress"]
            } else {
                &tx["to"]
            };
            let (value, to) = (number(&tx["value"]), text(to));
            let concerned = names.contains(&from) || names.contains(&to);
            if concerned && !value.is_zero() && receipt["status"] == "0x1" {
                legs.push(format!("{height} native 0 {from} {to} - {value}"));
            }
            let gas = number(&receipt["gasUsed"]) * number(&receipt["effectiveGasPrice"]);
            if names.contains(&from) {
                legs.push(format!("{height} gas 0 {from} {} - {gas}", "0".repeat(40)));
            }
        }
        for moved in recount(receipts) {
            if !names.contains(&moved.from) && !names.contains(&moved.to) {
                continue;
            }
            let log = usize::try_from(moved.log).expect("few");
            let first = first_logs
                .iter()
                .rev()
                .find(|first| **first <= log)
                .expect("one");
            let kind =
                ["erc20", "erc721", "erc1155", "erc20", "erc20"][usize::from(moved.kind - 1)];
            legs.push(format!(
                "{height} {kind} {} {} {} {} {}",
                log - first,
                moved.from,
                moved.to,
                moved.token,
                moved.amount
            ));
        }
    }
    legs
}

/// What somebody deleted is missed, and is there again once a repair had everything looked through anew.
async fn assert_repaired(pool: &PgPool) {
    let scope = Scope {
        from: None,
        to: None,
        jobs: NonZeroUsize::MIN,
    };
    let damage = "DELETE FROM ledger.inclusions WHERE orphaned_by IS NULL AND leg_id % 7 = 0";
    let deleted = sqlx::raw_sql(damage).execute(pool).await.expect("damage");
    let found = audit::audit(pool, &scope, |_| ()).await.expect("an audit");
    let differences = &found.certificate.differences;
    assert_eq!(found.certificate.difference_count, deleted.rows_affected());
    assert!(
        differences.iter().all(|one| one.kind == Kind::Ledger),
        "{differences:?}"
    );
    let mut repair = Repair::new(pool.clone(), Vec::new())
        .await
        .expect("a repair");
    repair.run(&found.damage, |_| ()).await.expect("repaired");
    all_looked_through(pool).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn legs_are_those_of_the_final_chain_whenever_a_wallet_was_added() {
    for seed in seeds(1) {
        say(&format!("legs: SEED={seed}"));
        let scene = Scene::start().await;
        let (chain, pool) = (&scene.chain, &scene.database.pool);
        let mut random = StdRng::seed_from_u64(seed);
        let mut economy = Economy::begin(chain, seed).await;
        small_buckets(&scene).await;
        economy.grow(chain, 20, 15).await;
        let stranger = |n: u8| Address::from_word(keccak256([n]));
        let mut wallets = BTreeSet::new();
        for round in 0..ROUNDS {
            let indexer = scene.index().await;
            tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
            if round % 3 == 2 {
                // Once for certain there is something to be taken away.
                if round == 2 {
                    indexer.reaches(chain.head().await).await;
                }
                chain.roll_back(2).await;
                economy.was_reorganised(chain).await;
            }
            economy.grow(chain, 2, 15).await;
            // None at first: the ledger comes to an index that is there.
            let added = match round {
                0 => Vec::new(),
                1 => vec![chain.sender(), stranger(0)],
                _ => vec![stranger(round)],
            };
            for wallet in added {
                wallets.insert(wallet);
                add_wallet(pool, wallet).await;
            }
            economy.grow(chain, 1, 15).await;
            indexer.abort().await;
        }
        let head = economy.grow(chain, 2, 15).await;
        let indexer = scene.index().await;
        indexer.reaches(head).await;
        all_looked_through(pool).await;
        let legs = "SELECT concat_ws(' ', block_number, kind, ordinal, encode(from_address, 'hex'),
                encode(to_address, 'hex'), coalesce(encode(token, 'hex'), '-'), amount)
            FROM ledger.transfers WHERE block_number IS NOT NULL AND kind <> 'internal'";
        assert_rows(pool, "legs", legs, expected(chain, &wallets).await).await;
        let orphaned =
            scene.count("SELECT count(*) FROM ledger.inclusions WHERE orphaned_by IS NOT NULL");
        assert!(orphaned.await > 0, "no leg was ever orphaned");
        let internal = scene.count("SELECT count(*) FROM ledger.transfers WHERE kind = 'internal'");
        assert!(internal.await > 10, "hardly any internal transfers");
        assert_repaired(pool).await;
        indexer.stop().await;

        let twin = Database::create().await;
        for wallet in &wallets {
            add_wallet(&twin.pool, *wallet).await;
        }
        let config = indexer_config(&twin, NO_REDIS, &[chain.http_url()]);
        let fresh = RunningIndexer::start(&twin, config).await;
        fresh.reaches(head).await;
        all_looked_through(&twin.pool).await;
        fresh.stop().await;
        assert_twins(pool, &twin.pool).await;
    }
}
