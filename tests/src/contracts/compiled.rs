//! The contracts of `contracts/`, as compiled: constructors, functions and creation code.
//!
//! Everything here is generated from the artifacts.

#![allow(
    missing_docs,
    clippy::pedantic,
    reason = "generated from what the compiler wrote"
)]

use alloy::sol;

sol!(TallyToken, "../contracts/TallyToken.json");
sol!(MintableToken, "../contracts/tokens/MintableToken.json");
sol!(Collectible, "../contracts/tokens/Collectible.json");
sol!(GameItems, "../contracts/tokens/GameItems.json");
sol!(WrappedCoin, "../contracts/tokens/WrappedCoin.json");
sol!(
    TalkativeWrappedCoin,
    "../contracts/tokens/TalkativeWrappedCoin.json"
);
sol!(ProxiedToken, "../contracts/tokens/ProxiedToken.json");
sol!(UnrulyNameToken, "../contracts/tokens/UnrulyNameToken.json");
sol!(Bytes32Token, "../contracts/tokens/Bytes32Token.json");
sol!(LyingToken, "../contracts/tokens/LyingToken.json");
sol!(LookAlike, "../contracts/tokens/LookAlike.json");
sol!(MultiSender, "../contracts/calls/MultiSender.json");
sol!(Factory, "../contracts/calls/Factory.json");
sol!(Erc1967Proxy, "../contracts/calls/Erc1967Proxy.json");
sol!(Reverting, "../contracts/calls/Reverting.json");
sol!(Farewell, "../contracts/calls/Farewell.json");
