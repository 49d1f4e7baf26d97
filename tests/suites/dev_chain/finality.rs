//! What is final stays, and what to do when a node disagrees.

use super::{assert_sound, grow};
use alloy::eips::BlockNumberOrTag;
use chain::FinalityProfile;
use embedded::AnvilOptions;
use indexer::IndexerConfig;
use tallyscan_tests::{DevChain, RunningIndexer, Scene, contents, eventually};

/// A chain whose safe block is 2 behind its head and whose finalized one is 4 behind.
async fn quickly_final() -> Scene {
    let options = AnvilOptions {
        slots_in_an_epoch: 2,
        ..AnvilOptions::default()
    };
    Scene::start_with(options).await
}

async fn height_of(chain: &DevChain, tag: BlockNumberOrTag) -> Option<u64> {
    let block = chain.provider().get_block_by_number(tag).await;
    Some(block.expect("the node answers")?.header.number)
}

use alloy::providers::Provider as _;

async fn agrees_on_finality(scene: &Scene) {
    let safe = height_of(&scene.chain, BlockNumberOrTag::Safe).await;
    let finalized = height_of(&scene.chain, BlockNumberOrTag::Finalized).await;
    eventually("the node's finality", || async {
        let state = scene.state().await;
        (state.safe, state.finalized) == (safe, finalized)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_tags_are_followed_and_what_is_final_stays_final() {
    let scene = quickly_final().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 12).await;
    indexer.reaches(scene.chain.head().await).await;
    agrees_on_finality(&scene).await;
    let finalized = scene.state().await.finalized;
    assert_eq!(finalized, Some(8));
    // The node's own finality goes back with its head; ours must not.
    scene.chain.roll_back(3).await;
    grow(&scene.chain, 1).await;
    indexer.reaches(scene.chain.head().await).await;
    assert!(height_of(&scene.chain, BlockNumberOrTag::Finalized).await < finalized);
    assert_eq!(scene.state().await.finalized, finalized);
    grow(&scene.chain, 6).await;
    indexer.reaches(scene.chain.head().await).await;
    agrees_on_finality(&scene).await;
    assert_sound(&scene, 1).await;
    indexer.stop().await;
    scene.assert_twin().await;
}

/// The height that a halt tells the operator to go back to.
fn told_height(problem: &str) -> u64 {
    let (_, after) = problem.split_once("--to ").expect("the way out");
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a height")
}

/// Halts, changes nothing, and follows once an operator went back by hand.
async fn halts_and_is_led_out(scene: &Scene, indexer: RunningIndexer, config: IndexerConfig) {
    let problem = indexer.halts().await;
    for part in ["is final", "nothing was changed", "tallyscan rollback --to"] {
        assert!(problem.contains(part), "{problem}");
    }
    indexer.stop().await;
    // One step: the height that it names is the block that both chains share.
    indexer::rollback_to(&scene.database.pool, told_height(&problem))
        .await
        .expect("going back by hand");
    let indexer = RunningIndexer::start(&scene.database, config).await;
    indexer.reaches(scene.chain.head().await).await;
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_below_what_is_final_halts_and_a_rollback_by_hand_leads_out() {
    let scene = quickly_final().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 12).await;
    indexer.reaches(scene.chain.head().await).await;
    agrees_on_finality(&scene).await;
    let before = contents(&scene.database.pool).await;
    scene.chain.roll_back(6).await;
    grow(&scene.chain, 9).await;
    indexer.halts().await;
    assert_eq!(contents(&scene.database.pool).await, before);
    assert_sound(&scene, 0).await;
    halts_and_is_led_out(&scene, indexer, scene.over_ws()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_below_what_is_final_on_another_branch_halts_too() {
    let scene = quickly_final().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 12).await;
    indexer.reaches(scene.chain.head().await).await;
    agrees_on_finality(&scene).await;
    let before = contents(&scene.database.pool).await;
    // Block 7 is replaced, block 8 was final, and the node has nothing above 7.
    scene.chain.roll_back(6).await;
    scene.chain.mine(1).await;
    let problem = indexer.halts().await;
    assert!(problem.contains("block 8 is final"), "{problem}");
    assert_eq!(contents(&scene.database.pool).await, before);
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_by_hand_ends_a_halt_that_is_running() {
    let scene = quickly_final().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 12).await;
    indexer.reaches(scene.chain.head().await).await;
    agrees_on_finality(&scene).await;
    scene.chain.roll_back(6).await;
    grow(&scene.chain, 9).await;
    let problem = indexer.halts().await;
    let ordered = std::time::Instant::now();
    indexer::rollback_to(&scene.database.pool, told_height(&problem))
        .await
        .expect("going back by hand");
    indexer.reaches(scene.chain.head().await).await;
    assert!(ordered.elapsed().as_secs() < 10, "noticed within moments");
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_about_a_final_block_ends_when_an_operator_undoes_it() {
    let scene = quickly_final().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 24).await;
    indexer.reaches(scene.chain.head().await).await;
    agrees_on_finality(&scene).await;
    indexer.publishes_everything().await;
    let api = scene.api().await;
    let answer = api.ok("/api/v1/blocks/10").await;
    assert_eq!(answer["finality"]["status"], "finalized");
    indexer.stop().await;
    scene.chain.roll_back(16).await;
    grow(&scene.chain, 30).await;
    indexer::rollback_to(&scene.database.pool, 8)
        .await
        .expect("going back by hand");
    let indexer = scene.index().await;
    indexer.reaches(scene.chain.head().await).await;
    indexer.publishes_everything().await;
    let again = api.ok("/api/v1/blocks/10").await;
    let node = scene.chain.block_hash(10.into()).await.to_string();
    assert_eq!(again["data"]["hash"], node);
    assert_ne!(again["data"]["hash"], answer["data"]["hash"]);
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_comes_back_is_orphaned_no_more() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    grow(&scene.chain, 6).await;
    indexer.reaches(scene.chain.head().await).await;
    indexer.publishes_everything().await;
    indexer.stop().await;
    let path = format!("/api/v1/blocks/{}", scene.chain.block_hash(5.into()).await);
    indexer::rollback_to(&scene.database.pool, 3)
        .await
        .expect("going back by hand");
    let api = scene.api().await;
    let answer = api.ok(&path).await;
    assert_eq!(answer["data"]["canonical"], false, "{answer}");
    let indexer = scene.index().await;
    indexer.reaches(scene.chain.head().await).await;
    indexer.publishes_everything().await;
    let answer = api.ok(&path).await;
    assert_eq!(answer["data"]["canonical"], true, "{answer}");
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instant_profile_makes_every_block_final() {
    let scene = Scene::start().await;
    let config = IndexerConfig {
        finality: Some(FinalityProfile::Instant),
        ..scene.over_ws()
    };
    let indexer = RunningIndexer::start(&scene.database, config.clone()).await;
    grow(&scene.chain, 6).await;
    indexer.reaches(scene.chain.head().await).await;
    let state = scene.state().await;
    assert_eq!((state.safe, state.finalized), (Some(6), Some(6)));
    scene.chain.roll_back(2).await;
    grow(&scene.chain, 3).await;
    halts_and_is_led_out(&scene, indexer, config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_depth_profile_lets_reorgs_be_as_deep_as_it_says() {
    let scene = Scene::start().await;
    let config = IndexerConfig {
        finality: Some(FinalityProfile::Depth(3)),
        ..scene.over_ws()
    };
    let indexer = RunningIndexer::start(&scene.database, config.clone()).await;
    grow(&scene.chain, 8).await;
    indexer.reaches(scene.chain.head().await).await;
    assert_eq!(scene.state().await.finalized, Some(5));
    scene.chain.roll_back(3).await;
    grow(&scene.chain, 3).await;
    indexer.reaches(scene.chain.head().await).await;
    assert_sound(&scene, 1).await;
    scene.chain.roll_back(4).await;
    grow(&scene.chain, 5).await;
    halts_and_is_led_out(&scene, indexer, config).await;
    // Another profile at a later start is taken over, and final stays final.
    let finalized = scene.state().await.finalized;
    let config = IndexerConfig {
        finality: Some(FinalityProfile::Tags),
        ..scene.over_ws()
    };
    let indexer = RunningIndexer::start(&scene.database, config).await;
    grow(&scene.chain, 1).await;
    indexer.reaches(scene.chain.head().await).await;
    assert_eq!(scene.state().await.finalized, finalized);
    indexer.stop().await;
}
