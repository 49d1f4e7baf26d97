//! What a real machine did, as a dev chain tells it in either form.

use super::{CALL_TRACER, ROWS, TRACE_BLOCK, code, count, progress};
use alloy::{
    network::TransactionBuilder as _,
    primitives::{Address, B256, Bytes, U256, keccak256},
    rpc::types::TransactionRequest,
};
use indexer::IndexerConfig;
use serde_json::{Value, json};
use simnode::{CannedBlock, CannedChain, Fault, Json, Server, When};
use sqlx::PgPool;
use std::collections::HashMap;
use store::enrichment::{Reading, ReadingStatus};
use tallyscan_tests::{
    Database, DevChain, RunningIndexer, Scene, contents, eventually, indexer_config,
};

const DEV_CHAIN: u64 = 31_337;
const NO_REDIS: &str = "redis://127.0.0.1:1/";

fn wallet(n: u8) -> Address {
    Address::repeat_byte(n)
}

/// The contracts of a stage, deployed by the chain's sender one after the other.
struct Contracts {
    main: Address,
    destroyer: Address,
    reverter: Address,
    failing: Address,
}

fn with_gas(request: TransactionRequest) -> TransactionRequest {
    request.with_gas_limit(3_000_000)
}

fn creation(runtime: &[u8]) -> TransactionRequest {
    let init = Bytes::from(code::deploy(runtime));
    with_gas(TransactionRequest::default().with_deploy_code(init))
}

/// A contract that does everything once when it is called, and those that it needs.
async fn deploy(chain: &DevChain) -> Contracts {
    let first = chain.mined_nonce().await;
    let at = |n: u64| chain.sender().create(first + n);
    let (destroyer, reverter, library, main, failing) = (at(0), at(1), at(2), at(3), at(4));
    let empty = code::deploy(&[]);
    let everything = code::program(&[
        code::call(wallet(0xa1), 5),
        code::call(wallet(0xa2), 0),
        code::call(reverter, 7),
        // The identity contract, which is precompiled.
        code::call(Address::with_last_byte(4), 0),
        code::create(&empty, 3),
        code::create2(&empty, 0, 9),
        code::delegate(library),
        code::call(destroyer, 1),
    ]);
    let runtimes = [
        code::self_destruct(wallet(0xa4)),
        code::program(&[
            code::call(wallet(0xa5), 1),
            code::create(&empty, 1),
            code::revert(),
        ]),
        code::call(wallet(0xa3), 2),
        everything,
        code::program(&[code::call(wallet(0xa6), 1), code::revert()]),
    ];
    for runtime in &runtimes {
        chain.send(creation(runtime)).await;
    }
    chain.mine(1).await;
    for address in [destroyer, reverter, library, main, failing] {
        let code = chain.ask("eth_getCode", json!([address, "latest"])).await;
        assert_ne!(code, "0x", "{address} has code");
    }
    Contracts {
        main,
        destroyer,
        reverter,
        failing,
    }
}

fn calling(to: Address) -> TransactionRequest {
    with_gas(DevChain::transfer(to, 100))
}

type Row = (String, i16, Address, Address, U256);

