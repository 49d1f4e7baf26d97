//! Values of columns: one trait, both directions.

use crate::numeric;
use alloy::primitives::{Address, B64, B256, Bloom, Bytes};
use chain::Wei;
use serde::{Serialize, de::DeserializeOwned};

/// A value that does not fit its column, or a column that does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The database's integers are signed.
    #[error("{0} does not fit a column of the database")]
    OutOfRange(u64),
    /// JSON that could not be written.
    #[error("cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A column's bytes are not of the expected form.
    #[error("expected {0}")]
    Decode(&'static str),
}

impl From<RowError> for sqlx::Error {
    fn from(error: RowError) -> Self {
        Self::Decode(Box::new(error))
    }
}

/// How a column's values travel in an array: the element's type, and how an element becomes a value.
#[derive(Clone, Copy, Debug)]
pub struct PgType {
    /// SQL name of the element's type.
    pub(super) name: &'static str,
    /// Object id of the element's type.
    pub(super) oid: u32,
    /// Object id of its array type.
    pub(super) array_oid: u32,
    /// Function that turns an element into the column's value, where they differ.
    pub(super) convert: &'static str,
}

impl PgType {
    const fn new(name: &'static str, oid: u32, array_oid: u32) -> Self {
        Self {
            name,
            oid,
            array_oid,
            convert: "",
        }
    }
}

// Object ids of built-in types never change (pg_type.dat).
const BOOL: PgType = PgType::new("bool", 16, 1000);
pub(super) const BYTEA: PgType = PgType::new("bytea", 17, 1001);
const TEXT: PgType = PgType::new("text", 25, 1009);
const JSONB: PgType = PgType::new("jsonb", 3802, 3807);
const NUMERIC: PgType = PgType::new("numeric", 1700, 1231);
const TIMESTAMPTZ: PgType = PgType::new("timestamptz", 1184, 1185);

/// A value of a column.
pub trait PgValue: Sized {
    /// Its type.
    const TYPE: PgType;
    /// Appends the form it has as an element of an array; its binary form for most types.
    fn write_element(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        self.write(out)
    }
    /// Appends the binary form; returns false for NULL, which has none.
    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError>;
    /// Reads the binary form; `None` is NULL.
    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError>;
}

fn present(bytes: Option<&[u8]>) -> Result<&[u8], RowError> {
    bytes.ok_or(RowError::Decode("a value, found NULL"))
}

macro_rules! integers {
    ($($int:ty: $ty:expr),*) => { $(
        impl PgValue for $int {
            const TYPE: PgType = $ty;
            fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
                out.extend_from_slice(&self.to_be_bytes());
                Ok(true)
            }
            fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
                let bytes = present(bytes)?.try_into();
                Ok(Self::from_be_bytes(bytes.map_err(|_| RowError::Decode(stringify!($int)))?))
            }
        }
    )* };
}
integers!(
    i16: PgType::new("int2", 21, 1005),
    i32: PgType::new("int4", 23, 1007),
    i64: PgType::new("int8", 20, 1016)
);

/// Unsigned integers go into signed columns of the same or the next width, checked.
macro_rules! unsigned {
    ($($uint:ty => $int:ty),*) => { $(
        impl PgValue for $uint {
            const TYPE: PgType = <$int as PgValue>::TYPE;
            fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
                <$int>::try_from(*self)
                    .map_err(|_| RowError::OutOfRange(u64::from(*self)))?
                    .write(out)
            }
            fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
                Self::try_from(<$int>::read(bytes)?)
                    .map_err(|_| RowError::Decode("an integer that is not negative"))
            }
        }
    )* };
}
unsigned!(u8 => i16, u32 => i32, u64 => i64);

/// Fixed-size byte strings in `bytea` columns.
macro_rules! fixed_bytes {
    ($($ty:ty),*) => { $(
        impl PgValue for $ty {
            const TYPE: PgType = BYTEA;
            fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
                out.extend_from_slice(self.as_slice());
                Ok(true)
            }
            fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
                Self::try_from(present(bytes)?)
                    .map_err(|_| RowError::Decode(concat!("the length of ", stringify!($ty))))
            }
        }
    )* };
}
fixed_bytes!(Address, B256, B64, Bloom);

