//! Calls of the ledger's functions, one by one.

use super::{Books, Posting, balance, body, deposit, told};
use serde_json::json;

fn posted(transaction_id: i64, replayed: bool) -> Posting {
    Posting {
        transaction_id,
        status: "posted".to_owned(),
        replayed,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_is_one_transaction_and_another_under_its_key_is_refused() {
    let books = Books::open().await;
    let first = books
        .post(&deposit("d1", "alice", "70"))
        .await
        .expect("posted");
    assert!(!first.replayed);
    for _ in 0..3 {
        let again = books.post(&deposit("d1", "alice", "70")).await;
        assert_eq!(again, Ok(posted(first.transaction_id, true)));
    }
    let other = books
        .post(&deposit("d1", "alice", "71"))
        .await
        .expect_err("another call");
    assert_eq!(
        other,
        format!(
            "TL002 key d1 of tenant default was used for another call, which wrote transaction {}",
            first.transaction_id
        )
    );
    assert_eq!(
        books.balances().await,
        [balance("alice:ETH", "70"), balance("wallet:ETH", "70")]
    );
    books.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_balance_in_every_asset_leaves_nothing() {
    let books = Books::open().await;
    let uneven = body(
        "u",
        &[("wallet:ETH", "debit", "5"), ("alice:ETH", "credit", "4")],
    );
    let error = books.post(&uneven).await.expect_err("uneven");
    assert_eq!(
        error,
        "TL003 debits and credits of transaction u differ: ETH by 1"
    );
    // Equal numbers of different things.
    let mixed = body(
        "m",
        &[("wallet:ETH", "debit", "5"), ("alice:USDC", "credit", "5")],
    );
    let error = books.post(&mixed).await.expect_err("mixed");
    assert!(
        error.starts_with("TL003 debits and credits of transaction m differ:"),
        "{error}"
    );
    let unknown = body(
        "n",
        &[("wallet:ETH", "debit", "5"), ("carol:ETH", "credit", "5")],
    );
    let error = books.post(&unknown).await.expect_err("unknown");
    assert_eq!(error, "TL005 tenant default has no account carol:ETH");
    // All or none of a batch.
    let batch = json!([deposit("b1", "alice", "5"), uneven]);
    assert!(books.post_batch(&batch).await.is_err());
    assert_eq!(
        books
            .ask("SELECT count(*)::text FROM ledger.transactions")
            .await,
        Ok("0".to_owned())
    );
    assert!(books.balances().await.is_empty());
    // A key of a call that failed is free.
    let even = body(
        "u",
        &[("wallet:ETH", "debit", "5"), ("alice:ETH", "credit", "5")],
    );
    books.post(&even).await.expect("posted");
    books.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_in_its_order_and_knows_what_it_says_twice() {
    let books = Books::open().await;
    let before = books
        .post(&deposit("old", "bob", "1"))
        .await
        .expect("posted");
    let batch = json!([
        deposit("z", "alice", "10"),
        deposit("old", "bob", "1"),
        deposit("a", "bob", "20"),
        deposit("z", "alice", "10"),
    ]);
    let answers = books.post_batch(&batch).await.expect("posted");
    let replayed: Vec<bool> = answers.iter().map(|answer| answer.replayed).collect();
    assert_eq!(replayed, [false, true, false, true]);
    assert_eq!(answers[1].transaction_id, before.transaction_id);
    assert_eq!(answers[3].transaction_id, answers[0].transaction_id);
    let expected = [
        balance("alice:ETH", "10"),
        balance("bob:ETH", "21"),
        balance("wallet:ETH", "31"),
    ];
    assert_eq!(books.balances().await, expected);
    let again = books.post_batch(&batch).await.expect("posted");
    assert!(again.iter().all(|answer| answer.replayed));
    assert_eq!(books.balances().await, expected);
    assert_eq!(books.post_batch(&json!([])).await, Ok(Vec::new()));
    books.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_entry_takes_an_account_below_its_floor_or_into_a_closed_one() {
    let books = Books::open().await;
    books
        .post(&deposit("d", "alice", "10"))
        .await
        .expect("posted");
    let transfer =
        "SELECT status FROM ledger.create_transfer_transaction('t1', 'alice:ETH', 'bob:ETH', 11)";
    assert_eq!(
        books.ask(transfer).await,
        Err("TL004 account alice:ETH has 10, and 11 may not take it below 0".to_owned())
    );
    let transfer =
        "SELECT status FROM ledger.create_transfer_transaction('t2', 'alice:ETH', 'bob:ETH', 10)";
    assert_eq!(books.ask(transfer).await, Ok("posted".to_owned()));
    assert_eq!(
        books.balances().await,
        [balance("bob:ETH", "10"), balance("wallet:ETH", "10")]
    );
    let crossed =
        "SELECT status FROM ledger.create_transfer_transaction('t3', 'wallet:ETH', 'bob:ETH', 1)";
    let error = books.ask(crossed).await.expect_err("different sides");
    assert!(
        error.starts_with("TL003 accounts wallet:ETH and bob:ETH have different normal sides"),
        "{error}"
    );
    books
        .ask("UPDATE ledger.accounts SET closed_at = now() WHERE code = 'bob:ETH' RETURNING code")
        .await
        .expect("closed");
    let error = books.post(&deposit("late", "bob", "1")).await;
    assert_eq!(error, Err("TL004 account bob:ETH is closed".to_owned()));
    books.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_reversed_once() {
    let books = Books::open().await;
    let deposited = books
        .post(&deposit("d", "alice", "10"))
        .await
        .expect("posted")
        .transaction_id;
    let mirror = books.reverse(deposited, "r").await.expect("reversed");
    assert!(!mirror.replayed);
    assert_eq!(
        books.reverse(deposited, "r").await,
        Ok(posted(mirror.transaction_id, true))
    );
    assert_eq!(
        books.reverse(deposited, "r2").await,
        Err(format!(
            "TL008 transaction {deposited} is reversed by {} already",
            mirror.transaction_id
        ))
    );
    assert_eq!(
        books.reverse(mirror.transaction_id, "rr").await,
        Err(format!(
            "TL006 transaction {} is a reversal: it cannot be reversed",
            mirror.transaction_id
        ))
    );
    assert_eq!(
        books.reverse(999, "x").await,
        Err("TL005 there is no transaction 999".to_owned())
    );
    assert!(books.balances().await.is_empty());
    let statuses = "SELECT string_agg(status, ',' ORDER BY sequence) FROM ledger.statement WHERE account = 'alice:ETH'";
    assert_eq!(books.ask(statuses).await, Ok("void,posted".to_owned()));
    // What was spent cannot be taken back.
    let deposited = books
        .post(&deposit("d2", "alice", "10"))
        .await
        .expect("posted")
        .transaction_id;
    let spend =
        "SELECT status FROM ledger.create_transfer_transaction('s', 'alice:ETH', 'bob:ETH', 4)";
    books.ask(spend).await.expect("posted");
    let error = books.reverse(deposited, "r3").await.expect_err("spent");
    assert_eq!(
        error,
        "TL004 account alice:ETH has 6, and 10 may not take it below 0"
    );
    // Back the way it came: through the balances that there were, in the opposite order.
    let twice = body(
        "twice",
        &[
            ("bob:ETH", "credit", "5"),
            ("bob:ETH", "debit", "5"),
            ("bob:USDC", "credit", "1"),
            ("wallet:USDC", "debit", "1"),
        ],
    );
    let there_and_back = books.ask(
        "SELECT status FROM ledger.create_transfer_transaction('b', 'bob:ETH', 'alice:ETH', 4)",
    );
    there_and_back.await.expect("posted");
    let id = books.post(&twice).await.expect("posted").transaction_id;
    books.reverse(id, "twice back").await.expect("reversed");
    for key in ["", &"k".repeat(201)] {
        let error = books.reverse(deposited, key).await.expect_err("no key");
        assert_eq!(error, "TL007 a key has 1 to 200 characters");
    }
    books
        .ask("SELECT status FROM ledger.create_transfer_transaction('again', 'alice:ETH', 'bob:ETH', 4)")
        .await
        .expect("posted");
    // A key names one call, whichever function it is for.
    let error = books
        .reverse(deposited, "d2")
        .await
        .expect_err("a deposit's key");
    assert!(error.starts_with("TL002 key d2"), "{error}");
    books.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_transaction_moves_nothing_until_it_is_posted_and_is_given_up_or_posted_once() {
    let books = Books::open().await;
    let pending = |key: &str| {
        let mut body = deposit(key, "alice", "10");
        body["pending"] = json!(true);
        body
    };
    let first = books.post(&pending("p1")).await.expect("recorded");
    assert_eq!((first.status.as_str(), first.replayed), ("pending", false));
    let again = books.post(&pending("p1")).await.expect("recorded");
    assert_eq!((again.status.as_str(), again.replayed), ("pending", true));
    assert!(books.balances().await.is_empty());
    let call = async |statement: &'static str, id: i64| {
        let call = sqlx::query_as::<_, Posting>(statement).bind(id);
        call.fetch_one(books.pool())
            .await
            .map_err(|error| told(&error))
    };
    let (post, void) = (
        "SELECT * FROM ledger.post_pending($1)",
        "SELECT * FROM ledger.void_pending($1, 'not needed')",
    );
    let id = first.transaction_id;
    assert!(
        books
            .reverse(id, "early")
            .await
            .expect_err("pending")
            .starts_with("TL006")
    );
    assert_eq!(call(post, id).await, Ok(posted(id, false)));
    assert_eq!(call(post, id).await, Ok(posted(id, true)));
    assert_eq!(
        books.balances().await,
        [balance("alice:ETH", "10"), balance("wallet:ETH", "10")]
    );
    let error = call(void, id).await.expect_err("posted");
    assert_eq!(
        error,
        format!("TL006 transaction {id} is posted: it is reversed, not given up")
    );
    let second = books
        .post(&pending("p2"))
        .await
        .expect("recorded")
        .transaction_id;
    assert!(!call(void, second).await.expect("void").replayed);
    assert!(call(void, second).await.expect("void").replayed);
    let error = call(post, second).await.expect_err("void");
    assert_eq!(
        error,
        format!("TL006 transaction {second} is void: it cannot become posted")
    );
    // Whoever looks at an old snapshot cannot give up what was posted since.
    let third = books
        .post(&pending("p4"))
        .await
        .expect("recorded")
        .transaction_id;
    let mut old = books
        .pool()
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .expect("a transaction");
    sqlx::query("SELECT count(*) FROM ledger.entries")
        .execute(&mut *old)
        .await
        .expect("a snapshot");
    call(post, third).await.expect("posted");
    let given_up = sqlx::query(void).bind(third).execute(&mut *old).await;
    let error = told(&given_up.expect_err("refused"));
    assert_eq!(
        error,
        "TL003 the journal is written in READ COMMITTED, not in REPEATABLE READ"
    );
    old.rollback().await.expect("undone");
    books.reverse(third, "undo 3").await.expect("reversed");
    // What could never be posted is told at once.
    let mut wrong = pending("p3");
    wrong["lines"][0]["amount"] = json!("9");
    assert_eq!(
        books.post(&wrong).await,
        Err("TL003 debits and credits differ: ETH by -1".to_owned())
    );
    books.reverse(id, "undo").await.expect("reversed");
    assert!(books.balances().await.is_empty());
    books.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_made_once_however_often_it_is_called() {
    let books = Books::open().await;
    books
        .post(&deposit("d", "alice", "10"))
        .await
        .expect("posted");
    let transfer = "SELECT concat_ws(' ', transaction_id, status, replayed)
        FROM ledger.create_transfer_transaction('t', 'alice:ETH', 'bob:ETH', 4)";
    assert_eq!(books.ask(transfer).await, Ok("2 posted f".to_owned()));
    assert_eq!(books.ask(transfer).await, Ok("2 posted t".to_owned()));
    let other =
        "SELECT status FROM ledger.create_transfer_transaction('t', 'alice:ETH', 'bob:ETH', 5)";
    let error = books.ask(other).await.expect_err("another call");
    assert!(error.starts_with("TL002 key t"), "{error}");
    for (statement, code) in [
        (
            "SELECT status FROM ledger.create_transfer_transaction('u', 'alice:ETH', 'carol:ETH', 1)",
            "TL005",
        ),
        (
            "SELECT status FROM ledger.create_transfer_transaction('u', 'alice:ETH', 'bob:ETH', 1.5)",
            "TL007",
        ),
        (
            "SELECT status FROM ledger.create_transfer_transaction('u', 'alice:ETH', 'bob:ETH', 0)",
            "TL007",
        ),
        (
            "SELECT status FROM ledger.create_transfer_transaction('', 'alice:ETH', 'bob:ETH', 1)",
            "TL007",
        ),
        (
            "SELECT status FROM ledger.create_transfer_transaction('u', 'alice:ETH', 'bob:USDC', 1)",
            "TL003",
        ),
    ] {
        let error = books.ask(statement).await.expect_err(statement);
        assert!(error.starts_with(code), "{statement}: {error}");
    }
    assert_eq!(
        books.balances().await,
        [
            balance("alice:ETH", "6"),
            balance("bob:ETH", "4"),
            balance("wallet:ETH", "10")
        ]
    );
    books.assert_sound().await;
}
