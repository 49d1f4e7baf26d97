//! Nodes that misbehave. After each fault the index equals one that never saw it, and goes on.

use indexer::IndexerConfig;
use simnode::{ANY_METHOD, CannedChain, Fault, Fixtures, RuleId, Server, When};
use std::{net::SocketAddr, time::Duration};
use tallyscan_tests::{
    Database, GENERATED_CHAIN_ID, GeneratedBlock, Generator, RunningIndexer, assert_twins,
    eventually, folder, indexer_config, redis,
};

/// A chain of generated blocks that grows, and an index of it.
pub struct Lab {
    generator: Generator,
    chain: CannedChain,
    /// The newest block.
    pub head: GeneratedBlock,
    database: Database,
    redis: embedded::Redis,
    _folder: tempfile::TempDir,
}

impl Lab {
    pub async fn with_blocks(blocks: usize) -> Self {
        let mut generator = Generator::seeded(7);
        let genesis = generator.genesis();
        let branch = generator.branch(&genesis, blocks);
        let all = [&genesis]
            .into_iter()
            .chain(&branch)
            .map(GeneratedBlock::canned);
        let chain = CannedChain::with_blocks(GENERATED_CHAIN_ID, all);
        let folder = folder();
        Self {
            head: branch.last().unwrap_or(&genesis).clone(),
            generator,
            chain,
            database: Database::create().await,
            redis: redis(&folder).await,
            _folder: folder,
        }
    }

    pub fn node(&self) -> Server {
        Server::start(self.chain.clone()).expect("a node")
    }

    pub async fn index(&self, urls: &[String]) -> RunningIndexer {
        let config = indexer_config(&self.database, &self.redis.url(), urls);
        RunningIndexer::start(&self.database, config).await
    }

    pub async fn index_and_listen(&self, urls: &[String], listen: SocketAddr) -> RunningIndexer {
        let config = IndexerConfig {
            listen: Some(listen),
            ..indexer_config(&self.database, &self.redis.url(), urls)
        };
        RunningIndexer::start(&self.database, config).await
    }

