//! Token transfers in logs.
//!
//! In: the logs of one transaction, proven. Out: the transfers that they tell of, in their order. Only
//! logs of exactly the standard's shape count: the right number of topics, data of the right length,
//! clean addresses. Anything else with a familiar first topic is a log and no transfer.

use alloy::{
    primitives::{Address, Log, U256},
    sol,
    sol_types::SolEvent,
};

/// Events of the standards, apart since two of them share a signature.
mod events {
    pub(super) mod erc20 {
        super::super::sol! {
            /// EIP-20.
            event Transfer(address indexed from, address indexed to, uint256 value);
        }
    }
    pub(super) mod erc721 {
        super::super::sol! {
            /// EIP-721.
            event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
        }
    }
    pub(super) mod erc1155 {
        super::super::sol! {
            /// EIP-1155.
            event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);
            /// EIP-1155.
            event TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values);
        }
    }
    pub(super) mod wrapped {
        super::super::sol! {
            /// WETH9: native coin became as many tokens.
            event Deposit(address indexed dst, uint256 wad);
            /// WETH9: tokens became native coin again.
            event Withdrawal(address indexed src, uint256 wad);
        }
    }
}
use events::{erc20, erc721, erc1155, wrapped};

/// The standard that a transfer follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferKind {
    /// Fungible (EIP-20).
    Erc20,
    /// One token of its own (EIP-721).
    Erc721,
    /// Any number of one id (EIP-1155).
    Erc1155,
    /// Native coin that was wrapped.
    Deposit,
    /// Native coin that was unwrapped.
    Withdrawal,
}

impl TransferKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Erc20,
        Self::Erc721,
        Self::Erc1155,
        Self::Deposit,
        Self::Withdrawal,
    ];

    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Erc20 => 1,
            Self::Erc721 => 2,
            Self::Erc1155 => 3,
            Self::Deposit => 4,
            Self::Withdrawal => 5,
        }
    }

    /// Its name in answers and parameters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Erc20 => "erc20",
            Self::Erc721 => "erc721",
            Self::Erc1155 => "erc1155",
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
        }
    }

    /// The kind with a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// A token transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTransfer {
    /// Position of its log among those of the transaction.
    pub log: usize,
    /// Position within a batch; 0 for all others.
    pub position: u32,
    /// Its standard.
    pub kind: TransferKind,
    /// The contract.
    pub token: Address,
    /// The zero address for mints and deposits.
    pub from: Address,
    /// The zero address for burns and withdrawals.
    pub to: Address,
    /// Which token; `None` for fungible ones.
    pub token_id: Option<U256>,
    /// Base units; 1 for ERC-721.
    pub amount: U256,
}

/// The transfers that the logs of a transaction tell of.
///
/// A contract that says `Deposit` and `Transfer` from the zero address for one and the same mint minted
/// once: the deposit is then left out, and so is a withdrawal that is also a burn.
#[must_use]
pub fn token_transfers(logs: &[Log]) -> Vec<TokenTransfer> {
    let mut transfers = Vec::new();
    for (position, log) in logs.iter().enumerate() {
        decode(position, log, &mut transfers);
    }
    let wraps = |kind| matches!(kind, TransferKind::Deposit | TransferKind::Withdrawal);
    if transfers.iter().any(|transfer| wraps(transfer.kind)) {
        leave_out_doubles(&mut transfers);
    }
    transfers
}

/// Drops each deposit and withdrawal that a transfer from or to the zero address tells of as well.
fn leave_out_doubles(transfers: &mut Vec<TokenTransfer>) {
    let mut told: Vec<_> = transfers
        .iter()
        .filter(|transfer| transfer.kind == TransferKind::Erc20)
        .filter(|transfer| transfer.from.is_zero() || transfer.to.is_zero())
        .map(movement)
        .collect();
    transfers.retain(|transfer| {
        if transfer.kind != TransferKind::Deposit && transfer.kind != TransferKind::Withdrawal {
            return true;
        }
        let double = told.iter().position(|told| *told == movement(transfer));
        double.map(|double| told.swap_remove(double)).is_none()
    });
}

fn movement(transfer: &TokenTransfer) -> (Address, Address, Address, U256) {
    let TokenTransfer {
        token,
        from,
        to,
        amount,
        ..
    } = transfer;
    (*token, *from, *to, *amount)
}

fn decode(position: usize, log: &Log, transfers: &mut Vec<TokenTransfer>) {
    let Some(signature) = log.topics().first() else {
        return;
    };
    let mut push = |item: u32, kind, (from, to), token_id, amount| {
        transfers.push(TokenTransfer {
            log: position,
            position: item,
            kind,
            token: log.address,
            from,
            to,
            token_id,
            amount,
        });
    };
    match (*signature, log.topics().len()) {
        (erc20::Transfer::SIGNATURE_HASH, 3) => {
            if let Some(event) = exact::<erc20::Transfer>(log) {
                push(
                    0,
                    TransferKind::Erc20,
                    (event.from, event.to),
                    None,
                    event.value,
                );
            }
        }
        (erc721::Transfer::SIGNATURE_HASH, 4) => {
            if let Some(event) = exact::<erc721::Transfer>(log) {
                let (parties, id) = ((event.from, event.to), Some(event.tokenId));
                push(0, TransferKind::Erc721, parties, id, U256::ONE);
            }
        }
        (erc1155::TransferSingle::SIGNATURE_HASH, _) => {
            if let Some(event) = exact::<erc1155::TransferSingle>(log) {
                let (parties, id) = ((event.from, event.to), Some(event.id));
                push(0, TransferKind::Erc1155, parties, id, event.value);
            }
        }
        (erc1155::TransferBatch::SIGNATURE_HASH, _) => {
            let event = exact::<erc1155::TransferBatch>(log);
            if let Some(event) = event.filter(|event| event.ids.len() == event.values.len()) {
                let parties = (event.from, event.to);
                for (item, (id, value)) in (0..).zip(event.ids.into_iter().zip(event.values)) {
                    push(item, TransferKind::Erc1155, parties, Some(id), value);
                }
            }
        }
        (wrapped::Deposit::SIGNATURE_HASH, _) => {
            if let Some(event) = exact::<wrapped::Deposit>(log) {
                push(
                    0,
                    TransferKind::Deposit,
                    (Address::ZERO, event.dst),
                    None,
                    event.wad,
                );
            }
        }
        (wrapped::Withdrawal::SIGNATURE_HASH, _) => {
            if let Some(event) = exact::<wrapped::Withdrawal>(log) {
                push(
                    0,
                    TransferKind::Withdrawal,
                    (event.src, Address::ZERO),
                    None,
                    event.wad,
                );
            }
        }
        _ => {}
    }
}

/// The event that a log is, if encoding it again gives the very same log.
fn exact<E: SolEvent>(log: &Log) -> Option<E> {
    let event = E::decode_raw_log_validate(log.topics().iter().copied(), &log.data.data).ok()?;
    (event.encode_log_data() == log.data).then_some(event)
}

#[cfg(test)]
mod tests;
