//! The contracts that are not plain tokens: collectibles, a wrapped coin, payments to many, a factory, a
//! proxy. As compiled from `contracts/`.

use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::sol_types::{SolCall, SolConstructor};
use rand::Rng;

use self::generated::{
    Collectible, Erc1967Proxy, Factory, Farewell, GameItems, MultiSender, ProxiedToken, WrappedCoin,
};
use super::envelopes::Call;
use super::sender::stranger;

mod generated {
    use alloy::sol;

    sol!(Collectible, "../contracts/tokens/Collectible.json");
    sol!(GameItems, "../contracts/tokens/GameItems.json");
    sol!(WrappedCoin, "../contracts/tokens/WrappedCoin.json");
    sol!(ProxiedToken, "../contracts/tokens/ProxiedToken.json");
    sol!(MultiSender, "../contracts/calls/MultiSender.json");
    sol!(Factory, "../contracts/calls/Factory.json");
    sol!(Erc1967Proxy, "../contracts/calls/Erc1967Proxy.json");
    sol!(Farewell, "../contracts/calls/Farewell.json");
}

/// Any single call of these contracts but for payments.
const CALL_GAS: u64 = 400_000;
/// Payments to as many as there are at most, each a new account and a new holder.
const PAYMENT_GAS: u64 = 2_000_000;

/// Most recipients of one payment.
const RECIPIENTS: usize = 8;
/// Different ids of ERC-1155 items.
const ITEMS: u64 = 6;

/// What the deployer creates after the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contract {
    Collectible,
    Items,
    Wrapped,
    MultiSender,
    Factory,
    /// The code of [`Self::Proxied`].
    Implementation,
    /// A token behind an ERC-1967 proxy.
    Proxied,
}

impl Contract {
    /// All of them, in the order of the deployer's nonces.
    pub(super) const ALL: [Self; 7] = [
        Self::Collectible,
        Self::Items,
        Self::Wrapped,
        Self::MultiSender,
        Self::Factory,
        Self::Implementation,
        Self::Proxied,
    ];

    /// Its creation code; the proxy needs the address of its implementation.
    pub(super) fn creation(self, implementation: Address) -> Bytes {
        let collectible = Collectible::constructorCall {
            name_: "Tally Stamps".to_owned(),
            symbol_: "STAMP".to_owned(),
        };
        match self {
            Self::Collectible => with_arguments(&Collectible::BYTECODE, &collectible),
            Self::Items => GameItems::BYTECODE.clone(),
            Self::Wrapped => WrappedCoin::BYTECODE.clone(),
            Self::MultiSender => MultiSender::BYTECODE.clone(),
            Self::Factory => Factory::BYTECODE.clone(),
            Self::Implementation => ProxiedToken::BYTECODE.clone(),
            Self::Proxied => {
                let name = ProxiedToken::initializeCall {
                    name_: "Tally Euro".to_owned(),
                    symbol_: "TEUR".to_owned(),
                };
                let arguments = Erc1967Proxy::constructorCall {
                    implementation,
                    data: name.abi_encode().into(),
                };
                with_arguments(&Erc1967Proxy::BYTECODE, &arguments)
            }
        }
    }
}

fn with_arguments(code: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    [&code[..], &arguments.abi_encode()].concat().into()
}

fn call(to: Address, input: &impl SolCall) -> Call {
    Call {
        to: to.into(),
        value: U256::ZERO,
        input: input.abi_encode().into(),
        gas: CALL_GAS,
    }
}

pub(super) fn mint_collectible(contract: Address, to: Address, id: U256) -> Call {
    call(contract, &Collectible::mintCall { to, tokenId: id })
}

pub(super) fn move_collectible(contract: Address, from: Address, to: Address, id: U256) -> Call {
    let input = Collectible::safeTransferFrom_0Call {
        from,
        to,
        tokenId: id,
    };
    call(contract, &input)
}

