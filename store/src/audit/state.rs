//! The small tables beside the blocks: coverage, the chain's state, and the queue of events.

use super::{
    certificate::{Certificate, Kind},
    damage::{Damage, Derived},
};
use crate::{
    event::Event,
    read::bind_height,
    state::{BlockRef, ChainState},
    tally,
};
use sqlx::{PgConnection, Row as _};

/// Heights without a block, and heights that coverage names wrongly.
pub(super) async fn check_coverage(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
) -> Result<(), sqlx::Error> {
    let (from, to) = (certificate.from, certificate.to);
    let gaps: Vec<(i64, i64)> = sqlx::query_as(include_str!("../queries/audit_gaps.sql"))
        .bind(bind_height(from))
        .bind(bind_height(to))
        .fetch_all(&mut *connection)
        .await?;
    let ends: Vec<String> = gaps.iter().map(|(a, b)| format!("[{a},{b}]")).collect();
    let gaps: Vec<(i64, i64, bool)> = sqlx::query_as(
        "SELECT lower(r), upper(r) - 1, covered FROM coverage c,
                LATERAL (SELECT $1::int8multirange AS none) AS g,
                LATERAL (SELECT unnest(g.none * c.blocks) AS r, true AS covered
                         UNION ALL SELECT unnest(g.none - c.blocks), false) AS parts
         ORDER BY 1",
    )
    .bind(format!("{{{}}}", ends.join(",")))
    .fetch_all(&mut *connection)
    .await?;
    for (low, high, covered) in &gaps {
        let (low, high) = (low.unsigned_abs(), high.unsigned_abs());
        certificate.add_gap(low, high);
        let detail = if *covered {
            damage.refetch.insert(low, high);
            format!("blocks {low} to {high} are missing")
        } else {
            format!("incomplete: blocks {low} to {high} are not there yet")
        };
        certificate.add(Some(low), Kind::Gap, detail);
    }
    let unnamed: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT lower(r), upper(r) - 1 FROM coverage,
                unnest(int8multirange(int8range($1, $2, '[]')) - $3::int8multirange - blocks) AS r",
    )
    .bind(bind_height(from))
    .bind(bind_height(to))
    .bind(format!("{{{}}}", ends.join(",")))
    .fetch_all(&mut *connection)
    .await?;
    for (low, high) in unnamed {
        let (low, high) = (low.unsigned_abs(), high.unsigned_abs());
        damage.uncovered.insert(low, high);
        let detail = format!("blocks {low} to {high} are there, and coverage does not name them");
        certificate.add(Some(low), Kind::Coverage, detail);
    }
    Ok(())
}

/// Coverage names nothing outside of the indexed range.
pub(super) async fn check_bounds(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
    first: u64,
    head: BlockRef,
) -> Result<(), sqlx::Error> {
    let beyond: Vec<(String, Option<i64>)> = sqlx::query_as(
        "SELECT r::text, lower(r) FROM coverage,
                unnest(blocks - int8multirange(int8range($1, $2, '[]'))) AS r",
    )
    .bind(bind_height(first))
    .bind(bind_height(head.number))
    .fetch_all(connection)
    .await?;
    for (range, low) in beyond {
        damage.covers_beyond = true;
        let detail = format!(
            "coverage names {range}, outside of blocks {first} to {}",
            head.number
        );
        certificate.add(low.map(i64::unsigned_abs), Kind::Coverage, detail);
    }
    Ok(())
}

/// The state says what the newest block says.
pub(super) async fn check_head(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
    state: &ChainState,
    head: BlockRef,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query("SELECT hash, timestamp FROM blocks WHERE number = $1")
        .bind(bind_height(head.number))
        .fetch_optional(connection)
        .await?;
    // A head that is missing or not proven is said already, and cannot judge the state.
    if let Some(row) = row.filter(|_| !damage.refetch.contains(head.number)) {
        let (hash, timestamp): (&[u8], i64) = (row.try_get("hash")?, row.try_get("timestamp")?);
        if hash != head.hash.as_slice() {
            damage.head = true;
            let detail = format!("the state's head {head} is not the block at that height");
            certificate.add(Some(head.number), Kind::State, detail);
        }
        if state.head_timestamp.map(bind_height) != Some(timestamp) {
            damage.head = true;
            let detail = format!("the time of the state's head {head} is not that of its block");
            certificate.add(Some(head.number), Kind::State, detail);
        }
    }
    let (safe, finalized) = (state.safe, state.finalized);
    let highest = safe.max(finalized).unwrap_or(0);
    if highest > head.number || finalized > safe {
        damage.head = true;
        let say = |number: Option<u64>| number.map_or("none".to_owned(), |n| n.to_string());
        let detail = format!(
            "safe is {}, finalized is {}, and the head is {}",
            say(safe),
            say(finalized),
            head.number
        );
        certificate.add(None, Kind::State, detail);
    }
    if state.final_epoch > state.fork_epoch {
        damage.head = true;
        let detail = format!(
            "the final epoch {} is beyond the fork epoch {}",
            state.final_epoch, state.fork_epoch
        );
        certificate.add(None, Kind::State, detail);
    }
    Ok(())
}

