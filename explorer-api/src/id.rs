//! What clients call blocks, transactions, wallets and tokens by, read from path segments.

use crate::problem::{Code, Problem, quoted};
use alloy::primitives::{Address, B256, U256};
use chain::{Finality, Wei};
use store::{answer::BlockId, cache::Head, state::Chain};

/// A block that is named by its place in the chain: another one whenever the head moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Latest,
    Safe,
    Finalized,
    Earliest,
}

impl Tag {
    /// The height it stands for now; `None` while there is no such block.
    pub fn height(self, head: &Head, chain: &Chain) -> Option<u64> {
        match self {
            Self::Latest => Some(head.block.number),
            Self::Safe => head.safe,
            Self::Finalized => head.finalized,
            Self::Earliest => Some(chain.start_block),
        }
    }

    /// The problem of a tag without a block.
    pub fn missing(self) -> Problem {
        let name = match self {
            Self::Safe => Finality::Safe,
            _ => Finality::Finalized,
        };
        let name = format!("{name:?}").to_lowercase();
        Problem::new(
            Code::BlockNotFound,
            format!("No block of this chain is {name} yet."),
        )
    }
}

/// Which block is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BlockName {
    /// By number or hash: always the same question.
    Exact(BlockId),
    /// By its place.
    Tag(Tag),
}

/// Reads a block's name.
pub(crate) fn block(text: &str) -> Result<BlockName, Problem> {
    let tag = match text {
        "latest" => Some(Tag::Latest),
        "safe" => Some(Tag::Safe),
        "finalized" => Some(Tag::Finalized),
        "earliest" => Some(Tag::Earliest),
        _ => None,
    };
    if let Some(tag) = tag {
        return Ok(BlockName::Tag(tag));
    }
    let number = digits(text).then(|| text.parse().ok()).flatten();
    let id = number
        .map(BlockId::Number)
        .or_else(|| fixed_hex(text).map(BlockId::Hash));
    id.map(BlockName::Exact).ok_or_else(|| {
        Problem::new(
            Code::MalformedBlockId,
            format!(
                "{} is not a block: accepted are a number in decimal, a hash (0x and 64 hex \
                 digits), latest, safe, finalized and earliest.",
                quoted(text)
            ),
        )
    })
}

/// Reads a transaction hash.
pub(crate) fn hash(text: &str) -> Result<B256, Problem> {
    fixed_hex(text).ok_or_else(|| {
        Problem::new(
            Code::MalformedHash,
            format!(
                "{} is not a transaction hash: accepted are 0x and 64 hex digits.",
                quoted(text)
            ),
        )
    })
}

/// Reads an address in lower or upper case, or in mixed case with its checksum (EIP-55).
pub(crate) fn address(text: &str) -> Result<Address, Problem> {
    let Some(address) = fixed_hex::<20, Address>(text) else {
        return Err(Problem::new(
            Code::MalformedAddress,
            format!(
                "{} is not an address: accepted are 0x and 40 hex digits.",
                quoted(text)
            ),
        ));
    };
    let digits = &text[2..];
    let mixed = digits.bytes().any(|b| b.is_ascii_lowercase())
        && digits.bytes().any(|b| b.is_ascii_uppercase());
    let checksummed = address.to_checksum(None);
    if mixed && text != checksummed {
        return Err(Problem::new(
            Code::WrongChecksum,
            format!(
                "{text} has mixed case and a wrong EIP-55 checksum, so a digit may be mistyped: \
                 accepted are {checksummed} and the same digits in lower case."
            ),
        ));
    }
    Ok(address)
}

/// Reads the id of an ERC-721 or ERC-1155 token.
pub(crate) fn token_id(text: &str) -> Result<Wei, Problem> {
    let id = digits(text).then(|| U256::from_str_radix(text, 10).ok());
    id.flatten().map(Wei).ok_or_else(|| {
        Problem::new(
            Code::MalformedTokenId,
            format!(
                "{} is not a token's id: accepted is a number in decimal below 2^256.",
                quoted(text)
            ),
        )
    })
}

/// Whether a text is a number in decimal.
pub(crate) fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `0x` and exactly `N` bytes in hex.
fn fixed_hex<const N: usize, T: From<[u8; N]>>(text: &str) -> Option<T> {
    let digits = text.strip_prefix("0x")?;
    let mut bytes = [0; N];
    alloy::hex::decode_to_slice(digits.as_bytes(), &mut bytes).ok()?;
    // The decoder skips a second prefix; the length tells.
    (digits.len() == 2 * N).then(|| bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0xAbcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789";
    /// An example of EIP-55.
    const CHECKSUMMED: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

    #[test]
    fn a_block_is_a_number_a_hash_or_a_tag() {
        assert!(matches!(
            block("42"),
            Ok(BlockName::Exact(BlockId::Number(42)))
        ));
        assert!(matches!(
            block("18446744073709551615"),
            Ok(BlockName::Exact(BlockId::Number(u64::MAX)))
        ));
        assert!(matches!(
            block(HASH),
            Ok(BlockName::Exact(BlockId::Hash(_)))
        ));
        assert!(matches!(
            block("finalized"),
            Ok(BlockName::Tag(Tag::Finalized))
        ));
    }

    #[test]
    fn what_is_no_block_is_quoted_with_what_is_accepted() {
        let long = format!("{HASH}00");
        let double = format!("0x0x{}", &HASH[4..]);
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            "0x",
            "0x1f",
            "pending",
            "18446744073709551616",
            &long,
            &double,
        ] {
            let json = block(text).unwrap_err().to_json("r");
            assert!(
                json.contains("malformed_block_id") && json.contains("finalized"),
                "{json}"
            );
        }
    }

    #[test]
    fn an_address_is_read_in_one_case_or_with_its_checksum() {
        let upper = format!("0x{}", CHECKSUMMED[2..].to_uppercase());
        let expected = address(CHECKSUMMED).unwrap();
        assert_eq!(address(&CHECKSUMMED.to_lowercase()).unwrap(), expected);
        assert_eq!(address(&upper).unwrap(), expected);
    }

    #[test]
    fn a_wrong_checksum_is_told_from_a_malformed_address() {
        let wrong = CHECKSUMMED.replace("0x5a", "0x5A");
        let problem = address(&wrong).unwrap_err();
        assert_eq!(problem.code, Code::WrongChecksum);
        assert!(problem.to_json("r").contains(CHECKSUMMED));
        for text in ["", "0x", &CHECKSUMMED[2..], &CHECKSUMMED[..41], HASH] {
            assert_eq!(address(text).unwrap_err().code, Code::MalformedAddress);
        }
    }

    #[test]
    fn a_hash_has_exactly_64_digits() {
        assert!(hash(HASH).is_ok());
        for text in ["", "0x", "1", &HASH[..65], &HASH[2..]] {
            assert_eq!(hash(text).unwrap_err().code, Code::MalformedHash);
        }
    }

    #[test]
    fn a_token_id_is_a_decimal_of_256_bits() {
        let most = U256::MAX.to_string();
        assert_eq!(token_id(&most).unwrap(), Wei(U256::MAX));
        assert_eq!(token_id("007").unwrap(), Wei::from(7_u64));
        for text in ["", "-1", "0x1", "1_000", &format!("{most}0")] {
            assert_eq!(token_id(text).unwrap_err().code, Code::MalformedTokenId);
        }
    }
}
