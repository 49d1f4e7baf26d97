//! Reorgs across token transfers: what they drop is as if it never was.

use super::{assert_counted, economy::Economy};
use serde_json::json;
use tallyscan_tests::{Scene, contents, history::seeds, say};

#[tokio::test(flavor = "multi_thread")]
async fn reorgs_of_every_depth_leave_the_balances_that_the_contracts_answer() {
    for seed in seeds(1) {
        say(&format!("tokens: SEED={seed}"));
        let scene = Scene::start().await;
        super::small_buckets(&scene).await;
        let chain = &scene.chain;
        let mut economy = Economy::begin(chain, seed).await;
        let indexer = scene.index().await;
        let mut head = economy.grow(chain, 6, 25).await;
        for depth in [1, 3, 6, 2] {
            indexer.reaches(head).await;
            // To a lower head and to a higher one, and blocks replaced by empty ones.
            if depth % 2 == 0 {
                chain.reorg(depth, &[]).await;
            } else {
                chain.roll_back(depth).await;
            }
            economy.was_reorganised(chain).await;
            head = economy.grow(chain, depth / 2 + 1, 25).await;
            indexer.reaches(head).await;
            assert_counted(&scene, &economy).await;
        }
        assert_eq!(scene.count("SELECT count(*) FROM reorgs").await, 4);
        indexer.stop().await;
        scene.assert_twin().await;
    }
}

/// The very same block is mined twice, so that what is compared is all that there is.
#[tokio::test(flavor = "multi_thread")]
async fn forward_and_back_again_leaves_every_table_as_it_was() {
    for seed in seeds(1) {
        say(&format!("tokens: SEED={seed}"));
        let scene = Scene::start().await;
        super::small_buckets(&scene).await;
        let chain = &scene.chain;
        let mut economy = Economy::begin(chain, seed).await;
        let indexer = scene.index().await;
        economy.grow(chain, 4, 25).await;
        let time = chain.head_timestamp().await + 10;
        let same_block = async || {
            // After a rollback the node goes on with the time and the fee of what it took away.
            let fee = json!(["0x3b9aca00"]);
            chain.ask("evm_setNextBlockTimestamp", json!([time])).await;
            chain.ask("anvil_setNextBlockBaseFeePerGas", fee).await;
            chain.mine(1).await
        };
        let head = same_block().await;
        indexer.reaches(head).await;
        let before = contents(&scene.database.pool).await;
        for blocks in [2, 5] {
            chain.roll_back(1).await;
            economy.was_reorganised(chain).await;
            let other = economy.grow(chain, blocks, 40).await;
            indexer.reaches(other).await;
            assert_ne!(contents(&scene.database.pool).await, before);
            chain.roll_back(blocks).await;
            assert_eq!(same_block().await, head, "the same block again");
            indexer.reaches(head).await;
            let after = contents(&scene.database.pool).await;
            for (table, rows) in &before {
                assert_eq!(&after[table], rows, "SEED={seed}: {table}");
            }
        }
        indexer.stop().await;
    }
}
