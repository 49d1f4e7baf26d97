//! The wallet directory as an operator writes it: all of a file or nothing.

use crate::{pg::column, transaction::begin};
use alloy::primitives::Address;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use std::str::FromStr;

/// Most characters of a label.
pub const MAX_LABEL: usize = 80;
/// Most characters of a category.
pub const MAX_CATEGORY: usize = 40;
/// Most characters of an owner.
pub const MAX_OWNER: usize = 80;
/// Most characters of a note.
pub const MAX_NOTE: usize = 500;

/// Who may see a label; of a reader, what they may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody; of a reader: public labels without their owners.
    Public,
    /// Those with the internal key; of a reader: everything.
    Internal,
}

impl Visibility {
    /// Its name in the database, in files and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
        }
    }

    /// The visibilities that a reader may see.
    pub(crate) const fn seen(self) -> &'static [Self] {
        match self {
            Self::Public => &[Self::Public],
            Self::Internal => &[Self::Public, Self::Internal],
        }
    }
}

impl FromStr for Visibility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "public" => Ok(Self::Public),
            "internal" => Ok(Self::Internal),
            _ => Err(format!("{text:?}: accepted are public and internal")),
        }
    }
}

/// A label as it is imported and exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRow {
    /// What it names.
    pub address: Address,
    /// The name.
    pub label: String,
    /// What kind of wallet it is.
    pub category: String,
    /// Who may see it.
    pub visibility: Visibility,
    /// Who it belongs to; never public.
    pub owner: Option<String>,
    /// Anything else; as visible as the label.
    pub note: Option<String>,
}

impl LabelRow {
    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            address: column(row, "address")?,
            label: column(row, "label")?,
            category: column(row, "category")?,
            visibility: visibility(row)?,
            owner: column(row, "owner")?,
            note: column(row, "note")?,
        })
    }
}

/// A row's visibility.
pub(crate) fn visibility(row: &PgRow) -> Result<Visibility, sqlx::Error> {
    let name: String = column(row, "visibility")?;
    name.parse()
        .map_err(|error: String| sqlx::Error::Decode(error.into()))
}

/// What an import does to labels that its file does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Keep,
    /// They go: the directory is the file afterwards.
    Remove,
}

/// What an import changed, or would change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Labels that were not there.
    pub added: u64,
    /// Labels that were there with another category, visibility, owner or note.
    pub changed: u64,
    /// Labels that were there as given.
    pub unchanged: u64,
    /// Labels that were there and are gone.
    pub removed: u64,
}

/// Imports labels in one transaction, which is taken back when it is only a rehearsal. The rows have
/// distinct addresses and labels.
pub async fn import(
    pool: &PgPool,
    rows: &[LabelRow],
    others: Others,
    rehearsal: bool,
) -> Result<ImportReport, sqlx::Error> {
    let mut transaction = begin(pool, "BEGIN").await?;
    // Two imports at once would each remove what the other added; readers go on.
    sqlx::query("LOCK TABLE labels IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    let removed = match others {
        Others::Keep => 0,
        Others::Remove => remove_others(&mut transaction, rows).await?,
    };
    let (added, changed) = write(&mut transaction, rows).await?;
    if rehearsal {
        transaction.rollback().await?;
    } else {
        // Wallets that are cached with other labels are not shown any more, as after a commit.
        sqlx::query("UPDATE chain_state SET history_epoch = history_epoch + 1")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    let total = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok(ImportReport {
        added,
        changed,
        unchanged: total.saturating_sub(added + changed),
        removed,
    })
}

async fn remove_others(
    connection: &mut PgConnection,
    rows: &[LabelRow],
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "DELETE FROM labels l WHERE NOT EXISTS (
             SELECT FROM unnest($1::bytea[], $2::text[]) AS k(address, label)
             WHERE k.address = l.address AND k.label = l.label)",
    )
    .bind(addresses(rows))
    .bind(texts(rows, |row| &row.label))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Writes what is new or differs, and counts both.
async fn write(
    connection: &mut PgConnection,
    rows: &[LabelRow],
) -> Result<(u64, u64), sqlx::Error> {
    let row = sqlx::query(
        "WITH written AS (
             INSERT INTO labels AS l (address, label, category, visibility, owner, note)
             SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
             ON CONFLICT (address, label) DO UPDATE
             SET category = excluded.category, visibility = excluded.visibility,
                 owner = excluded.owner, note = excluded.note, updated_at = now()
             WHERE (l.category, l.visibility, l.owner, l.note)
                   IS DISTINCT FROM (excluded.category, excluded.visibility, excluded.owner, excluded.note)
             -- A row version that replaces another has been locked by this very statement.
             RETURNING l.xmax = 0 AS added
         )
         SELECT count(*) FILTER (WHERE added), count(*) FILTER (WHERE NOT added) FROM written",
    )
    .bind(addresses(rows))
    .bind(texts(rows, |row| &row.label))
    .bind(texts(rows, |row| &row.category))
    .bind(texts(rows, |row| row.visibility.name()))
    .bind(rows.iter().map(|row| row.owner.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.note.as_deref()).collect::<Vec<_>>())
    .fetch_one(connection)
    .await?;
    let count = |index: usize| -> Result<u64, sqlx::Error> {
        let count: i64 = row.try_get(index)?;
        Ok(count.unsigned_abs())
    };
    Ok((count(0)?, count(1)?))
}

fn addresses(rows: &[LabelRow]) -> Vec<&[u8]> {
    rows.iter().map(|row| row.address.as_slice()).collect()
}

fn texts<'a>(rows: &'a [LabelRow], text: impl Fn(&'a LabelRow) -> &'a str) -> Vec<&'a str> {
    rows.iter().map(text).collect()
}

/// Labels in the order of a file, by address and name: all of them, or those of one visibility.
pub async fn export(pool: &PgPool, only: Option<Visibility>) -> Result<Vec<LabelRow>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT address, label, category, visibility, owner, note FROM labels
         WHERE $1::text IS NULL OR visibility = $1 ORDER BY address, label COLLATE \"C\"",
    )
    .bind(only.map(Visibility::name))
    .fetch_all(pool)
    .await?;
    rows.iter().map(LabelRow::decode).collect()
}
