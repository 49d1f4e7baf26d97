//! Many clients at once, whose connections break, against a model that only adds.

use super::{Books, body, deposit, told};
use alloy::primitives::I256;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};
use sqlx::{FromRow as _, PgPool};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tallyscan_tests::{history::seeds, say};
use tokio::sync::Mutex;

/// Clients at once.
const CLIENTS: u64 = 6;
/// Calls of each.
const CALLS: usize = 60;

/// Calls whose connection broke before there was an answer.
static LOST: AtomicUsize = AtomicUsize::new(0);

/// A call as it is made, and made again.
#[derive(Clone, Debug)]
enum Call {
    Post(Vec<Value>),
    Reverse(i64, String),
}

/// Calls that were answered, for others to repeat.
type Answered = Arc<Mutex<Vec<(Call, Vec<super::Posting>)>>>;

impl Call {
    fn random(random: &mut StdRng, name: &str, own: &[i64]) -> Self {
        let accounts = ["alice:ETH", "bob:ETH", "wallet:ETH", "fees:ETH"];
        let one = |random: &mut StdRng, key: &str| {
            let bits = random.random_range(1..100);
            let amount = random.random_range(1..=1_u128 << bits).to_string();
            if random.random_bool(0.5) {
                return deposit(key, ["alice", "bob"].choose(random).expect("one"), &amount);
            }
            let (from, to) = (accounts.choose(random), accounts.choose(random));
            let (from, to) = (from.expect("one"), to.expect("one"));
            body(key, &[(from, "debit", &amount), (to, "credit", &amount)])
        };
        match random.random_range(0..10) {
            0 if !own.is_empty() => {
                Self::Reverse(*own.choose(random).expect("one"), name.to_owned())
            }
            1..=2 => Self::Post(
                (0..3)
                    .map(|n| one(random, &format!("{name}.{n}")))
                    .collect(),
            ),
            _ => Self::Post(vec![one(random, name)]),
        }
    }

    /// Made until there is an answer: an error of the ledger is one, a lost connection is not.
    async fn make(&self, pool: &PgPool) -> Result<Vec<super::Posting>, String> {
        loop {
            let answer = match self {
                Self::Post(bodies) => {
                    let call =
                        sqlx::query("SELECT * FROM ledger.post_batch($1)").bind(json!(bodies));
                    call.fetch_all(pool).await
                }
                Self::Reverse(id, key) => {
                    let call =
                        sqlx::query("SELECT * FROM ledger.reverse_transaction($1, $2, 'model')");
                    call.bind(id).bind(key).fetch_all(pool).await
                }
            };
            match answer {
                Ok(rows) => {
                    let rows = rows.iter().map(super::Posting::from_row);
                    return Ok(rows.collect::<Result<_, _>>().expect("postings"));
                }
                Err(error) => {
                    let told = told(&error);
                    if told.starts_with("TL") {
                        return Err(told);
                    }
                    // Ended from outside, or by the server because two waited for each other.
                    let lost = error.as_database_error().is_none()
                        || ["57P01", "40P01"].iter().any(|code| told.starts_with(code));
                    assert!(lost, "{told}");
                    LOST.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }
}

async fn client(pool: PgPool, seed: u64, number: u64, answered: Answered) {
    let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1000) + number);
    let mut own = Vec::new();
    for n in 0..CALLS {
        let repeated = answered.lock().await.choose(&mut random).cloned();
        if let Some((call, first)) = repeated.filter(|_| random.random_bool(0.15)) {
            let again = call
                .make(&pool)
                .await
                .expect("what was answered once is answered");
            let ids = |answers: &[super::Posting]| -> Vec<i64> {
                answers.iter().map(|answer| answer.transaction_id).collect()
            };
            assert_eq!(ids(&again), ids(&first), "{call:?}");
            assert!(again.iter().all(|answer| answer.replayed), "{call:?}");
            continue;
        }
        let call = Call::random(&mut random, &format!("{number}.{n}"), &own);
        if let Ok(answer) = call.make(&pool).await {
            if let Call::Post(_) = call {
                own.extend(answer.iter().map(|answer| answer.transaction_id));
            }
            answered.lock().await.push((call, answer));
        }
    }
}

/// Breaks connections, whatever they are in the middle of.
async fn break_connections(pool: PgPool) {
    loop {
        tokio::time::sleep(Duration::from_millis(7)).await;
        let done = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.2",
        );
        drop(done.execute(&pool).await);
    }
}

/// What the answered calls add up to: balances on the normal side, and how many transactions.
fn fold(answered: &[(Call, Vec<super::Posting>)]) -> (BTreeMap<String, I256>, usize) {
    let mut lines: BTreeMap<i64, &Value> = BTreeMap::new();
    let mut balances: BTreeMap<String, I256> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    let mut add = |body: &Value, sign: I256| {
        for line in body["lines"].as_array().expect("lines") {
            let text = |field: &str| line[field].as_str().expect("text");
            let amount: I256 = text("amount").parse().expect("a number");
            let account = text("account");
            let grows_by = if ["wallet:ETH", "fees:ETH"].contains(&account) {
                "debit"
            } else {
                "credit"
            };
            let gain = if text("side") == grows_by {
                amount
            } else {
                -amount
            };
            *balances.entry(account.to_owned()).or_default() += gain * sign;
        }
    };
    for (call, answers) in answered {
        ids.extend(answers.iter().map(|answer| answer.transaction_id));
        if let Call::Post(bodies) = call {
            for (body, answer) in bodies.iter().zip(answers) {
                if lines.insert(answer.transaction_id, body).is_none() {
                    add(body, I256::ONE);
                }
            }
        }
    }
    for (call, _) in answered {
        if let Call::Reverse(id, _) = call {
            add(lines[id], I256::MINUS_ONE);
        }
    }
    balances.retain(|_, balance| !balance.is_zero());
    (balances, ids.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn books_are_those_of_the_answered_calls_whoever_made_them_and_however_often() {
    for seed in seeds(2) {
        say(&format!("ledger: SEED={seed}"));
        let books = Books::open().await;
        let answered = Answered::default();
        let killer = tokio::spawn(break_connections(books.pool().clone()));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                tokio::spawn(client(books.pool().clone(), seed, number, answered.clone()))
            })
            .collect();
        for client in clients {
            client.await.expect("a client");
        }
        killer.abort();
        let answered = answered.lock().await;
        let (balances, transactions) = fold(&answered);
        let written: BTreeMap<String, I256> = books
            .balances()
            .await
            .into_iter()
            .map(|(account, balance)| (account, balance.parse().expect("a number")))
            .collect();
        assert_eq!(written, balances);
        let count = books
            .ask("SELECT count(*)::text FROM ledger.transactions")
            .await;
        assert_eq!(count, Ok(transactions.to_string()));
        assert!(transactions > 100, "{transactions}");
        books.assert_sound().await;
    }
    assert!(LOST.load(Ordering::Relaxed) > 10, "{LOST:?}");
}
