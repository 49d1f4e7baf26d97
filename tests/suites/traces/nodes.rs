//! Nodes that have no traces, lie in them, have pruned what they need for them, or take their time.

use super::{CALL_TRACER, ROWS, TRACE_BLOCK, count, progress};
use indexer::IndexerConfig;
use serde_json::{Value, json};
use simnode::{CannedChain, Fault, Fixtures, Json, Server, When};
use std::time::Duration;
use store::enrichment::ReadingStatus;
use tallyscan_tests::{
    Api, Database, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, assert_twins,
    eventually, folder, index_directly, indexer_config, redis,
};

/// A generated chain, and an index of it.
struct Lab {
    generator: Generator,
    blocks: Vec<GeneratedBlock>,
    database: Database,
    redis: embedded::Redis,
    _folder: tempfile::TempDir,
}

impl Lab {
    async fn with_blocks(blocks: usize) -> Self {
        let mut generator = Generator::seeded(21);
        let genesis = generator.genesis();
        let mut all = vec![genesis.clone()];
        all.extend(generator.branch(&genesis, blocks));
        let folder = folder();
        Self {
            generator,
            blocks: all,
            database: Database::create().await,
            redis: redis(&folder).await,
            _folder: folder,
        }
    }

    fn node(&self) -> Server {
        let blocks = self.blocks.iter().map(GeneratedBlock::canned);
        let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, blocks);
        Server::start(chain).expect("a node")
    }

    async fn index(&self, nodes: &[&Server]) -> RunningIndexer {
        let urls: Vec<String> = nodes.iter().map(|node| node.http_url()).collect();
        let config = indexer_config(&self.database, &self.redis.url(), &urls);
        RunningIndexer::start(&self.database, config).await
    }

    fn head(&self) -> alloy::primitives::B256 {
        self.blocks.last().expect("a head").hash
    }

    /// Puts a block with transactions on top.
    fn grow(&mut self, nodes: &[&Server]) {
        let head = self.blocks.last().expect("a head");
        let block = self.generator.child_with(head, 12);
        for node in nodes {
            node.chain().push(block.canned());
        }
        self.blocks.push(block);
    }

    async fn rows(&self) -> i64 {
        count(&self.database.pool, ROWS).await
    }

    async fn has_status(&self, status: ReadingStatus) {
        eventually(&format!("status {status:?}"), || async {
            progress(&self.database.pool).await.status == status
        })
        .await;
    }

    async fn problem(&self) -> String {
        eventually("a problem with traces", || async {
            progress(&self.database.pool).await.problem.is_some()
        })
        .await;
        progress(&self.database.pool)
            .await
            .problem
            .unwrap_or_default()
    }

    /// Everything is there that a well-behaved node would have told.
    async fn assert_unharmed(self, indexer: RunningIndexer) {
        indexer.reaches(self.head()).await;
        eventually("no problem", || async {
            let progress = progress(&self.database.pool).await;
            progress.problem.is_none() && progress.missing_blocks == 0
        })
        .await;
        indexer.stop().await;
        let twin = Database::create().await;
        index_directly(&self.blocks, &twin).await;
        assert!(count(&twin.pool, ROWS).await > 0);
        assert_twins(&self.database.pool, &twin.pool).await;
    }
}

