//! Wallets: what an address took part in, what it has, what it is.

use super::{
    Page, Position, Range, Slice, Snapshot,
    fill::{Source, Span, descends, fill},
    get_internal_history,
    transactions::list_at,
    windows::{Counter, Occurrence, find_windows},
};
use crate::{
    pg::column,
    rows::{Role, TransactionRow},
    view::{ContractView, CreationView, KnownBalance, Seen, WalletCounters, WalletView},
};
use alloy::primitives::Address;
use sqlx::{PgConnection, QueryBuilder, Row as _, postgres::PgRow};
use std::ops::RangeInclusive;

/// Calls to a contract that are looked at to find the one that created it: those before it sent value
/// ahead, which hardly anybody does.
const CREATION_ROWS: i64 = 1_000;

/// Which way something went, seen from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// To it.
    In,
    /// From it.
    Out,
}

/// Which transactions of a wallet are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    /// Between which heights or times.
    pub range: Range,
    /// Sent to it, or sent by it.
    pub flow: Option<Flow>,
}

/// Sums of an address' counters, and the buckets that say more.
struct Totals {
    counters: WalletCounters,
    /// The first and the last bucket with a transaction.
    active: Option<(i64, i64)>,
    /// The first bucket with a transaction that created it.
    created: Option<i64>,
    /// The first bucket with an internal transfer.
    internal: Option<i64>,
    bucket_blocks: i64,
}

impl Totals {
    fn heights(&self, bucket: i64) -> RangeInclusive<i64> {
        bucket * self.bucket_blocks..=(bucket + 1) * self.bucket_blocks - 1
    }
}

/// What is known of an address. Every address is a wallet: one that was never seen has nothing.
pub async fn find_wallet(
    snapshot: &mut Snapshot,
    address: Address,
) -> Result<WalletView, sqlx::Error> {
    let connection = snapshot.connection();
    let totals = totals(connection, address).await?;
    let (first_seen, last_seen) = match totals.active {
        None => (None, None),
        Some((first, last)) => {
            let first = seen(connection, address, totals.heights(first), "min").await?;
            let last = seen(connection, address, totals.heights(last), "max").await?;
            (first, last)
        }
    };
    let (token_count, nft_count) = holdings(connection, address).await?;
    let creation = creation(connection, address, &totals).await?;
    let (is_contract, contract) = contract(connection, address, creation).await?;
    let (counted_from, history_complete) = counted(connection).await?;
    Ok(WalletView {
        address,
        balance: balance(connection, address).await?,
        token_count,
        nft_count,
        counters: totals.counters,
        counted_from,
        history_complete,
        internal: get_internal_history(connection).await?,
        first_seen,
        last_seen,
        is_contract,
        contract,
    })
}

async fn totals(connection: &mut PgConnection, address: Address) -> Result<Totals, sqlx::Error> {
    let row = sqlx::query(
        "SELECT coalesce(sum(tx_count), 0)::bigint AS transactions,
                coalesce(sum(sent_count), 0)::bigint AS sent,
                coalesce(sum(received_count), 0)::bigint AS received,
                coalesce(sum(transfer_count), 0)::bigint AS transfers,
                coalesce(sum(internal_count), 0)::bigint AS internal,
                min(bucket) FILTER (WHERE tx_count > 0) AS first_active,
                max(bucket) FILTER (WHERE tx_count > 0) AS last_active,
                min(bucket) FILTER (WHERE created_count > 0) AS first_created,
                min(bucket) FILTER (WHERE internal_count > 0) AS first_internal,
                (SELECT bucket_blocks FROM chain) AS bucket_blocks
         FROM address_totals WHERE address = $1",
    )
    .bind(address.as_slice())
    .fetch_one(connection)
    .await?;
    let first: Option<i64> = row.try_get("first_active")?;
    let last: Option<i64> = row.try_get("last_active")?;
    Ok(Totals {
        counters: WalletCounters {
            transactions: column(&row, "transactions")?,
            sent: column(&row, "sent")?,
            received: column(&row, "received")?,
            transfers: column(&row, "transfers")?,
            internal: column(&row, "internal")?,
        },
        active: first.zip(last),
        created: row.try_get("first_created")?,
        internal: row.try_get("first_internal")?,
        bucket_blocks: row.try_get("bucket_blocks")?,
    })
}

