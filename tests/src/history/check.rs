//! What must hold at the end, however it came to that.

use crate::{Database, Events, GeneratedBlock, eventually};
use std::collections::HashSet;

/// Who listened from the start knows the final chain from the first block that was not final then, and
/// heard nothing twice.
pub async fn assert_told(database: &Database, events: &Events, blocks: &[GeneratedBlock]) {
    let chain = store::state::find_chain(&database.pool).await;
    let live_from = chain.expect("the chain").expect("a chain").live_from;
    let last = format!("{:?}", blocks.last().expect("a head").hash);
    // What the subscriber has not read yet comes within moments.
    eventually("the last announcement", || async {
        events
            .of("blocks")
            .last()
            .is_some_and(|block| block["hash"] == last)
    })
    .await;
    let mut heard = HashSet::new();
    for event in events.all() {
        let message = format!("{} {}", event.channel, event.message);
        assert!(heard.insert(message), "announced twice: {event:?}");
    }
    let chain: Vec<(u64, String)> = blocks
        .iter()
        .map(|block| (block.number(), format!("{:?}", block.hash)))
        .filter(|(number, _)| *number >= live_from)
        .collect();
    assert_eq!(
        events.replayed_chain(),
        chain,
        "who listened knows the final chain"
    );
}

/// Whatever reorgs dropped is kept.
pub(super) async fn assert_orphans_are_kept(database: &Database) {
    let lost: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM reorgs r
         WHERE dropped_blocks <> (SELECT count(*) FROM orphaned_blocks WHERE reorg_id = r.id)
            OR dropped_txs <> (SELECT count(*) FROM orphaned_transactions WHERE reorg_id = r.id)",
    )
    .fetch_one(&database.pool)
    .await
    .expect("the reorgs can be read");
    assert_eq!(lost, 0, "reorgs that lost what they dropped");
}
