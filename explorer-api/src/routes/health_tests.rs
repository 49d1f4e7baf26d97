use super::*;
use alloy::primitives::B256;
use store::state::BlockRef;

const LIMITS: Limits = Limits {
    blocks: 5,
    silence: Duration::from_mins(1),
};

fn records() -> Records {
    Records {
        indexed: true,
        state: ChainState {
            head: Some(BlockRef {
                number: 100,
                hash: B256::ZERO,
            }),
            head_timestamp: Some(1_000),
            safe: None,
            finalized: None,
            tx_count: 0,
            fork_epoch: 0,
            final_epoch: 0,
            history_epoch: 0,
            leader_token: 0,
        },
        history: None,
        readings: Vec::new(),
        indexer: IndexerStatus {
            node_head: Some(100),
            node_seen_seconds: Some(1.0),
            heartbeat_seconds: Some(1.0),
            problem: None,
            history_problem: None,
            unpublished_seconds: None,
        },
    }
}

fn judge(change: impl FnOnce(&mut Records)) -> Health {
    let mut records = records();
    change(&mut records);
    Health::judge(&Database::Filled(Box::new(records)), true, LIMITS, 1_090)
}

#[test]
fn all_is_well_at_the_nodes_head_however_old_it_is() {
    let health = judge(|_| {});
    assert_eq!(health.status, Status::Ok);
    assert!(health.problems.is_empty());
    assert_eq!((health.lag_blocks, health.lag_seconds), (Some(0), Some(0)));
}

#[test]
fn a_lag_is_told_in_blocks_and_seconds_and_degrades_past_its_limit() {
    let within = judge(|records| records.indexer.node_head = Some(105));
    assert_eq!(within.status, Status::Ok);
    assert_eq!((within.lag_blocks, within.lag_seconds), (Some(5), Some(90)));
    let beyond = judge(|records| records.indexer.node_head = Some(106));
    assert_eq!(beyond.status, Status::Degraded);
    assert!(beyond.problems[0].contains("6 blocks behind"));
}

#[test]
fn a_node_that_answers_with_an_older_head_is_no_lag() {
    let health = judge(|records| records.indexer.node_head = Some(90));
    assert_eq!((health.status, health.lag_blocks), (Status::Ok, Some(0)));
}

#[test]
fn events_that_wait_for_long_degrade() {
    let health = judge(|records| records.indexer.unpublished_seconds = Some(2.0));
    assert_eq!(health.status, Status::Ok);
    let health = judge(|records| records.indexer.unpublished_seconds = Some(60.0));
    assert_eq!(health.status, Status::Degraded);
    assert!(health.problems[0].contains("not published"));
}

#[test]
fn silence_of_the_indexer_and_of_its_node_are_told_apart() {
    let indexer = judge(|records| {
        records.indexer.heartbeat_seconds = Some(61.0);
        records.indexer.node_seen_seconds = Some(61.0);
    });
    assert_eq!(indexer.components.indexer, Indexer::Stale);
    assert_eq!(indexer.problems.len(), 1);
    let node = judge(|records| records.indexer.node_seen_seconds = Some(61.0));
    assert_eq!(node.status, Status::Degraded);
    assert_eq!(node.components.indexer, Indexer::Ok);
    assert!(node.problems[0].contains("node has not answered for 61 s"));
}

#[test]
fn a_halt_shows_its_reason() {
    let health = judge(|records| records.indexer.problem = Some("genesis differs".to_owned()));
    assert_eq!(health.status, Status::Degraded);
    assert_eq!(health.components.indexer, Indexer::Halted);
    assert!(health.problems[0].ends_with("genesis differs"));
}

#[test]
fn a_database_without_a_chain_is_degraded_and_says_so() {
    for health in [
        judge(|records| {
            records.indexed = false;
            records.state.head = None;
            records.state.head_timestamp = None;
            records.indexer = IndexerStatus::default();
        }),
        Health::judge(&Database::Empty, true, LIMITS, 0),
    ] {
        assert_eq!(health.status, Status::Degraded);
        assert_eq!(health.components.indexer, Indexer::None);
        assert!(health.head.is_none() && health.problems.len() == 1);
    }
}

fn progress(status: ReadingStatus) -> ReadingProgress {
    ReadingProgress {
        status,
        problem: None,
        floor: None,
        complete_from: Some(90),
        missing_blocks: 7,
    }
}

#[test]
fn a_node_without_traces_degrades_nothing_and_is_told() {
    let health = judge(|records| {
        records.readings = vec![
            (Reading::Traces, progress(ReadingStatus::Unavailable)),
            (Reading::Tokens, progress(ReadingStatus::Working)),
        ];
    });
    assert_eq!(health.status, Status::Ok);
    let told = serde_json::to_value(&health.readings).expect("JSON");
    assert_eq!(told["traces"]["status"], "unavailable");
    assert_eq!(told["traces"]["missing_blocks"], 7);
    assert_eq!(told["traces"]["complete_from"], 90);
    assert_eq!(told["tokens"]["status"], "working");
    assert_eq!(told["tokens"]["missing_blocks"], serde_json::Value::Null);
}

#[test]
fn redis_away_degrades_and_the_database_away_is_down() {
    let redis = Health::judge(&Database::Filled(Box::new(records())), false, LIMITS, 0);
    assert_eq!(redis.status, Status::Degraded);
    assert_eq!(redis.components.redis, Component::Down);
    let database = Health::judge(&Database::Down, true, LIMITS, 0);
    assert_eq!(database.status, Status::Down);
    assert_eq!(database.components.database, Component::Down);
}
