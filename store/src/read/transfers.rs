//! Token transfers of wallets, tokens and transactions.

use super::{
    Flow, Page, Range, Slice, Snapshot, TransferPosition, bind_height, bind_index, decode_all,
    fill::{Source, Span, descends, fill},
    find_tokens, list_orphaned_logs,
    transactions::{block_contexts, hashes_at},
    windows::{Counter, Occurrence, Windows, find_windows, sums},
};
use crate::{
    rows::{TokenTransferRow, TransactionRow, transfers_of},
    view::{TransactionContext, TransferView},
};
use alloy::primitives::{Address, Log};
use chain::TransferKind;
use sqlx::{PgConnection, Postgres, QueryBuilder};

/// Which transfers of a list are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferFilter {
    /// Between which heights or times.
    pub range: Range,
    /// Which way, seen from the wallet.
    pub flow: Option<Flow>,
    /// Of which token.
    pub token: Option<Address>,
    /// Of which kind.
    pub kind: Option<TransferKind>,
}

/// The token transfers from or to an address, newest first.
pub async fn list_wallet_transfers(
    snapshot: &mut Snapshot,
    address: Address,
    filter: TransferFilter,
    page: Page<TransferPosition>,
) -> Result<Slice<TokenTransferRow>, sqlx::Error> {
    let moved = (address, Counter::Transfers);
    let Some(token) = filter.token else {
        let counted = Occurrence::Of(address, Counter::Transfers);
        return list(snapshot, Party::Wallet(address), filter, counted, page).await;
    };
    let both = [moved, (token, Counter::Emitted)];
    // Whichever of the two has fewer is read, and what is not of the other left out.
    let [of_wallet, of_token] = sums(snapshot.connection(), both).await?;
    let party = if of_token < of_wallet {
        Party::TokenWith(token, address)
    } else {
        Party::Wallet(address)
    };
    list(snapshot, party, filter, Occurrence::OfBoth(both), page).await
}

/// The transfers of a token, newest first.
pub async fn list_token_transfers(
    snapshot: &mut Snapshot,
    token: Address,
    filter: TransferFilter,
    page: Page<TransferPosition>,
) -> Result<Slice<TokenTransferRow>, sqlx::Error> {
    let counted = Occurrence::Of(token, Counter::Emitted);
    list(snapshot, Party::Token(token), filter, counted, page).await
}

async fn list(
    snapshot: &mut Snapshot,
    party: Party,
    filter: TransferFilter,
    counted: Occurrence,
    page: Page<TransferPosition>,
) -> Result<Slice<TokenTransferRow>, sqlx::Error> {
    let at = (&page, descends::<Transfers>(&page));
    let windows = find_windows(snapshot, counted, filter.range, at).await?;
    let source = Transfers { party, filter };
    fill(snapshot.connection(), &source, page, windows).await
}

/// Whose transfers are listed.
enum Party {
    Wallet(Address),
    Token(Address),
    /// A wallet's, read from all of the token's.
    TokenWith(Address, Address),
}

struct Transfers {
    party: Party,
    filter: TransferFilter,
}

impl Transfers {
    /// One index range: rows with an address in a column.
    fn push_range(
        query: &mut QueryBuilder<Postgres>,
        (column, address): (&str, Address),
        condition: &str,
        span: &Span<TransferPosition>,
    ) {
        query.push(format_args!(
            "(SELECT * FROM token_transfers WHERE {column} = "
        ));
        query.push_bind(address.to_vec());
        query.push(condition);
        span.push_heights(query);
        span.push_rest(query);
        query.push(")");
    }
}

impl Source for Transfers {
    type Key = TransferPosition;
    type Row = TokenTransferRow;

    fn filters(&self) -> bool {
        self.filter.token.is_some() || self.filter.kind.is_some()
    }

    fn keeps(&self, row: &TokenTransferRow) -> bool {
        let TransferFilter { token, kind, .. } = self.filter;
        let of_wallet = match self.party {
            Party::TokenWith(_, wallet) => match self.filter.flow {
                Some(Flow::In) => row.to_address == wallet,
                Some(Flow::Out) => row.from_address == wallet,
                None => row.from_address == wallet || row.to_address == wallet,
            },
            // The index range says so.
            Party::Wallet(_) | Party::Token(_) => true,
        };
        of_wallet
            && token.is_none_or(|token| row.token == token)
            && kind.is_none_or(|kind| row.kind == kind.number())
    }

