//! Lists of a wallet, narrowed to anything.

use super::{
    scene::Scene,
    walk::{Name, members, walk},
};
use alloy::{hex, primitives::Address};
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

/// A list of what an address took part in, and the same as a query.
pub struct Kind {
    path: &'static str,
    table: &'static str,
    /// What an item is told by.
    pub columns: &'static str,
    sent: &'static str,
    received: &'static str,
    /// Anything that is neither.
    other: &'static str,
    order: &'static str,
    pub name: Name,
}

pub const ACTIVITY: Kind = Kind {
    path: "transactions",
    table: "transactions",
    columns: "'0x' || encode(hash, 'hex')",
    sent: "from_address",
    received: "to_address",
    other: "contract_address",
    order: "block_number DESC, tx_index DESC",
    name: |item| members(item, &["hash"]),
};

pub const TRANSFER: Kind = Kind {
    path: "transfers",
    table: "token_transfers",
    columns: "concat_ws(':', block_number, log_index, position, '0x' || encode(token, 'hex'),
        '0x' || encode(from_address, 'hex'), '0x' || encode(to_address, 'hex'),
        coalesce(token_id::text, 'null'), amount,
        (SELECT '0x' || encode(t.hash, 'hex') FROM transactions t
         WHERE t.block_number = x.block_number AND t.tx_index = x.tx_index),
        (SELECT timestamp FROM blocks b WHERE b.number = x.block_number))",
    sent: "from_address",
    received: "to_address",
    other: "from_address",
    order: "block_number DESC, log_index DESC, position DESC",
    name: |item| {
        let parts = [
            "block_number",
            "log_index",
            "position",
            "token.address",
            "from",
            "to",
            "token_id",
            "amount",
            "transaction_hash",
            "timestamp",
        ];
        members(item, &parts)
    },
};

pub const INTERNAL: Kind = Kind {
    path: "internal",
    table: "internal_transfers",
    columns: "concat_ws(':', block_number, tx_index, trace_index, trace_id,
        '0x' || encode(from_address, 'hex'), '0x' || encode(to_address, 'hex'), value,
        (SELECT '0x' || encode(t.hash, 'hex') FROM transactions t
         WHERE t.block_number = x.block_number AND t.tx_index = x.tx_index))",
    sent: "from_address",
    received: "to_address",
    other: "from_address",
    order: "block_number DESC, tx_index DESC, trace_index DESC",
    name: |item| {
        let parts = [
            "block_number",
            "transaction_index",
            "trace_index",
            "trace_id",
            "from",
            "to",
            "value",
            "transaction_hash",
        ];
        members(item, &parts)
    },
};

impl Kind {
    /// What an address (in hex) took part in, under a condition.
    pub fn sql(&self, address: &str, condition: &str) -> String {
        let Self {
            table,
            columns,
            sent,
            received,
            other,
            order,
            ..
        } = self;
        format!(
            "SELECT {columns} FROM {table} x
             WHERE '\\x{address}'::bytea IN ({sent}, {received}, {other}) AND {condition}
             ORDER BY {order}"
        )
    }
}

/// A query string, and the same as a condition.
struct Narrowed {
    query: String,
    condition: String,
}

impl Narrowed {
    fn add(&mut self, parameter: &str, condition: &str) {
        let sign = if self.query.is_empty() { '?' } else { '&' };
        self.query.push(sign);
        self.query.push_str(parameter);
        self.condition.push_str(" AND ");
        self.condition.push_str(condition);
    }
}

