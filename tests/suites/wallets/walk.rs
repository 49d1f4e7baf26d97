//! Lists walked to their end and back.

use serde_json::Value;
use tallyscan_tests::Api;

/// What an item is told from all others by.
pub type Name = fn(&Value) -> String;

/// A value's text: that of a string without its quotes.
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Several members, joined.
pub fn members(value: &Value, names: &[&str]) -> String {
    let found: Vec<String> = names
        .iter()
        .map(|path| text(path.split('.').fold(value, |at, name| &at[name])))
        .collect();
    found.join(":").to_lowercase()
}

/// All items of a list, which must be the same from the top and from the end.
pub async fn walk(api: &Api, path: &str, limit: usize, name: Name) -> Vec<String> {
    let sign = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{sign}limit={limit}");
    let names = |page: &Value| -> Vec<String> {
        let items = page["data"].as_array().expect("a list");
        assert!(items.len() <= limit, "{path}");
        items.iter().map(name).collect()
    };
    let mut page = api.ok(&path).await;
    assert!(page["prev"].is_null(), "{path}: nothing is before the top");
    let mut forward = vec![names(&page)];
    while let Some(next) = page["next"].as_str() {
        page = api.ok(&format!("{path}&cursor={next}")).await;
        forward.push(names(&page));
    }
    let mut back = vec![names(&page)];
    while let Some(prev) = page["prev"].as_str() {
        page = api.ok(&format!("{path}&cursor={prev}")).await;
        back.push(names(&page));
    }
    back.reverse();
    let forward = forward.concat();
    assert_eq!(forward, back.concat(), "{path}: there and back");
    forward
}
