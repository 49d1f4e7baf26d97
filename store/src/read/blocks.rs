//! Blocks by height and by hash, dropped ones too.

use super::{
    BlockNumber, Page, Range, Slice, Snapshot, bind_height, decode_all,
    fill::{Source, Span, descends, fill},
    windows::{Occurrence, find_windows},
};
use crate::{
    pg::{TableRow as _, column},
    rows::{BlockRow, WithdrawalRow, hash_prefix},
    view::{DroppedBy, rfc3339},
};
use alloy::primitives::B256;
use sqlx::{PgConnection, QueryBuilder, postgres::PgRow};

/// The canonical block at a height.
pub async fn find_block(
    connection: &mut PgConnection,
    number: u64,
) -> Result<Option<BlockRow>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM blocks WHERE number = $1")
        .bind(bind_height(number))
        .fetch_optional(connection)
        .await?;
    row.map(|row| BlockRow::decode(&row)).transpose()
}

/// The canonical block with a hash: two queries, since one that joined the lookup would plan every
/// chunk.
pub async fn find_block_by_hash(
    connection: &mut PgConnection,
    hash: B256,
) -> Result<Option<BlockRow>, sqlx::Error> {
    let numbers: Vec<i64> =
        sqlx::query_scalar("SELECT block_number FROM block_lookup WHERE hash_prefix = $1")
            .bind(hash_prefix(&hash))
            .fetch_all(&mut *connection)
            .await?;
    for number in numbers {
        let block = find_block(connection, number.unsigned_abs()).await?;
        if let Some(block) = block.filter(|block| block.hash == hash) {
            return Ok(Some(block));
        }
    }
    Ok(None)
}

/// Canonical blocks, newest first.
pub async fn list_blocks(
    snapshot: &mut Snapshot,
    page: Page<BlockNumber>,
) -> Result<Slice<BlockRow>, sqlx::Error> {
    let at = (&page, descends::<Blocks>(&page));
    let windows = find_windows(snapshot, Occurrence::Any, Range::default(), at).await?;
    fill(snapshot.connection(), &Blocks, page, windows).await
}

struct Blocks;

impl Source for Blocks {
    type Key = BlockNumber;
    type Row = BlockRow;

    fn key(row: &BlockRow) -> BlockNumber {
        BlockNumber {
            block_number: row.number,
        }
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<BlockNumber>,
    ) -> Result<Vec<BlockRow>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "SELECT * FROM (SELECT *, number AS block_number FROM blocks) AS b WHERE true",
        );
        span.push_heights(&mut query);
        span.push_rest(&mut query);
        decode_all(&query.build().fetch_all(connection).await?)
    }
}

/// The withdrawals of the canonical block at a height, or of a block that a reorg dropped there.
pub async fn list_withdrawals(
    connection: &mut PgConnection,
    number: u64,
    dropped_by: Option<u64>,
) -> Result<Vec<WithdrawalRow>, sqlx::Error> {
    let query = match dropped_by {
        None => sqlx::query("SELECT * FROM withdrawals WHERE block_number = $1 ORDER BY position")
            .bind(bind_height(number)),
        Some(reorg) => sqlx::query(
            "SELECT * FROM orphaned_withdrawals
             WHERE block_number = $1 AND reorg_id = $2 ORDER BY position",
        )
        .bind(bind_height(number))
        .bind(bind_height(reorg)),
    };
    decode_all(&query.fetch_all(connection).await?)
}

/// A block that a reorg dropped, with the last reorg that did.
pub async fn find_orphaned_block(
    connection: &mut PgConnection,
    hash: B256,
) -> Result<Option<(BlockRow, DroppedBy)>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT b.*, r.ancestor_number, extract(epoch FROM r.detected_at)::bigint AS detected
         FROM orphaned_blocks b JOIN reorgs r ON r.id = b.reorg_id
         WHERE b.hash = $1 ORDER BY b.reorg_id DESC LIMIT 1",
    )
    .bind(hash.as_slice())
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((BlockRow::decode(&row)?, dropped_by(&row)?)))
        .transpose()
}

/// The reorg columns of a row: `reorg_id`, `ancestor_number`, `detected`.
pub(super) fn dropped_by(row: &PgRow) -> Result<DroppedBy, sqlx::Error> {
    Ok(DroppedBy {
        reorg: column(row, "reorg_id")?,
        ancestor_number: column(row, "ancestor_number")?,
        time: rfc3339(column(row, "detected")?),
    })
}
