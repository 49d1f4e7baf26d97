//! The project's own ERC-20, as compiled from `contracts/TallyToken.sol`.

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::{SolCall, SolConstructor};

use self::generated::TallyToken;

mod generated {
    alloy::sol!(TallyToken, "../contracts/TallyToken.json");
}

/// Name and symbol of the tokens that the deployer creates, in the order of its nonces.
pub(super) const TOKENS: [(&str, &str); 3] = [
    ("Tally Dollar", "TUSD"),
    ("Tally Gold", "TGLD"),
    ("Tally Points", "TPTS"),
];

/// A billion tokens of 18 decimals.
pub(super) fn supply() -> U256 {
    U256::from(10).pow(U256::from(27))
}

pub(super) fn creation(name: &str, symbol: &str, holder: Address) -> Bytes {
    let arguments = TallyToken::constructorCall {
        name_: name.to_owned(),
        symbol_: symbol.to_owned(),
        supply: supply(),
        holder,
    };
    [&TallyToken::BYTECODE[..], &arguments.abi_encode()]
        .concat()
        .into()
}

pub(super) fn transfer(to: Address, value: U256) -> Bytes {
    TallyToken::transferCall { to, value }.abi_encode().into()
}

pub(super) fn approve(spender: Address, value: U256) -> Bytes {
    TallyToken::approveCall { spender, value }
        .abi_encode()
        .into()
}

pub(super) fn transfer_from(from: Address, to: Address, value: U256) -> Bytes {
    TallyToken::transferFromCall { from, to, value }
        .abi_encode()
        .into()
}
