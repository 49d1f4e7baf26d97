//! Real tokens on a real dev chain: what is kept of their transfers, and whether every balance that
//! follows from them is the one that the contract itself answers.

mod at_hand;
mod economy;
mod history;
mod holdings;
mod ledger;
mod legs;
mod mainnet;
mod pace;
mod recount;
mod reorgs;

use economy::Economy;
use ledger::{Ledger, assert_rows};
use recount::{Moved, recount};
use serde_json::{Value, json};
use sqlx::PgPool;
use tallyscan_tests::{DevChain, Scene, history::seeds, say};

/// Every row of `token_transfers` is one of these, and there are no others.
async fn assert_transfers(pool: &PgPool, moved: &[Moved]) {
    let expected = moved.iter().map(|one| {
        let Moved {
            block,
            log,
            position,
            kind,
            token,
            from,
            to,
            id,
            amount,
        } = one;
        let id = id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        format!("{block} {log} {position} {kind} {token} {from} {to} {id} {amount}")
    });
    let sql = "SELECT concat_ws(' ', block_number, log_index, position, kind, encode(token, 'hex'),
            encode(from_address, 'hex'), encode(to_address, 'hex'), coalesce(token_id::text, '-'), amount)
        FROM token_transfers";
    assert_rows(pool, "token_transfers", sql, expected.collect()).await;
}

/// The receipts of every block of the chain.
async fn all_receipts(chain: &DevChain) -> Vec<Value> {
    let mut receipts = Vec::new();
    for number in 0..=chain.height().await {
        let id = format!("{number:#x}");
        receipts.push(chain.ask("eth_getBlockReceipts", json!([id])).await);
    }
    receipts
}

/// Buckets of so few blocks that even a short chain has many; an indexer that begins would choose others.
async fn small_buckets(scene: &Scene) {
    sqlx::raw_sql(
        "CREATE FUNCTION few_blocks() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN NEW.bucket_blocks := 3; RETURN NEW; END$$;
         CREATE TRIGGER few_blocks BEFORE INSERT ON chain
            FOR EACH ROW EXECUTE FUNCTION few_blocks()",
    )
    .execute(&scene.database.pool)
    .await
    .expect("small buckets");
}

/// Holds transfers, counters and balances against the chain's receipts, and balances against what the
/// contracts answer. Returns the ledger that all of them agree with.
async fn assert_counted(scene: &Scene, economy: &Economy) -> Ledger {
    let pool = &scene.database.pool;
    let receipts = all_receipts(&scene.chain).await;
    let moved: Vec<Moved> = receipts.iter().flat_map(recount).collect();
    assert_transfers(pool, &moved).await;
    let bucket_blocks = scene.count("SELECT bucket_blocks FROM chain").await;
    assert_eq!(bucket_blocks, 3);
    let ledger = Ledger::of(&moved, &receipts, 3);
    holdings::assert_answered(&scene.chain, &economy.contracts, &ledger).await;
    ledger.assert_tallied(pool).await;
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_and_counters_of_a_busy_chain_are_what_its_contracts_answer() {
    for seed in seeds(1) {
        say(&format!("tokens: SEED={seed}"));
        let scene = Scene::start().await;
        small_buckets(&scene).await;
        let mut economy = Economy::begin(&scene.chain, seed).await;
        // Some of it is history when the indexer comes. One block is large; a dev chain traces a block in a
        // time that grows with the square of its transactions, so the others are not.
        economy.grow(&scene.chain, 24, 40).await;
        let indexer = scene.index().await;
        economy.grow(&scene.chain, 1, 120).await;
        let head = economy.grow(&scene.chain, 45, 40).await;
        indexer.reaches(head).await;
        let ledger = assert_counted(&scene, &economy).await;
        let mut transfers = 0;
        for token in economy.contracts.tokens() {
            let count = ledger.transfers(&alloy::hex::encode(token));
            assert!(count > 5, "SEED={seed}: {token} moved {count} times");
            transfers += count;
        }
        let look_alike = alloy::hex::encode(economy.contracts.look_alike);
        assert_eq!(ledger.transfers(&look_alike), 0);
        let blocks = scene.chain.height().await;
        say(&format!("tokens: {transfers} transfers in {blocks} blocks"));
        assert!(transfers > 2_500, "SEED={seed}: only {transfers} transfers");
        indexer.stop().await;
        scene.assert_twin().await;
    }
}
