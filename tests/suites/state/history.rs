//! Balances of history that was there before the first start.

use super::{assert_explained, busy_block};
use embedded::AnvilOptions;
use tallyscan_tests::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_as_well_where_the_node_has_its_state() {
    // Blocks are final soon, so that most of the chain is history at the first start.
    let scene = Scene::start_with(AnvilOptions {
        slots_in_an_epoch: 2,
        ..AnvilOptions::default()
    })
    .await;
    for salt in 1..12 {
        busy_block(&scene.chain, salt).await;
        scene.chain.mine(3).await;
    }
    let indexer = scene.index().await;
    indexer.reaches(scene.chain.head().await).await;
    busy_block(&scene.chain, 60).await;
    indexer.reaches(scene.chain.mine(2).await).await;
    assert_explained(&scene).await;
    indexer.stop().await;
    scene.assert_twin().await;
}
