//! Nodes that fail, refuse, lie or forget while history is filled in.

use super::{Lab, is_half_filled_in, missing, trouble};
use simnode::{ANY_METHOD, Fault, Pruned, When};
use store::enrichment::{self, Reading};
use tallyscan_tests::{
    Database, RunningIndexer, assert_twins, eventually, folder, index_directly, redis,
};

const BLOCKS: &str = "eth_getBlockByNumber";
const RECEIPTS: &str = "eth_getBlockReceipts";

/// The only node misbehaves in the middle of the history, and more than once.
async fn lives_through(method: &'static str, fault: Fault, times: u32) {
    let what = format!("{method} {fault:?}");
    let lab = Lab::new(11);
    let node = lab.node();
    let folder = folder();
    let (database, redis) = tokio::join!(Database::create(), redis(&folder));
    let config = Lab::config(&database, &redis, &[&node]);
    let indexer = RunningIndexer::start(&database, config).await;
    is_half_filled_in(&database).await;
    node.faults().on(method, fault, When::Times(times));
    eventually(&format!("{what} to be met"), || async {
        node.faults().pending() == 1
    })
    .await;
    lab.assert_unharmed(indexer, &database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_lives_through_whatever_an_only_node_does() {
    let root = |root: &str| Fault::wrong_root(format!("/{root}"));
    let busy = |retry_after_secs| Fault::TooManyRequests { retry_after_secs };
    let cases = [
        (BLOCKS, root("receiptsRoot"), 1),
        (BLOCKS, root("transactionsRoot"), 1),
        (BLOCKS, root("hash"), 1),
        (BLOCKS, Fault::Null, 1),
        (RECEIPTS, Fault::Null, 1),
        (RECEIPTS, Fault::ReceiptsOfAnotherBlock, 1),
        (RECEIPTS, Fault::TruncatedBody, 3),
        (ANY_METHOD, Fault::CutConnection, 3),
        (ANY_METHOD, Fault::Status(502), 3),
        (RECEIPTS, busy(None), 3),
        (RECEIPTS, busy(Some(1)), 2),
        (RECEIPTS, Fault::rate_limited(), 3),
    ];
    let lives = cases.map(|(method, fault, times)| Box::pin(lives_through(method, fault, times)));
    futures::future::join_all(lives).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_empty_answer_far_below_the_head_does_not_end_the_history() {
    let lab = Lab::new(15);
    let node = lab.node();
    let folder = folder();
    let (database, redis) = tokio::join!(Database::create(), redis(&folder));
    let config = Lab::config(&database, &redis, &[&node]);
    let indexer = RunningIndexer::start(&database, config).await;
    // So far that a block which is not there is taken for pruned.
    eventually("most of the history", || async {
        missing(&database)
            .await
            .is_some_and(|missing| missing < 160)
    })
    .await;
    node.faults().on(RECEIPTS, Fault::Null, When::Times(1));
    lab.assert_unharmed(indexer, &database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_about_history_is_named_with_the_block() {
    let lab = Lab::new(12);
    let node = lab.node();
    let folder = folder();
    let (database, redis) = tokio::join!(Database::create(), redis(&folder));
    let config = Lab::config(&database, &redis, &[&node]);
    let indexer = RunningIndexer::start(&database, config).await;
    is_half_filled_in(&database).await;
    let lie = node
        .faults()
        .on(BLOCKS, Fault::wrong_root("/receiptsRoot"), When::Always);
    let said = trouble(&indexer).await;
    let label = node.address().to_string();
    for part in [&*label, "block "] {
        assert!(said.contains(part), "{said}");
    }
    node.faults().remove(lie);
    lab.assert_unharmed(indexer, &database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_no_node_has_is_waited_for_and_comes_from_an_archive_that_is_back() {
    let mut lab = Lab::new(13);
    let (pruned, mut archive) = (lab.node(), lab.node());
    pruned.chain().set_pruned(Some((150, Pruned::Error)));
    let folder = folder();
    let (database, redis) = tokio::join!(Database::create(), redis(&folder));
    archive.stop().await;
    let config = Lab::config(&database, &redis, &[&pruned, &archive]);
    let indexer = RunningIndexer::start(&database, config).await;
    // But for what is asked for together with what is gone.
    eventually("what the pruned node has", || async {
        missing(&database)
            .await
            .is_some_and(|missing| missing <= 200)
    })
    .await;
    let said = trouble(&indexer).await;
    for part in [&*pruned.address().to_string(), "pruned", "block "] {
        assert!(said.contains(part), "{said}");
    }
    // The head goes on meanwhile.
    lab.grow(&[&pruned, &archive]);
    indexer.shows(lab.blocks.last().expect("a head").hash).await;
    assert!(
        missing(&database)
            .await
            .is_some_and(|missing| missing > 100)
    );
    archive.restart().expect("the archive comes back");
    lab.assert_unharmed(indexer, &database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_goes_backwards_while_history_is_filled_in_takes_nothing_away() {
    let mut lab = Lab::new(14);
    let node = lab.node();
    let folder = folder();
    let (database, redis) = tokio::join!(Database::create(), redis(&folder));
    let config = Lab::config(&database, &redis, &[&node]);
    let indexer = RunningIndexer::start(&database, config).await;
    is_half_filled_in(&database).await;
    // What the node then knows no longer is read by then.
    eventually("the newest internal transfers", || async {
        enrichment::get_progress(&database.pool, Reading::Traces)
            .await
            .is_ok_and(|progress| progress.complete_from.is_some_and(|from| from <= 280))
    })
    .await;
    // Below what is final, even.
    node.chain().set_head(280);
    eventually("the history, or its rest without an end", || async {
        missing(&database).await == Some(0)
    })
    .await;
    indexer.has_read(Reading::Traces).await;
    let twin = Database::create().await;
    index_directly(&lab.blocks, &twin).await;
    assert_twins(&database.pool, &twin.pool).await;
    node.chain().release_head();
    lab.grow(&[&node]);
    lab.assert_unharmed(indexer, &database).await;
}
