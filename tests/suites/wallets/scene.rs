//! A generated chain in small buckets, and beside it what a node would have told.

use alloy::primitives::Address;
use embedded::Redis;
use rand::{Rng as _, rngs::StdRng};
use sqlx::AssertSqlSafe;
use tallyscan_tests::{Api, Database, Generator, folder, index_directly, redis};
use tempfile::TempDir;

/// Blocks of a bucket: so few that every list is read from many.
pub const BUCKET: u64 = 7;
/// Heights that are indexed and not counted yet.
pub const UNCOUNTED: (u64, u64) = (30, 44);
/// From here on traces were read.
pub const TRACED_FROM: u64 = 5;
const BLOCKS: usize = 90;

/// An index that is complete and stands still.
pub struct Scene {
    pub database: Database,
    pub redis: Redis,
    pub api: Api,
    pub generator: Generator,
    pub head: u64,
    _folder: TempDir,
}

impl Scene {
    pub async fn start(seed: u64) -> Self {
        let mut generator = Generator::seeded(seed);
        let genesis = generator.genesis();
        let mut blocks = vec![genesis.clone()];
        blocks.extend(generator.branch(&genesis, BLOCKS));
        let folder = folder();
        let (database, redis) = (Database::create().await, redis(&folder).await);
        index_directly(&blocks, &database).await;
        let api = Api::start(&database, &redis.url()).await;
        let mut scene = Self {
            database,
            redis,
            api,
            generator,
            head: u64::try_from(BLOCKS).expect("a height"),
            _folder: folder,
        };
        scene.tell_internal_transfers().await;
        scene.run(include_str!("scene.sql")).await;
        scene
    }

    /// Runs statements, with the constants of the scene in place of their names.
    pub async fn run(&self, sql: &str) {
        let sql = sql
            .replace(":bucket", &BUCKET.to_string())
            .replace(":uncounted_low", &UNCOUNTED.0.to_string())
            .replace(":uncounted_high", &UNCOUNTED.1.to_string())
            .replace(":traced_from", &TRACED_FROM.to_string())
            .replace(":head", &self.head.to_string());
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.database.pool);
        done.await.expect("the statements work");
    }

    /// The first column of a query.
    pub async fn column(&self, sql: &str) -> Vec<String> {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let rows = query.fetch_all(&self.database.pool).await;
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// A number that a query returns.
    pub async fn count(&self, sql: &str) -> i64 {
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let count = query.fetch_one(&self.database.pool).await;
        count.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The addresses that a query names in hex.
    pub async fn addresses(&self, sql: &str) -> Vec<Address> {
        let found = self.column(sql).await;
        let parse = |text: &String| text.parse().expect("an address");
        found.iter().map(parse).collect()
    }

    /// Wallets worth looking at: the busiest, one that only receives, one that was never seen.
    pub async fn wallets(&self) -> Vec<Address> {
        let mut wallets = self
            .addresses(
                "(SELECT encode(address, 'hex') FROM address_activity
                  GROUP BY address ORDER BY count(*) DESC, address LIMIT 3)
                 UNION ALL
                 (SELECT encode(to_address, 'hex') FROM token_transfers
                  WHERE to_address NOT IN (SELECT from_address FROM transactions)
                  GROUP BY to_address ORDER BY count(*) DESC, to_address LIMIT 2)
                 UNION ALL
                 (SELECT encode(contract_address, 'hex') FROM transactions
                  WHERE contract_address IS NOT NULL ORDER BY 1 LIMIT 1)",
            )
            .await;
        wallets.extend([Address::ZERO, Address::repeat_byte(0x99)]);
        wallets
    }

    /// The token of each standard that moved most.
    pub async fn tokens(&self) -> Vec<Address> {
        self.addresses(
            "SELECT encode(token, 'hex') FROM (
                 SELECT DISTINCT ON (kind) token, kind, count(*) FROM token_transfers
                 WHERE token IN (SELECT address FROM tokens WHERE standard IS NOT NULL)
                 GROUP BY token, kind ORDER BY kind, count(*) DESC, token) AS t",
        )
        .await
    }

    /// Internal transfers between addresses of the chain, several in some transactions.
    async fn tell_internal_transfers(&mut self) {
        // In place of those that its node told.
        self.run("DELETE FROM internal_transfers").await;
        let transactions: Vec<(i64, i32)> = sqlx::query_as(
            "SELECT block_number, tx_index FROM transactions WHERE block_number >= $1",
        )
        .bind(i64::try_from(TRACED_FROM).expect("a height"))
        .fetch_all(&self.database.pool)
        .await
        .expect("transactions");
        let addresses = self
            .addresses(
                "SELECT encode(address, 'hex') FROM address_activity
                 GROUP BY address ORDER BY count(*) DESC, address LIMIT 6",
            )
            .await;
        for (number, index) in transactions {
            let random = self.generator.random();
            let frames = random.random_range(0..4);
            let mut insert = String::new();
            for frame in 0..frames {
                insert += &internal_transfer((number, index, frame), &addresses, random);
            }
            self.run(&insert).await;
        }
    }
}

fn internal_transfer(
    (number, index, frame): (i64, i32, i32),
    addresses: &[Address],
    random: &mut StdRng,
) -> String {
    let mut address = || addresses[random.random_range(0..addresses.len())];
    let (from, to) = (address(), address());
    let kind = random.random_range(1..=4);
    let value = random.random_range(0..1_000_000_u64);
    let trace_index = frame * 2 + 1;
    // Every other call is within the one before.
    let path = if frame % 2 == 0 {
        format!("0_{frame}")
    } else {
        format!("0_{}_0_1", frame - 1)
    };
    format!(
        "INSERT INTO internal_transfers VALUES ({number}, 100, 50, {index}, {trace_index}, {kind},
             '\\x{}', '\\x{}', '{path}', {value});",
        alloy::hex::encode(from),
        alloy::hex::encode(to),
    )
}
