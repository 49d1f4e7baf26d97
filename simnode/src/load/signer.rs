//! Signatures at the price of two multiplications.
//!
//! An ECDSA signature is `r = x(k·G)`, `s = k⁻¹ · (hash + r · secret)`; the point `k·G` is what makes it
//! slow. Here the points come from a pool that is computed once, so nonces repeat: whoever looks can
//! compute the keys. They hold nothing. The signatures are as valid, and as costly to check, as any.

use alloy::primitives::{B256, Signature, U256, keccak256, uint};
use alloy::signers::local::PrivateKeySigner;

/// The order of the curve (SEC 2, secp256k1).
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

/// Points to sign with: enough for `r` to look like the spread-out column that it is.
const POINTS: usize = 1_024;

struct Point {
    inverse: U256,
    r: U256,
    odd: bool,
}

/// The pool of points.
pub(super) struct Signer {
    points: Vec<Point>,
}

impl Signer {
    pub(super) fn new() -> Self {
        let points = (0..POINTS).map(|n| {
            let k = keccak256(format!("tallyscan simnode: nonce {n}"));
            let signer = PrivateKeySigner::from_bytes(&k)
                .unwrap_or_else(|error| unreachable!("a hash is a key but once in 2^128: {error}"));
            let point = signer.public_key();
            let inverse = U256::from_be_bytes(k.0).inv_mod(ORDER);
            Point {
                inverse: inverse.unwrap_or_else(|| unreachable!("the order is prime")),
                r: U256::from_be_slice(&point[..32]) % ORDER,
                odd: point[63] & 1 == 1,
            }
        });
        Self {
            points: points.collect(),
        }
    }

    /// Signs a hash with the point that `draw` picks.
    pub(super) fn sign(&self, secret: B256, hash: B256, draw: u64) -> Signature {
        let point = self.point(draw);
        let scaled = point.r.mul_mod(U256::from_be_bytes(secret.0), ORDER);
        let sum = scaled.add_mod(U256::from_be_bytes(hash.0), ORDER);
        let s = sum.mul_mod(point.inverse, ORDER);
        // The lower of the two (EIP-2); the other belongs to the mirrored point.
        if s > ORDER >> 1 {
            Signature::new(point.r, ORDER - s, !point.odd)
        } else {
            Signature::new(point.r, s, point.odd)
        }
    }

    /// The `r` of every signature with this draw.
    pub(super) fn r(&self, draw: u64) -> U256 {
        self.point(draw).r
    }

    fn point(&self, draw: u64) -> &Point {
        let at = usize::try_from(draw).unwrap_or(0) % self.points.len();
        &self.points[at]
    }
}
