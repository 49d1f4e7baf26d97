//! What each role can and cannot do.

use super::{Books, ask, deposit, told};
use sqlx::{AssertSqlSafe, PgPool};
use std::sync::atomic::{AtomicU32, Ordering};
use url::Url;

/// Roles are the whole server's: every login has a name of its own.
static LOGINS: AtomicU32 = AtomicU32::new(0);

impl Books {
    /// Somebody with some roles, and the name of the login.
    async fn login(&self, roles: &str) -> (String, PgPool) {
        let name = format!("somebody_{}", LOGINS.fetch_add(1, Ordering::Relaxed));
        let statement = format!("CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE {roles}");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(self.pool())
            .await
            .expect("a login");
        let mut url = Url::parse(&self.database.url).expect("a URL");
        url.set_username(&name).expect("a name");
        url.set_password(Some("secret")).expect("a password");
        let pool = PgPool::connect(url.as_str()).await.expect("a session");
        (name, pool)
    }
}

/// What none of the roles may do.
const FORBIDDEN: [&str; 14] = [
    "INSERT INTO ledger.transactions (tenant, idempotency_key, body_hash, kind, line_count, was_pending) VALUES ('default', 'x', sha256(''), 'x', 2, false) RETURNING kind",
    "INSERT INTO ledger.entries (account_id, transaction_id, line, side, amount) VALUES (1, 1, 3, 'debit', 1) RETURNING line::text",
    "UPDATE ledger.entries SET amount = 1 RETURNING line::text",
    "DELETE FROM ledger.entries RETURNING line::text",
    "DELETE FROM ledger.transactions RETURNING kind",
    "DELETE FROM ledger.audit_log RETURNING operation",
    "INSERT INTO ledger.audit_log (table_name, operation) VALUES ('x', 'y') RETURNING operation",
    "ALTER TABLE ledger.entries DISABLE TRIGGER ALL",
    "ALTER TABLE ledger.transactions DISABLE TRIGGER require_balance",
    "DROP TABLE ledger.entries",
    "CREATE TABLE ledger.own_notes (note text)",
    "CREATE FUNCTION ledger.write_header(text, jsonb, integer) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION public.never(jsonb, jsonb) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
    "SELECT set_config('session_replication_role', 'replica', false)",
];

