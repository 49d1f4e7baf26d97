//! Postgres' binary `numeric` for unsigned integers: base-10,000 digits, most significant first.
//!
//! Layout (all i16, big endian): digit count, weight of the first digit, sign (0 = positive), scale,
//! digits. Source: `numeric_send` in PostgreSQL's `numeric.c`.

use crate::pg::RowError;
use alloy::primitives::U256;

/// Four base-10,000 digits fit a u64 division at a time.
const CHUNK: u64 = 10_000_000_000_000_000;
const BASE: u64 = 10_000;

/// Appends the binary form of `value`.
pub(crate) fn encode(value: U256, out: &mut Vec<u8>) {
    // 2^256 has 78 decimal digits: at most 20 digits in base 10,000, least significant first here.
    let mut digits = [0u16; 20];
    let mut count = 0;
    let mut rest = value;
    while !rest.is_zero() {
        let (quotient, chunk) = rest.div_rem(U256::from(CHUNK));
        rest = quotient;
        let mut chunk: u64 = chunk.saturating_to();
        for _ in 0..4 {
            if chunk == 0 && rest.is_zero() {
                break;
            }
            digits[count] = u16::try_from(chunk % BASE).unwrap_or_default();
            chunk /= BASE;
            count += 1;
        }
    }
    // Trailing zero digits are left out: Postgres' own form is the shortest one.
    let trailing = digits[..count].iter().take_while(|d| **d == 0).count();
    let stored = &digits[trailing.min(count)..count];
    let short = |n: usize| u16::try_from(n).unwrap_or_default();
    out.extend_from_slice(&short(stored.len()).to_be_bytes());
    out.extend_from_slice(&short(count.saturating_sub(1)).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0]);
    for digit in stored.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// Reads a non-negative integer back.
pub(crate) fn decode(bytes: &[u8]) -> Result<U256, RowError> {
    let bad = || RowError::Decode("numeric that is not an integer from 0 to 2^256 - 1");
    let mut words = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut word = || words.next().ok_or_else(bad);
    let count = word()?;
    let weight = word()?;
    let (sign, scale) = (word()?, word()?);
    if sign != 0 || scale != 0 {
        return Err(bad());
    }
    if count == 0 {
        return Ok(U256::ZERO);
    }
    let mut value = U256::ZERO;
    for position in 0..=weight {
        let digit = if position < count { word()? } else { 0 };
        value = value
            .checked_mul(U256::from(BASE))
            .and_then(|value| value.checked_add(U256::from(digit)))
            .ok_or_else(bad)?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(value: U256) {
        let mut bytes = Vec::new();
        encode(value, &mut bytes);
        assert_eq!(decode(&bytes).unwrap(), value, "{value}");
    }

    #[test]
    fn every_power_of_ten_and_its_neighbours_survive() {
        let mut power = U256::from(1);
        for _ in 0..78 {
            for value in [power, power - U256::from(1), power + U256::from(1)] {
                round_trip(value);
            }
            power = power.saturating_mul(U256::from(10));
        }
        round_trip(U256::ZERO);
        round_trip(U256::MAX);
    }

    proptest::proptest! {
        #[test]
        fn any_value_survives(limbs: [u64; 4], shift in 0usize..256) {
            round_trip(U256::from_limbs(limbs) >> shift);
        }
    }

    #[test]
    fn fractions_negatives_and_giants_are_refused() {
        for bytes in [
            &[0u8, 1, 0, 0, 0x40, 0, 0, 0, 0, 1][..],
            &[0, 1, 0, 0, 0, 0, 0, 2, 0, 1],
            &[0, 1, 0, 30, 0, 0, 0, 0, 0, 1],
            &[0, 1],
        ] {
            assert!(decode(bytes).is_err());
        }
    }
}
