//! What nobody should ask, answered with what is accepted.

use super::{block_of, settle};
use alloy::primitives::{Address, B256};
use tallyscan_tests::{Api, Scene};

/// An example of EIP-55.
const WALLET: &str = "/api/v1/wallets/0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_a_problem_with_a_code_and_never_a_failure() {
    let scene = Scene::start().await;
    let indexer = scene.index().await;
    block_of(&scene.chain, Address::repeat_byte(7), 3).await;
    settle(&scene, &indexer).await;
    let api = scene.api().await;
    assert_every_problem_has_its_code(&api).await;
    assert_no_other_method_is_taken(&api).await;
    assert_made_up_cursors_lead_to_pages(&api).await;
    indexer.stop().await;
}

async fn assert_every_problem_has_its_code(api: &Api) {
    let hash = B256::repeat_byte(1);
    let wrong_case = WALLET.replace("0x5a", "0x5A");
    // The layout of an earlier release, and the place of a block where a transaction's is asked for.
    let old = base64(&[1, b'o', 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    let other = base64(&[2, b'o', b'b', 0, 0, 0, 0, 0, 0, 0, 1]);
    let cases = [
        ("/api/v1/blocks/0x12", 400, "malformed_block_id"),
        ("/api/v1/blocks/-1", 400, "malformed_block_id"),
        ("/api/v1/blocks/pending", 400, "malformed_block_id"),
        (
            "/api/v1/blocks/99999999999999999999",
            400,
            "malformed_block_id",
        ),
        ("/api/v1/blocks/%ff", 400, "malformed_request"),
        ("/api/v1/blocks/%00", 400, "malformed_block_id"),
        ("/api/v1/blocks/99", 404, "block_not_found"),
        (
            "/api/v1/blocks/18446744073709551615",
            404,
            "block_not_found",
        ),
        (
            "/api/v1/blocks/9223372036854775808/transactions",
            404,
            "block_not_found",
        ),
        (&format!("/api/v1/blocks/{hash}"), 404, "block_not_found"),
        (
            &format!("/api/v1/blocks/{hash}/transactions"),
            404,
            "block_not_found",
        ),
        (
            &format!("/api/v1/transactions/{hash}"),
            404,
            "transaction_not_found",
        ),
        (
            &format!("/api/v1/transactions/{hash}/logs"),
            404,
            "transaction_not_found",
        ),
        ("/api/v1/transactions/0x1", 400, "malformed_hash"),
        ("/api/v1/transactions/7/logs", 400, "malformed_hash"),
        ("/api/v1/wallets/0x12", 400, "malformed_address"),
        (
            "/api/v1/wallets/vitalik.eth/transactions",
            400,
            "malformed_address",
        ),
        (&wrong_case, 400, "wrong_checksum"),
        ("/api/v1/blocks?limit=0", 400, "malformed_limit"),
        ("/api/v1/blocks?limit=101", 400, "malformed_limit"),
        ("/api/v1/blocks?limit=-1", 400, "malformed_limit"),
        ("/api/v1/transactions?limit=ten", 400, "malformed_limit"),
        ("/api/v1/transactions?limit=", 400, "malformed_limit"),
        ("/api/v1/blocks?cursor=abc", 400, "malformed_cursor"),
        (
            &format!("/api/v1/blocks?cursor={old}"),
            400,
            "malformed_cursor",
        ),
        (
            &format!("/api/v1/transactions?cursor={other}"),
            400,
            "malformed_cursor",
        ),
        (
            &format!("{WALLET}/transactions?cursor=%00"),
            400,
            "malformed_cursor",
        ),
        ("/api/v1/blocks?page=2", 400, "unknown_parameter"),
        ("/api/v1/blocks/1?limit=2", 400, "unknown_parameter"),
        (&format!("{WALLET}?limit=5"), 400, "unknown_parameter"),
        ("/api/v1/blocks?limit=2&limit=3", 400, "repeated_parameter"),
        ("/api/v1/blockz", 404, "route_not_found"),
        ("/api/v2/blocks", 404, "route_not_found"),
        ("/api/v1/blocks/1/2/3", 404, "route_not_found"),
    ];
    for (path, status, code) in cases {
        let (got, content_type, body) = api.request("GET", path).await;
        assert_eq!(
            (got, body["code"].as_str()),
            (status, Some(code)),
            "{path}: {body}"
        );
        assert_eq!(content_type, "application/problem+json", "{path}");
        assert_eq!(body["status"], status, "{path}");
        for member in ["type", "title", "detail", "request_id"] {
            assert!(
                body[member].as_str().is_some_and(|text| !text.is_empty()),
                "{path}"
            );
        }
    }
}

async fn assert_no_other_method_is_taken(api: &Api) {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let (status, _, body) = api.request(method, "/api/v1/blocks").await;
        assert_eq!((status, &body["code"]), (405, &"method_not_allowed".into()));
    }
}

async fn assert_made_up_cursors_lead_to_pages(api: &Api) {
    // Cursors are opaque: one made up within the rules leads to a page, not to a failure.
    for number in [0_u64, 1, u64::MAX] {
        for direction in *b"onON" {
            let blocks = [&[2, direction, b'b'], &number.to_be_bytes()[..]].concat();
            let page = api
                .ok(&format!("/api/v1/blocks?cursor={}", base64(&blocks)))
                .await;
            assert!(page["data"].is_array(), "{number} {direction}");
            for index in [0_u32, u32::MAX] {
                let mut bytes = vec![2, direction, b't'];
                bytes.extend(number.to_be_bytes());
                bytes.extend(index.to_be_bytes());
                let cursor = base64(&bytes);
                let wallet = format!("{WALLET}/transactions");
                let lists = [
                    "/api/v1/transactions",
                    "/api/v1/blocks/1/transactions",
                    &wallet,
                ];
                for list in lists {
                    let page = api.ok(&format!("{list}?cursor={cursor}")).await;
                    assert!(page["data"].is_array(), "{list} {cursor}");
                }
                let latest = format!("/api/v1/blocks/latest/transactions?cursor={cursor}");
                let (status, _) = api.get(&latest).await;
                assert!([200, 404].contains(&status), "{cursor}: {status}");
            }
        }
    }
}

/// Base64 with the alphabet for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes(group);
        for place in 0..=chunk.len() {
            let index = usize::try_from(group >> (18 - 6 * place) & 63).expect("six bits");
            text.push(char::from(ALPHABET[index]));
        }
    }
    text
}
