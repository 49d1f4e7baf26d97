//! What blocks add to the counters, put together in memory while their rows are at hand.
//!
//! In: the rows of proven blocks, in any order. Out: the same rows as the queries of `delta_*.sql` make of
//! the tables, in the order of their keys. Pure. History that was just written is counted from these; the
//! queries stay for what was written by a process that is gone.

mod rows;

pub use rows::SortedDeltas;

use crate::{
    pg::Signed,
    rows::{ActivityRow, Role, TokenTransferRow},
};
use alloy::primitives::{Address, U256, map::HashMap};
use chain::{TransferKind, Wei};
use rows::{AddressDelta, BalanceDelta, InstanceDelta, NftDelta, TokenDelta};
use std::hash::Hash;

/// A sum is beyond 256 bits, which only columns hold: a hostile token. The tables are asked instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// What some blocks and others add together.
///
/// # Errors
/// When a sum has more than 256 bits.
pub fn sum(
    some: Result<Deltas, Overflow>,
    others: Result<Deltas, Overflow>,
) -> Result<Deltas, Overflow> {
    let mut deltas = some?;
    deltas.absorb(others?)?;
    Ok(deltas)
}

/// What a balance gains and loses.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    gained: U256,
    lost: U256,
}

impl Flow {
    fn add(&mut self, other: Self) -> Result<(), Overflow> {
        self.gained = self.gained.checked_add(other.gained).ok_or(Overflow)?;
        self.lost = self.lost.checked_add(other.lost).ok_or(Overflow)?;
        Ok(())
    }

    fn delta(self) -> Signed {
        Signed::difference(self.gained, self.lost)
    }
}

/// Six counts of an address: transactions, sent, received, created by, transfers, emitted.
type Counts = [u64; 6];

/// Transfers of a token by kind, or of an instance in the first place; what is gained is minted.
type Moves = ([u64; 4], Flow);

/// What some blocks add.
#[derive(Clone, Debug, Default)]
pub struct Deltas {
    addresses: HashMap<(Address, u64), Counts>,
    balances: HashMap<(Address, Address), Flow>,
    tokens: HashMap<Address, Moves>,
    nfts: HashMap<(Address, U256, Address), Flow>,
    instances: HashMap<(Address, U256), Moves>,
}

impl Deltas {
    /// What the rows of some blocks add, in buckets of so many blocks.
    ///
    /// # Errors
    /// When a sum has more than 256 bits.
    pub fn of(
        activity: &[ActivityRow],
        transfers: &[TokenTransferRow],
        bucket_blocks: u64,
    ) -> Result<Self, Overflow> {
        let mut deltas = Self::default();
        let bucket = |height: u64| height / bucket_blocks.max(1);
        for row in activity {
            let was = |role: Role| u64::from(row.roles & role.bit() > 0);
            let counts = [
                1,
                was(Role::Sender),
                was(Role::Recipient),
                was(Role::Created),
                0,
                0,
            ];
            deltas.count(row.address, bucket(row.block_number), counts);
        }
        for row in transfers {
            deltas.add_transfer(row, bucket(row.block_number))?;
        }
        Ok(deltas)
    }

    /// How many counters change, the few of tokens left out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len() + self.balances.len() + self.nfts.len() + self.instances.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds what other blocks add; after an error what is there is good for nothing.
    fn absorb(&mut self, other: Self) -> Result<(), Overflow> {
        for (key, counts) in other.addresses {
            add_counts(self.addresses.entry(key).or_default(), counts);
        }
        add_flows(&mut self.balances, other.balances)?;
        add_flows(&mut self.nfts, other.nfts)?;
        add_moves(&mut self.tokens, other.tokens)?;
        add_moves(&mut self.instances, other.instances)
    }

    fn count(&mut self, address: Address, bucket: u64, counts: Counts) {
        add_counts(self.addresses.entry((address, bucket)).or_default(), counts);
    }

    fn add_transfer(&mut self, row: &TokenTransferRow, bucket: u64) -> Result<(), Overflow> {
        let (from, to) = (row.from_address, row.to_address);
        self.count(from, bucket, [0, 0, 0, 0, 1, 0]);
        if to != from {
            self.count(to, bucket, [0, 0, 0, 0, 1, 0]);
        }
        self.count(row.token, bucket, [0, 0, 0, 0, 0, 1]);
        let amount = row.amount.0;
        let gain = Flow {
            gained: amount,
            lost: U256::ZERO,
        };
        let loss = Flow {
            gained: U256::ZERO,
            lost: amount,
        };
        for (holder, flow) in [(to, gain), (from, loss)] {
            if holder.is_zero() {
                continue;
            }
            self.balances
                .entry((holder, row.token))
                .or_default()
                .add(flow)?;
            if let Some(id) = row.token_id {
                let nft = self.nfts.entry((row.token, id.0, holder));
                nft.or_default().add(flow)?;
            }
        }
        let nothing = U256::ZERO;
        let supply = Flow {
            gained: if from.is_zero() { amount } else { nothing },
            lost: if to.is_zero() { amount } else { nothing },
        };
        let kinds = [
            TransferKind::Erc20,
            TransferKind::Erc721,
            TransferKind::Erc1155,
        ];
        let kind = kinds.iter().position(|kind| kind.number() == row.kind);
        let mut counts = [0; 4];
        counts[kind.unwrap_or(3)] = 1;
        add_move(self.tokens.entry(row.token).or_default(), (counts, supply))?;
        if let Some(id) = row.token_id {
            let instance = self.instances.entry((row.token, id.0));
            add_move(instance.or_default(), ([1, 0, 0, 0], supply))?;
        }
        Ok(())
    }

