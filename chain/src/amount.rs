//! Exact amounts.

use alloy::primitives::U256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// An amount of the chain's native coin in base units (wei), 0 to 2^256 − 1.
///
/// Serialised as a decimal string: JSON numbers lose digits beyond 2^53 in most readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wei(pub U256);

impl From<u64> for Wei {
    fn from(value: u64) -> Self {
        Self(U256::from(value))
    }
}

impl From<u128> for Wei {
    fn from(value: u128) -> Self {
        Self(U256::from(value))
    }
}

impl fmt::Display for Wei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Wei {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Wei {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        U256::from_str(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_amount_survives_json() {
        let most = Wei(U256::MAX);
        let json = serde_json::to_string(&most).unwrap();
        assert_eq!(json.len(), 80, "78 digits between quotes");
        assert_eq!(serde_json::from_str::<Wei>(&json).unwrap(), most);
    }
}
