//! The directory as a list, and what an import changes.

use super::{OTHER, Stage, WALLET, label, names};
use alloy::primitives::Address;
use serde_json::Value;
use store::labels::{self, ImportReport, Others, Visibility};

async fn page(stage: &Stage, query: &str, key: bool) -> Value {
    let path = format!("/api/v1/wallets{query}");
    if key {
        stage.with_key(&path).await
    } else {
        stage.api.ok(&path).await
    }
}

/// All names from the first page to the last, and from there back.
async fn walk(stage: &Stage, key: bool) -> Vec<String> {
    let owned = |page: &Value| -> Vec<String> {
        names(&page["data"])
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let mut at = page(stage, "?limit=3", key).await;
    assert_eq!(at["prev"], Value::Null);
    let mut forward = owned(&at);
    while let Some(next) = at["next"].as_str() {
        let query = format!("?limit=3&cursor={next}");
        at = page(stage, &query, key).await;
        forward.extend(owned(&at));
    }
    let mut back = owned(&at);
    while let Some(prev) = at["prev"].as_str() {
        let query = format!("?limit=3&cursor={prev}");
        at = page(stage, &query, key).await;
        back.splice(0..0, owned(&at));
    }
    assert_eq!(forward, back);
    forward
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_is_walked_by_name_there_and_back() {
    let stage = Stage::set().await;
    let mut rows = Vec::new();
    for number in 0..10_u8 {
        // One name for several addresses, in both cases and both visibilities.
        for (name, visibility) in [("Same", Visibility::Public), ("same", Visibility::Internal)] {
            rows.push(label(Address::repeat_byte(number), name, visibility));
        }
    }
    stage.import(&rows).await;
    assert_eq!(walk(&stage, false).await.len(), 12);
    assert_eq!(walk(&stage, true).await.len(), 24);
    stage.indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_for_any_part_of_the_name_in_any_case_and_for_itself() {
    let stage = Stage::set().await;
    stage
        .import(&[label(WALLET, "100%_of\\it", Visibility::Public)])
        .await;
    for (query, expected) in [
        ("?label=KRAK", vec!["Kraken 1", "kraken 2"]),
        ("?label=ken%202", vec!["kraken 2"]),
        ("?label=%25_of%5C", vec!["100%_of\\it"]),
        ("?label=%25", vec!["100%_of\\it"]),
        ("?label=_", vec!["100%_of\\it"]),
        (
            "?category=EXCHANGE&label=1",
            vec!["100%_of\\it", "Kraken 1"],
        ),
        ("?category=exch", vec![]),
    ] {
        let found = page(&stage, query, false).await;
        assert_eq!(names(&found["data"]), expected, "{query}");
    }
    for (query, code) in [
        ("?label=", "malformed_label"),
        ("?label=%00", "malformed_label"),
        ("?category=%20", "malformed_category"),
        ("?cursor=AQ", "malformed_cursor"),
        ("?name=x", "unknown_parameter"),
    ] {
        let (status, problem) = stage.api.get(&format!("/api/v1/wallets{query}")).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (400, Some(code)),
            "{query}"
        );
    }
    stage.indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_says_what_it_changed_and_a_rehearsal_changes_nothing() {
    let stage = Stage::set().await;
    let pool = &stage.scene.database.pool;
    let mut rows = labels::export(pool, None).await.expect("rows");
    assert_eq!(
        stage.import(&rows).await,
        ImportReport {
            unchanged: 4,
            ..ImportReport::default()
        }
    );
    rows.retain(|row| row.address == OTHER);
    rows[0].note = Some("moved".to_owned());
    rows.push(label(WALLET, "new", Visibility::Public));
    let expected = ImportReport {
        added: 1,
        changed: 1,
        unchanged: 1,
        removed: 2,
    };
    for rehearsal in [true, true, false] {
        let report = labels::import(pool, &rows, Others::Remove, rehearsal).await;
        assert_eq!(report.expect("an import"), expected);
    }
    assert_eq!(labels::export(pool, None).await.expect("rows").len(), 3);
    let internal = labels::export(pool, Some(Visibility::Internal))
        .await
        .expect("rows");
    assert_eq!(internal.len(), 1);
    stage.indexer.stop().await;
}