    /// Puts blocks with transactions on top, at once or one after the other.
    pub async fn grow(&mut self, blocks: usize, pause: Duration) {
        for _ in 0..blocks {
            let block = self.generator.child_with(&self.head, 3);
            self.chain.push(block.canned());
            self.head = block;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// The index is what one by a well-behaved node is, and follows the next block.
    pub async fn assert_unharmed(mut self, indexer: RunningIndexer) {
        indexer.reaches(self.head.hash).await;
        self.grow(1, Duration::ZERO).await;
        indexer.reaches(self.head.hash).await;
        indexer.publishes_everything().await;
        assert_eq!(
            indexer.status().known().problem,
            None,
            "nothing is wrong any more"
        );
        indexer.stop().await;
        let honest = self.node();
        let twin = Database::create().await;
        let config = indexer_config(&twin, &self.redis.url(), &[honest.http_url()]);
        let fresh = RunningIndexer::start(&twin, config).await;
        fresh.reaches(self.head.hash).await;
        fresh.stop().await;
        assert_twins(&self.database.pool, &twin.pool).await;
    }
}

#[derive(Clone, Copy)]
enum Over {
    Http,
    WebSocket,
}

/// The node misbehaves while it is caught up with and while it is followed, over one transport.
async fn lives_through_over(over: Over, method: &str, fault: Fault, times: u32) {
    let mut lab = Lab::with_blocks(30).await;
    let node = lab.node();
    let url = match over {
        Over::Http => node.http_url(),
        Over::WebSocket => node.ws_url(),
    };
    // The first requests find out about the chain; a node that fails there is refused at start.
    let skip = 8;
    node.faults()
        .on(method, fault.clone(), When::After { skip, times });
    let indexer = lab.index(&[url]).await;
    indexer.reaches(lab.head.hash).await;
    node.faults().on(method, fault, When::Times(times));
    // A single new block is fetched by hash.
    lab.grow(1, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    assert!(node.faults().pending() < 2, "the fault was met");
    lab.assert_unharmed(indexer).await;
}

async fn lives_through(method: &str, fault: Fault, times: u32) {
    let over = |over| Box::pin(lives_through_over(over, method, fault.clone(), times));
    tokio::join!(over(Over::Http), over(Over::WebSocket));
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_are_null_just_after_the_head_are_asked_for_again() {
    lives_through("eth_getBlockReceipts", Fault::Null, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_another_block_are_refused_and_asked_for_again() {
    lives_through("eth_getBlockReceipts", Fault::ReceiptsOfAnotherBlock, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_ends_in_the_middle_is_asked_for_again() {
    // A socket that says half a message has said nothing: the request runs into its time limit there.
    lives_through_over(Over::Http, ANY_METHOD, Fault::TruncatedBody, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_429_is_asked_again() {
    let fault = Fault::TooManyRequests {
        retry_after_secs: None,
    };
    lives_through("eth_getBlockReceipts", fault, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_429_with_a_time_is_asked_again() {
    let fault = Fault::TooManyRequests {
        retry_after_secs: Some(1),
    };
    lives_through("eth_getBlockReceipts", fault, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_head_freezes_is_left_for_one_that_goes_on() {
    let mut lab = Lab::with_blocks(12).await;
    let (frozen, healthy) = (lab.node(), lab.node());
    let indexer = lab.index(&[frozen.http_url(), healthy.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    frozen
        .faults()
        .on(ANY_METHOD, Fault::StaleHead(4), When::Always);
    lab.grow(4, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    assert!(healthy.calls("eth_getBlockReceipts") >= 4);
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_node_that_never_answers_holds_up_no_start() {
    let lab = Lab::with_blocks(5).await;
    let (silent, healthy) = (lab.node(), lab.node());
    silent
        .faults()
        .on(ANY_METHOD, Fault::NeverAnswer, When::Always);
    let indexer = lab.index(&[silent.http_url(), healthy.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_asks_for_a_pause_gets_it() {
    let mut lab = Lab::with_blocks(5).await;
    let node = lab.node();
    let indexer = lab.index(&[node.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    let fault = Fault::TooManyRequests {
        retry_after_secs: Some(3),
    };
    node.faults()
        .on("eth_getBlockReceipts", fault, When::Times(1));
    lab.grow(1, Duration::ZERO).await;
    eventually("the refusal", || async { node.faults().pending() == 0 }).await;
    // The block itself was asked for together with its receipts.
    tokio::time::sleep(Duration::from_millis(500)).await;
    node.reset_counts();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(node.counts().http_requests, 0, "it is left alone");
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_500_is_asked_again() {
    lives_through(ANY_METHOD, Fault::Status(500), 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_is_made_again() {
    lives_through("eth_getBlockReceipts", Fault::CutConnection, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_null_is_asked_for_again() {
    tokio::join!(
        lives_through("eth_getBlockByHash", Fault::Null, 1),
        lives_through("eth_getBlockByNumber", Fault::Null, 2),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_32005_does_not_end_in_a_loop() {
    let fault = Fault::error(-32005, "limit exceeded");
    lives_through("eth_getBlockReceipts", fault, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_head_is_no_reorg() {
    let mut lab = Lab::with_blocks(20).await;
    let node = lab.node();
    let indexer = lab.index(&[node.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    node.faults()
        .on("eth_getBlockByNumber", Fault::StaleHead(5), When::Times(2));
    node.faults().on(
        "eth_getBlockByNumber",
        Fault::StaleHead(1),
        When::Chance(0.5),
    );
    lab.grow(6, Duration::from_millis(300)).await;
    node.faults().clear();
    indexer.reaches(lab.head.hash).await;
    assert_eq!(
        reorgs(&lab.database).await,
        0,
        "an older head of the same chain is no reorg"
    );
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_goes_backwards_takes_nothing_away() {
    let mut lab = Lab::with_blocks(20).await;
    let node = lab.node();
    let indexer = lab.index(&[node.ws_url()]).await;
    indexer.reaches(lab.head.hash).await;
    lab.chain.set_head(12);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let state = store::state::get_state(&lab.database.pool)
        .await
        .expect("a state");
    assert_eq!(state.head.expect("a head").number, 20);
    lab.chain.release_head();
    lab.grow(2, Duration::from_millis(50)).await;
    indexer.reaches(lab.head.hash).await;
    assert_eq!(reorgs(&lab.database).await, 0);
    lab.assert_unharmed(indexer).await;
}

async fn reorgs(database: &Database) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM reorgs")
        .fetch_one(&database.pool)
        .await
        .expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_subscription_is_made_up_for_by_polling() {
    let mut lab = Lab::with_blocks(10).await;
    let node = lab.node();
    node.faults()
        .on("eth_subscribe", Fault::SilentSubscription, When::Always);
    let indexer = lab.index(&[node.ws_url()]).await;
    indexer.reaches(lab.head.hash).await;
    lab.grow(1, Duration::ZERO).await;
    let announced = std::time::Instant::now();
    indexer.reaches(lab.head.hash).await;
    assert!(
        announced.elapsed() < Duration::from_secs(6),
        "{:?}",
        announced.elapsed()
    );
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_falls_silent_is_noticed_after_one_wait() {
    tokio::join!(
        a_websocket_that_dies_silently_is_replaced(),
        a_node_that_never_answers_is_left()
    );
}

async fn a_websocket_that_dies_silently_is_replaced() {
    let mut lab = Lab::with_blocks(10).await;
    let node = lab.node();
    let indexer = lab.index(&[node.ws_url()]).await;
    indexer.reaches(lab.head.hash).await;
    node.mute_sockets();
    lab.grow(2, Duration::ZERO).await;
    // The request under way has to run into its time limit first.
    indexer.reaches(lab.head.hash).await;
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_breaks_at_every_request_is_left_for_another_node() {
    let mut lab = Lab::with_blocks(10).await;
    let (dead, good) = (lab.node(), lab.node());
    let indexer = lab.index(&[dead.ws_url(), good.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    dead.faults()
        .on(ANY_METHOD, Fault::CutConnection, When::Always);
    dead.close_sockets();
    lab.grow(2, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    assert!(good.calls("eth_getBlockReceipts") > 0);
    lab.assert_unharmed(indexer).await;
}

async fn a_node_that_never_answers_is_left() {
    let mut lab = Lab::with_blocks(10).await;
    let (silent, good) = (lab.node(), lab.node());
    let indexer = lab.index(&[silent.http_url(), good.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    silent
        .faults()
        .on(ANY_METHOD, Fault::NeverAnswer, When::Always);
    lab.grow(2, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    lab.assert_unharmed(indexer).await;
}

/// What a lying node says: each is seen by another check.
fn lies() -> Vec<(&'static str, Fault)> {
    vec![
        (
            "eth_getBlockReceipts",
            Fault::set("/0/cumulativeGasUsed", "0x5209"),
        ),
        (
            "eth_getBlockReceipts",
            Fault::edit(|receipts| {
                if let Some(receipts) = receipts.as_array_mut() {
                    receipts.pop();
                }
            }),
        ),
        (
            "eth_getBlockByHash",
            Fault::set("/transactions/0/value", "0x1234567"),
        ),
        (
            "eth_getBlockByHash",
            Fault::set(
                "/transactions/0/from",
                "0x00000000000000000000000000000000000000aa",
            ),
        ),
        ("eth_getBlockByHash", Fault::set("/gasUsed", "0x1")),
        (
            "eth_getBlockByHash",
            Fault::set(
                "/receiptsRoot",
                format!("{:?}", alloy::primitives::B256::ZERO),
            ),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_is_turned_away_and_the_other_one_believed() {
    let each = |(method, lie)| Box::pin(a_liar_is_turned_away(method, lie));
    futures::future::join_all(lies().into_iter().map(each)).await;
}

async fn a_liar_is_turned_away(method: &'static str, lie: Fault) {
    let what = format!("{method} {lie:?}");
    let mut lab = Lab::with_blocks(5).await;
    let (liar, honest) = (lab.node(), lab.node());
    let indexer = lab.index(&[liar.http_url(), honest.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    liar.faults().on(method, lie, When::Always);
    // One at a time: the tip is fetched by hash.
    lab.grow(1, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    assert!(
        honest.calls("eth_getBlockReceipts") > 0,
        "{what}: the other one was asked"
    );
    let asked = liar.counts();
    lab.grow(2, Duration::from_millis(20)).await;
    indexer.reaches(lab.head.hash).await;
    assert_eq!(
        liar.counts().calls,
        asked.calls,
        "{what}: it is not asked again"
    );
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_that_lags_is_no_reorg() {
    let mut lab = Lab::with_blocks(15).await;
    let (first, second) = (lab.node(), lab.node());
    second
        .faults()
        .on(ANY_METHOD, Fault::StaleHead(4), When::Times(40));
    let indexer = lab.index(&[first.http_url(), second.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    // The first one fails, so that the one behind is asked.
    first
        .faults()
        .on(ANY_METHOD, Fault::Status(503), When::Always);
    lab.grow(2, Duration::ZERO).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    first.faults().clear();
    second.faults().clear();
    indexer.reaches(lab.head.hash).await;
    assert_eq!(reorgs(&lab.database).await, 0);
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_late_is_used_when_it_is_needed() {
    let mut lab = Lab::with_blocks(15).await;
    let (mut late, mut first) = (lab.node(), lab.node());
    late.stop().await;
    let indexer = lab.index(&[late.http_url(), first.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    late.restart().expect("the node comes back");
    first.stop().await;
    lab.grow(2, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    assert!(
        late.calls("eth_chainId") > 0,
        "its chain was compared before it was believed"
    );
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_goes_on_when_all_nodes_were_away() {
    let mut lab = Lab::with_blocks(15).await;
    let (mut one, mut other) = (lab.node(), lab.node());
    let indexer = lab.index(&[one.ws_url(), other.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    one.stop().await;
    other.stop().await;
    eventually("a problem that is told", || async {
        indexer.status().known().problem.is_some()
    })
    .await;
    lab.grow(3, Duration::ZERO).await;
    one.restart().expect("the node comes back");
    other.restart().expect("the node comes back");
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_chain_in_the_list_holds_nothing_up() {
    let mut lab = Lab::with_blocks(10).await;
    let (mut foreign, good) = (
        Server::start(CannedChain::with_blocks(
            77,
            [Generator::seeded(9).genesis().canned()],
        ))
        .expect("a node"),
        lab.node(),
    );
    foreign.stop().await;
    let indexer = lab.index(&[good.http_url(), foreign.http_url()]).await;
    indexer.reaches(lab.head.hash).await;
    foreign.restart().expect("the node comes back");
    let away: RuleId = good
        .faults()
        .on(ANY_METHOD, Fault::Status(503), When::Always);
    eventually("the other one to be asked", || async {
        foreign.calls("eth_chainId") > 0
    })
    .await;
    good.faults().remove(away);
    let back = std::time::Instant::now();
    lab.grow(1, Duration::ZERO).await;
    indexer.reaches(lab.head.hash).await;
    assert!(
        back.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        back.elapsed()
    );
    lab.assert_unharmed(indexer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_blocks_live_through_faults_in_every_method() {
    let name = "recorded_blocks_live_through_faults_in_every_method";
    let Some(recordings) = Fixtures::find_or_say(name) else {
        return;
    };
    let start = 175_800;
    let skip = usize::try_from(start - crate::recorded::SEPOLIA_START).expect("a count");
    let run = recordings.sepolia_run_json().expect("the recording");
    let blocks = simnode::fixtures::canned(&run[skip..skip + 250]).expect("blocks");
    let head = blocks.last().expect("a block").hash;
    let chain = CannedChain::with_blocks(crate::recorded::SEPOLIA, blocks);
    let (bad, good) = (
        Server::start(chain.clone()).expect("a node"),
        Server::start(chain).expect("a node"),
    );
    let folder = folder();
    let (database, twin, redis) = (
        Database::create().await,
        Database::create().await,
        redis(&folder).await,
    );
    let config = |database, url| IndexerConfig {
        start_block: Some(start),
        ..indexer_config(database, &redis.url(), &[url])
    };
    bad.faults().seed(11);
    for (skip, fault) in (20..).step_by(30).zip([
        Fault::Null,
        Fault::ReceiptsOfAnotherBlock,
        Fault::TruncatedBody,
        Fault::CutConnection,
        Fault::Status(502),
        Fault::set("/stateRoot", format!("{:?}", alloy::primitives::B256::ZERO)),
    ]) {
        bad.faults()
            .on("eth_getBlockReceipts", fault.clone(), When::Chance(0.002));
        bad.faults().on(
            "eth_getBlockByNumber",
            fault,
            When::After { skip, times: 1 },
        );
    }
    let lived = RunningIndexer::start(&database, config(&database, bad.http_url())).await;
    let fresh = RunningIndexer::start(&twin, config(&twin, good.http_url())).await;
    fresh.reaches(head).await;
    lived.reaches(head).await;
    lived.stop().await;
    fresh.stop().await;
    assert_twins(&database.pool, &twin.pool).await;
}
