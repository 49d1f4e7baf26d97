//! The books: what the database holds true of them, whoever writes.

mod forbidden;
mod model;
mod posting;
mod roles;
mod values;

use serde_json::{Value, json};
use sqlx::{FromRow, PgPool};
use tallyscan_tests::Database;

/// Two assets and accounts of both sides in each.
const OPENING: &str = "
    SELECT ledger.create_asset('ETH', 'native', 18, trusted => true);
    SELECT ledger.create_asset('USDC', 'erc20', 6, '\\xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48', trusted => true);
    SELECT ledger.create_party('alice'), ledger.create_party('bob'), ledger.create_party('house', 'house');
    SELECT ledger.open_account('wallet:ETH', 'ETH', 'asset', 'house');
    SELECT ledger.open_account('wallet:USDC', 'USDC', 'asset', 'house');
    SELECT ledger.open_account('fees:ETH', 'ETH', 'expense', 'house');
    SELECT ledger.open_account('alice:ETH', 'ETH', 'liability', 'alice', 0);
    SELECT ledger.open_account('alice:USDC', 'USDC', 'liability', 'alice', 0);
    SELECT ledger.open_account('bob:ETH', 'ETH', 'liability', 'bob', 0);
    SELECT ledger.open_account('bob:USDC', 'USDC', 'liability', 'bob', 0);";

/// What a call answers.
#[derive(Clone, Debug, FromRow, PartialEq, Eq)]
struct Posting {
    transaction_id: i64,
    status: String,
    replayed: bool,
}

/// Books with a few accounts and no entries.
struct Books {
    database: Database,
}

impl Books {
    async fn open() -> Self {
        let database = Database::create().await;
        sqlx::raw_sql(OPENING)
            .execute(&database.pool)
            .await
            .expect("accounts");
        Self { database }
    }

    fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    async fn post(&self, body: &Value) -> Result<Posting, String> {
        let call = sqlx::query_as("SELECT * FROM ledger.post_transaction($1)").bind(body);
        call.fetch_one(self.pool())
            .await
            .map_err(|error| told(&error))
    }

    async fn post_batch(&self, bodies: &Value) -> Result<Vec<Posting>, String> {
        let call = sqlx::query_as("SELECT * FROM ledger.post_batch($1)").bind(bodies);
        call.fetch_all(self.pool())
            .await
            .map_err(|error| told(&error))
    }

    async fn reverse(&self, id: i64, key: &str) -> Result<Posting, String> {
        let call = sqlx::query_as("SELECT * FROM ledger.reverse_transaction($1, $2, 'a test')");
        let call = call.bind(id).bind(key).fetch_one(self.pool());
        call.await.map_err(|error| told(&error))
    }

    /// A statement that answers with one text, or its error.
    async fn ask(&self, statement: &'static str) -> Result<String, String> {
        ask(self.pool(), statement).await
    }

    /// Balances that are not zero, in base units.
    async fn balances(&self) -> Vec<(String, String)> {
        let statement =
            "SELECT account, balance::text FROM ledger.balances WHERE balance <> 0 ORDER BY 1";
        let balances = sqlx::query_as(statement).fetch_all(self.pool());
        balances.await.expect("balances")
    }

    async fn assert_sound(&self) {
        let faults: Vec<String> =
            sqlx::query_scalar("SELECT f::text FROM ledger.find_faults() AS f")
                .fetch_all(self.pool())
                .await
                .expect("an audit");
        assert!(faults.is_empty(), "{faults:?}");
    }
}

async fn ask(pool: &PgPool, statement: &'static str) -> Result<String, String> {
    let answer: Result<Option<String>, sqlx::Error> =
        sqlx::query_scalar(statement).fetch_one(pool).await;
    answer
        .map(Option::unwrap_or_default)
        .map_err(|error| told(&error))
}

/// The code and the sentence of an error of the database.
fn told(error: &sqlx::Error) -> String {
    let Some(error) = error.as_database_error() else {
        return error.to_string();
    };
    let code = error.code().unwrap_or_default();
    format!("{code} {}", error.message())
}

/// A body with lines of (account, side, amount).
fn body(key: &str, lines: &[(&str, &str, &str)]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|(account, side, amount)| json!({"account": account, "side": side, "amount": amount}))
        .collect();
    json!({"key": key, "lines": lines})
}

/// Coin that arrived at the house's wallet for a customer.
fn deposit(key: &str, customer: &str, amount: &str) -> Value {
    let account = format!("{customer}:ETH");
    body(
        key,
        &[
            ("wallet:ETH", "debit", amount),
            (&account, "credit", amount),
        ],
    )
}

/// An account and what it has, as [`Books::balances`] tells it.
fn balance(account: &str, amount: &str) -> (String, String) {
    (account.to_owned(), amount.to_owned())
}