fn has_no_traces(node: &Server) {
    for method in [CALL_TRACER, TRACE_BLOCK] {
        node.faults().on(method, Fault::Unsupported, When::Always);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_chain_is_read_alike_by_both_methods() {
    let lab = Lab::with_blocks(60).await;
    let node = lab.node();
    node.faults()
        .on(CALL_TRACER, Fault::Unsupported, When::Always);
    let indexer = lab.index(&[&node]).await;
    indexer.reaches(lab.head()).await;
    assert!(node.calls(TRACE_BLOCK) > 0);
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_traces_is_told_and_holds_nothing_up() {
    let mut lab = Lab::with_blocks(12).await;
    let node = lab.node();
    has_no_traces(&node);
    let indexer = lab.index(&[&node]).await;
    lab.has_status(ReadingStatus::Unavailable).await;
    lab.grow(&[&node]);
    indexer.reaches(lab.head()).await;
    assert_eq!(lab.rows().await, 0);
    let asked = node.calls(CALL_TRACER);
    assert_eq!(asked, 1, "it is not asked for each block");

    let api = Api::start(&lab.database, &lab.redis.url()).await;
    eventually("health without a complaint", || async {
        api.get("/health").await.1["status"] == "ok"
    })
    .await;
    let (_, health) = api.get("/health").await;
    let traces = &health["readings"]["traces"];
    assert_eq!(traces["status"], "unavailable", "{health}");
    assert_eq!(traces["problem"], Value::Null);
    assert_eq!(traces["missing_blocks"], 14);
    indexer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_fail_over_traces_are_looked_for_again() {
    let mut lab = Lab::with_blocks(12).await;
    let (mut without, with) = (lab.node(), lab.node());
    has_no_traces(&without);
    let indexer = lab.index(&[&without, &with]).await;
    lab.has_status(ReadingStatus::Unavailable).await;
    without.stop().await;
    lab.grow(&[&with]);
    indexer.shows(lab.head()).await;
    lab.has_status(ReadingStatus::Working).await;
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ignores_the_tracers_name_is_asked_for_the_other_form() {
    let lab = Lab::with_blocks(20).await;
    let node = lab.node();
    let count = |block: &GeneratedBlock| (json!(block.hash), block.canned().transactions.len());
    let counts: Vec<(Value, usize)> = lab.blocks.iter().map(count).collect();
    node.serve_method(CALL_TRACER, move |params| {
        let steps = json!({"gas": 21_000, "failed": false, "returnValue": "", "structLogs": []});
        let count = counts.iter().find(|(hash, _)| *hash == params[0]);
        let transactions = count.map_or(0, |(_, count)| *count);
        let traces = vec![json!({"result": steps}); transactions];
        Ok(Json::from(&Value::from(traces)))
    });
    let indexer = lab.index(&[&node]).await;
    indexer.reaches(lab.head()).await;
    assert!(node.calls(TRACE_BLOCK) > 0);
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_a_transaction_is_named_and_not_written() {
    for (method, pointer) in [
        (CALL_TRACER, "/0/result/value"),
        (TRACE_BLOCK, "/0/action/value"),
    ] {
        let mut lab = Lab::with_blocks(0).await;
        let node = lab.node();
        if method == TRACE_BLOCK {
            node.faults()
                .on(CALL_TRACER, Fault::Unsupported, When::Always);
        }
        let lie = Fault::set(pointer, "0xdeadbeefdeadbeef");
        let lie = node.faults().on(method, lie, When::Always);
        for _ in 0..4 {
            lab.grow(&[&node]);
        }
        let indexer = lab.index(&[&node]).await;
        indexer.shows(lab.head()).await;
        let said = lab.problem().await;
        let label = node.address().to_string();
        for part in ["block ", &label, "trace 0 has value 16045690984833335023"] {
            assert!(said.contains(part), "{said}");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(lab.rows().await, 0);
        assert_eq!(
            indexer.status().known().problem,
            None,
            "the head is not held up"
        );
        node.faults().remove(lie);
        lab.assert_unharmed(indexer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn below_pruned_state_nothing_is_waited_for_until_it_is_back() {
    let lab = Lab::with_blocks(200).await;
    let node = lab.node();
    node.chain().set_stateless_below(90);
    let indexer = lab.index(&[&node]).await;
    let pool = &lab.database.pool;
    eventually("a floor", || async {
        let progress = progress(pool).await;
        progress.floor.is_some() && progress.missing_blocks == 0
    })
    .await;
    let progress = progress(pool).await;
    // Empty blocks below are no reason to ask.
    assert!(
        progress
            .floor
            .is_some_and(|floor| (80..=90).contains(&floor))
    );
    assert_eq!(
        (progress.status, progress.problem),
        (ReadingStatus::Working, None)
    );
    let lowest = "SELECT min(block_number) FROM internal_transfers";
    assert!(count(pool, lowest).await >= 90);
    node.chain().set_stateless_below(0);
    eventually("what was below the floor", || async {
        count(pool, lowest).await < 90
    })
    .await;
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_pass_leave_nothing_out() {
    let faults = [
        Fault::Null,
        Fault::Status(502),
        Fault::TruncatedBody,
        Fault::CutConnection,
        Fault::rate_limited(),
        Fault::response_too_large(),
        Fault::error(-32_000, "execution timeout"),
        Fault::set("/0", json!({"error": "tracing failed"})),
    ];
    let lives = faults.map(|fault| async move {
        let lab = Lab::with_blocks(25).await;
        let node = lab.node();
        node.faults().on(CALL_TRACER, fault, When::Times(3));
        let indexer = lab.index(&[&node]).await;
        lab.assert_unharmed(indexer).await;
    });
    futures::future::join_all(lives.map(Box::pin)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_cannot_be_traced_does_not_hold_up_the_others() {
    let mut lab = Lab::with_blocks(30).await;
    let node = lab.node();
    let bad = lab.blocks.iter().rev().nth(5).expect("a block").hash;
    // The node fails whenever it is asked for this one.
    let chain = node.chain().clone();
    let honest = Server::start(chain).expect("a node");
    let url = honest.http_url();
    node.serve_method(CALL_TRACER, move |params| {
        if params[0] == json!(bad) {
            return Err(simnode::RpcError::new(-32_000, "execution timeout"));
        }
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": CALL_TRACER, "params": params});
        Ok(Json::from(&forward(&url, call)))
    });
    let indexer = lab.index(&[&node]).await;
    eventually("all but one", || async {
        progress(&lab.database.pool).await.missing_blocks == 1
    })
    .await;
    assert!(lab.problem().await.contains("execution timeout"));
    lab.grow(&[&node]);
    indexer.shows(lab.head()).await;
    eventually("the new one as well", || async {
        let progress = progress(&lab.database.pool).await;
        progress.missing_blocks == 1 && progress.complete_from.is_some()
    })
    .await;
    indexer.stop().await;
}

/// Asks another node from a thread that may wait.
fn forward(url: &str, call: Value) -> Value {
    let url = url.to_owned();
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let client = reqwest::Client::new();
            let reply = client.post(url).json(&call).send().await.expect("a reply");
            reply.json::<Value>().await.expect("JSON")
        })
    });
    asked.join().expect("an answer")["result"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_its_time_for_traces_does_not_hold_up_the_head() {
    let mut lab = Lab::with_blocks(8).await;
    let (node, spare) = (lab.node(), lab.node());
    let slow = Fault::Latency(Duration::from_secs(4));
    let slow = node.faults().on(CALL_TRACER, slow, When::Always);
    let indexer = lab.index(&[&node, &spare]).await;
    eventually("a request for traces", || async {
        node.calls(CALL_TRACER) > 0
    })
    .await;
    for _ in 0..5 {
        lab.grow(&[&node, &spare]);
        let started = std::time::Instant::now();
        indexer.shows(lab.head()).await;
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    assert_eq!(spare.calls(CALL_TRACER), 0, "no fail-over");
    node.faults().remove(slow);
    lab.assert_unharmed(indexer).await;
}

/// Calls with value below the top of a recorded trace that were not reverted.
fn recount(frame: &Value, depth: usize) -> i64 {
    if frame.get("error").is_some() {
        return 0;
    }
    let moves = frame["type"] == "CALL" && frame["value"].as_str().is_some_and(|v| v != "0x0");
    let calls = frame["calls"].as_array().into_iter().flatten();
    i64::from(depth > 0 && moves) + calls.map(|call| recount(call, depth + 1)).sum::<i64>()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_block_is_read_alike_by_both_methods() {
    let name = "a_recorded_block_is_read_alike_by_both_methods";
    let Some(recordings) = Fixtures::find_or_say(name) else {
        return;
    };
    let recorded = recordings.mainnet_block(22_244_135).expect("a block");
    let traces = recorded.traces.as_ref().expect("traces").get();
    let traces: Vec<Value> = serde_json::from_str(traces).expect("JSON");
    let expected: i64 = traces
        .iter()
        .map(|trace| recount(&trace["result"], 0))
        .sum();
    let mut databases = Vec::new();
    for unsupported in [TRACE_BLOCK, CALL_TRACER] {
        let block = recorded.canned().expect("a block");
        let hash = block.hash;
        let node = Server::start(CannedChain::with_blocks(1, [block])).expect("a node");
        node.faults()
            .on(unsupported, Fault::Unsupported, When::Always);
        let folder = folder();
        let (database, redis) = tokio::join!(Database::create(), redis(&folder));
        let config = IndexerConfig {
            start_block: Some(22_244_135),
            ..indexer_config(&database, &redis.url(), &[node.http_url()])
        };
        let indexer = RunningIndexer::start(&database, config).await;
        indexer.reaches(hash).await;
        assert_eq!(
            progress(&database.pool).await.status,
            ReadingStatus::Working
        );
        assert_eq!(count(&database.pool, ROWS).await, expected);
        indexer.stop().await;
        databases.push(database);
    }
    assert!(expected > 10);
    assert_twins(&databases[0].pool, &databases[1].pool).await;
}
