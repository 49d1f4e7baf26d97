//! Cursors: opaque to clients, places in a list to us.
//!
//! A cursor names a key and a direction, never a row: after a reorg it goes on from the same place in
//! whatever is canonical then. It says which list it is of, and another one refuses it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;
use store::read::Start;

/// Raised when the layout changes, so that an old cursor is refused instead of misread.
const VERSION: u8 = 2;

/// Where a list goes on, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor(pub Start);

impl Cursor {
    /// Reads a cursor; `None` for anything that [`Cursor::to_string`] did not write.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        match bytes.split_first()? {
            (&VERSION, start) => Start::decode(start).map(Self),
            _ => None,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend(self.0.encode());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{Address, U256, U512};
    use chain::Wei;
    use proptest::prelude::*;
    use store::read::{
        BalanceHeight, BlockNumber, Direction, HeldInstance, HeldToken, HolderRank, InstanceId,
        Key, Position, Quantity, TokenRank, TracePosition, TransferPosition,
    };

    /// One key of every list.
    fn keys(number: u64, index: u32, bytes: [u8; 32]) -> Vec<Key> {
        let token = Address::from_slice(&bytes[..20]);
        let token_id = Wei(U256::from_be_bytes(bytes));
        vec![
            BlockNumber {
                block_number: number,
            }
            .into(),
            Position {
                block_number: number,
                tx_index: index,
            }
            .into(),
            TransferPosition {
                block_number: number,
                log_index: index,
                position: index / 2,
            }
            .into(),
            TracePosition {
                block_number: number,
                tx_index: index,
                trace_index: index / 2,
            }
            .into(),
            BalanceHeight {
                block_number: number,
            }
            .into(),
            HolderRank {
                balance: Quantity(U512::from(token_id.0) << (number % 200)),
                holder: token,
            }
            .into(),
            TokenRank {
                holder_count: number,
                token,
            }
            .into(),
            HeldToken { token }.into(),
            HeldInstance { token, token_id }.into(),
            InstanceId { token_id }.into(),
        ]
    }

    proptest! {
        #[test]
        fn cursors_of_every_list_read_back_as_they_were_written(
            number: u64, index: u32, bytes: [u8; 32], older: bool, inclusive: bool
        ) {
            let direction = if older { Direction::Older } else { Direction::Newer };
            for key in keys(number, index, bytes) {
                let cursor = Cursor(Start { direction, key, inclusive });
                let text = cursor.to_string();
                prop_assert_eq!(Cursor::parse(&text), Some(cursor));
                let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                prop_assert!(text.bytes().all(plain));
            }
        }

        #[test]
        fn what_parses_is_what_would_be_written(text in "[A-Za-z0-9_=-]{0,24}") {
            if let Some(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }

        #[test]
        fn garbage_never_panics(text: String) {
            let _ = Cursor::parse(&text);
        }
    }

    #[test]
    fn another_version_length_direction_or_list_is_refused() {
        for key in keys(7, 3, [1; 32]) {
            let good = Cursor(Start::after(Direction::Older, key)).to_string();
            let bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
            for (place, value) in [(0, 1), (1, b'x'), (2, b'?')] {
                let mut bad = bytes.clone();
                bad[place] = value;
                assert_eq!(Cursor::parse(&URL_SAFE_NO_PAD.encode(bad)), None);
            }
            let short = &bytes[..bytes.len() - 1];
            assert_eq!(Cursor::parse(&URL_SAFE_NO_PAD.encode(short)), None);
            assert_eq!(Cursor::parse(&format!("{good}AAAA")), None);
        }
        assert_eq!(Cursor::parse(""), None);
    }
}
