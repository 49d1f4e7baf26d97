//! `tallyscan doctor`: is everything there, does the data prove itself, and if not, can it be put right?

mod print;
mod progress;
mod services;

use crate::{Failure, cli::DoctorArgs, connect};
use indexer::{IndexerConfig, Publisher, Repair};
use progress::Progress;
use sqlx::PgPool;
use std::{num::NonZeroUsize, sync::Arc, thread};
use store::{
    audit::{self, Audit, Scope},
    schema,
};
use tokio::sync::Notify;
use url::Url;

/// Connections beside those of the jobs: the snapshot, and a repair's two.
const MORE_CONNECTIONS: u32 = 3;

/// Most rounds of a repair. The first does nearly everything; a later one sees what was hidden behind
/// damage, or more rows than one audit remembers.
const ROUNDS: usize = 5;

/// Checks services, then re-proves the range from the database alone; ends with 1 when anything
/// differs.
pub(crate) async fn run(args: DoctorArgs) -> Result<(), Failure> {
    let jobs = args.jobs.unwrap_or_else(cores);
    let connections = u32::try_from(jobs.get()).unwrap_or(u32::MAX);
    let connections = connections.saturating_add(MORE_CONNECTIONS);
    let rpc_urls = match args.rpc_url.as_deref().filter(|_| args.repair) {
        Some(list) => IndexerConfig::parse_rpc_urls(list)?,
        None => Vec::new(),
    };
    if let Some(url) = &args.redis_url {
        connect::check_redis_url(url)?;
    }
    let pool = connect::database("DATABASE_URL", &args.database_url, connections).await?;
    schema::check(&pool).await?;
    if !args.json {
        services::print(&pool, args.redis_url.as_deref()).await?;
    }
    let scope = Scope {
        from: args.from,
        to: args.to,
        jobs,
    };
    let mut visit = Visit {
        pool,
        scope,
        steps: Vec::new(),
        planned: Vec::new(),
        refused: None,
    };
    let mut audit = visit.audit().await?;
    if args.dry_run {
        visit.planned = print::plan(&audit.damage);
    } else if args.repair {
        audit = visit
            .repair(audit, rpc_urls, args.redis_url.as_deref())
            .await?;
    }
    visit.end(&audit, args.json)
}

fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// One run of the doctor.
struct Visit {
    pool: PgPool,
    scope: Scope,
    /// What a repair did.
    steps: Vec<String>,
    /// What it would do.
    planned: Vec<String>,
    /// What it could not do, and why.
    refused: Option<String>,
}

impl Visit {
    async fn audit(&self) -> Result<Audit, Failure> {
        let mut progress = Progress::start();
        let audit = audit::audit(&self.pool, &self.scope, |at| progress.advanced(at)).await?;
        progress.finish();
        Ok(audit)
    }

    /// Repairs and checks again, until nothing differs or nothing more can be done.
    async fn repair(
        &mut self,
        mut audit: Audit,
        rpc_urls: Vec<Url>,
        redis_url: Option<&str>,
    ) -> Result<Audit, Failure> {
        let mut repair = Repair::new(self.pool.clone(), rpc_urls).await?;
        for _ in 0..ROUNDS {
            if !audit.damage.is_repairable() {
                break;
            }
            let before = self.steps.len();
            let ended = repair
                .run(&audit.damage, |step| {
                    tracing::info!("{step}");
                    self.steps.push(step.to_string());
                })
                .await;
            // Whatever it was, other things may have been done: what counts is the next audit.
            self.refused = ended.err().map(|error| error.to_string());
            audit = self.audit().await?;
            if self.steps.len() == before {
                break;
            }
        }
        if audit.certificate.is_clean() {
            self.refused = None;
        }
        if let Some(url) = redis_url.filter(|_| !self.steps.is_empty()) {
            self.publish(&repair, url).await;
        }
        Ok(audit)
    }

    /// Ends the answers that were cached before the repair. Without Redis at hand, the indexer that runs
    /// or that is started next does it.
    async fn publish(&self, repair: &Repair, redis_url: &str) {
        let news = Arc::new(Notify::new());
        let publisher = Publisher::new(self.pool.clone(), redis_url, repair.chain(), news);
        let ended = match publisher {
            Ok(mut publisher) => publisher.publish_all().await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "not published: cached answers stay until an indexer runs");
        }
    }

    fn end(self, audit: &Audit, json: bool) -> Result<(), Failure> {
        if json {
            println!("{}", print::json(&self, &audit.certificate)?);
        } else {
            print::text(&self, audit);
        }
        if audit.certificate.is_clean() {
            return Ok(());
        }
        let count = audit.certificate.difference_count;
        Err(Failure::Failed(match self.refused {
            Some(reason) => format!("{count} differences remain: {reason}"),
            None => format!("{count} differences"),
        }))
    }
}
