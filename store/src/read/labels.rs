//! The wallet directory as it is read: labels of addresses, and searches within one visibility at a time.

use super::Direction;
use crate::{
    labels::{Visibility, visibility},
    pg::column,
    view::checksum,
};
use alloy::primitives::Address;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, QueryBuilder, Row as _, postgres::PgRow};
use std::collections::HashMap;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What a label says, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelView {
    label: String,
    category: String,
    visibility: Visibility,
    note: Option<String>,
    updated_at: String,
    /// Only for readers of what is internal, and where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

/// A label in a list of the directory.
#[derive(Clone, Debug, Serialize)]
pub struct DirectoryEntry {
    /// What is labelled.
    #[serde(with = "checksum")]
    pub address: Address,
    /// What the label says.
    #[serde(flatten)]
    pub label: LabelView,
}

impl DirectoryEntry {
    /// Its place in the directory's order.
    #[must_use]
    pub fn place(&self) -> LabelPlace {
        LabelPlace {
            label: self.label.label.clone(),
            address: self.address,
        }
    }

    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            address: column(row, "address")?,
            label: LabelView::decode(row)?,
        })
    }
}

impl LabelView {
    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        let updated_at: OffsetDateTime = row.try_get("updated_at")?;
        Ok(Self {
            label: column(row, "label")?,
            category: column(row, "category")?,
            visibility: visibility(row)?,
            note: column(row, "note")?,
            updated_at: updated_at.format(&Rfc3339).unwrap_or_default(),
            owner: column(row, "owner")?,
        })
    }
}

/// A place in the directory's order: by name in lower case, then by address, then by the name as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPlace {
    /// The label there.
    pub label: String,
    /// Its address.
    pub address: Address,
}

/// Which part of the directory is asked for.
#[derive(Clone, Debug)]
pub struct LabelPage {
    /// Part of the name, in any case.
    pub text: Option<String>,
    /// The whole category, in any case.
    pub category: Option<String>,
    /// Where to go on from, exclusive; none for the begin.
    pub from: Option<(Direction, LabelPlace)>,
    /// Most items.
    pub limit: u32,
}

/// Part of the directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The items, by name.
    pub items: Vec<DirectoryEntry>,
    /// Whether more follow.
    pub older: bool,
    /// Whether more come before.
    pub newer: bool,
}

impl Directory {
    /// From items in the order in which they were read, one more than asked for when there are more.
    fn cut(mut items: Vec<DirectoryEntry>, page: &LabelPage) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let back = matches!(page.from, Some((Direction::Newer, _)));
        if back {
            items.reverse();
        }
        Self {
            items,
            older: back || more,
            newer: if back { more } else { page.from.is_some() },
        }
    }
}

/// Columns that a reader may see. Owners are not even read for the public.
const fn columns(seen_by: Visibility) -> &'static str {
    match seen_by {
        Visibility::Public => {
            "address, label, category, visibility, note, updated_at, NULL::text AS owner"
        }
        Visibility::Internal => "address, label, category, visibility, note, updated_at, owner",
    }
}

/// The labels of some addresses that a reader may see, by name; addresses without any are left out.
pub async fn list_labels(
    connection: &mut PgConnection,
    addresses: &[Address],
    seen_by: Visibility,
) -> Result<HashMap<Address, Vec<LabelView>>, sqlx::Error> {
    let names: Vec<&str> = seen_by.seen().iter().map(|seen| seen.name()).collect();
    let sql = format!(
        "SELECT {} FROM labels WHERE address = ANY($1) AND visibility = ANY($2)
         ORDER BY lower(label) COLLATE \"C\", label COLLATE \"C\"",
        columns(seen_by)
    );
    let addresses: Vec<&[u8]> = addresses.iter().map(|address| address.as_slice()).collect();
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(addresses)
        .bind(names)
        .fetch_all(connection)
        .await?;
    let mut labels: HashMap<Address, Vec<LabelView>> = HashMap::new();
    for row in &rows {
        let address = column(row, "address")?;
        labels
            .entry(address)
            .or_default()
            .push(LabelView::decode(row)?);
    }
    Ok(labels)
}

/// Part of the directory that a reader may see, by name. "Older" is further down.
///
/// Each visibility is a query of its own, ordered and limited by an index that holds nothing else; a
/// reader of both gets them merged. So nothing about an answer depends on labels that the reader may not
/// see: not its items, not its cursors, not how long it took.
pub async fn list_directory(
    connection: &mut PgConnection,
    page: &LabelPage,
    seen_by: Visibility,
) -> Result<Directory, sqlx::Error> {
    let direction = page.from.as_ref().map(|(direction, _)| *direction);
    let order = match direction {
        Some(Direction::Newer) => "DESC",
        _ => "ASC",
    };
    let limit = i64::from(page.limit) + 1;
    let by = format!(
        " ORDER BY lower(label) COLLATE \"C\" {order}, address {order}, label COLLATE \"C\" {order} LIMIT "
    );
    let mut query = QueryBuilder::new("SELECT * FROM (");
    for (index, seen) in seen_by.seen().iter().enumerate() {
        query.push(if index == 0 { "(" } else { " UNION ALL (" });
        one_visibility(&mut query, page, *seen, columns(seen_by));
        query.push(&by).push_bind(limit).push(")");
    }
    query.push(") AS seen").push(&by).push_bind(limit);
    let rows = query.build().fetch_all(connection).await?;
    let items = rows.iter().map(DirectoryEntry::decode);
    let items = items.collect::<Result<_, sqlx::Error>>()?;
    Ok(Directory::cut(items, page))
}

/// What a page asks of labels with one visibility, without order and limit.
fn one_visibility(
    query: &mut QueryBuilder<Postgres>,
    page: &LabelPage,
    visibility: Visibility,
    columns: &str,
) {
    let name = visibility.name();
    // The name stands in the query itself: that is what lets an index be used that holds nothing else.
    query.push(format!(
        "SELECT {columns} FROM labels WHERE visibility = '{name}'"
    ));
    if let Some(text) = &page.text {
        query
            .push(" AND lower(label) LIKE '%' || lower(")
            .push_bind(escaped(text))
            .push(") || '%'");
    }
    if let Some(category) = &page.category {
        query
            .push(" AND lower(category) = lower(")
            .push_bind(category.clone())
            .push(")");
    }
    if let Some((direction, place)) = &page.from {
        let beyond = match direction {
            Direction::Older => ">",
            Direction::Newer => "<",
        };
        query
            .push(format!(
                " AND (lower(label) COLLATE \"C\", address, label COLLATE \"C\") {beyond} (lower("
            ))
            .push_bind(place.label.clone())
            .push(") COLLATE \"C\", ")
            .push_bind(place.address.to_vec())
            .push(", ")
            .push_bind(place.label.clone())
            .push(" COLLATE \"C\")");
    }
}

/// A text that LIKE takes for itself.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
