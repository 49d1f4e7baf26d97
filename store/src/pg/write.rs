//! Rows into their table: by INSERT from arrays when they are few, by binary COPY when they are many.

use super::{
    row::{COPY_HEADER, COPY_TRAILER, CopyBuffer, CopyRows, TableRow},
    value::{BYTEA, PgType, RowError},
};
use sqlx::{
    AssertSqlSafe, Postgres,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgConnection, PgTypeInfo, types::Oid},
};

/// How much of a COPY is handed to the driver at a time: large enough that message overhead does
/// not count, small enough that a second copy of it in the driver's buffer does not either.
const COPY_CHUNK: usize = 256 * 1024;

/// From this many rows on, a table is written by COPY.
///
/// A COPY costs two messages in a row, and the driver leaves the second one to Nagle's algorithm: some
/// 40 ms for each table, which many rows make up for and a block at the head does not.
const COPY_FROM_ROWS: usize = 2_000;

/// Writes all rows to their table; nothing is sent for no rows.
pub(crate) async fn write<R: TableRow>(
    connection: &mut PgConnection,
    rows: &[R],
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        Ok(())
    } else if rows.len() < COPY_FROM_ROWS {
        insert(connection, R::TABLE, None, rows).await
    } else {
        copy(connection, rows).await
    }
}

/// Writes rows to the table of what reorgs dropped.
pub(crate) async fn write_orphaned<R: TableRow>(
    connection: &mut PgConnection,
    reorg: i64,
    rows: &[R],
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let table = format!("orphaned_{}", R::TABLE);
    insert(connection, &table, Some(reorg), rows).await
}

async fn copy<R: TableRow>(connection: &mut PgConnection, rows: &[R]) -> Result<(), sqlx::Error> {
    copy_all::<R>(connection, &[CopyRows::of(rows)?]).await
}

/// Writes rows that are encoded already by one COPY; nothing is sent for no rows.
pub(crate) async fn copy_all<R: TableRow>(
    connection: &mut PgConnection,
    parts: &[CopyRows],
) -> Result<(), sqlx::Error> {
    if parts.iter().all(|part| part.bytes.is_empty()) {
        return Ok(());
    }
    let statement = format!(
        "COPY {} ({}) FROM STDIN (FORMAT binary)",
        R::TABLE,
        quoted::<R>()
    );
    let mut copy = connection.copy_in_raw(&statement).await?;
    // Frame and rows go in messages of one size: a short one in between would wait for the server.
    let mut message = Vec::with_capacity(COPY_CHUNK);
    let frame = |bytes| std::iter::once(bytes);
    let rows = parts.iter().map(|part| part.bytes.as_slice());
    for mut bytes in frame(COPY_HEADER).chain(rows).chain(frame(&COPY_TRAILER)) {
        while !bytes.is_empty() {
            let (fits, rest) = bytes.split_at(bytes.len().min(COPY_CHUNK - message.len()));
            message.extend_from_slice(fits);
            bytes = rest;
            if message.len() == COPY_CHUNK {
                copy.send(message.as_slice()).await?;
                message.clear();
            }
        }
    }
    copy.send(message.as_slice()).await?;
    copy.finish().await?;
    Ok(())
}

/// One `INSERT … SELECT FROM UNNEST`, an array for each column; the reorg is the same for all rows.
async fn insert<R: TableRow>(
    connection: &mut PgConnection,
    table: &str,
    reorg: Option<i64>,
    rows: &[R],
) -> Result<(), sqlx::Error> {
    let (name, value) = reorg.map_or_else(Default::default, |reorg| {
        ("reorg_id, ".to_owned(), format!("{reorg}, "))
    });
    let columns = quoted::<R>();
    let statement = |rows: &str| {
        format!("INSERT INTO {table} ({name}{columns}) SELECT {value}{columns} FROM ({rows}) AS r")
    };
    execute_with(connection, statement, rows).await
}

/// Runs a statement over rows that are sent with it: it is given the query that stands for them.
pub(crate) async fn execute_with<R: TableRow>(
    connection: &mut PgConnection,
    statement: impl FnOnce(&str) -> String,
    rows: &[R],
) -> Result<(), sqlx::Error> {
    let length = i32::try_from(rows.len()).map_err(|_| RowError::Decode("fewer rows"))?;
    let mut columns: Vec<CopyBuffer> = R::TYPES
        .iter()
        .map(|ty| CopyBuffer::array(*ty, length))
        .collect();
    for row in rows {
        row.encode_elements(&mut columns)?;
    }
    let (mut arrays, mut values) = (Vec::new(), Vec::new());
    for ((position, ty), name) in (1..).zip(R::TYPES).zip(R::COLUMNS) {
        arrays.push(format!("${position}::{}[]", ty.name));
        values.push(match ty.convert {
            "" => format!("c{position} AS \"{name}\""),
            convert => format!("{convert}(c{position}) AS \"{name}\""),
        });
    }
    let names: Vec<String> = (1..=R::TYPES.len()).map(|n| format!("c{n}")).collect();
    let rows = format!(
        "SELECT {} FROM unnest({}) AS t({})",
        values.join(", "),
        arrays.join(", "),
        names.join(", "),
    );
    let mut query = sqlx::query(AssertSqlSafe(statement(&rows)));
    for (column, ty) in columns.into_iter().zip(R::TYPES) {
        query = query.bind(Array {
            bytes: column.bytes,
            ty: *ty,
        });
    }
    query.execute(connection).await?;
    Ok(())
}

/// Column names as SQL wants them: `timestamp` and `time` are words of its own.
fn quoted<R: TableRow>() -> String {
    let columns: Vec<String> = R::COLUMNS.iter().map(|c| format!("\"{c}\"")).collect();
    columns.join(", ")
}

/// A one-dimensional array in binary form.
struct Array {
    bytes: Vec<u8>,
    ty: PgType,
}

impl sqlx::Type<Postgres> for Array {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(BYTEA.array_oid))
    }
}

impl sqlx::Encode<'_, Postgres> for Array {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.ty.array_oid)))
    }
}
