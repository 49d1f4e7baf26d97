//! History that is counted while the chain goes on and the indexer dies.

use super::{assert_counted, economy::Economy};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::time::Duration;
use tallyscan_tests::{Scene, history::seeds, say};

/// How often the indexer dies at least.
const DEATHS: u32 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn history_is_counted_once_however_often_the_indexer_dies_meanwhile() {
    for seed in seeds(1) {
        say(&format!("tokens: SEED={seed}"));
        let scene = Scene::start().await;
        let chain = &scene.chain;
        let mut random = StdRng::seed_from_u64(seed);
        let mut economy = Economy::begin(chain, seed).await;
        super::small_buckets(&scene).await;
        economy.grow(chain, 60, 25).await;
        for death in 0..DEATHS {
            let indexer = scene.index().await;
            tokio::time::sleep(Duration::from_millis(random.random_range(0..250))).await;
            // The chain does not wait for it, and is now and then another one when it is back.
            if death % 3 == 2 {
                chain.roll_back(2).await;
                economy.was_reorganised(chain).await;
            }
            economy.grow(chain, 1, 25).await;
            indexer.abort().await;
        }
        let head = economy.grow(chain, 2, 25).await;
        let indexer = scene.index().await;
        indexer.reaches(head).await;
        assert_counted(&scene, &economy).await;
        indexer.stop().await;
        scene.assert_twin().await;
    }
}
