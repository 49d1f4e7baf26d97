//! Lists: every item once, both ways, also when the chain changes between two pages.

use super::{block_of, settle};
use alloy::primitives::Address;
use serde_json::Value;
use std::collections::HashSet;
use tallyscan_tests::{Api, Scene};

const LIMIT: usize = 7;

fn names(page: &Value) -> Vec<String> {
    let items = page["data"].as_array().expect("a list");
    let name = |item: &Value| item["hash"].as_str().expect("a hash").to_owned();
    items.iter().map(name).collect()
}

/// Walks a list to its end and back, and returns what it has, in order.
async fn walk(api: &Api, path: &str) -> Vec<String> {
    let mut forward = Vec::new();
    let mut page = api.ok(&format!("{path}?limit={LIMIT}")).await;
    assert!(page["prev"].is_null(), "nothing is before the first page");
    loop {
        let found = names(&page);
        assert!(found.len() <= LIMIT);
        forward.push(found);
        let Some(next) = page["next"].as_str() else {
            break;
        };
        assert_eq!(forward[forward.len() - 1].len(), LIMIT, "{path}");
        page = api.ok(&format!("{path}?limit={LIMIT}&cursor={next}")).await;
    }
    let mut back = vec![names(&page)];
    while let Some(prev) = page["prev"].as_str() {
        page = api.ok(&format!("{path}?limit={LIMIT}&cursor={prev}")).await;
        back.push(names(&page));
    }
    back.retain(|page| !page.is_empty());
    back.reverse();
    let (forward, back) = (forward.concat(), back.concat());
    assert_eq!(forward, back, "{path}: there and back");
    let distinct: HashSet<&String> = forward.iter().collect();
    assert_eq!(distinct.len(), forward.len(), "{path}: no item twice");
    forward
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_walked_to_its_end_and_back() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    let (wallet, other) = (Address::repeat_byte(7), Address::repeat_byte(8));
    let (mut all, mut of_wallet) = (Vec::new(), Vec::new());
    for count in [3, 0, 21, 1, 0, 10] {
        let hashes = block_of(&scene.chain, wallet, count).await;
        of_wallet.extend(hashes.iter().rev().copied().rev());
        all.extend(hashes);
        all.extend(block_of(&scene.chain, other, 2).await);
    }
    settle(&scene, &indexer).await;
    let api = scene.api().await;

    let newest_first = |hashes: &[alloy::primitives::B256]| -> Vec<String> {
        hashes.iter().rev().map(ToString::to_string).collect()
    };
    let blocks = scene.chain.hashes().await;
    let blocks: Vec<_> = blocks.iter().map(|(_, hash)| *hash).collect();
    assert_eq!(walk(&api, "/api/v1/blocks").await, newest_first(&blocks));
    assert_eq!(walk(&api, "/api/v1/transactions").await, newest_first(&all));
    let of = |address: Address| format!("/api/v1/wallets/{address}/transactions");
    assert_eq!(walk(&api, &of(wallet)).await, newest_first(&of_wallet));
    let sender = scene.chain.sender();
    assert_eq!(walk(&api, &of(sender)).await, newest_first(&all));
    assert_eq!(
        walk(&api, &of(Address::repeat_byte(9))).await,
        Vec::<String>::new()
    );
    // A block's transactions come in its own order: 21, the limit's multiple, and others.
    for (number, hash) in scene.chain.hashes().await {
        let mut in_block = Vec::new();
        for id in [number.to_string(), hash.to_string()] {
            in_block.push(walk(&api, &format!("/api/v1/blocks/{id}/transactions")).await);
        }
        let block = api.ok(&format!("/api/v1/blocks/{hash}")).await;
        assert_eq!(block["data"]["transaction_count"], in_block[0].len());
        assert_eq!(in_block[0], in_block[1]);
    }
    let fifth = walk(&api, "/api/v1/blocks/5/transactions").await;
    assert_eq!(fifth.len(), 21);
    let expected: Vec<String> = all[7..28].iter().map(ToString::to_string).collect();
    assert_eq!(fifth, expected);
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_from_before_a_reorg_goes_on_from_the_same_place() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    for _ in 0..20 {
        block_of(&scene.chain, Address::repeat_byte(7), 2).await;
    }
    settle(&scene, &indexer).await;
    let api = scene.api().await;
    let lists = [
        "/api/v1/blocks".to_owned(),
        "/api/v1/transactions".to_owned(),
    ];
    let mut pages = Vec::new();
    for list in &lists {
        pages.push(api.ok(&format!("{list}?limit={LIMIT}")).await);
    }
    // The page's last item itself is dropped, and the new branch is shorter.
    scene.chain.roll_back(12).await;
    block_of(&scene.chain, Address::repeat_byte(8), 3).await;
    settle(&scene, &indexer).await;
    for (list, page) in lists.iter().zip(&pages) {
        let whole = walk(&api, list).await;
        let next = page["next"].as_str().expect("a next page");
        let after = api.ok(&format!("{list}?limit={LIMIT}&cursor={next}")).await;
        let found = names(&after);
        assert!(!found.is_empty(), "{list}");
        let at = whole.iter().position(|name| *name == found[0]);
        let at = at.expect("only what is canonical");
        assert_eq!(found[..], whole[at..at + found.len()]);
        assert_eq!(after["as_of"]["hash"], scene.chain.head().await.to_string());
    }
    indexer.stop().await;
}
