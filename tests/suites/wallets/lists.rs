//! Every list, whole.

use super::{
    filters::{ACTIVITY, INTERNAL, TRANSFER},
    scene::Scene,
    walk::{Name, members, walk},
};
use alloy::{hex, primitives::Address};

/// A list and the query that says what is in it.
struct List {
    path: String,
    sql: String,
    name: Name,
}

fn of_wallet(wallet: Address) -> Vec<List> {
    let (path, bytes) = (format!("/api/v1/wallets/{wallet}"), hex::encode(wallet));
    vec![
        List {
            path: format!("{path}/transactions"),
            sql: ACTIVITY.sql(&bytes, "true"),
            name: ACTIVITY.name,
        },
        List {
            path: format!("{path}/transfers"),
            sql: TRANSFER.sql(&bytes, "true"),
            name: TRANSFER.name,
        },
        List {
            path: format!("{path}/internal"),
            sql: INTERNAL.sql(&bytes, "true"),
            name: INTERNAL.name,
        },
        List {
            path: format!("{path}/tokens"),
            sql: format!(
                "SELECT concat_ws(':', '0x' || encode(b.token, 'hex'), b.balance,
                        coalesce(t.name, 'null'), coalesce(t.standard, 'null'))
                 FROM token_balances b JOIN tokens t ON t.address = b.token
                 WHERE holder = '\\x{bytes}' AND balance > 0 ORDER BY b.token"
            ),
            name: |item| {
                let parts = ["token.address", "balance", "token.name", "token.standard"];
                members(item, &parts)
            },
        },
        List {
            path: format!("{path}/nfts"),
            sql: format!(
                "SELECT concat_ws(':', '0x' || encode(token, 'hex'), token_id, balance)
                 FROM nft_balances WHERE holder = '\\x{bytes}' AND balance > 0
                 ORDER BY token, token_id"
            ),
            name: |item| members(item, &["token.address", "token_id", "balance"]),
        },
    ]
}

fn of_token(token: Address) -> Vec<List> {
    let (path, bytes) = (format!("/api/v1/tokens/{token}"), hex::encode(token));
    vec![
        List {
            path: format!("{path}/holders"),
            sql: format!(
                "SELECT concat_ws(':', '0x' || encode(holder, 'hex'), balance) FROM token_balances
                 WHERE token = '\\x{bytes}' AND balance > 0 ORDER BY balance DESC, holder DESC"
            ),
            name: |item| members(item, &["address", "balance"]),
        },
        List {
            path: format!("{path}/transfers"),
            sql: format!(
                "SELECT {} FROM token_transfers x WHERE token = '\\x{bytes}' ORDER BY
                     block_number DESC, log_index DESC, position DESC",
                TRANSFER.columns
            ),
            name: TRANSFER.name,
        },
        List {
            path: format!("{path}/instances"),
            sql: format!(
                "SELECT concat_ws(':', token_id, transfer_count, holder_count, minted - burnt,
                     coalesce((SELECT '0x' || encode(holder, 'hex') FROM nft_balances n
                               WHERE n.token = i.token AND n.token_id = i.token_id AND n.balance > 0
                                 AND (SELECT standard FROM tokens WHERE address = i.token) = 'erc721'
                               ORDER BY balance DESC, holder DESC LIMIT 1), 'null'))
                 FROM token_instances i WHERE token = '\\x{bytes}' ORDER BY token_id"
            ),
            name: |item| {
                let parts = ["token_id", "transfer_count", "holder_count", "supply", "owner"];
                members(item, &parts)
            },
        },
    ]
}

fn of_all() -> Vec<List> {
    let tokens = |condition: &str| {
        format!(
            "SELECT concat_ws(':', '0x' || encode(address, 'hex'), standard, holder_count,
                    transfer_count, supply, coalesce(name, 'null'))
             FROM tokens WHERE {condition} ORDER BY holder_count DESC, address DESC"
        )
    };
    let name: Name = |item| {
        let parts = [
            "address",
            "standard",
            "holder_count",
            "transfer_count",
            "supply",
            "name",
        ];
        members(item, &parts)
    };
    let mut lists = vec![
        List {
            path: "/api/v1/tokens".to_owned(),
            sql: tokens("standard IS NOT NULL"),
            name,
        },
        List {
            path: "/api/v1/blocks".to_owned(),
            sql: "SELECT '0x' || encode(hash, 'hex') FROM blocks ORDER BY number DESC".to_owned(),
            name: |item| members(item, &["hash"]),
        },
        List {
            path: "/api/v1/transactions".to_owned(),
            sql: "SELECT '0x' || encode(hash, 'hex') FROM transactions
                  ORDER BY block_number DESC, tx_index DESC"
                .to_owned(),
            name: |item| members(item, &["hash"]),
        },
    ];
    for standard in ["erc20", "erc721", "erc1155"] {
        lists.push(List {
            path: format!("/api/v1/tokens?standard={standard}"),
            sql: tokens(&format!("standard = '{standard}'")),
            name,
        });
    }
    lists
}

/// The transfers of a transaction, in its own order.
async fn of_transactions(scene: &Scene) -> Vec<List> {
    let busiest = scene
        .column(
            "SELECT encode(hash, 'hex') FROM transactions JOIN token_transfers USING (block_number, tx_index)
             GROUP BY hash ORDER BY count(*) DESC, hash LIMIT 2",
        )
        .await;
    let mut lists = Vec::new();
    for hash in busiest {
        let path = format!("/api/v1/transactions/0x{hash}");
        let of = format!(
            "(block_number, tx_index) = (SELECT block_number, tx_index FROM transactions
              WHERE hash = '\\x{hash}')"
        );
        lists.push(List {
            path: format!("{path}/transfers"),
            sql: format!(
                "SELECT {} FROM token_transfers x WHERE {of} ORDER BY log_index, position",
                TRANSFER.columns
            ),
            name: TRANSFER.name,
        });
        lists.push(List {
            path: format!("{path}/internal"),
            sql: format!(
                "SELECT {} FROM internal_transfers x WHERE {of} ORDER BY trace_index",
                INTERNAL.columns
            ),
            name: INTERNAL.name,
        });
    }
    lists
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_what_a_plain_query_says_both_ways() {
    let scene = Scene::start(11).await;
    let mut lists = of_all();
    for wallet in scene.wallets().await {
        lists.extend(of_wallet(wallet));
    }
    for token in scene.tokens().await {
        lists.extend(of_token(token));
    }
    lists.extend(of_transactions(&scene).await);
    let mut filled = 0;
    for (at, list) in lists.iter().enumerate() {
        let expected: Vec<String> = scene
            .column(&list.sql)
            .await
            .iter()
            .map(|name| name.to_lowercase())
            .collect();
        let limit = [3, 1, 8, 100][at % 4];
        let found = walk(&scene.api, &list.path, limit, list.name).await;
        assert_eq!(found, expected, "{}", list.path);
        filled += usize::from(found.len() > 8);
    }
    assert!(filled > 15, "only {filled} lists have something to page");
}
