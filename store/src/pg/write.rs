//! Rows into their table: by INSERT from arrays when they are few, by binary COPY when they are many.

use super::{
    row::{CopyBuffer, TableRow},
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
        insert(connection, rows).await
    } else {
        copy(connection, rows).await
    }
}

async fn copy<R: TableRow>(connection: &mut PgConnection, rows: &[R]) -> Result<(), sqlx::Error> {
    let buffer = CopyBuffer::of(rows)?;
    let statement = format!(
        "COPY {} ({}) FROM STDIN (FORMAT binary)",
        R::TABLE,
        quoted::<R>()
    );
    let mut copy = connection.copy_in_raw(&statement).await?;
    for chunk in buffer.bytes.chunks(COPY_CHUNK) {
        copy.send(chunk).await?;
    }
    copy.finish().await?;
    Ok(())
}

/// One `INSERT … SELECT FROM UNNEST`, an array for each column.
async fn insert<R: TableRow>(connection: &mut PgConnection, rows: &[R]) -> Result<(), sqlx::Error> {
    let length = i32::try_from(rows.len()).map_err(|_| RowError::Decode("fewer rows"))?;
    let mut columns: Vec<CopyBuffer> = R::TYPES
        .iter()
        .map(|ty| CopyBuffer::array(*ty, length))
        .collect();
    for row in rows {
        row.encode_elements(&mut columns)?;
    }
    let (mut arrays, mut values) = (Vec::new(), Vec::new());
    for (position, ty) in (1..).zip(R::TYPES) {
        arrays.push(format!("${position}::{}[]", ty.name));
        values.push(match ty.convert {
            "" => format!("c{position}"),
            convert => format!("{convert}(c{position})"),
        });
    }
    let names: Vec<String> = (1..=R::TYPES.len()).map(|n| format!("c{n}")).collect();
    let statement = format!(
        "INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS t({})",
        R::TABLE,
        quoted::<R>(),
        values.join(", "),
        arrays.join(", "),
        names.join(", "),
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
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
