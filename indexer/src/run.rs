//! An indexer from start to end: checks, lead, follower, publisher, heartbeat.

use crate::{
    backfill::Backfill,
    commit::Committer,
    config::IndexerConfig,
    enrich::Enricher,
    error::IndexError,
    follower::Follower,
    identity,
    leader::Lead,
    legs::LegReader,
    progress::{Progress, ProgressStyle},
    publish::Publisher,
    source::Source,
    status::Status,
    tallier::Tallier,
    telemetry,
    uncounted::Uncounted,
};
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use store::state::{self, Chain};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How often the indexer says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// An indexer that has checked its chain and can run.
pub struct Indexer {
    config: IndexerConfig,
    source: Arc<Source>,
    chain: Chain,
    status: Arc<Status>,
    telemetry: Option<(TcpListener, PrometheusHandle)>,
    progress: ProgressStyle,
}

impl Indexer {
    /// Finds out which chain the nodes follow and compares it with the database, whose schema must be
    /// up to date. Every error is one sentence for the operator.
    pub async fn prepare(
        config: IndexerConfig,
        metrics: PrometheusHandle,
        progress: ProgressStyle,
    ) -> Result<Self, IndexError> {
        crate::metrics::describe();
        let telemetry = match config.listen {
            Some(address) => Some((telemetry::bind(address).await?, metrics)),
            None => None,
        };
        let source = Arc::new(Source::new(&config.rpc_urls));
        let chain = identity::establish(&source, &config)
            .await
            .map_err(|error| match error {
                IndexError::Transient(reason) => {
                    IndexError::Halt(format!("RPC_URL: no usable node: {reason}"))
                }
                other => other,
            })?;
        Ok(Self {
            config,
            source,
            chain,
            status: Arc::new(Status::default()),
            telemetry,
            progress,
        })
    }

    /// What the indexer knows about itself, while it runs.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// Runs until `shutdown`, or until the last block asked for is committed and published.
    ///
    /// Without the lead it stands by; the lead once lost, it stands by again.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), IndexError> {
        let _telemetry = self.telemetry.take().map(|(listener, metrics)| {
            let (status, database) = (self.status.clone(), self.config.database.clone());
            let source = self.source.clone();
            AbortOnDropHandle::new(tokio::spawn(telemetry::serve(
                listener, status, source, database, metrics,
            )))
        });
        loop {
            let ended = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                ended = self.lead() => ended,
            };
            self.status.set_leads(false);
            match ended {
                Err(IndexError::LostLead) => tracing::warn!("lost the lead, standing by"),
                Err(IndexError::Database(error)) => {
                    tracing::warn!(%error, "the database failed while taking the lead; trying again");
                    tokio::time::sleep(HEARTBEAT).await;
                }
                other => return other,
            }
        }
    }

    /// Takes the lead and follows; ends when done or when the lead is lost.
    async fn lead(&self) -> Result<(), IndexError> {
        let database = &self.config.database;
        let lead = Lead::acquire(database).await?;
        self.status.set_leads(true);
        let (news, new_blocks) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let committer = Committer::new(
            database.clone(),
            self.chain.finality_profile,
            self.chain.live_from,
            news.clone(),
        )
        .led_by(lead.token)
        .read_behind_by(new_blocks.clone());
        let publisher = || {
            Publisher::new(
                database.clone(),
                &self.config.redis_url,
                &self.chain,
                news.clone(),
            )
            .map_err(|error| IndexError::Halt(format!("REDIS_URL: {error}")))
        };
        let mut publishing = AbortOnDropHandle::new(tokio::spawn(publisher()?.run()));
        let _heartbeat =
            AbortOnDropHandle::new(tokio::spawn(beat(database.clone(), self.status.clone())));
        let enricher = Enricher {
            database: database.clone(),
            source: self.source.clone(),
            chain: self.chain.clone(),
            leader_token: lead.token,
            new_blocks,
            redis_url: self.config.redis_url.clone(),
        };
        let _enriching = AbortOnDropHandle::new(tokio::spawn(enricher.run()));
        let reader = LegReader {
            pool: database.clone(),
            leader_token: lead.token,
        };
        let progress = Progress::new(self.progress);
        let uncounted = Arc::new(Uncounted::default());
        let backfill = Backfill::new(
            &self.config,
            lead.token,
            self.chain.clone(),
            self.source.clone(),
            (self.status.clone(), progress.beside()),
            uncounted.clone(),
        );
        let tallier = Tallier {
            pool: database.clone(),
            leader_token: lead.token,
            uncounted,
        };
        let mut follower = Follower::new(
            self.source.clone(),
            committer,
            self.chain.clone(),
            self.config.verify,
            self.config.until,
            self.status.clone(),
            progress,
        );
        tokio::select! {
            // The follower ends only where a last block was given; then the history is waited for.
            done = self.follow(&mut follower, backfill, tallier, reader) => done?,
            // It never ends by itself: an indexer that commits and says nothing must not go on.
            ended = &mut publishing => {
                let reason = ended.map_or_else(|error| error.to_string(), |()| "it ended".to_owned());
                return Err(IndexError::Halt(format!("the publisher stopped: {reason}")));
            }
        }
        drop(publishing);
        // Done: what was committed last is published before the process ends, if Redis is there.
        if let Err(error) = publisher()?.publish_all().await {
            tracing::warn!(%error, "events wait in the outbox for the next start");
        }
        Ok(())
    }
}

impl Indexer {
    /// Follows the head, fills in what is below it, counts it and looks it through for the ledger; ends only
    /// where a last block was given.
    async fn follow(
        &self,
        follower: &mut Follower,
        backfill: Backfill,
        tallier: Tallier,
        reader: LegReader,
    ) -> Result<(), IndexError> {
        let (filled, complete) = (CancellationToken::new(), CancellationToken::new());
        let live = async {
            follower.run().await?;
            // The head asked for is there; the node is still one whose silence must be noticed.
            while !complete.is_cancelled() {
                if let Ok(tip) = self.source.head().await {
                    let last = self.config.until.unwrap_or(u64::MAX);
                    self.status.node_answered(tip.number().min(last));
                }
                let _ = tokio::time::timeout(HEARTBEAT, complete.cancelled()).await;
            }
            Ok(())
        };
        let history = async {
            backfill.run().await?;
            filled.cancel();
            Ok(())
        };
        let counted = async {
            let may_end = self.config.until.is_some();
            tokio::try_join!(tallier.run(&filled, may_end), reader.run(&filled, may_end))?;
            complete.cancel();
            Ok(())
        };
        tokio::try_join!(live, Box::pin(history), Box::pin(counted)).map(|_| ())
    }
}

/// Records a sign of life for as long as the indexer leads.
async fn beat(database: PgPool, status: Arc<Status>) {
    loop {
        status.refresh();
        let known = status.known();
        let seen_lately = known
            .node_seen
            .is_some_and(|seen| seen.elapsed() < 2 * HEARTBEAT);
        let node_head = known.node_head.filter(|_| seen_lately);
        let history_problem = known.history.and_then(|history| history.problem);
        let beat = state::record_heartbeat(
            &database,
            node_head,
            known.problem.as_deref(),
            history_problem.as_deref(),
        );
        if let Err(error) = beat.await {
            tracing::debug!(%error, "heartbeat not written");
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}