/// Path, kind, from, to and value of a transaction's internal transfers, in order.
async fn transfers(pool: &PgPool, hash: B256) -> Vec<Row> {
    type Stored = (String, i16, Vec<u8>, Vec<u8>, String);
    let rows: Vec<Stored> = sqlx::query_as(
        "SELECT trace_id, kind, i.from_address, i.to_address, i.value::text
         FROM internal_transfers i JOIN transactions t USING (block_number, tx_index)
         WHERE hash = $1 ORDER BY trace_index",
    )
    .bind(hash.as_slice())
    .fetch_all(pool)
    .await
    .expect("rows");
    rows.into_iter()
        .map(|(id, kind, from, to, value)| {
            let (from, to) = (Address::from_slice(&from), Address::from_slice(&to));
            (id, kind, from, to, value.parse().expect("a number"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_contract_can_move_is_there_and_nothing_that_was_reverted() {
    let scene = Scene::start().await;
    let contracts = deploy(&scene.chain).await;
    let indexer = scene.index().await;
    let (first, second) = (
        scene.chain.send(calling(contracts.main)).await,
        scene.chain.send(calling(contracts.main)).await,
    );
    let failed = scene.chain.send(calling(contracts.failing)).await;
    scene.chain.mine(1).await;
    indexer.reaches(scene.chain.head().await).await;

    let Contracts {
        main, destroyer, ..
    } = contracts;
    let row = |id: &str, kind, from, to, wei: u64| (id.to_owned(), kind, from, to, U256::from(wei));
    let salt = B256::with_last_byte(9);
    let by_salt = main.create2(salt, keccak256(code::deploy(&[])));
    let pool = &scene.database.pool;
    let everything = |nonce| {
        vec![
            row("0_0", 1, main, wallet(0xa1), 5),
            row("0_3", 2, main, main.create(nonce), 3),
            row("0_4", 3, main, by_salt, 0),
            row("0_5_0", 1, main, wallet(0xa3), 2),
            row("0_6", 1, main, destroyer, 1),
            row("0_6_0", 4, destroyer, wallet(0xa4), 1),
        ]
    };
    assert_eq!(transfers(pool, first).await, everything(1));
    // What this salt creates is there already: the second creation fails. Nonces 1 and 2 are used.
    let mut again = everything(3);
    again.remove(2);
    assert_eq!(transfers(pool, second).await, again);
    assert_eq!(transfers(pool, failed).await, []);
    let reverter: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM internal_transfers WHERE $1 IN (from_address, to_address)",
    )
    .bind(contracts.reverter.as_slice())
    .fetch_one(pool)
    .await
    .expect("a count");
    assert_eq!(reverter, 0);
    assert_eq!(progress(pool).await.status, ReadingStatus::Working);
    let asked = "SELECT count(*) FROM contract_code WHERE address IN
                 (SELECT to_address FROM internal_transfers WHERE kind IN (2, 3))";
    assert_eq!(
        count(pool, asked).await,
        3,
        "contracts whose code is to be read"
    );
    let main_count: i64 = sqlx::query_scalar(
        "SELECT sum(internal_count)::bigint FROM address_totals WHERE address = $1",
    )
    .bind(main.as_slice())
    .fetch_one(pool)
    .await
    .expect("a count");
    assert_eq!(main_count, 9);
    indexer.stop().await;
    scene.assert_twin().await;
}

/// A node with the dev chain's blocks and what it answers to `trace_block`, and nothing of callTracer.
async fn recording(chain: &DevChain) -> Server {
    let (mut blocks, mut traces) = (Vec::new(), HashMap::new());
    for (number, _) in chain.hashes().await {
        let height = format!("{number:#x}");
        let block = chain
            .ask("eth_getBlockByNumber", json!([height, true]))
            .await;
        let receipts = chain.ask("eth_getBlockReceipts", json!([height])).await;
        let block = CannedBlock::from_json(block.to_string(), Some(&receipts.to_string()));
        blocks.push(block.expect("a block"));
        traces.insert(
            height.clone(),
            chain.ask(TRACE_BLOCK, json!([height])).await,
        );
    }
    let node = Server::start(CannedChain::with_blocks(DEV_CHAIN, blocks)).expect("a node");
    node.serve_method(TRACE_BLOCK, move |params| {
        let height = params[0].as_str().expect("a height");
        Ok(Json::from(traces.get(height).unwrap_or(&Value::Null)))
    });
    node.faults()
        .on(CALL_TRACER, Fault::Unsupported, When::Always);
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn both_methods_of_the_dev_chain_give_the_same_rows() {
    let scene = Scene::start().await;
    let contracts = deploy(&scene.chain).await;
    for _ in 0..3 {
        scene.chain.send(calling(contracts.main)).await;
        scene.chain.send(calling(contracts.failing)).await;
        scene.chain.mine(2).await;
    }
    let indexer = scene.index().await;
    indexer.reaches(scene.chain.head().await).await;
    indexer.stop().await;
    assert_eq!(count(&scene.database.pool, ROWS).await, 16);

    let node = recording(&scene.chain).await;
    let twin = Database::create().await;
    let config = indexer_config(&twin, NO_REDIS, &[node.http_url()]);
    let fresh = RunningIndexer::start(&twin, config).await;
    fresh.reaches(scene.chain.head().await).await;
    fresh.stop().await;
    assert!(node.calls(TRACE_BLOCK) > 0);
    // A recording tells of no state.
    let without_state = async |pool| {
        let mut tables = contents(pool).await;
        tables.remove("native_balances");
        tables
    };
    assert_eq!(
        without_state(&scene.database.pool).await,
        without_state(&twin.pool).await
    );
}

/// Calls in blocks of their own, as they were signed.
async fn grow(chain: &DevChain, to: Address, blocks: u64) -> Vec<Bytes> {
    let mut sent = Vec::new();
    for _ in 0..blocks {
        let nonce = chain.mined_nonce().await;
        let (_, raw) = chain.sign(calling(to), nonce).await;
        chain.send_raw(&raw).await;
        chain.mine(1).await;
        sent.push(raw);
    }
    sent
}

async fn reorgs_across_calls(config: impl Fn(&Scene) -> IndexerConfig) {
    let scene = Scene::start().await;
    let contracts = deploy(&scene.chain).await;
    let indexer = RunningIndexer::start(&scene.database, config(&scene)).await;
    let pool = &scene.database.pool;
    grow(&scene.chain, contracts.main, 2).await;
    let dropped = grow(&scene.chain, contracts.main, 4).await;
    indexer.reaches(scene.chain.head().await).await;
    let before = count(pool, ROWS).await;
    assert_eq!(before, 6 + 5 * 5);

    // Every other call comes back a block later; the rest are replaced by calls that move nothing.
    let first = scene.chain.mined_nonce().await - 4;
    let mut branch = Vec::new();
    for (at, raw) in (0..).zip(&dropped) {
        let other = calling(contracts.failing);
        let (_, other) = scene.chain.sign(other, first + at).await;
        let kept = if at % 2 == 0 { raw.clone() } else { other };
        branch.push((kept, (at + 1).min(3)));
    }
    scene.chain.reorg_signed(4, &branch).await;
    indexer.reaches(scene.chain.head().await).await;
    grow(&scene.chain, contracts.main, 1).await;
    indexer.reaches(scene.chain.head().await).await;
    assert_eq!(count(pool, ROWS).await, 6 + 5 * 4);
    let orphans = "SELECT count(*) FROM orphaned_internal_transfers";
    assert_eq!(count(pool, orphans).await, 20);
    indexer.stop().await;
    scene.assert_twin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_takes_internal_transfers_away_and_brings_those_of_the_other_branch() {
    reorgs_across_calls(Scene::over_ws).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_of_internal_transfers_is_followed_over_http() {
    reorgs_across_calls(Scene::over_http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_read_before_a_restart_is_read_after_it() {
    let scene = Scene::start().await;
    let contracts = deploy(&scene.chain).await;
    let indexer = scene.index().await;
    grow(&scene.chain, contracts.main, 3).await;
    indexer.shows(scene.chain.head().await).await;
    indexer.abort().await;
    grow(&scene.chain, contracts.main, 3).await;
    let indexer = scene.index().await;
    indexer.reaches(scene.chain.head().await).await;
    indexer.has_read(Reading::Traces).await;
    eventually("the status", || async {
        progress(&scene.database.pool).await.status == ReadingStatus::Working
    })
    .await;
    indexer.stop().await;
    scene.assert_twin().await;
}
