//! Whole numbers below zero, too, in `numeric` columns.

use super::value::{PgType, PgValue, RowError};
use crate::numeric;
use alloy::primitives::U256;
use chain::Wei;

/// Where the sign stands in the binary form (`numeric_send` in PostgreSQL's `numeric.c`).
const SIGN: std::ops::Range<usize> = 4..6;

/// `NUMERIC_NEG` there.
const NEGATIVE: [u8; 2] = [0x40, 0];

/// An integer from −(2^256 − 1) to 2^256 − 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signed {
    negative: bool,
    magnitude: U256,
}

impl Signed {
    /// What is left of one number after another is taken from it.
    #[must_use]
    pub fn difference(of: U256, less: U256) -> Self {
        Self {
            negative: of < less,
            magnitude: of.abs_diff(less),
        }
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.magnitude.is_zero()
    }
}

impl PgValue for Signed {
    const TYPE: PgType = Wei::TYPE;

    fn write(&self, out: &mut Vec<u8>) -> Result<bool, RowError> {
        let at = out.len();
        numeric::encode(self.magnitude, out);
        if self.negative {
            out[at..][SIGN].copy_from_slice(&NEGATIVE);
        }
        Ok(true)
    }

    fn read(bytes: Option<&[u8]>) -> Result<Self, RowError> {
        let mut bytes = bytes.ok_or(RowError::Decode("a number"))?.to_vec();
        let sign = bytes
            .get_mut(SIGN)
            .ok_or(RowError::Decode("a whole number"))?;
        let negative = sign == NEGATIVE;
        if negative {
            sign.fill(0);
        }
        Ok(Self {
            negative,
            magnitude: numeric::decode(&bytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_zero_survive() {
        let numbers = [U256::ZERO, U256::from(1), U256::from(20_000), U256::MAX];
        for of in numbers {
            for less in numbers {
                let number = Signed::difference(of, less);
                let mut bytes = Vec::new();
                number.write(&mut bytes).unwrap();
                assert_eq!(Signed::read(Some(&bytes)).unwrap(), number);
                assert_eq!(number.is_zero(), of == less);
            }
        }
        let below = Signed::difference(U256::from(1), U256::from(3));
        assert_ne!(below, Signed::difference(U256::from(3), U256::from(1)));
    }
}