/// The first (`min`) or last (`max`) block of some heights with a transaction of the address.
async fn seen(
    connection: &mut PgConnection,
    address: Address,
    heights: RangeInclusive<i64>,
    which: &str,
) -> Result<Option<Seen>, sqlx::Error> {
    let mut query = QueryBuilder::new(format!(
        "SELECT {which}(block_number) FROM address_activity WHERE address = "
    ));
    query.push_bind(address.to_vec());
    query.push(" AND block_number BETWEEN ");
    query.push_bind(*heights.start()).push(" AND ");
    query.push_bind(*heights.end());
    let number: Option<i64> = query
        .build_query_scalar()
        .fetch_one(&mut *connection)
        .await?;
    let Some(number) = number else {
        return Ok(None);
    };
    let row = sqlx::query("SELECT timestamp FROM blocks WHERE number = $1")
        .bind(number)
        .fetch_one(connection)
        .await?;
    Ok(Some(Seen::new(
        number.unsigned_abs(),
        column(&row, "timestamp")?,
    )))
}

/// How many tokens, and how many ids, an address has some of.
async fn holdings(
    connection: &mut PgConnection,
    address: Address,
) -> Result<(u64, u64), sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM token_balances WHERE holder = $1 AND balance > 0) AS tokens,
                (SELECT count(*) FROM nft_balances WHERE holder = $1 AND balance > 0) AS nfts",
    )
    .bind(address.as_slice())
    .fetch_one(connection)
    .await?;
    Ok((column(&row, "tokens")?, column(&row, "nfts")?))
}

async fn balance(
    connection: &mut PgConnection,
    address: Address,
) -> Result<Option<KnownBalance>, sqlx::Error> {
    let row = sqlx::query(
        "(SELECT balance, block_number, proven FROM native_balances
          WHERE address = $1 ORDER BY block_number DESC LIMIT 1)
         UNION ALL
         SELECT balance, block_number, proven FROM asked_balances WHERE address = $1
         ORDER BY block_number DESC LIMIT 1",
    )
    .bind(address.as_slice())
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(KnownBalance {
            amount: column(&row, "balance")?,
            block_number: column(&row, "block_number")?,
            proven: column(&row, "proven")?,
        })
    })
    .transpose()
}

/// The height from which everything up to the head is counted, and whether that is all there is.
async fn counted(connection: &mut PgConnection) -> Result<(Option<u64>, bool), sqlx::Error> {
    let row = sqlx::query(
        "SELECT lower(run) AS counted_from, lower(run) <= start_block AS complete
         FROM chain, chain_state, tally_state t, unnest(t.blocks) AS run
         WHERE run @> head_number",
    )
    .fetch_optional(connection)
    .await?;
    match row {
        None => Ok((None, false)),
        Some(row) => Ok((column(&row, "counted_from")?, column(&row, "complete")?)),
    }
}

/// The transaction that created an address, or the call within one.
async fn creation(
    connection: &mut PgConnection,
    address: Address,
    totals: &Totals,
) -> Result<Option<CreationView>, sqlx::Error> {
    if let Some(bucket) = totals.created {
        let heights = totals.heights(bucket);
        let row = sqlx::query(
            "SELECT t.hash, t.block_number, t.from_address AS creator, false AS by_contract
             FROM address_activity a
             JOIN transactions t ON t.block_number = a.block_number AND t.tx_index = a.tx_index
             WHERE a.address = $1 AND a.roles & $4 <> 0 AND t.status IS DISTINCT FROM false
               AND a.block_number BETWEEN $2 AND $3 AND t.block_number BETWEEN $2 AND $3
             ORDER BY a.block_number, a.tx_index LIMIT 1",
        )
        .bind(address.as_slice())
        .bind(*heights.start())
        .bind(*heights.end())
        .bind(i16::from(Role::Created.bit()))
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = row {
            return decode_creation(&row).map(Some);
        }
    }
    let Some(bucket) = totals.internal else {
        return Ok(None);
    };
    let heights = totals.heights(bucket);
    let row = sqlx::query(
        "SELECT t.hash, t.block_number, i.from_address AS creator, true AS by_contract
         FROM (SELECT * FROM internal_transfers
               WHERE to_address = $1 AND block_number BETWEEN $2 AND $3
               ORDER BY block_number, tx_index, trace_index LIMIT $4) AS i
         JOIN transactions t ON t.block_number = i.block_number AND t.tx_index = i.tx_index
         WHERE i.kind IN (2, 3) AND t.block_number BETWEEN $2 AND $3
         ORDER BY i.block_number, i.tx_index, i.trace_index LIMIT 1",
    )
    .bind(address.as_slice())
    .bind(*heights.start())
    .bind(*heights.end())
    .bind(CREATION_ROWS)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(decode_creation).transpose()
}

