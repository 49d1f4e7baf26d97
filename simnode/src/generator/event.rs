//! Logs in the shapes that token contracts write.

use alloy::primitives::{Address, B256, Bytes, Log, LogData, U256, keccak256};
use alloy::sol_types::SolValue as _;

/// A log with topics and data as they are.
pub(crate) fn log(address: Address, topics: Vec<B256>, data: impl Into<Bytes>) -> Log {
    Log {
        address,
        data: LogData::new_unchecked(topics, data.into()),
    }
}

fn word(amount: U256) -> Vec<u8> {
    amount.to_be_bytes_vec()
}

/// ERC-20 `Transfer(address indexed, address indexed, uint256)`; zero addresses mint and burn.
pub(crate) fn erc20_transfer(token: Address, from: Address, to: Address, amount: U256) -> Log {
    let topic = keccak256("Transfer(address,address,uint256)");
    log(
        token,
        vec![topic, from.into_word(), to.into_word()],
        word(amount),
    )
}

/// ERC-20 `Approval(address indexed, address indexed, uint256)`.
pub(crate) fn erc20_approval(
    token: Address,
    owner: Address,
    spender: Address,
    amount: U256,
) -> Log {
    let topic = keccak256("Approval(address,address,uint256)");
    log(
        token,
        vec![topic, owner.into_word(), spender.into_word()],
        word(amount),
    )
}

/// ERC-721: the topic of ERC-20's transfer, with the token id indexed as a fourth.
pub(crate) fn erc721_transfer(token: Address, from: Address, to: Address, id: U256) -> Log {
    let topic = keccak256("Transfer(address,address,uint256)");
    let topics = vec![topic, from.into_word(), to.into_word(), B256::from(id)];
    log(token, topics, Bytes::new())
}

/// ERC-1155 `TransferSingle(address indexed, address indexed, address indexed, uint256, uint256)`.
pub(crate) fn erc1155_single(token: Address, parties: [Address; 3], id: U256, amount: U256) -> Log {
    let topic = keccak256("TransferSingle(address,address,address,uint256,uint256)");
    let data = [word(id), word(amount)].concat();
    log(token, with_parties(topic, parties), data)
}

/// ERC-1155 `TransferBatch(address indexed, address indexed, address indexed, uint256[], uint256[])`.
pub(crate) fn erc1155_batch(
    token: Address,
    parties: [Address; 3],
    ids: Vec<U256>,
    amounts: Vec<U256>,
) -> Log {
    let topic = keccak256("TransferBatch(address,address,address,uint256[],uint256[])");
    let data = (ids, amounts).abi_encode_params();
    log(token, with_parties(topic, parties), data)
}

/// Operator, from, to.
fn with_parties(topic: B256, parties: [Address; 3]) -> Vec<B256> {
    let mut topics = vec![topic];
    topics.extend(parties.map(|party| party.into_word()));
    topics
}

/// WETH9 `Deposit(address indexed, uint256)`: no transfer log accompanies it.
pub(crate) fn weth_deposit(weth: Address, to: Address, amount: U256) -> Log {
    let topic = keccak256("Deposit(address,uint256)");
    log(weth, vec![topic, to.into_word()], word(amount))
}

/// WETH9 `Withdrawal(address indexed, uint256)`.
pub(crate) fn weth_withdrawal(weth: Address, from: Address, amount: U256) -> Log {
    let topic = keccak256("Withdrawal(address,uint256)");
    log(weth, vec![topic, from.into_word()], word(amount))
}
