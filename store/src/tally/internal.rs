//! Internal transfers in the counters of addresses: added when they are read, taken away when a reorg
//! drops them.

use crate::state::height;
use sqlx::PgConnection;
use std::ops::RangeInclusive;

/// Adds the internal transfers of a range of heights to the counters of their addresses; part of the
/// transaction that writes them.
pub async fn add_internal(
    connection: &mut PgConnection,
    range: RangeInclusive<u64>,
) -> Result<(), sqlx::Error> {
    count(connection, range, 1).await
}

/// Takes them away again; part of the transaction that deletes them, before it does.
pub async fn subtract_internal(
    connection: &mut PgConnection,
    range: RangeInclusive<u64>,
) -> Result<(), sqlx::Error> {
    count(connection, range, -1).await
}

/// Counts each transfer once for each of its addresses, and drops rows of nothing but zeros.
async fn count(
    connection: &mut PgConnection,
    range: RangeInclusive<u64>,
    sign: i64,
) -> Result<(), sqlx::Error> {
    let (low, high) = (height(*range.start())?, height(*range.end())?);
    // Whoever changes counters takes turns: two that touch the same addresses in another order would
    // wait for each other.
    super::lock(connection).await?;
    sqlx::query(
        "INSERT INTO address_totals AS t
                (address, bucket, tx_count, sent_count, received_count, created_count,
                 transfer_count, emitted_count, internal_count)
         SELECT address, bucket, 0, 0, 0, 0, 0, 0, $3 * count(*)
         FROM (SELECT from_address AS address, block_number / bucket_blocks AS bucket
               FROM internal_transfers, chain WHERE block_number BETWEEN $1 AND $2
               UNION ALL
               SELECT to_address, block_number / bucket_blocks
               FROM internal_transfers, chain
               WHERE block_number BETWEEN $1 AND $2 AND to_address <> from_address) AS i
         GROUP BY address, bucket
         ON CONFLICT (address, bucket)
            DO UPDATE SET internal_count = t.internal_count + excluded.internal_count",
    )
    .bind(low)
    .bind(high)
    .bind(sign)
    .execute(&mut *connection)
    .await?;
    if sign < 0 {
        sqlx::query(
            "DELETE FROM address_totals t USING (
                 SELECT from_address AS address, block_number / bucket_blocks AS bucket
                 FROM internal_transfers, chain WHERE block_number BETWEEN $1 AND $2
                 UNION
                 SELECT to_address, block_number / bucket_blocks
                 FROM internal_transfers, chain WHERE block_number BETWEEN $1 AND $2) AS i
             WHERE t.address = i.address AND t.bucket = i.bucket
               AND (tx_count, sent_count, received_count, created_count, transfer_count,
                    emitted_count, internal_count) = (0, 0, 0, 0, 0, 0, 0)",
        )
        .bind(low)
        .bind(high)
        .execute(connection)
        .await?;
    }
    Ok(())
}