    fn key(row: &TokenTransferRow) -> TransferPosition {
        TransferPosition {
            block_number: row.block_number,
            log_index: row.log_index,
            position: row.position,
        }
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<TransferPosition>,
    ) -> Result<Vec<TokenTransferRow>, sqlx::Error> {
        let mut query = QueryBuilder::new("");
        match (&self.party, self.filter.flow) {
            (Party::Token(token) | Party::TokenWith(token, _), _) => {
                Self::push_range(&mut query, ("token", *token), "", span);
            }
            (Party::Wallet(address), Some(Flow::Out)) => {
                Self::push_range(&mut query, ("from_address", *address), "", span);
            }
            (Party::Wallet(address), Some(Flow::In)) => {
                Self::push_range(&mut query, ("to_address", *address), "", span);
            }
            (Party::Wallet(address), None) => {
                query.push("SELECT * FROM (");
                Self::push_range(&mut query, ("from_address", *address), "", span);
                query.push(" UNION ALL ");
                let others = " AND from_address <> to_address";
                Self::push_range(&mut query, ("to_address", *address), others, span);
                query.push(") AS both_ways");
                span.push_order(&mut query);
            }
        }
        decode_all(&query.build().fetch_all(connection).await?)
    }
}

/// The token transfers of a transaction, in order; `dropped_by` is the reorg that dropped it.
pub async fn list_transaction_transfers(
    connection: &mut PgConnection,
    transaction: &TransactionRow,
    dropped_by: Option<u64>,
    page: Page<TransferPosition>,
) -> Result<Slice<TokenTransferRow>, sqlx::Error> {
    let Some(reorg) = dropped_by else {
        let source = OfTransaction(transaction);
        return fill(connection, &source, page, Windows::whole()).await;
    };
    // Only what is canonical is stored; the logs of what is not tell the same.
    let logs = list_orphaned_logs(connection, reorg, transaction).await?;
    let logs: Vec<Log> = logs
        .into_iter()
        .map(|log| Log::new_unchecked(log.address, log.topics().collect(), log.data))
        .collect();
    let source = Dropped(transfers_of(transaction, &logs).collect());
    fill(connection, &source, page, Windows::whole()).await
}

struct OfTransaction<'a>(&'a TransactionRow);

impl Source for OfTransaction<'_> {
    type Key = TransferPosition;
    type Row = TokenTransferRow;
    const ASCENDING: bool = true;

    fn key(row: &TokenTransferRow) -> TransferPosition {
        Transfers::key(row)
    }

    async fn read(
        &self,
        connection: &mut PgConnection,
        span: &Span<TransferPosition>,
    ) -> Result<Vec<TokenTransferRow>, sqlx::Error> {
        let transaction = self.0;
        let end = transaction
            .first_log_index
            .saturating_add(transaction.log_count);
        let mut query = QueryBuilder::new("SELECT * FROM token_transfers WHERE block_number = ");
        query.push_bind(bind_height(transaction.block_number));
        query.push(" AND log_index >= ");
        query.push_bind(bind_index(transaction.first_log_index));
        query.push(" AND log_index < ");
        query.push_bind(bind_index(end));
        span.push_rest(&mut query);
        decode_all(&query.build().fetch_all(connection).await?)
    }
}

/// The transfers of a transaction that a reorg dropped.
struct Dropped(Vec<TokenTransferRow>);

impl Source for Dropped {
    type Key = TransferPosition;
    type Row = TokenTransferRow;
    const ASCENDING: bool = true;

    fn key(row: &TokenTransferRow) -> TransferPosition {
        Transfers::key(row)
    }

    async fn read(
        &self,
        _: &mut PgConnection,
        span: &Span<TransferPosition>,
    ) -> Result<Vec<TokenTransferRow>, sqlx::Error> {
        Ok(span.of(&self.0, Transfers::key))
    }
}

/// Transfers as they are shown. Without a `transaction` that all of them are of, they are canonical and
/// each is found by its position.
pub async fn show_transfers(
    connection: &mut PgConnection,
    rows: &[TokenTransferRow],
    transaction: Option<TransactionContext>,
) -> Result<Vec<TransferView>, sqlx::Error> {
    let tokens = find_tokens(connection, rows.iter().map(|row| row.token)).await?;
    let contexts = contexts(
        connection,
        rows.iter().map(|row| (row.block_number, row.tx_index)),
        transaction,
    )
    .await?;
    rows.iter()
        .zip(contexts)
        .map(|(row, context)| {
            let token = tokens.get(&row.token);
            TransferView::new(row, token, context).ok_or(sqlx::Error::RowNotFound)
        })
        .collect()
}

/// The transaction and block of each position.
pub(super) async fn contexts(
    connection: &mut PgConnection,
    positions: impl Iterator<Item = (u64, u32)> + Clone,
    transaction: Option<TransactionContext>,
) -> Result<Vec<TransactionContext>, sqlx::Error> {
    if let Some(context) = transaction {
        return Ok(positions.map(|_| context).collect());
    }
    let hashes = hashes_at(connection, positions.clone()).await?;
    let blocks = block_contexts(connection, positions.clone().map(|(number, _)| number)).await?;
    positions
        .map(|position| {
            let (hash, block) = (hashes.get(&position), blocks.get(&position.0));
            match (hash, block) {
                (Some(hash), Some(block)) => Ok(TransactionContext {
                    hash: *hash,
                    block: *block,
                }),
                _ => Err(sqlx::Error::RowNotFound),
            }
        })
        .collect()
}