impl PgValue for bool {
    const TYPE: PgType = BOOL;
    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        out.push(u8::from(*self));
        Ok(true)
    }
    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
        Ok(present(bytes)? == [1])
    }
}

impl PgValue for Bytes {
    const TYPE: PgType = BYTEA;
    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        out.extend_from_slice(self);
        Ok(true)
    }
    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
        Ok(Self::copy_from_slice(present(bytes)?))
    }
}

impl PgValue for String {
    const TYPE: PgType = TEXT;
    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        out.extend_from_slice(self.as_bytes());
        Ok(true)
    }
    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
        Self::from_utf8(present(bytes)?.to_vec()).map_err(|_| RowError::Decode("UTF-8 text"))
    }
}

impl PgValue for Wei {
    const TYPE: PgType = NUMERIC;
    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        numeric::encode(self.0, out);
        Ok(true)
    }
    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
        numeric::decode(present(bytes)?).map(Self)
    }
}

impl<T: PgValue> PgValue for Option<T> {
    const TYPE: PgType = T::TYPE;
    fn write_element(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        match self {
            Some(value) => value.write_element(out),
            None => Ok(false),
        }
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        match self {
            Some(value) => value.write(out),
            None => Ok(false),
        }
    }
    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
        bytes.map(|bytes| T::read(Some(bytes))).transpose()
    }
}

/// A one-dimensional `bytea[]`: dimensions, null flag, element type, length, lower bound, elements.
impl PgValue for Vec<B256> {
    // There are no arrays of arrays: as an element the hashes stand in one string.
    const TYPE: PgType = PgType {
        convert: "split_hashes",
        ..BYTEA
    };
    fn write_element(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        for hash in self {
            out.extend_from_slice(hash.as_slice());
        }
        Ok(true)
    }
    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        const BYTEA_OID: i32 = 17;
        let length = i32::try_from(self.len()).map_err(|_| RowError::Decode("a shorter array"))?;
        let dimensions = i32::from(length > 0);
        for word in [dimensions, 0, BYTEA_OID] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        if dimensions > 0 {
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&1i32.to_be_bytes());
        }
        for element in self {
            out.extend_from_slice(&32i32.to_be_bytes());
            out.extend_from_slice(element.as_slice());
        }
        Ok(true)
    }
    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
        let bytes = present(bytes)?;
        let bad = || RowError::Decode("an array of 32-byte strings");
        if bytes.get(..4).ok_or_else(bad)? == [0; 4] {
            return Ok(Self::new());
        }
        let elements = bytes.get(20..).ok_or_else(bad)?;
        elements
            .chunks(36)
            .map(|element| B256::try_from(element.get(4..).ok_or_else(bad)?).map_err(|_| bad()))
            .collect()
    }
}

/// A `timestamptz` from seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub u64);

/// Seconds from 1970 to 2000, where Postgres' clock begins.
const POSTGRES_EPOCH: i64 = 946_684_800;

impl PgValue for Timestamp {
    const TYPE: PgType = TIMESTAMPTZ;
    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        let micros = i64::try_from(self.0)
            .ok()
            .and_then(|seconds| seconds.checked_sub(POSTGRES_EPOCH)?.checked_mul(1_000_000))
            .ok_or(RowError::OutOfRange(self.0))?;
        micros.write(out)
    }
    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
        let seconds = i64::read(bytes)?.div_euclid(1_000_000) + POSTGRES_EPOCH;
        u64::try_from(seconds)
            .map(Self)
            .map_err(|_| RowError::Decode("a time after 1970"))
    }
}

/// A `jsonb` column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> PgValue for Json<T> {
    const TYPE: PgType = JSONB;
    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        out.push(1); // jsonb's binary form is a version byte and the text
        serde_json::to_writer(out, &self.0)?;
        Ok(true)
    }
    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
        match present(bytes)? {
            [1, text @ ..] => Ok(Self(serde_json::from_slice(text)?)),
            _ => Err(RowError::Decode("jsonb")),
        }
    }
}