async fn refused(pool: &PgPool, statement: &str) {
    let done = sqlx::query(AssertSqlSafe(statement)).execute(pool).await;
    let error = told(&done.expect_err(statement));
    assert!(error.starts_with("42501"), "{statement}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_read_writers_call_and_administrators_define() {
    let books = Books::open().await;
    books
        .post(&deposit("d", "alice", "10"))
        .await
        .expect("posted");
    let (_, reader) = books.login("app_readonly").await;
    let (_, writer) = books.login("app_readwrite").await;
    let (_, admin) = books.login("app_admin").await;
    for pool in [&reader, &writer, &admin] {
        for statement in FORBIDDEN {
            refused(pool, statement).await;
        }
        refused(pool, "SET ROLE ledger_owner").await;
    }
    let read = "SELECT balance::text FROM ledger.balances WHERE account = 'alice:ETH'";
    let statement = "SELECT status FROM ledger.statement LIMIT 1";
    let call =
        "SELECT status FROM ledger.create_transfer_transaction('t', 'alice:ETH', 'bob:ETH', 3)";
    let define = "INSERT INTO ledger.assets (code, kind, decimals) VALUES ('EUR', 'offchain', 2) RETURNING code";
    assert_eq!(ask(&reader, read).await, Ok("10".to_owned()));
    assert_eq!(ask(&reader, statement).await, Ok("posted".to_owned()));
    assert_eq!(
        ask(&reader, "SELECT operation FROM ledger.audit_log LIMIT 1").await,
        Ok("INSERT".to_owned())
    );
    for statement in [call, define, "SELECT ledger.create_party('carol')::text"] {
        refused(&reader, statement).await;
    }
    for statement in [
        read,
        define,
        "SELECT ledger.find_called('default', 'd', 'x')::text",
    ] {
        refused(&writer, statement).await;
    }
    assert_eq!(ask(&writer, call).await, Ok("posted".to_owned()));
    ask(&writer, "SELECT ledger.create_party('carol')::text")
        .await
        .expect("a party");
    ask(
        &writer,
        "SELECT (ledger.reverse_transaction(1, 'r', 'x')).status",
    )
    .await
    .expect_err("spent");
    assert_eq!(ask(&admin, define).await, Ok("EUR".to_owned()));
    assert_eq!(ask(&admin, read).await, Ok("7".to_owned()));
    // Operators of his own, where he may have some, do not change what the triggers ask.
    let mut session = admin.acquire().await.expect("a session");
    sqlx::raw_sql(
        "CREATE FUNCTION reports.never(jsonb, jsonb) RETURNS boolean LANGUAGE sql AS 'SELECT false';
         CREATE OPERATOR reports.<> (leftarg = jsonb, rightarg = jsonb, function = reports.never);
         SET search_path = reports, pg_catalog",
    )
    .execute(&mut *session)
    .await
    .expect("an administrator defines what he likes");
    let changed = sqlx::raw_sql("UPDATE ledger.assets SET decimals = 6 WHERE code = 'ETH'")
        .execute(&mut *session)
        .await;
    assert!(told(&changed.expect_err("refused")).starts_with("TL001"));
    books.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_what_can_change_is_recorded_with_who_made_it() {
    let books = Books::open().await;
    let (name, admin) = books.login("app_admin").await;
    let mut session = admin.acquire().await.expect("a session");
    sqlx::raw_sql(
        "SET ledger.actor = 'ticket 4711';
         UPDATE ledger.assets SET trusted = false WHERE code = 'USDC';
         UPDATE ledger.accounts SET floor = -5 WHERE code = 'bob:ETH';
         DELETE FROM ledger.parties WHERE code = 'nobody';
         INSERT INTO ledger.wallets VALUES ('\\x2222222222222222222222222222222222222222', 1);
         DELETE FROM ledger.wallets",
    )
    .execute(&mut *session)
    .await
    .expect("changes");
    let log: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', login, actor, table_name, operation,
                coalesce(old->>'trusted', old->>'floor', old->>'party_id', '-'),
                coalesce(new->>'trusted', new->>'floor', new->>'party_id', '-'))
         FROM ledger.audit_log WHERE actor IS NOT NULL ORDER BY id",
    )
    .fetch_all(books.pool())
    .await
    .expect("the log");
    let expected = [
        "assets UPDATE true false",
        "accounts UPDATE 0 -5",
        "wallets INSERT - 1",
        "wallets DELETE 1 -",
    ];
    let expected = expected.map(|change| format!("{name} ticket 4711 {change}"));
    assert_eq!(log, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_reader_sees_a_tenant_or_a_party_and_nothing_of_others() {
    let books = Books::open().await;
    sqlx::raw_sql(
        "SELECT ledger.open_account('wallet', 'ETH', 'asset', tenant => 'other');
         SELECT ledger.open_account('customers', 'ETH', 'liability', tenant => 'other');",
    )
    .execute(books.pool())
    .await
    .expect("accounts");
    books
        .post(&deposit("a", "alice", "10"))
        .await
        .expect("posted");
    books
        .post(&deposit("b", "bob", "20"))
        .await
        .expect("posted");
    let other = super::body(
        "o",
        &[("wallet", "debit", "5"), ("customers", "credit", "5")],
    );
    sqlx::query("SELECT ledger.post_transaction($1, 'other')")
        .bind(other)
        .execute(books.pool())
        .await
        .expect("posted");
    let (tenant, of_tenant) = books.login("app_readonly").await;
    let (party, of_party) = books.login("app_readonly").await;
    let (_, everything) = books.login("app_readonly").await;
    let limits = format!(
        "INSERT INTO ledger.reader_limits VALUES ('{tenant}', 'other');
         INSERT INTO ledger.reader_limits SELECT '{party}', tenant, party_id FROM ledger.parties WHERE code = 'alice'"
    );
    sqlx::raw_sql(AssertSqlSafe(limits))
        .execute(books.pool())
        .await
        .expect("limits");
    let seen = async |pool: &PgPool| {
        let statement = "SELECT concat_ws(' ',
            (SELECT count(*) FROM ledger.parties), (SELECT count(*) FROM ledger.accounts),
            (SELECT count(*) FROM ledger.transactions), (SELECT count(*) FROM ledger.entries),
            (SELECT count(*) FROM ledger.balances), (SELECT count(*) FROM ledger.statement),
            (SELECT count(*) > 0 FROM ledger.audit_log), (SELECT count(*) > 0 FROM ledger.reader_limits))";
        ask(pool, statement).await
    };
    assert_eq!(seen(&everything).await, Ok("3 9 3 6 9 6 t t".to_owned()));
    assert_eq!(seen(&of_tenant).await, Ok("0 2 1 2 2 2 f f".to_owned()));
    assert_eq!(seen(&of_party).await, Ok("1 2 1 1 2 1 f f".to_owned()));
    // What was pending first is in the statement like everything else, without its lines as they were given.
    let mut later = deposit("later", "alice", "3");
    later["pending"] = true.into();
    let later = books.post(&later).await.expect("recorded").transaction_id;
    sqlx::query("SELECT ledger.post_pending($1)")
        .bind(later)
        .execute(books.pool())
        .await
        .expect("posted");
    assert_eq!(seen(&of_party).await, Ok("1 2 2 2 2 2 f f".to_owned()));
    let lines = "SELECT count(*)::text FROM ledger.pending_lines";
    assert_eq!(ask(&of_party, lines).await, Ok("0".to_owned()));
    // A limit holds for the functions as well, though they run as somebody else.
    let (limited, writer) = books.login("app_readonly, app_readwrite").await;
    let limit = format!("INSERT INTO ledger.reader_limits VALUES ('{limited}', 'other')");
    sqlx::raw_sql(AssertSqlSafe(limit))
        .execute(books.pool())
        .await
        .expect("a limit");
    for statement in [
        "SELECT status FROM ledger.create_transfer_transaction('x', 'alice:ETH', 'bob:ETH', 1)",
        "SELECT status FROM ledger.post_transaction('{}')",
        "SELECT status FROM ledger.post_batch('[]')",
        "SELECT status FROM ledger.reverse_transaction(1, 'r', 'x')",
        "SELECT status FROM ledger.post_pending(1)",
        "SELECT status FROM ledger.void_pending(1, 'x')",
        "SELECT ledger.open_account('alice:ETH', 'USDC', 'asset')::text",
        "SELECT ledger.create_party('carol')::text",
        "SELECT ledger.add_wallet('\\x1111111111111111111111111111111111111111', 'alice')::text",
    ] {
        refused(&writer, statement).await;
    }
    let own = "SELECT ledger.open_account('more', 'ETH', 'asset', tenant => 'other')::text";
    ask(&writer, own).await.expect("its own tenant");
    books.post(&deposit("c", "bob", "1")).await.expect("posted");
    books.assert_sound().await;
}
