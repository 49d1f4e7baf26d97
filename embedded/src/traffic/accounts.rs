//! The accounts that send.

use alloy::primitives::{B256, b256};
use alloy::signers::k256::ecdsa;
use alloy::signers::local::PrivateKeySigner;

/// Keys 0 to 4 of the mnemonic "test test test test test test test test test test test junk", which
/// anvil funds and prints at every start. Known to everyone, worth nothing anywhere.
const SENDERS: [B256; 5] = [
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
];

/// Key 5: deploys the contracts and does nothing else, so that their addresses are the same on every
/// chain and after every reorg.
const DEPLOYER: B256 = b256!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba");

pub(super) fn senders() -> Result<Vec<PrivateKeySigner>, ecdsa::Error> {
    SENDERS.iter().map(PrivateKeySigner::from_bytes).collect()
}

pub(super) fn deployer() -> Result<PrivateKeySigner, ecdsa::Error> {
    PrivateKeySigner::from_bytes(&DEPLOYER)
}
