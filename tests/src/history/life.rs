//! One history, played and compared.

use super::{
    check::{assert_orphans_are_kept, assert_told},
    host::{Host, Place, Running},
    script::{Script, Step},
    world::World,
};
use crate::{Database, Events, assert_twins, eventually_within, index_directly};
use alloy::primitives::B256;
use sqlx::PgPool;
use std::time::Duration;
use store::coverage::{BackfillSettings, set_backfill_settings};

/// How long an index may take to be of one mind with its nodes: a request that is never answered and
/// a node that is left alone for a lie take half a minute each.
const PATIENCE: Duration = Duration::from_secs(90);

/// A history that is being played.
pub(super) struct Life {
    world: World,
    place: Place,
    host: Host,
    indexer: Running,
}

impl Life {
    /// Plays a script to its end and compares, both databases being empty then as they were before.
    /// Panics where anything differs.
    pub(super) async fn live(script: Script, mut place: Place, twin: Database, host: Host) {
        let world = World::begin(script.seed, &script.setup);
        place.urls = world.urls();
        let settings = BackfillSettings {
            workers: None,
            budget_bytes: Some(script.setup.budget_bytes),
        };
        let set = set_backfill_settings(&place.database.pool, settings).await;
        set.expect("the settings can be written");
        let events = Events::subscribe(&place.redis_url).await;
        let indexer = host.start(&place).await;
        let mut life = Self {
            world,
            place,
            host,
            indexer,
        };
        for (step, pause) in &script.steps {
            life = life.step(step, *pause).await;
        }
        life.end(&events, &twin).await;
    }

    async fn step(mut self, step: &Step, pause: Duration) -> Self {
        let pool = &self.place.database.pool;
        match step {
            Step::Stop => {
                self.world.behave();
                self.indexer.stop().await;
                self.indexer = self.host.start(&self.place).await;
            }
            Step::Kill => {
                self.world.behave();
                self.indexer.kill().await;
                self.indexer = self.host.start(&self.place).await;
            }
            Step::EndSessions => end_sessions(pool).await,
            Step::GoBack(blocks) => go_back(pool, *blocks).await,
            _ => self.world.live_through(step).await,
        }
        tokio::time::sleep(pause).await;
        if let Step::Outage(node) = step {
            self.world.come_back(*node);
        }
        self
    }

    async fn end(mut self, events: &Events, twin: &Database) {
        self.world.end();
        let (lived, blocks) = (&self.place.database, &self.world.blocks);
        let head = blocks.last().expect("a block").hash;
        let what = || {
            format!(
                "head {head}, complete and published: {}",
                self.indexer.says()
            )
        };
        eventually_within(PATIENCE, what, || is_complete(&lived.pool, head)).await;
        assert_told(lived, events, blocks).await;
        self.indexer.stop().await;
        assert_orphans_are_kept(lived).await;
        index_directly(blocks, twin).await;
        assert_twins(&lived.pool, &twin.pool).await;
        // The twin is the oracle: it begins on the chunks that it has.
        tokio::join!(lived.empty(), twin.clear());
    }
}

/// Whether the index ends at a block, lacks nothing below it, everything is counted and published, and
/// every block is traced.
async fn is_complete(pool: &PgPool, head: B256) -> bool {
    // A session that was ended under way is an answer that comes later.
    sqlx::query_scalar(
        "SELECT head_hash = $1 AND NOT EXISTS (SELECT FROM outbox)
            AND c.blocks = int8multirange(int8range(0, head_number, '[]'))
            AND t.blocks = c.blocks AND e.blocks = c.blocks
         FROM chain_state, coverage c, tally_state t, enrichment e WHERE e.kind = 'traces'",
    )
    .bind(head.as_slice())
    .fetch_one(pool)
    .await
    .unwrap_or(false)
}

async fn end_sessions(pool: &PgPool) {
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(pool)
    .await
    .expect("sessions can be ended");
}

async fn go_back(pool: &PgPool, blocks: u64) {
    let head = store::state::get_state(pool).await.expect("a state").head;
    let number = head.map_or(0, |head| head.number.saturating_sub(blocks));
    // Refused below what is there, and where the head moved meanwhile: an operator would give up, too.
    let _ = indexer::rollback_to(pool, number).await;
}
