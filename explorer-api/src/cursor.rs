//! Cursors: opaque to clients, positions in the chain to us.
//!
//! A cursor names a position and a direction, never a row: after a reorg it goes on from the same
//! position in whatever is canonical then.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;
use store::read::{Direction, Position};

/// Raised when the layout changes, so that an old cursor is refused instead of misread.
const VERSION: u8 = 1;
/// Version, direction, height (8 bytes), position in the block (4 bytes).
const LENGTH: usize = 14;

/// Where a list goes on, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub direction: Direction,
    /// Exclusive.
    pub position: Position,
}

impl Cursor {
    /// Further down the list, after a position.
    pub fn older(position: Position) -> Self {
        Self {
            direction: Direction::Older,
            position,
        }
    }

    /// Back up the list, before a position.
    pub fn newer(position: Position) -> Self {
        Self {
            direction: Direction::Newer,
            position,
        }
    }

    /// Reads a cursor; `None` for anything that [`Cursor::to_string`] did not write.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let bytes: [u8; LENGTH] = bytes.try_into().ok()?;
        let [VERSION, direction, rest @ ..] = bytes else {
            return None;
        };
        let (number, index) = rest.split_at(8);
        Some(Self {
            direction: match direction {
                b'o' => Direction::Older,
                b'n' => Direction::Newer,
                _ => return None,
            },
            position: Position {
                block_number: u64::from_be_bytes(number.try_into().ok()?),
                tx_index: u32::from_be_bytes(index.try_into().ok()?),
            },
        })
    }

    /// A position from which the opposite direction starts with this cursor's own block.
    ///
    /// An empty page has no items to go on from, and cursors are exclusive: going back from the
    /// cursor itself would skip the item that it was made of. `None` below block 0.
    pub fn beyond(self) -> Option<Position> {
        let Position { block_number, .. } = self.position;
        match self.direction {
            Direction::Newer => Some(Position {
                block_number: block_number.saturating_add(1),
                tx_index: 0,
            }),
            Direction::Older => Some(Position {
                block_number: block_number.checked_sub(1)?,
                tx_index: u32::MAX,
            }),
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(&[
            VERSION,
            match self.direction {
                Direction::Older => b'o',
                Direction::Newer => b'n',
            },
        ]);
        bytes.extend_from_slice(&self.position.block_number.to_be_bytes());
        bytes.extend_from_slice(&self.position.tx_index.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(block_number: u64, tx_index: u32) -> Position {
        Position {
            block_number,
            tx_index,
        }
    }

    proptest! {
        #[test]
        fn cursors_read_back_as_they_were_written(number: u64, index: u32, older: bool) {
            let position = at(number, index);
            let cursor = if older { Cursor::older(position) } else { Cursor::newer(position) };
            let text = cursor.to_string();
            prop_assert_eq!(Cursor::parse(&text), Some(cursor));
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
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
    fn another_version_length_or_direction_is_refused() {
        let good = Cursor::older(at(7, 3)).to_string();
        let bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
        for (place, value) in [(0, 2), (1, b'x')] {
            let mut bad = bytes.clone();
            bad[place] = value;
            assert_eq!(Cursor::parse(&URL_SAFE_NO_PAD.encode(bad)), None);
        }
        assert_eq!(Cursor::parse(&URL_SAFE_NO_PAD.encode(&bytes[..13])), None);
        assert_eq!(Cursor::parse(&format!("{good}A")), None);
        assert_eq!(Cursor::parse(""), None);
    }

    #[test]
    fn an_empty_page_leads_back_to_the_cursors_own_block() {
        assert_eq!(Cursor::newer(at(7, 3)).beyond(), Some(at(8, 0)));
        assert_eq!(Cursor::older(at(7, 3)).beyond(), Some(at(6, u32::MAX)));
        assert_eq!(Cursor::older(at(0, 3)).beyond(), None);
    }
}
