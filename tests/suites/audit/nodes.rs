//! Repairs from nodes that lie or are of another chain, and repairs that are interrupted.

use super::scene::{Scene, assert_clean, everything, many_blocks, whole};
use indexer::{Repair, RepairError, Step};
use simnode::{CannedChain, Fault, Server, When};
use std::time::Duration;
use tallyscan_tests::{GENERATED_CHAIN_ID, GeneratedBlock, Generator};
use url::Url;

/// Damage that only a node can undo: a gap, and blocks of which something is altered.
const DAMAGE: &str = "DELETE FROM blocks WHERE number BETWEEN 10 AND 14;
     UPDATE blocks SET state_root = parent_hash WHERE number IN (3, 30);
     UPDATE chain_state SET updated_at = now()";

async fn repair(scene: &Scene, urls: Vec<Url>) -> Result<Vec<Step>, RepairError> {
    let pool = scene.database.pool.clone();
    let damage = whole(&pool).await.damage;
    let mut steps = Vec::new();
    let mut repair = Repair::new(pool, urls).await?;
    repair.run(&damage, |step| steps.push(step)).await?;
    Ok(steps)
}

fn url(server: &Server) -> Url {
    Url::parse(&server.http_url()).expect("a URL")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_gives_is_refused_unless_it_is_the_very_block_that_is_missing() {
    let scene = many_blocks(40).await;
    scene.edit(DAMAGE).await;
    let damaged = everything(&scene.database.pool).await;
    let lies = [
        Fault::set("/stateRoot", format!("0x{}", "ab".repeat(32))),
        Fault::set("/gasUsed", "0x1"),
        Fault::set("/parentHash", format!("0x{}", "ab".repeat(32))),
        Fault::Null,
    ];
    for lie in lies {
        let liar = Server::start(scene.chain.clone()).expect("a node");
        liar.faults()
            .on("eth_getBlockByHash", lie.clone(), When::Always);
        let refused = repair(&scene, vec![url(&liar)]).await;
        assert!(
            matches!(refused, Err(RepairError::Refused(_))),
            "{lie:?}: {refused:?}"
        );
        let now = everything(&scene.database.pool).await;
        assert!(now == damaged, "{lie:?}: something was written");
        // Beside an honest one it does no harm.
        repair(&scene, vec![url(&liar), url(&scene.node)])
            .await
            .expect("a repair");
        assert_clean(&scene.database.pool, 41).await;
        scene.assert_as_before("two nodes").await;
        scene.edit(DAMAGE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_chain_or_on_another_branch_repairs_nothing() {
    let mut scene = many_blocks(40).await;
    scene.edit(DAMAGE).await;
    let damaged = everything(&scene.database.pool).await;
    let fork = scene.blocks[..9].to_vec();
    let mut branched = fork.clone();
    branched.extend(scene.generator.branch(&fork[8], 50));
    let mut foreign = vec![scene.generator.other_genesis()];
    let branch = Generator::seeded(3).branch(&foreign[0], 50);
    foreign.extend(branch);
    for blocks in [branched, foreign] {
        let canned = blocks.iter().map(GeneratedBlock::canned);
        let other = Server::start(CannedChain::with_blocks(GENERATED_CHAIN_ID, canned));
        let other = other.expect("a node");
        let refused = repair(&scene, vec![url(&other)]).await;
        assert!(
            matches!(refused, Err(RepairError::Refused(_))),
            "{refused:?}"
        );
        // What both branches share is the same block whoever has it: only block 3 came from there.
        let now = everything(&scene.database.pool).await;
        for (table, rows) in &damaged {
            let other = now[table].iter().filter(|row| !rows.contains(row)).count();
            assert!(
                other <= usize::from(table == "blocks"),
                "{table}: {other} rows"
            );
        }
    }
    repair(&scene, scene.urls()).await.expect("a repair");
    assert_clean(&scene.database.pool, 41).await;
    scene.assert_as_before("the right node").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_is_interrupted_leaves_whole_changes_and_the_next_one_does_the_rest() {
    let scene = many_blocks(400).await;
    let pool = &scene.database.pool;
    scene
        .edit("DELETE FROM blocks WHERE number BETWEEN 20 AND 380; DELETE FROM logs WHERE block_number > 300")
        .await;
    let before = whole(pool).await.damage.refetch.count();
    let delay = Fault::Latency(Duration::from_millis(2));
    let slow = scene.node.faults().on("*", delay, When::Always);
    for round in 1..=2 {
        let (sender, mut first_step) = tokio::sync::mpsc::unbounded_channel();
        let (database, urls) = (pool.clone(), scene.urls());
        let task = tokio::spawn(async move {
            let damage = whole(&database).await.damage;
            let mut repair = Repair::new(database, urls).await.expect("a chain");
            repair
                .run(&damage, |step| {
                    let _ = sender.send(step);
                })
                .await
        });
        assert!(matches!(first_step.recv().await, Some(Step::Refetched(..))));
        task.abort();
        assert!(task.await.expect_err("it was aborted").is_cancelled());
        let audit = whole(pool).await;
        let left = audit.damage.refetch.count();
        assert!(
            left > 0 && left < before,
            "round {round}: {left} of {before} left"
        );
        // What was written is whole: nothing but the missing and unproven blocks differs.
        assert!(audit.damage.rewrite.is_empty(), "{:#?}", audit.certificate);
    }
    scene.node.faults().remove(slow);
    repair(&scene, scene.urls()).await.expect("a repair");
    assert_clean(pool, 401).await;
    scene.assert_as_before("three runs").await;
}