    /// The rows, in the order of their keys; balances that come out as they were are left out.
    #[must_use]
    pub fn sorted(self) -> SortedDeltas {
        let addresses = by_key(self.addresses);
        let balances = by_key(self.balances);
        let tokens = by_key(self.tokens);
        let nfts = by_key(self.nfts);
        let instances = by_key(self.instances);
        SortedDeltas {
            addresses: addresses
                .map(|((address, bucket), counts)| {
                    let [
                        tx_count,
                        sent_count,
                        received_count,
                        created_count,
                        moved,
                        emitted,
                    ] = counts;
                    AddressDelta {
                        address,
                        bucket,
                        tx_count,
                        sent_count,
                        received_count,
                        created_count,
                        transfer_count: moved,
                        emitted_count: emitted,
                    }
                })
                .collect(),
            balances: balances
                .map(|((holder, token), flow)| BalanceDelta {
                    holder,
                    token,
                    delta: flow.delta(),
                })
                .filter(|row| !row.delta.is_zero())
                .collect(),
            tokens: tokens
                .map(|(token, (counts, supply))| {
                    let [erc20_count, erc721_count, erc1155_count, wrap_count] = counts;
                    TokenDelta {
                        token,
                        erc20_count,
                        erc721_count,
                        erc1155_count,
                        wrap_count,
                        minted: Wei(supply.gained),
                        burnt: Wei(supply.lost),
                    }
                })
                .collect(),
            nfts: nfts
                .map(|((token, id, holder), flow)| NftDelta {
                    token,
                    token_id: Wei(id),
                    holder,
                    delta: flow.delta(),
                })
                .filter(|row| !row.delta.is_zero())
                .collect(),
            instances: instances
                .map(|((token, id), (counts, supply))| InstanceDelta {
                    token,
                    token_id: Wei(id),
                    transfer_count: counts[0],
                    minted: Wei(supply.gained),
                    burnt: Wei(supply.lost),
                })
                .collect(),
        }
    }
}

fn by_key<K: Ord + Copy, V>(map: HashMap<K, V>) -> impl Iterator<Item = (K, V)> {
    let mut entries: Vec<(K, V)> = map.into_iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries.into_iter()
}

fn add_counts(to: &mut Counts, more: Counts) {
    for (count, more) in to.iter_mut().zip(more) {
        *count += more;
    }
}

fn add_move(to: &mut Moves, (counts, supply): Moves) -> Result<(), Overflow> {
    for (count, more) in to.0.iter_mut().zip(counts) {
        *count += more;
    }
    to.1.add(supply)
}

fn add_flows<K: Eq + Hash>(
    to: &mut HashMap<K, Flow>,
    more: HashMap<K, Flow>,
) -> Result<(), Overflow> {
    more.into_iter()
        .try_for_each(|(key, flow)| to.entry(key).or_default().add(flow))
}

fn add_moves<K: Eq + Hash>(
    to: &mut HashMap<K, Moves>,
    more: HashMap<K, Moves>,
) -> Result<(), Overflow> {
    more.into_iter()
        .try_for_each(|(key, moves)| add_move(to.entry(key).or_default(), moves))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(amount: U256) -> [TokenTransferRow; 1] {
        [TokenTransferRow {
            block_number: 1,
            log_index: 0,
            tx_index: 0,
            position: 0,
            kind: TransferKind::Erc20.number(),
            token: Address::repeat_byte(1),
            from_address: Address::repeat_byte(2),
            to_address: Address::repeat_byte(3),
            token_id: None,
            amount: Wei(amount),
        }]
    }

    #[test]
    fn a_sum_of_more_than_256_bits_is_refused_and_the_largest_one_is_not() {
        let of = |amount| Deltas::of(&[], &transfer(amount), 10);
        let most = sum(of(U256::MAX - U256::from(1)), of(U256::from(1)));
        let balances = most.clone().expect("it fits").sorted().balances;
        let deltas: Vec<Signed> = balances.iter().map(|row| row.delta).collect();
        let most_of_all = Signed::difference(U256::MAX, U256::ZERO);
        let least = Signed::difference(U256::ZERO, U256::MAX);
        assert_eq!(deltas, [least, most_of_all]);
        assert_eq!(sum(most, of(U256::from(1))).err(), Some(Overflow));
    }
}
