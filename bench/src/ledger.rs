//! Posting to the ledger, against single rows: `pgbench` makes both, one client, on the same server.

use crate::{
    figure::{Bar, Figure},
    stand::{Database, Failure, Stand},
};
use std::{io::Write as _, path::Path};
use tokio::process::Command;

/// Customers whose accounts money moves between.
const CUSTOMERS: u32 = 1_000;

/// Transactions of a batch.
const BATCH: f64 = 200.0;

/// How long each script runs, in each of as many rounds; the fastest counts.
const SECONDS: u32 = 5;
const ROUNDS: usize = 3;

/// Accounts, a first deposit for each, and a plain table with one key for the comparison.
const OPENING: &str = "
    SELECT ledger.create_asset('ETH', 'native', 18, trusted => true);
    SELECT ledger.open_account('wallet', 'ETH', 'asset');
    SELECT count(ledger.open_account('customer:' || n, 'ETH', 'liability', floor => 0))
    FROM generate_series(1, {customers}) AS n;
    SELECT count(*) FROM ledger.post_batch((
        SELECT jsonb_agg(jsonb_build_object('key', 'opening ' || n, 'lines', jsonb_build_array(
            jsonb_build_object('account', 'wallet', 'side', 'debit', 'amount', '1000000000'),
            jsonb_build_object('account', 'customer:' || n, 'side', 'credit', 'amount', '1000000000'))))
        FROM generate_series(1, {customers}) AS n));
    CREATE TABLE single_rows (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account bigint, amount numeric);
    VACUUM ANALYZE";

const SINGLE_ROW: &str = "\\set account random(1, {customers})
INSERT INTO single_rows (account, amount) VALUES (:account, 5);";

const TRANSFER: &str = "\\set a random(1, {customers})
\\set b random(1, {customers})
SELECT ledger.create_transfer_transaction(
    gen_random_uuid()::text, 'customer:' || :a, 'customer:' || :b, 5);";

const TRANSFERS: &str = "SELECT count(*) FROM ledger.post_batch((
    SELECT jsonb_agg(jsonb_build_object('key', gen_random_uuid(), 'lines', jsonb_build_array(
        jsonb_build_object('account', 'customer:' || ceil(random() * {customers}), 'side', 'debit', 'amount', '5'),
        jsonb_build_object('account', 'customer:' || ceil(random() * {customers}), 'side', 'credit', 'amount', '5'))))
    FROM generate_series(1, 200)));";

/// Transfers one by one, and in batches.
pub async fn measure(stand: &Stand) -> Result<Vec<Figure>, Failure> {
    let database = stand.database().await?;
    for statement in for_all(OPENING).split(';') {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
            .execute(&database.pool)
            .await?;
    }
    let program = stand.beside_postgres("pgbench")?;
    let (mut rows, mut single, mut batches) = (0.0_f64, 0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        rows = rows.max(per_second(&program, &database, SINGLE_ROW).await?);
        single = single.max(per_second(&program, &database, TRANSFER).await?);
        batches = batches.max(per_second(&program, &database, TRANSFERS).await?);
    }
    let faults: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger.find_faults()")
        .fetch_one(&database.pool)
        .await?;
    if faults > 0 {
        return Err(format!("{faults} faults in the books").into());
    }
    stand.drop(database).await?;
    let note = format!(
        "{:.2} ms each; pgbench, one client, against rows of one key",
        1e3 / single
    );
    Ok(vec![
        Figure::ratio("ledger_post", single, "tx/s", rows, Bar::AtLeast(0.4)).with_note(note),
        Figure::absolute(
            "ledger_batch",
            batches * BATCH,
            "tx/s",
            Bar::AtLeast(5_000.0),
        )
        .with_note("in batches of 200"),
    ])
}

fn for_all(statement: &str) -> String {
    statement.replace("{customers}", &CUSTOMERS.to_string())
}

/// Runs of a script in a second, as pgbench tells them.
async fn per_second(program: &Path, database: &Database, script: &str) -> Result<f64, Failure> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(for_all(script).as_bytes())?;
    let output = Command::new(program)
        .args([
            "--no-vacuum",
            "--protocol=prepared",
            "--client=1",
            "--jobs=1",
        ])
        .arg(format!("--time={SECONDS}"))
        .arg(format!("--file={}", file.path().display()))
        .arg(&database.url)
        .output()
        .await?;
    let told = String::from_utf8_lossy(&output.stdout);
    let rate = told.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = rate.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    rate.ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("pgbench: {said}{told}").into()
    })
}