fn decode_creation(row: &PgRow) -> Result<CreationView, sqlx::Error> {
    Ok(CreationView {
        transaction_hash: column(row, "hash")?,
        block_number: column(row, "block_number")?,
        creator: column(row, "creator")?,
        by_contract: column(row, "by_contract")?,
    })
}

/// Whether there is a contract, and what is known of it. An account that delegates to code (EIP-7702)
/// is none, and its code is shown.
async fn contract(
    connection: &mut PgConnection,
    address: Address,
    creation: Option<CreationView>,
) -> Result<(Option<bool>, Option<ContractView>), sqlx::Error> {
    let row = sqlx::query(
        "SELECT code_size::bigint, code_hash, proxy, implementation FROM contract_code
         WHERE address = $1 AND read_at IS NOT NULL",
    )
    .bind(address.as_slice())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        let contract = creation.map(|creation| ContractView {
            code_size: None,
            code_hash: None,
            proxy: None,
            implementation: None,
            creation: Some(creation),
        });
        return Ok((None, contract));
    };
    let code_size: Option<u64> = column(&row, "code_size")?;
    let proxy: Option<String> = column(&row, "proxy")?;
    let has_code = code_size.is_some_and(|size| size > 0);
    let delegates = proxy.as_deref() == Some("eip7702");
    let contract = (has_code || creation.is_some()).then_some(ContractView {
        code_size,
        code_hash: column(&row, "code_hash")?,
        proxy,
        implementation: column(&row, "implementation")?,
        creation,
    });
    Ok((Some(has_code && !delegates), contract))
}

/// The transactions an address took part in, newest first.
pub async fn list_wallet_transactions(
    snapshot: &mut Snapshot,
    address: Address,
    filter: ActivityFilter,
    page: Page<Position>,
) -> Result<Slice<TransactionRow>, sqlx::Error> {
    let counter = match filter.flow {
        None => Counter::Transactions,
        Some(Flow::In) => Counter::Received,
        Some(Flow::Out) => Counter::Sent,
    };
    let of = Occurrence::Of(address, counter);
    let at = (&page, descends::<Activity>(&page));
    let windows = find_windows(snapshot, of, filter.range, at).await?;
    let source = Activity {
        address,
        role: filter.flow.map(|flow| match flow {
            Flow::In => Role::Recipient,
            Flow::Out => Role::Sender,
        }),
    };
    let connection = snapshot.connection();
    let slice = fill(&mut *connection, &source, page, windows).await?;
    let positions: Vec<Position> = slice.items.iter().map(|(position, _)| *position).collect();
    let rows = list_at(connection, &positions).await?;
    Ok(slice.with(rows))
}

/// Where an address took part in transactions: one range of `address_activity`.
struct Activity {
    address: Address,
    role: Option<Role>,
}

impl Source for Activity {
    type Key = Position;
    type Row = (Position, u8);

    fn filters(&self) -> bool {
        self.role.is_some()
    }

    fn keeps(&self, (_, roles): &Self::Row) -> bool {
        self.role.is_none_or(|role| roles & role.bit() != 0)
    }

    fn key((position, _): &Self::Row) -> Position {
        *position
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<Position>,
    ) -> Result<Vec<Self::Row>, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "SELECT block_number, tx_index, roles FROM address_activity WHERE address = ",
        );
        query.push_bind(self.address.to_vec());
        span.push_heights(&mut query);
        span.push_rest(&mut query);
        let rows = query.build().fetch_all(connection).await?;
        rows.iter()
            .map(|row| {
                let position = Position {
                    block_number: column(row, "block_number")?,
                    tx_index: column(row, "tx_index")?,
                };
                Ok((position, column(row, "roles")?))
            })
            .collect()
    }
}
