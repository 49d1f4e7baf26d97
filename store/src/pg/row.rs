//! Rows: a struct, its table and its columns from one list.

use super::value::{PgType, PgValue, RowError};
use sqlx::{Row as _, ValueRef as _, postgres::PgRow};

/// A row of one table: its columns in one order, for writing and reading alike.
pub trait TableRow: Sized {
    /// The table.
    const TABLE: &'static str;
    /// Its columns, in the order in which they are written.
    const COLUMNS: &'static [&'static str];
    /// Their types.
    const TYPES: &'static [PgType];
    /// Appends every column.
    fn encode(&self, out: &mut CopyBuffer) -> Result<(), RowError>;
    /// Appends each column to the array of its own.
    fn encode_elements(&self, columns: &mut [CopyBuffer]) -> Result<(), RowError>;
    /// Reads every column by name.
    fn decode(row: &PgRow) -> Result<Self, sqlx::Error>;
}

/// Reads one column of a row that a prepared statement returned.
pub fn column<T: PgValue>(row: &PgRow, name: &str) -> Result<T, sqlx::Error> {
    let value = row.try_get_raw(name)?;
    let bytes = if value.is_null() {
        None
    } else {
        Some(value.as_bytes().map_err(sqlx::Error::Decode)?)
    };
    T::read(bytes).map_err(|error| sqlx::Error::ColumnDecode {
        index: name.to_owned(),
        source: Box::new(error),
    })
}

/// Declares a row type: the struct, its table and its columns from one list.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $name:ident in $table:literal {
            $( $(#[$field_meta:meta])* $field:ident: $ty:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $ty, )*
        }

        impl $crate::pg::TableRow for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];
            const TYPES: &'static [$crate::pg::PgType] =
                &[$(<$ty as $crate::pg::PgValue>::TYPE),*];

            fn encode(
                &self,
                out: &mut $crate::pg::CopyBuffer,
            ) -> Result<(), $crate::pg::RowError> {
                $( out.field(&self.$field)?; )*
                Ok(())
            }

            fn encode_elements(
                &self,
                columns: &mut [$crate::pg::CopyBuffer],
            ) -> Result<(), $crate::pg::RowError> {
                let mut columns = columns.iter_mut();
                $( if let Some(column) = columns.next() { column.element(&self.$field)?; } )*
                Ok(())
            }

            fn decode(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
                Ok(Self { $( $field: $crate::pg::column(row, stringify!($field))?, )* })
            }
        }
    };
}
pub(crate) use table;

/// Rows of one table in COPY's binary format, without the frame around them: several make one COPY.
#[derive(Debug, Default)]
pub struct CopyRows {
    pub(super) bytes: Vec<u8>,
}

impl CopyRows {
    /// Encodes all rows.
    pub fn of<R: TableRow>(rows: &[R]) -> Result<Self, RowError> {
        let mut buffer = CopyBuffer { bytes: Vec::new() };
        buffer.rows(rows)?;
        Ok(Self {
            bytes: buffer.bytes,
        })
    }
}

/// Bytes in Postgres' binary format: a COPY of its own, an array, or a row.
#[derive(Debug)]
pub struct CopyBuffer {
    pub(super) bytes: Vec<u8>,
}

/// Signature, flags and header extension length of a binary COPY.
pub(super) const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What ends a binary COPY: a row of −1 columns.
pub(super) const COPY_TRAILER: [u8; 2] = (-1i16).to_be_bytes();

impl CopyBuffer {
    /// Encodes all rows as a whole COPY.
    pub fn of<R: TableRow>(rows: &[R]) -> Result<Self, RowError> {
        let mut buffer = Self {
            bytes: COPY_HEADER.to_vec(),
        };
        buffer.rows(rows)?;
        buffer.bytes.extend_from_slice(&COPY_TRAILER);
        Ok(buffer)
    }

    fn rows<R: TableRow>(&mut self, rows: &[R]) -> Result<(), RowError> {
        let columns = i16::try_from(R::COLUMNS.len())
            .map_err(|_| RowError::Decode("fewer columns"))?
            .to_be_bytes();
        for row in rows {
            self.bytes.extend_from_slice(&columns);
            row.encode(self)?;
        }
        Ok(())
    }

    /// The head of a one-dimensional array: dimensions, null flag, element type, length, lower bound.
    pub(super) fn array(ty: PgType, length: i32) -> Self {
        let mut bytes = Vec::new();
        for word in [1, 1, ty.oid.cast_signed(), length, 1] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        Self { bytes }
    }

    /// The encoding of one row, without the frame of a COPY.
    pub fn row<R: TableRow>(row: &R) -> Result<Vec<u8>, RowError> {
        let mut buffer = Self { bytes: Vec::new() };
        row.encode(&mut buffer)?;
        Ok(buffer.bytes)
    }

    /// Appends one field: its length and its bytes, or the length −1 for NULL.
    pub fn field<T: PgValue>(&mut self, value: &T) -> Result<(), RowError> {
        self.measured(|bytes| value.write(bytes))
    }

    /// Appends one element of an array, which is framed as a field is.
    pub fn element<T: PgValue>(&mut self, value: &T) -> Result<(), RowError> {
        self.measured(|bytes| value.write_element(bytes))
    }

    fn measured(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, RowError>,
    ) -> Result<(), RowError> {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&(-1i32).to_be_bytes());
        if write(&mut self.bytes)? {
            let length = self.bytes.len() - at - 4;
            let length = i32::try_from(length).map_err(|_| RowError::Decode("a shorter field"))?;
            self.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }
}
