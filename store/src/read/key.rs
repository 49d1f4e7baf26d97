//! Keys of lists: what each is ordered by.

use super::{bind_height, bind_index};
use alloy::primitives::{Address, U256, U512};
use chain::Wei;
use sqlx::{Postgres, QueryBuilder};

/// What a list is ordered by: a place in it, whether there is an item or not.
pub trait ListKey: Copy + Into<Key> + TryFrom<Key> + Send + Sync {
    /// The columns that it stands for, most significant first.
    const COLUMNS: &'static [&'static str];
    /// Appends its values, separated by commas.
    fn push(&self, query: &mut QueryBuilder<Postgres>);
}

/// A key that begins with a height.
pub trait BlockKey: ListKey {
    /// The height.
    fn block_number(&self) -> u64;
    /// A key that no item of the block is below.
    fn first_of(block_number: u64) -> Self;
    /// A key that no item of the block is above.
    fn last_of(block_number: u64) -> Self;
}

/// A value within a key, of a fixed width.
trait Field: Copy {
    fn write(self, out: &mut Vec<u8>);
    /// Takes it from the front.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
    fn push(self, query: &mut QueryBuilder<Postgres>);
}

/// An amount that is a sum of others, so that 256 bits may be too few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub U512);

macro_rules! fields {
    ($($type:ty: $write:expr, $read:expr, $push:expr;)*) => { $(
        impl Field for $type {
            fn write(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&$write(self));
            }
            fn read(bytes: &mut &[u8]) -> Option<Self> {
                let (front, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some($read(*front))
            }
            fn push(self, query: &mut QueryBuilder<Postgres>) {
                $push(self, query);
            }
        }
    )* };
}

/// A number of the database's `numeric`: as text, since the driver has no type as wide.
fn push_numeric(value: &impl ToString, query: &mut QueryBuilder<Postgres>) {
    query.push("(");
    query.push_bind(value.to_string());
    query.push("::text)::numeric");
}

fields! {
    u64: u64::to_be_bytes, u64::from_be_bytes,
        |value, query: &mut QueryBuilder<Postgres>| { query.push_bind(bind_height(value)); };
    u32: u32::to_be_bytes, u32::from_be_bytes,
        |value, query: &mut QueryBuilder<Postgres>| { query.push_bind(bind_index(value)); };
    Address: |value: Address| value.into_array(), Address::new,
        |value: Address, query: &mut QueryBuilder<Postgres>| { query.push_bind(value.to_vec()); };
    Wei: |value: Wei| value.0.to_be_bytes::<32>(), |bytes| Wei(U256::from_be_bytes::<32>(bytes)),
        |value, query| push_numeric(&value, query);
    Quantity: |value: Quantity| value.0.to_be_bytes::<64>(),
        |bytes| Quantity(U512::from_be_bytes::<64>(bytes)),
        |value: Quantity, query| push_numeric(&value.0, query);
}

macro_rules! keys {
    ($($(#[$doc:meta])* $tag:literal $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl ListKey for $name {
                const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];
                fn push(&self, query: &mut QueryBuilder<Postgres>) {
                    let mut comma = "";
                    $(
                        query.push(comma);
                        self.$field.push(query);
                        comma = ", ";
                    )*
                    let _ = comma;
                }
            }

            impl From<$name> for Key {
                fn from(key: $name) -> Self {
                    Self::$name(key)
                }
            }

            impl TryFrom<Key> for $name {
                type Error = WrongKey;
                fn try_from(key: Key) -> Result<Self, WrongKey> {
                    match key {
                        Key::$name(key) => Ok(key),
                        _ => Err(WrongKey),
                    }
                }
            }
        )*

        /// The key of any list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Key {
            $($(#[$doc])* $name($name),)*
        }

        impl Key {
            pub(super) fn write(self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(key) => {
                        out.push($tag);
                        $(key.$field.write(out);)*
                    })*
                }
            }

            pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
                let (tag, rest) = bytes.split_first()?;
                *bytes = rest;
                match *tag {
                    $($tag => Some(Self::$name($name { $($field: Field::read(bytes)?,)* })),)*
                    _ => None,
                }
            }
        }
    };
}

/// The key is of another list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKey;

keys! {
    /// A block.
    b'b' BlockNumber {
        /// Height.
        block_number: u64,
    }
    /// A transaction.
    b't' Position {
        /// Height.
        block_number: u64,
        /// Position in the block.
        tx_index: u32,
    }
    /// A token transfer.
    b'l' TransferPosition {
        /// Height.
        block_number: u64,
        /// Position of the log in the block.
        log_index: u32,
        /// Position within a batch.
        position: u32,
    }
    /// A call within a transaction.
    b'i' TracePosition {
        /// Height.
        block_number: u64,
        /// Position of the transaction in the block.
        tx_index: u32,
        /// Position in the order of execution.
        trace_index: u32,
    }
    /// A native balance after a block.
    b'n' BalanceHeight {
        /// Height.
        block_number: u64,
    }
    /// A holder among those of a token.
    b'h' HolderRank {
        /// Base units.
        balance: Quantity,
        /// The holder.
        holder: Address,
    }
    /// A token among all of them.
    b'r' TokenRank {
        /// How many hold it.
        holder_count: u64,
        /// The token.
        token: Address,
    }
    /// A token of a holder.
    b'o' HeldToken {
        /// The token.
        token: Address,
    }
    /// An ERC-721 or ERC-1155 id of a holder.
    b'f' HeldInstance {
        /// The token.
        token: Address,
        /// The id.
        token_id: Wei,
    }
    /// An id of a token.
    b'd' InstanceId {
        /// The id.
        token_id: Wei,
    }
}

macro_rules! block_keys {
    ($($name:ident { $($field:ident),* })*) => { $(
        impl BlockKey for $name {
            fn block_number(&self) -> u64 {
                self.block_number
            }
            fn first_of(block_number: u64) -> Self {
                Self { block_number, $($field: 0),* }
            }
            fn last_of(block_number: u64) -> Self {
                Self { block_number, $($field: u32::MAX),* }
            }
        }
    )* };
}
block_keys! {
    BlockNumber {}
    Position { tx_index }
    TransferPosition { log_index, position }
    TracePosition { tx_index, trace_index }
    BalanceHeight {}
}
