//! How a chain becomes final, and what that says about one block.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How a chain tells which of its blocks can no longer be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalityProfile {
    /// The node answers the `safe` and `finalized` block tags (proof of stake, anvil).
    Tags,
    /// A block is final when it is made (QBFT, IBFT 2.0: a quorum signs every block).
    Instant,
    /// A block is final when this many blocks stand on it (proof of work, Clique).
    Depth(u64),
}

impl FinalityProfile {
    /// The `(safe, finalized)` heights for a head, where the profile alone decides.
    ///
    /// `None` for [`FinalityProfile::Tags`]: only the node knows.
    #[must_use]
    pub fn heights(self, head: u64) -> Option<(u64, u64)> {
        match self {
            Self::Tags => None,
            Self::Instant => Some((head, head)),
            Self::Depth(depth) => {
                let finalized = head.saturating_sub(depth);
                Some((finalized, finalized))
            }
        }
    }
}

impl fmt::Display for FinalityProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tags => f.write_str("tags"),
            Self::Instant => f.write_str("instant"),
            Self::Depth(depth) => write!(f, "depth:{depth}"),
        }
    }
}

/// A finality profile that is none of the accepted spellings.
#[derive(Debug, thiserror::Error)]
#[error("finality profile {0:?} is unknown: accepted are tags, instant and depth:N with N ≥ 1")]
pub struct ParseFinalityProfileError(String);

impl FromStr for FinalityProfile {
    type Err = ParseFinalityProfileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseFinalityProfileError(text.to_owned());
        match text {
            "tags" => Ok(Self::Tags),
            "instant" => Ok(Self::Instant),
            _ => {
                let depth = text.strip_prefix("depth:").ok_or_else(bad)?;
                match depth.parse() {
                    Ok(depth) if depth > 0 => Ok(Self::Depth(depth)),
                    _ => Err(bad()),
                }
            }
        }
    }
}

/// How final a block is, computed when answering and never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finality {
    /// Part of the canonical chain, and a reorg may still drop it.
    Latest,
    /// Unlikely to be dropped (the node's `safe` tag).
    Safe,
    /// Can no longer be dropped.
    Finalized,
    /// Was dropped by a reorg.
    Orphaned,
}

impl Finality {
    /// The finality of a canonical block at `number`.
    #[must_use]
    pub fn of(number: u64, safe: Option<u64>, finalized: Option<u64>) -> Self {
        if finalized.is_some_and(|height| number <= height) {
            Self::Finalized
        } else if safe.is_some_and(|height| number <= height) {
            Self::Safe
        } else {
            Self::Latest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_read_back_as_they_are_written() {
        for text in ["tags", "instant", "depth:12"] {
            assert_eq!(text.parse::<FinalityProfile>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bad_profile_is_named_with_what_is_accepted() {
        for text in ["", "depth", "depth:0", "depth:-1", "finalised"] {
            let error = text.parse::<FinalityProfile>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("depth:N"), "{error}");
        }
    }

    #[test]
    fn finality_follows_the_two_heights() {
        assert_eq!(Finality::of(5, Some(7), Some(5)), Finality::Finalized);
        assert_eq!(Finality::of(6, Some(7), Some(5)), Finality::Safe);
        assert_eq!(Finality::of(8, Some(7), Some(5)), Finality::Latest);
        assert_eq!(Finality::of(0, None, None), Finality::Latest);
    }
}
