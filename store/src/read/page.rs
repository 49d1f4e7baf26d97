//! Pages of lists: where one goes on, and what it leads to.

use super::{Key, ListKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Which way a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Further down the list; where the newest come first, to what is older.
    Older,
    /// Back up.
    Newer,
}

impl Direction {
    fn opposite(self) -> Self {
        match self {
            Self::Older => Self::Newer,
            Self::Newer => Self::Older,
        }
    }
}

/// Where a list goes on, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start<K = Key> {
    /// Which way.
    pub direction: Direction,
    /// From where.
    pub key: K,
    /// Whether an item with this very key is part of what follows.
    pub inclusive: bool,
}

impl<K> Start<K> {
    /// Beyond a key.
    pub const fn after(direction: Direction, key: K) -> Self {
        Self {
            direction,
            key,
            inclusive: false,
        }
    }

    /// Everything that is not on this side of the key.
    #[must_use]
    pub fn turned(self) -> Self {
        Self {
            direction: self.direction.opposite(),
            key: self.key,
            inclusive: !self.inclusive,
        }
    }
}

impl<K: ListKey> Start<K> {
    /// The same with a key of any list.
    #[must_use]
    pub fn erased(self) -> Start {
        Start {
            direction: self.direction,
            key: self.key.into(),
            inclusive: self.inclusive,
        }
    }
}

impl Start {
    /// The same for one list; none when it is of another.
    #[must_use]
    pub fn of<K: ListKey>(self) -> Option<Start<K>> {
        Some(Start {
            direction: self.direction,
            key: K::try_from(self.key).ok()?,
            inclusive: self.inclusive,
        })
    }

    /// Its binary form: a letter for the direction (a capital one when inclusive), a letter for the
    /// list, the key's values with the most significant byte first.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        let letter = match self.direction {
            Direction::Older => b'o',
            Direction::Newer => b'n',
        };
        let mut bytes = vec![if self.inclusive {
            letter.to_ascii_uppercase()
        } else {
            letter
        }];
        self.key.write(&mut bytes);
        bytes
    }

    /// Reads it back; `None` for anything that [`Start::encode`] did not write.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (letter, mut rest) = bytes.split_first()?;
        let direction = match letter.to_ascii_lowercase() {
            b'o' => Direction::Older,
            b'n' => Direction::Newer,
            _ => return None,
        };
        let key = Key::read(&mut rest)?;
        rest.is_empty().then_some(Self {
            direction,
            key,
            inclusive: letter.is_ascii_uppercase(),
        })
    }
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&alloy::hex::encode(self.encode()))
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = alloy::hex::decode(text).map_err(D::Error::custom)?;
        Self::decode(&bytes).ok_or_else(|| D::Error::custom("not a place in a list"))
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page<K> {
    /// Where to go on; none for the list's top.
    pub from: Option<Start<K>>,
    /// Most items.
    pub limit: u32,
}

impl<K> Page<K> {
    /// The top of the list.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { from: None, limit }
    }

    /// Which way it goes.
    pub(super) fn direction(&self) -> Direction {
        self.from
            .as_ref()
            .map_or(Direction::Older, |from| from.direction)
    }
}

/// Part of a list, in its order.
#[derive(Clone, Debug)]
pub struct Slice<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where more follow; none at the end.
    pub older: Option<Start>,
    /// Where more come before; none at the top.
    pub newer: Option<Start>,
}

impl<T> Slice<T> {
    /// From items in the order in which they were read, away from the page's start. `on` is where
    /// more are beyond them.
    pub(super) fn new<K: ListKey>(
        mut items: Vec<T>,
        page: Page<K>,
        on: Option<K>,
        key: impl Fn(&T) -> K,
    ) -> Self {
        let direction = page.direction();
        let on = on.map(|key| Start::after(direction, key).erased());
        let back = page.from.map(|from| {
            let first = items.first().map(key);
            let back = match first {
                Some(first) => Start::after(direction.opposite(), first),
                None => from.turned(),
            };
            back.erased()
        });
        match direction {
            Direction::Older => Self {
                items,
                older: on,
                newer: back,
            },
            Direction::Newer => {
                items.reverse();
                Self {
                    items,
                    older: back,
                    newer: on,
                }
            }
        }
    }

    /// The same part with other items in place of these.
    pub fn with<U>(self, items: Vec<U>) -> Slice<U> {
        Slice {
            items,
            older: self.older,
            newer: self.newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::HeldToken, *};
    use alloy::primitives::Address;

    fn key(n: u8) -> HeldToken {
        HeldToken {
            token: Address::repeat_byte(n),
        }
    }

    fn slice(from: Option<Start<HeldToken>>, items: &[u8], on: Option<u8>) -> Slice<u8> {
        let page = Page { from, limit: 9 };
        Slice::new(items.to_vec(), page, on.map(key), |n| key(*n))
    }

    fn after(direction: Direction, n: u8) -> Start {
        Start::after(direction, key(n)).erased()
    }

    #[test]
    fn a_page_leads_on_from_its_last_item_and_back_from_its_first() {
        let first = slice(None, &[1, 2], Some(2));
        assert_eq!(
            (first.older, first.newer),
            (Some(after(Direction::Older, 2)), None)
        );
        let from = Start::after(Direction::Older, key(2));
        let last = slice(Some(from), &[3, 4], None);
        assert_eq!(
            (last.older, last.newer),
            (None, Some(after(Direction::Newer, 3)))
        );
        let from = Start::after(Direction::Newer, key(3));
        let back = slice(Some(from), &[2, 1], None);
        assert_eq!(back.items, [1, 2]);
        assert_eq!(
            (back.older, back.newer),
            (Some(after(Direction::Older, 2)), None)
        );
    }

    #[test]
    fn an_empty_page_leads_back_to_the_very_item_it_began_beyond() {
        let from = Start::after(Direction::Older, key(2));
        let empty = slice(Some(from), &[], None);
        assert_eq!(empty.older, None);
        let back = empty.newer.unwrap();
        assert_eq!((back.direction, back.inclusive), (Direction::Newer, true));
        assert_eq!(back, from.turned().erased());
        assert_eq!(from.turned().turned(), from);
    }

    #[test]
    fn a_page_that_looked_at_enough_goes_on_from_where_it_stopped() {
        let short = slice(None, &[], Some(7));
        assert_eq!(short.older, Some(after(Direction::Older, 7)));
        assert_eq!(short.newer, None);
    }

    #[test]
    fn a_start_of_one_list_is_none_of_another() {
        let start = Start::after(Direction::Older, key(2)).erased();
        assert!(start.of::<HeldToken>().is_some());
        assert!(start.of::<super::super::Position>().is_none());
    }
}