/// The chain's row names the genesis block that there is.
pub(super) fn check_genesis(certificate: &mut Certificate, damage: &mut Damage) {
    let first = certificate.first.filter(|first| first.number == 0);
    if let Some(first) = first.filter(|_| !damage.refetch.contains(0))
        && first.hash != certificate.genesis
    {
        damage.beyond_repair += 1;
        let detail = format!(
            "the chain's genesis is {}, block 0 is {}",
            certificate.genesis, first.hash
        );
        certificate.add(Some(0), Kind::State, detail);
    }
}

/// The state counts the transactions that there are. Said only where all of them are proven: a block
/// that is damaged is said already, and its transactions come back with it.
pub(super) fn check_count(certificate: &mut Certificate, damage: &mut Damage, state: &ChainState) {
    let (stated, proven) = (state.tx_count, certificate.transactions);
    if stated != proven && damage.refetch.is_empty() {
        damage.tx_count = bind_height(proven) - bind_height(stated);
        let detail = format!("the state says {stated} transactions, {proven} are proven");
        certificate.add(None, Kind::State, detail);
    }
}

/// Counters and balances are what the rows of the blocks that they include come to. Where those rows are
/// damaged that much is said already, and the counters are looked at again once they are repaired.
pub(super) async fn check_counters(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
) -> Result<(), sqlx::Error> {
    if !(damage.refetch.is_empty() && damage.rewrite.is_empty() && damage.strays.is_empty()) {
        return Ok(());
    }
    // While history is being added to them there is nothing to hold them against.
    let Some(findings) = tally::check(connection).await? else {
        return Ok(());
    };
    certificate.proven.push("counters and token balances");
    for finding in findings {
        damage.derived.insert(Derived::Counters);
        let detail = format!(
            "{}: {} rows are not what the blocks come to, such as {}",
            finding.table, finding.rows, finding.example
        );
        certificate.add(None, Kind::Counters, detail);
    }
    Ok(())
}

/// The journal keeps its rules. Its triggers allow nothing else: whoever came around them has to say what
/// is right.
pub(super) async fn check_ledger(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
) -> Result<(), sqlx::Error> {
    let faults: Vec<(String, Option<String>, i64, String)> = sqlx::query_as(
        "SELECT fault, account, transaction_id, detail FROM ledger.find_faults()
         ORDER BY transaction_id, fault, account",
    )
    .fetch_all(connection)
    .await?;
    certificate.proven.push("the ledger's journal");
    for (fault, account, transaction, detail) in faults {
        damage.beyond_repair += 1;
        let account = account.map_or_else(String::new, |account| format!(", account {account}"));
        let detail = format!("{fault} of transaction {transaction}{account}: {detail}");
        certificate.add(None, Kind::Ledger, detail);
    }
    Ok(())
}

/// Legs are what the blocks come to that were looked through. Where those are damaged that much is said
/// already.
pub(super) async fn check_legs(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
) -> Result<(), sqlx::Error> {
    if !(damage.refetch.is_empty() && damage.rewrite.is_empty() && damage.strays.is_empty()) {
        return Ok(());
    }
    let faults: Vec<(String, i64, String)> = sqlx::query_as(
        "SELECT fault, block_number, detail FROM ledger.find_leg_faults() ORDER BY 2, 1, 3",
    )
    .fetch_all(connection)
    .await?;
    certificate.proven.push("the ledger's transfer legs");
    for (fault, number, detail) in faults {
        damage.derived.insert(Derived::Legs);
        let detail = format!("{fault}: {detail}");
        certificate.add(Some(number.unsigned_abs()), Kind::Ledger, detail);
    }
    Ok(())
}

/// Events that wait can be read, and the last of them leaves the head where the state has it.
pub(super) async fn check_outbox(
    connection: &mut PgConnection,
    certificate: &mut Certificate,
    damage: &mut Damage,
    state: &ChainState,
) -> Result<(), sqlx::Error> {
    let rows: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT id, kind, payload::text FROM outbox ORDER BY id")
            .fetch_all(connection)
            .await?;
    let last = rows.last().map(|(id, ..)| *id);
    for (id, kind, payload) in rows {
        let wrong = match serde_json::from_str::<Event>(&payload) {
            Err(error) => Some(format!("event {id} cannot be read: {error}")),
            Ok(event) if event.kind() != kind => Some(format!(
                "event {id} is called {kind} and is {}",
                event.kind()
            )),
            Ok(event) if event.head.epoch > state.fork_epoch => Some(format!(
                "event {id} is of fork epoch {}, and the state's is {}",
                event.head.epoch, state.fork_epoch
            )),
            Ok(event)
                if last == Some(id)
                    && !damage.head
                    && (Some(event.head.block), event.head.epoch)
                        != (state.head, state.fork_epoch) =>
            {
                Some(format!(
                    "event {id} is the last one and leaves another head than the state's"
                ))
            }
            Ok(_) => None,
        };
        if let Some(detail) = wrong {
            damage.outbox.push(id);
            certificate.add(None, Kind::Outbox, detail);
        }
    }
    Ok(())
}
