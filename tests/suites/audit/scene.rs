//! Indexes to damage, and what is known of them before.

use simnode::{CannedChain, Profile, Server};
use sqlx::{AssertSqlSafe, PgPool};
use std::{collections::BTreeMap, num::NonZeroUsize};
use store::audit::{Audit, Certificate, Scope};
use tallyscan_tests::{
    Database, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, contents, folder,
    indexer_config, redis,
};
use url::Url;

pub fn jobs(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("at least one")
}

pub async fn whole(pool: &PgPool) -> Audit {
    store::audit::audit(pool, &Scope::whole(jobs(3)), |_| {})
        .await
        .expect("an audit")
}

pub async fn assert_clean(pool: &PgPool, blocks: u64) -> Certificate {
    let certificate = whole(pool).await.certificate;
    assert!(certificate.is_clean(), "{:#?}", certificate.differences);
    assert_eq!(certificate.blocks, blocks);
    certificate
}

/// An index that is stopped, with the node it came from.
pub struct Scene {
    pub database: Database,
    pub chain: CannedChain,
    pub node: Server,
    /// The chain that is canonical in the end.
    pub blocks: Vec<GeneratedBlock>,
    pub generator: Generator,
    contents: BTreeMap<String, Vec<String>>,
}

/// What is kept of dropped blocks, beside what the twin compares.
const DROPPED: [&str; 6] = [
    "reorgs",
    "orphaned_internal_transfers",
    "orphaned_blocks",
    "orphaned_withdrawals",
    "orphaned_transactions",
    "orphaned_logs",
];

/// All that an index holds.
pub async fn everything(pool: &PgPool) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = contents(pool)
        .await
        .into_iter()
        .map(|(table, rows)| (table.to_owned(), rows))
        .collect();
    for table in DROPPED {
        let sql = format!("SELECT t::text FROM {table} t ORDER BY 1");
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await;
        all.insert(table.to_owned(), rows.expect("rows"));
    }
    all
}

impl Scene {
    async fn of(
        generator: Generator,
        blocks: Vec<GeneratedBlock>,
        follow: impl AsyncFnOnce(
            &RunningIndexer,
            &CannedChain,
            Generator,
            Vec<GeneratedBlock>,
        ) -> (Generator, Vec<GeneratedBlock>),
    ) -> Self {
        let canned = blocks.iter().map(GeneratedBlock::canned);
        let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, canned);
        let node = Server::start(chain.clone()).expect("a node");
        let folder = folder();
        let (database, redis) = (Database::create().await, redis(&folder).await);
        // Asked for, not announced: a new branch is seen whole, and every reorg ends at its tip.
        let config = indexer_config(&database, &redis.url(), &[node.http_url()]);
        let indexer = RunningIndexer::start(&database, config).await;
        indexer.reaches(blocks.last().expect("a block").hash).await;
        let (generator, blocks) = follow(&indexer, &chain, generator, blocks).await;
        indexer.stop().await;
        Self {
            contents: everything(&database.pool).await,
            database,
            chain,
            node,
            blocks,
            generator,
        }
    }

    /// Where its node is.
    pub fn urls(&self) -> Vec<Url> {
        vec![Url::parse(&self.node.http_url()).expect("a URL")]
    }

    /// Changes rows; returns how many.
    pub async fn edit(&self, sql: &str) -> u64 {
        let sql = sql.to_owned();
        let done = sqlx::raw_sql(AssertSqlSafe(sql.clone()));
        let done = done.execute(&self.database.pool).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error}"))
            .rows_affected()
    }

    /// Every row is what it was before anything was damaged.
    pub async fn assert_as_before(&self, what: &str) {
        let now = everything(&self.database.pool).await;
        for (table, rows) in &self.contents {
            assert!(
                now[table] == *rows,
                "{what}: {table} is not what it was: {:#?}",
                now[table]
            );
        }
    }
}

/// An index of so many blocks above block 0.
pub async fn many_blocks(count: usize) -> Scene {
    let mut generator = Generator::seeded(11);
    let mut blocks = vec![generator.genesis()];
    let branch = generator.branch(&blocks[0], count);
    blocks.extend(branch);
    Scene::of(generator, blocks, async |_, _, generator, blocks| {
        (generator, blocks)
    })
    .await
}

/// An index of 41 blocks above block 0 that lived through three reorgs, 1, 4 and 10 blocks deep; the
/// blocks up to 31 have four transactions each.
pub async fn with_reorgs() -> Scene {
    // Without withdrawals: a damage puts one where the header knows of none.
    let mut generator = Generator::new(5, Profile::London);
    let mut blocks = vec![generator.genesis()];
    for _ in 0..40 {
        let block = generator.child_with(blocks.last().expect("a block"), 4);
        blocks.push(block);
    }
    Scene::of(
        generator,
        blocks,
        async |indexer, chain, mut generator, mut blocks| {
            for depth in [1, 3, 9] {
                let fork = 40 - depth;
                let branch = generator.branch(&blocks[fork], depth + 1);
                let canned = branch.iter().map(GeneratedBlock::canned);
                chain.replace_from(branch[0].number(), canned);
                indexer.reaches(branch[depth].hash).await;
                blocks.truncate(fork + 1);
                blocks.extend(branch);
            }
            (generator, blocks)
        },
    )
    .await
}