/// Mints a batch, moves a batch or moves items of one id; moving fails for who has too few.
pub(super) fn items(contract: Address, from: Address, to: Address, random: &mut impl Rng) -> Call {
    let first = random.random_range(0..ITEMS);
    let ids = [first, (first + 1) % ITEMS].map(U256::from).to_vec();
    let id = ids[0];
    let data = Bytes::new();
    match random.random_range(0..4) {
        0 | 1 => {
            let values = vec![U256::from(random.random_range(20..100)); ids.len()];
            call(
                contract,
                &GameItems::mintBatchCall {
                    to: from,
                    ids,
                    values,
                },
            )
        }
        2 => {
            let values = vec![U256::from(random.random_range(1..5)); ids.len()];
            let input = GameItems::safeBatchTransferFromCall {
                from,
                to,
                ids,
                values,
                data,
            };
            call(contract, &input)
        }
        _ => {
            let value = U256::from(random.random_range(1..5));
            let input = GameItems::safeTransferFromCall {
                from,
                to,
                id,
                value,
                data,
            };
            call(contract, &input)
        }
    }
}

/// Wraps coin; or unwraps or moves a part of what may have been wrapped before.
pub(super) fn wrap(contract: Address, to: Address, wei: U256, random: &mut impl Rng) -> Call {
    let wad = wei / U256::from(10);
    match random.random_range(0..4) {
        0 => call(contract, &WrappedCoin::withdrawCall { wad }),
        1 => call(contract, &WrappedCoin::transferCall { dst: to, wad }),
        _ => Call {
            value: wei,
            ..call(contract, &WrappedCoin::depositCall {})
        },
    }
}

/// Pays coin to several; and tokens as well, or each once more in a call that reverts.
pub(super) fn payment(contract: Address, token: Address, wei: U256, random: &mut impl Rng) -> Call {
    let count = random.random_range(2..=RECIPIENTS);
    let recipients: Vec<Address> = (0..count).map(|_| stranger(random)).collect();
    let paid = match random.random_range(0..4) {
        0 => call(contract, &MultiSender::payAndTryCall { recipients }),
        what => {
            let token = if what == 1 { Address::ZERO } else { token };
            let values = vec![wei; recipients.len()];
            let input = MultiSender::payCall {
                recipients,
                token,
                values,
            };
            call(contract, &input)
        }
    };
    Call {
        value: wei,
        gas: PAYMENT_GAS,
        ..paid
    }
}

/// Creates a contract in each of the ways that a factory has.
pub(super) fn factory_creation(
    factory: Address,
    implementation: Address,
    wei: U256,
    random: &mut impl Rng,
) -> Call {
    match random.random_range(0..3) {
        0 => Call {
            value: wei,
            ..call(factory, &Factory::createCall {})
        },
        1 => {
            let salt = B256::from(random.random::<[u8; 32]>());
            call(factory, &Factory::create2Call { salt })
        }
        _ => call(factory, &Factory::cloneCall { implementation }),
    }
}

/// Mints tokens whose code is elsewhere, or moves them to somebody.
pub(super) fn proxied(
    contract: Address,
    from: Address,
    to: Address,
    random: &mut impl Rng,
) -> Call {
    // Six decimals: up to a hundred of them.
    let value = U256::from(random.random_range(1..100_000_000_u64));
    if random.random_bool(0.5) {
        call(contract, &ProxiedToken::mintCall { to: from, value })
    } else {
        let value = value / U256::from(10);
        call(contract, &ProxiedToken::transferCall { to, value })
    }
}

/// Creates a contract that is gone at once, and leaves its coin to an heir.
pub(super) fn farewell(heir: Address, wei: U256) -> Call {
    let arguments = Farewell::constructorCall { heir, atOnce: true };
    Call {
        to: TxKind::Create,
        value: wei,
        input: with_arguments(&Farewell::BYTECODE, &arguments),
        gas: CALL_GAS,
    }
}
