//! Keys that the whole world may know.

use alloy::consensus::crypto::secp256k1::sign_message;
use alloy::primitives::{Address, B256, Signature, keccak256};
use alloy::signers::local::PrivateKeySigner;

/// An account that signs.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) secret: B256,
    pub(crate) address: Address,
}

impl Account {
    /// The n-th account of a purpose: the same in every run.
    pub(crate) fn numbered(purpose: &str, n: usize) -> Self {
        let secret = keccak256(format!("tallyscan simnode: {purpose} {n}"));
        let signer = PrivateKeySigner::from_bytes(&secret)
            .unwrap_or_else(|error| unreachable!("a hash is a key but once in 2^128: {error}"));
        Self {
            secret,
            address: signer.address(),
        }
    }

    /// Signs a hash; the nonce is that of RFC 6979, so the same hash gets the same signature.
    pub(crate) fn sign(&self, hash: B256) -> Signature {
        sign_message(self.secret, hash)
            .unwrap_or_else(|error| unreachable!("the key was accepted before: {error}"))
    }
}
