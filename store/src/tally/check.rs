//! The counters, compared with what the rows of the blocks that they include come to.

use super::COUNTERS;
use sqlx::{AssertSqlSafe, PgConnection};

/// A table whose counters are not what the rows come to.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The table.
    pub table: &'static str,
    /// Keys that differ.
    pub rows: u64,
    /// The first of them, as text.
    pub example: String,
}

/// What a table is compared by: its name, what is expected of it from the changes `{0}`…`{4}` of all
/// counters, and what there is.
const TABLES: [(&str, &str, &str); 6] = [
    (
        "address_totals",
        "SELECT address, bucket, sum(tx_count), sum(sent_count), sum(received_count),
                sum(created_count), sum(transfer_count), sum(emitted_count)
         FROM ({0}) d GROUP BY address, bucket",
        "SELECT address, bucket, tx_count, sent_count, received_count, created_count, transfer_count,
                emitted_count
         FROM address_totals WHERE tx_count <> 0 OR transfer_count <> 0 OR emitted_count <> 0",
    ),
    (
        "address_totals",
        "SELECT address, bucket, sum(n) FROM (
             SELECT from_address AS address, block_number / bucket_blocks AS bucket, count(*) AS n
             FROM internal_transfers, chain GROUP BY 1, 2
             UNION ALL
             SELECT to_address, block_number / bucket_blocks, count(*)
             FROM internal_transfers, chain WHERE to_address <> from_address GROUP BY 1, 2
         ) d GROUP BY address, bucket",
        "SELECT address, bucket, internal_count FROM address_totals WHERE internal_count <> 0",
    ),
    (
        "token_balances",
        "SELECT holder, token, sum(delta) FROM ({1}) d GROUP BY holder, token HAVING sum(delta) <> 0",
        "SELECT holder, token, balance FROM token_balances",
    ),
    (
        "token_totals",
        "SELECT d.token, sum(erc20_count), sum(erc721_count), sum(erc1155_count), sum(wrap_count),
                (SELECT count(*) FROM token_balances b WHERE b.token = d.token AND balance > 0),
                sum(minted), sum(burnt)
         FROM ({2}) d GROUP BY d.token",
        "SELECT token, erc20_count, erc721_count, erc1155_count, wrap_count, holder_count, minted, burnt
         FROM token_totals",
    ),
    (
        "nft_balances",
        "SELECT token, token_id, holder, sum(delta) FROM ({3}) d GROUP BY token, token_id, holder
         HAVING sum(delta) <> 0",
        "SELECT token, token_id, holder, balance FROM nft_balances",
    ),
    (
        "token_instances",
        "SELECT d.token, d.token_id, sum(transfer_count),
                (SELECT count(*) FROM nft_balances b
                 WHERE b.token = d.token AND b.token_id = d.token_id AND balance > 0),
                sum(minted), sum(burnt)
         FROM ({4}) d GROUP BY d.token, d.token_id",
        "SELECT token, token_id, transfer_count, holder_count, minted, burnt FROM token_instances",
    ),
];

/// Compares every table with what the included blocks come to. While history is being added, or blocks
/// that are included are not there, nothing can be said: then `None`.
pub async fn check(connection: &mut PgConnection) -> Result<Option<Vec<Finding>>, sqlx::Error> {
    let (moving, bucket): (bool, i64) = sqlx::query_as(
        "SELECT pending IS NOT NULL OR NOT t.blocks <@ c.blocks, bucket_blocks
         FROM tally_state t, coverage c, chain",
    )
    .fetch_one(&mut *connection)
    .await?;
    if moving {
        return Ok(None);
    }
    let ranges: Vec<(i64, i64)> =
        sqlx::query_as("SELECT lower(r), upper(r) - 1 FROM tally_state, unnest(blocks) AS r")
            .fetch_all(&mut *connection)
            .await?;
    // No range at all is one that is empty.
    let ranges = if ranges.is_empty() {
        vec![(0, -1)]
    } else {
        ranges
    };
    let deltas: Vec<String> = COUNTERS
        .iter()
        .map(|counter| {
            let parts: Vec<String> = ranges
                .iter()
                .map(|(low, high)| {
                    counter
                        .delta
                        .replace("$1", &low.to_string())
                        .replace("$2", &high.to_string())
                        .replace("$3", &bucket.to_string())
                        .replace("$4", "1")
                })
                .collect();
            parts.join(" UNION ALL ")
        })
        .collect();
    let mut findings = Vec::new();
    for (table, expected, stored) in TABLES {
        let mut expected = expected.to_owned();
        // Counters stand in the order of their merges; this table's place is that of its counter.
        for (place, at) in [0, 1, 2, 3, 4]
            .into_iter()
            .zip(["{0}", "{1}", "{2}", "{3}", "{4}"])
        {
            expected = expected.replace(at, &deltas[place]);
        }
        let statement = format!(
            "WITH e AS ({expected}), s AS ({stored}),
                  wrong AS ((TABLE e EXCEPT ALL TABLE s) UNION ALL (TABLE s EXCEPT ALL TABLE e))
             SELECT count(*), coalesce(min(wrong::text), '') FROM wrong"
        );
        let (rows, example): (i64, String) = sqlx::query_as(AssertSqlSafe(statement))
            .persistent(false)
            .fetch_one(&mut *connection)
            .await?;
        if rows > 0 {
            findings.push(Finding {
                table,
                rows: rows.unsigned_abs(),
                example,
            });
        }
    }
    Ok(Some(findings))
}
