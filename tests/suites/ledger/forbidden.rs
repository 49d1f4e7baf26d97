//! What nobody may do to the books, and what finds it when somebody did.

use super::{Books, ask, deposit, told};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Tables whose rows are never changed or removed, each with a column.
const GROWING: [(&str, &str); 4] = [
    ("transactions", "kind"),
    ("transaction_events", "reason"),
    ("entries", "amount"),
    ("audit_log", "operation"),
];

/// Books with a transaction and its mirror.
async fn written() -> Books {
    let books = Books::open().await;
    let id = books
        .post(&deposit("d", "alice", "10"))
        .await
        .expect("posted")
        .transaction_id;
    books.reverse(id, "r").await.expect("reversed");
    books
        .post(&deposit("d2", "alice", "10"))
        .await
        .expect("posted");
    books
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_or_removes_what_is_written() {
    let books = written().await;
    // A superuser, and one whose session plays a replica, which switches ordinary triggers off.
    for setting in ["", "SET session_replication_role = replica"] {
        let mut connection = PgConnection::connect(&books.database.url)
            .await
            .expect("a session");
        sqlx::raw_sql(setting)
            .execute(&mut connection)
            .await
            .expect("a setting");
        for (table, column) in GROWING {
            for statement in [
                format!("UPDATE ledger.{table} SET {column} = {column}"),
                format!("DELETE FROM ledger.{table}"),
                format!("TRUNCATE ledger.{table} CASCADE"),
            ] {
                let done = sqlx::raw_sql(AssertSqlSafe(statement.clone()))
                    .execute(&mut connection)
                    .await;
                let error = told(&done.expect_err("refused"));
                assert!(error.starts_with("TL001"), "{statement}: {error}");
            }
        }
    }
    books.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_around_the_functions_have_to_be_right_as_well() {
    let books = written().await;
    let header = "INSERT INTO ledger.transactions (tenant, idempotency_key, body_hash, kind, line_count, was_pending) \
                  VALUES ('default', 'own', sha256(''), 'x', 2, false) RETURNING transaction_id";
    let wrong = [
        // A line more than the transaction has, and one of a transaction that is complete.
        "INSERT INTO ledger.entries (account_id, transaction_id, line, side, amount) \
         VALUES (1, 1, 3, 'debit', 1) RETURNING line::text",
        // A transaction without lines.
        "INSERT INTO ledger.transactions (tenant, idempotency_key, body_hash, kind, line_count, was_pending) \
         VALUES ('default', 'own', sha256(''), 'x', 2, false) RETURNING kind",
        // A reversal without lines.
        "INSERT INTO ledger.transactions (tenant, idempotency_key, body_hash, kind, line_count, was_pending, reverses) \
         VALUES ('default', 'own', sha256(''), 'x', 2, false, 3) RETURNING kind",
        // A step that does not follow.
        "INSERT INTO ledger.transaction_events (transaction_id, state) VALUES (3, 'void') RETURNING state",
        "INSERT INTO ledger.transaction_events (transaction_id, state) VALUES (3, 'posted') RETURNING state",
    ];
    for statement in wrong {
        let error = books.ask(statement).await.expect_err(statement);
        assert!(
            error.starts_with("TL003") || error.starts_with("TL006"),
            "{statement}: {error}"
        );
    }
    // A mirror of another amount: balanced, and no mirror.
    let mut transaction = books.pool().begin().await.expect("a transaction");
    let id: i64 = sqlx::query_scalar(header)
        .fetch_one(&mut *transaction)
        .await
        .expect("a header");
    for (line, account, side) in [(1_i16, 1_i64, "debit"), (2, 4, "credit")] {
        sqlx::query(
            "INSERT INTO ledger.entries (account_id, transaction_id, line, side, amount)
             VALUES ($1, $2, $3, $4::ledger.side, 9)",
        )
        .bind(account)
        .bind(id)
        .bind(line)
        .bind(side)
        .execute(&mut *transaction)
        .await
        .expect("a line");
    }
    transaction
        .commit()
        .await
        .expect("two lines that balance are a transaction");
    let serializable = "SET default_transaction_isolation = 'serializable'";
    let mut connection = PgConnection::connect(&books.database.url)
        .await
        .expect("a session");
    sqlx::raw_sql(serializable)
        .execute(&mut connection)
        .await
        .expect("a setting");
    let done =
        sqlx::query("SELECT ledger.create_transfer_transaction('s', 'alice:ETH', 'bob:ETH', 1)")
            .execute(&mut connection)
            .await;
    let error = told(&done.expect_err("refused"));
    assert_eq!(
        error,
        "TL003 the journal is written in READ COMMITTED, not in SERIALIZABLE"
    );
    books.assert_sound().await;
}

/// Damage that only somebody with the triggers switched off can do, and the fault it is found as.
const DAMAGES: [(&str, &str); 7] = [
    (
        "UPDATE ledger.entries SET amount = amount + 1 WHERE transaction_id = 1 AND line = 1",
        "balance",
    ),
    (
        "UPDATE ledger.entries SET amount = amount + 1 WHERE transaction_id = 1 AND line = 1",
        "difference",
    ),
    (
        "DELETE FROM ledger.entries WHERE transaction_id = 3 AND line = 1",
        "lines",
    ),
    (
        "DELETE FROM ledger.entries WHERE account_id = 1 AND sequence = 2",
        "sequence",
    ),
    (
        "UPDATE ledger.entries SET balance_after = balance_after + 1 WHERE account_id = 1 AND sequence = 3",
        "balance",
    ),
    (
        "UPDATE ledger.entries SET account_id = 6 WHERE transaction_id = 2 AND line = 2",
        "reversal",
    ),
    ("DELETE FROM ledger.transaction_events", "reversal"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_with_the_triggers_off_is_found() {
    let books = written().await;
    for (damage, fault) in DAMAGES {
        let mut transaction = books.pool().begin().await.expect("a transaction");
        let off =
            GROWING.map(|(table, _)| format!("ALTER TABLE ledger.{table} DISABLE TRIGGER USER;"));
        let statements = format!("{} {damage}", off.concat());
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut *transaction)
            .await
            .expect("damage");
        let faults: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT fault FROM ledger.find_faults()")
                .fetch_all(&mut *transaction)
                .await
                .expect("an audit");
        assert!(
            faults.iter().any(|found| found == fault),
            "{damage}: {faults:?}"
        );
        transaction.rollback().await.expect("undone");
    }
    books.assert_sound().await;
    assert_eq!(
        ask(books.pool(), "SELECT count(*)::text FROM ledger.entries").await,
        Ok("6".to_owned())
    );
}