async fn draw(scene: &Scene, random: &mut StdRng, kind: &Kind, wallet: &str) -> Narrowed {
    let mut narrowed = Narrowed {
        query: String::new(),
        condition: "true".to_owned(),
    };
    if random.random_bool(0.4) {
        let (way, column) = *[("in", kind.received), ("out", kind.sent)]
            .choose(random)
            .expect("one");
        narrowed.add(
            &format!("direction={way}"),
            &format!("{column} = '\\x{wallet}'"),
        );
    }
    let mut heights: [u64; 2] = std::array::from_fn(|_| random.random_range(0..=scene.head + 5));
    heights.sort_unstable();
    let [low, high] = heights;
    if random.random_bool(0.3) {
        narrowed.add(
            &format!("from_block={low}"),
            &format!("block_number >= {low}"),
        );
    }
    if random.random_bool(0.3) {
        narrowed.add(
            &format!("to_block={high}"),
            &format!("block_number <= {high}"),
        );
    }
    let time = "(SELECT timestamp FROM blocks WHERE number = block_number)";
    for (name, sign, height) in [("from_time", ">=", low), ("to_time", "<=", high)] {
        if random.random_bool(0.3) {
            let height = height.min(scene.head);
            let at = format!("SELECT timestamp FROM blocks WHERE number = {height}");
            let seconds = scene.count(&at).await + random.random_range(-3..=3);
            narrowed.add(
                &format!("{name}={seconds}"),
                &format!("{time} {sign} {seconds}"),
            );
        }
    }
    match kind.path {
        "transfers" => {
            let kinds = ["erc20", "erc721", "erc1155", "deposit", "withdrawal"];
            if random.random_bool(0.3) {
                let at = random.random_range(0..kinds.len());
                narrowed.add(
                    &format!("kind={}", kinds[at]),
                    &format!("kind = {}", at + 1),
                );
            }
            if random.random_bool(0.3) {
                let tokens = scene.tokens().await;
                let token = tokens.choose(random).expect("a token");
                let condition = format!("token = '\\x{}'", hex::encode(token));
                narrowed.add(&format!("token={token}"), &condition);
            }
        }
        "internal" if random.random_bool(0.4) => {
            let kinds = ["call", "create", "create2", "selfdestruct"];
            let at = random.random_range(0..kinds.len());
            narrowed.add(
                &format!("kind={}", kinds[at]),
                &format!("kind = {}", at + 1),
            );
        }
        _ => {}
    }
    narrowed
}

#[tokio::test(flavor = "multi_thread")]
async fn every_narrowed_list_is_what_a_plain_query_says_both_ways() {
    let mut scene = Scene::start(12).await;
    let wallets: Vec<Address> = scene.wallets().await;
    let (mut narrowed, mut filled) = (0, 0);
    for round in 0..60 {
        let kind = [&ACTIVITY, &TRANSFER, &INTERNAL][round % 3];
        let wallet = *wallets.choose(scene.generator.random()).expect("a wallet");
        let bytes = hex::encode(wallet);
        let mut random = scene.generator.random().clone();
        let drawn = draw(&scene, &mut random, kind, &bytes).await;
        *scene.generator.random() = random;
        let limit = scene.generator.random().random_range(1..=9);
        let path = format!("/api/v1/wallets/{wallet}/{}{}", kind.path, drawn.query);
        let sql = kind.sql(&bytes, &drawn.condition);
        let expected = scene.column(&sql).await;
        let found = walk(&scene.api, &path, limit, kind.name).await;
        assert_eq!(found, expected, "{path}\n{sql}");
        narrowed += usize::from(!drawn.query.is_empty());
        filled += usize::from(!found.is_empty());
    }
    assert!(narrowed > 30 && filled > 20, "{narrowed} {filled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_looks_at_more_windows_than_it_may_is_short_and_leads_on() {
    let scene = Scene::start(13).await;
    // One block a bucket, none of them counted, and the newest 300 without anything.
    scene
        .run(
            "UPDATE chain SET bucket_blocks = 1;
             TRUNCATE address_totals;
             UPDATE tally_state SET blocks = '{}';
             UPDATE coverage SET blocks = '{[0,400)}';
             UPDATE chain_state SET head_number = 399;",
        )
        .await;
    for wallet in scene.wallets().await {
        let path = format!("/api/v1/wallets/{wallet}/transfers");
        let expected = scene
            .column(&TRANSFER.sql(&hex::encode(wallet), "true"))
            .await;
        let first = scene.api.ok(&path).await;
        assert_eq!(first["data"].as_array().map(Vec::len), Some(0));
        assert!(first["next"].is_string(), "{path}");
        let found = walk(&scene.api, &path, 5, TRANSFER.name).await;
        assert_eq!(found, expected, "{path}");
    }
}
