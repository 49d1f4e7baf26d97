//! Shapes and sizes: what calls may look like, and how numbers come back.

use super::{Books, balance, body, deposit};
use serde_json::json;

/// The largest amount there is, 2^256 - 1.
const LARGEST: &str =
    "115792089237316195423570985008687907853269984665640564039457584007913129639935";

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_call_is_told_what_is_accepted() {
    let books = Books::open().await;
    let line = json!({"account": "alice:ETH", "side": "debit", "amount": "1"});
    let with = |field: &str, value: serde_json::Value| {
        let mut line = line.clone();
        line[field] = value;
        json!({"key": "k", "lines": [line, line]})
    };
    let wrong = [
        (json!("text"), "an object is expected"),
        (json!({"lines": []}), "\"key\" and \"lines\" are needed"),
        (
            json!({"key": 1, "lines": []}),
            "key is number, accepted are",
        ),
        (
            json!({"key": "k", "lines": [], "colour": "red"}),
            "colour is string, accepted are",
        ),
        (
            json!({"key": "k", "lines": [line]}),
            "it has 1 lines, and 2 to 10,000 are accepted",
        ),
        (with("amount", json!(1)), "line 1 is"),
        (with("amount", json!("0")), "line 1 is"),
        (with("amount", json!("-1")), "line 1 is"),
        (with("amount", json!("1.5")), "line 1 is"),
        (with("amount", json!("1e3")), "line 1 is"),
        (with("amount", json!("01")), "line 1 is"),
        (
            with("amount", json!(format!("{}6", &LARGEST[..77]))),
            "line 1 is",
        ),
        (with("side", json!("left")), "line 1 is"),
        (with("memo", json!("x")), "line 1 is"),
        (with("account", json!(7)), "line 1 is"),
        (with("side", json!(null)), "line 1 is"),
        (with("account", json!(["alice:ETH"])), "line 1 is"),
        (
            json!({"key": "k", "lines": [[line, line], [line]]}),
            "line 1 is",
        ),
        (
            json!({"key": ["k"], "lines": [line, line]}),
            "key is array, accepted are",
        ),
        (
            json!({"key": "", "lines": [line, line]}),
            "a key has 1 to 200 characters",
        ),
        (
            json!({"key": "k", "lines": [line, line], "pending": [true]}),
            "pending is array",
        ),
        (
            json!({"key": "k", "lines": [line, line], "metadata": [{}]}),
            "metadata is array",
        ),
        (
            json!({"key": "k", "lines": [line, line], "kind": "k".repeat(41)}),
            "a kind has 1 to 40",
        ),
        (
            json!({"key": "k", "lines": [line, line], "effective_at": "tomorrow"}),
            "effective_at is tomorrow",
        ),
    ];
    for (body, sentence) in wrong {
        let error = books.post(&body).await.expect_err("malformed");
        let expected = format!("TL007 transaction 1 of the call: {sentence}");
        assert!(error.starts_with(&expected), "{body}: {error}");
    }
    let error = books
        .post_batch(&json!([deposit("k", "alice", "1"), 5]))
        .await;
    assert_eq!(
        error,
        Err("TL007 transaction 2 of the call: an object is expected".to_owned())
    );
    let error = books.post_batch(&json!({})).await;
    assert_eq!(
        error,
        Err("TL007 an array of transactions is expected".to_owned())
    );
    assert!(books.balances().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_of_every_size_come_back_as_they_went_in() {
    let books = Books::open().await;
    let sizes = ["1", "1000000000000000000000000000000000000", LARGEST];
    for amount in sizes {
        books
            .post(&deposit(amount, "bob", amount))
            .await
            .expect("posted");
        let statement = "SELECT amount::text FROM ledger.statement WHERE account = 'bob:ETH' ORDER BY sequence DESC LIMIT 1";
        assert_eq!(books.ask(statement).await, Ok(amount.to_owned()));
        let statement = "SELECT to_json(s)->>'amount' FROM ledger.statement s WHERE account = 'bob:ETH' ORDER BY sequence DESC LIMIT 1";
        assert_eq!(books.ask(statement).await, Ok(amount.to_owned()));
    }
    // A balance is no uint256: sums of amounts go on.
    let sum = "115792089237316195423570985008687907853270984665640564039457584007913129639936";
    assert_eq!(
        books.balances().await,
        [balance("bob:ETH", sum), balance("wallet:ETH", sum)]
    );
    books.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn human_units_are_exact_or_an_error() {
    let books = Books::open().await;
    books
        .post(&deposit("e", "alice", "1000000000000000001"))
        .await
        .expect("posted");
    let usdc = body(
        "u",
        &[
            ("wallet:USDC", "debit", "1500001"),
            ("bob:USDC", "credit", "1500001"),
        ],
    );
    books.post(&usdc).await.expect("posted");
    let wide = "SELECT balance::text FROM ledger.balances_28_18 WHERE account = 'alice:ETH'";
    assert_eq!(books.ask(wide).await, Ok("1.000000000000000001".to_owned()));
    let narrow = "SELECT balance::text FROM ledger.balances_20_8 WHERE account = 'bob:USDC'";
    assert_eq!(books.ask(narrow).await, Ok("1.50000100".to_owned()));
    let rounded = "SELECT balance::text FROM ledger.balances_20_8 WHERE account = 'alice:ETH'";
    assert_eq!(
        books.ask(rounded).await,
        Err("TL009 1.000000000000000001 is no numeric(20, 8)".to_owned())
    );
    books
        .post(&deposit("h", "bob", "10000000000000000000000000000"))
        .await
        .expect("posted");
    let large = "SELECT balance::text FROM ledger.balances_28_18 WHERE account = 'bob:ETH'";
    assert_eq!(
        books.ask(large).await,
        Err("TL009 10000000000 is no numeric(28, 18)".to_owned())
    );
    let exact = "SELECT balance::text FROM ledger.balances WHERE account = 'bob:ETH'";
    assert_eq!(
        books.ask(exact).await,
        Ok("10000000000000000000000000000".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_opened_again_is_the_same_or_an_error() {
    let books = Books::open().await;
    let same = [
        "SELECT ledger.open_account('alice:ETH', 'ETH', 'liability', 'alice', 0)::text",
        "SELECT ledger.create_asset('ETH', 'native', 18)::text",
        "SELECT ledger.create_party('alice')::text",
        "SELECT ledger.add_wallet('\\x1111111111111111111111111111111111111111', 'alice')::text",
        "SELECT ledger.add_wallet('\\x1111111111111111111111111111111111111111', 'alice')::text",
    ];
    for statement in same {
        books.ask(statement).await.expect(statement);
    }
    let other = [
        (
            "SELECT ledger.open_account('alice:ETH', 'USDC', 'liability', 'alice', 0)::text",
            "TL002",
        ),
        (
            "SELECT ledger.open_account('alice:ETH', 'ETH', 'liability', 'bob', 0)::text",
            "TL002",
        ),
        (
            "SELECT ledger.open_account('x', 'DAI', 'liability')::text",
            "TL005",
        ),
        (
            "SELECT ledger.open_account('x', 'ETH', 'liability', 'nobody')::text",
            "TL005",
        ),
        (
            "SELECT ledger.create_asset('ETH', 'native', 9)::text",
            "TL002",
        ),
        (
            "SELECT ledger.create_asset('ETC', 'native', 18)::text",
            "TL002",
        ),
        (
            "SELECT ledger.create_party('alice', 'house')::text",
            "TL002",
        ),
        (
            "SELECT ledger.add_wallet('\\x1111111111111111111111111111111111111111', 'bob')::text",
            "TL002",
        ),
        (
            "UPDATE ledger.assets SET decimals = 8 WHERE code = 'ETH' RETURNING code",
            "TL001",
        ),
        (
            "UPDATE ledger.accounts SET asset_id = 2 WHERE code = 'alice:ETH' RETURNING code",
            "TL001",
        ),
    ];
    for (statement, code) in other {
        let error = books.ask(statement).await.expect_err(statement);
        assert!(error.starts_with(code), "{statement}: {error}");
    }
}
