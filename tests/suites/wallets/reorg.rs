//! Pages while the chain changes.

use super::{
    filters::{ACTIVITY, TRANSFER},
    walk::walk,
};
use alloy::{hex, primitives::Address};
use chain::FinalityProfile;
use serde_json::Value;
use simnode::{CannedChain, Server};
use sqlx::AssertSqlSafe;
use tallyscan_tests::{
    Api, Database, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, folder,
    indexer_config, redis,
};

async fn column(database: &Database, sql: &str) -> Vec<String> {
    let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
    query.fetch_all(&database.pool).await.expect("rows")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_from_before_a_reorg_goes_on_from_the_same_place() {
    let mut generator = Generator::seeded(17);
    let genesis = generator.genesis();
    let mut blocks = vec![genesis.clone()];
    blocks.extend(generator.branch(&genesis, 60));
    let canned = blocks.iter().map(GeneratedBlock::canned);
    let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, canned);
    let node = Server::start(chain).expect("a node");
    let folder = folder();
    let (database, redis) = (Database::create().await, redis(&folder).await);
    let mut config = indexer_config(&database, &redis.url(), &[node.ws_url()]);
    config.finality = Some(FinalityProfile::Depth(1_000));
    let indexer = RunningIndexer::start(&database, config).await;
    indexer.reaches(blocks[60].hash).await;
    indexer.publishes_everything().await;
    let api = Api::start(&database, &redis.url()).await;
    let busiest = column(
        &database,
        "SELECT encode(from_address, 'hex') FROM token_transfers WHERE from_address <> decode(repeat('00', 20), 'hex')
         GROUP BY from_address ORDER BY count(*) DESC, from_address LIMIT 1",
    )
    .await;
    let wallet: Address = busiest[0].parse().expect("an address");
    let lists = [("transactions", &ACTIVITY), ("transfers", &TRANSFER)];
    let path = |list: &str| format!("/api/v1/wallets/{wallet}/{list}");
    let mut pages = Vec::new();
    for (list, _) in lists {
        let page = api.ok(&format!("{}?limit=3", path(list))).await;
        pages.push(page);
    }
    // What the first pages end with is dropped, and the new branch is longer.
    let kept = blocks[40].clone();
    let branch = generator.branch(&kept, 25);
    let canned: Vec<_> = branch.iter().map(GeneratedBlock::canned).collect();
    node.chain().replace_from(41, canned);
    indexer.reaches(branch[24].hash).await;
    indexer.publishes_everything().await;
    for ((list, kind), page) in lists.into_iter().zip(&pages) {
        let whole = walk(&api, &path(list), 4, kind.name).await;
        let expected = column(&database, &kind.sql(&hex::encode(wallet), "true")).await;
        assert_eq!(whole, expected, "{list}");
        let next = page["next"].as_str().expect("a next page");
        let after = api
            .ok(&format!("{}?limit=3&cursor={next}", path(list)))
            .await;
        assert_eq!(after["as_of"]["hash"], branch[24].hash.to_string());
        let found: Vec<String> = items(&after).iter().map(kind.name).collect();
        let at = whole.iter().position(|name| *name == found[0]);
        let at = at.expect("only what is canonical");
        assert_eq!(found[..], whole[at..at + found.len()], "{list}");
        let height = |item: &Value| item["block_number"].as_u64().expect("a height");
        let end = height(items(page).last().expect("items"));
        assert!(height(&items(&after)[0]) <= end, "{list}");
    }
    // What was dropped says what it moved.
    let dropped = column(
        &database,
        "SELECT encode(t.hash, 'hex') FROM orphaned_transactions t
         JOIN orphaned_logs l USING (reorg_id, block_number, tx_index)
         WHERE l.topic0 = decode('ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef', 'hex')
           AND t.hash NOT IN (SELECT hash FROM transactions) ORDER BY 1 LIMIT 1",
    )
    .await;
    let path = format!("/api/v1/transactions/0x{}/transfers", dropped[0]);
    let answer = api.ok(&path).await;
    assert_eq!(answer["finality"]["status"], "orphaned");
    let hash = format!("0x{}", dropped[0]);
    assert!(
        items(&answer)
            .iter()
            .all(|item| item["transaction_hash"] == hash)
    );
    assert!(!items(&answer).is_empty());
    indexer.stop().await;
}

fn items(page: &Value) -> &Vec<Value> {
    page["data"].as_array().expect("a list")
}
