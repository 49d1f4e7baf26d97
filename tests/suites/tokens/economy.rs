//! Accounts that do at random what people do with tokens, and what only tests do.

use alloy::{
    network::TransactionBuilder as _,
    primitives::{Address, B256, U256, keccak256},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use std::collections::BTreeMap;
use tallyscan_tests::{
    DevChain,
    contracts::{
        Accounts, Contracts, calling,
        compiled::{
            Bytes32Token, Collectible, Factory, GameItems, LookAlike, LyingToken, MintableToken,
            MultiSender, ProxiedToken, Reverting, WrappedCoin,
        },
        farewell,
    },
};

/// Addresses that only receive.
const STRANGERS: u8 = 12;
/// Ids of ERC-1155 tokens.
const ITEMS: u64 = 7;

/// A dev chain with every contract on it, and what its accounts do.
pub struct Economy {
    pub contracts: Contracts,
    accounts: Accounts,
    random: StdRng,
    /// Whom each ERC-721 id went to last, as far as is known here: after a reorg it may be wrong, and
    /// the next transaction of that id then fails, which is as good a transaction as any.
    owners: BTreeMap<u64, Address>,
}

impl Economy {
    /// Deploys everything and gives everyone a share of everything.
    pub async fn begin(chain: &DevChain, seed: u64) -> Self {
        let mut accounts = Accounts::of(chain).await;
        let contracts = Contracts::deploy(chain, &mut accounts).await;
        let mut economy = Self {
            contracts,
            accounts,
            random: StdRng::seed_from_u64(seed),
            owners: BTreeMap::new(),
        };
        for account in economy.accounts.addresses.clone() {
            economy.equip(chain, account).await;
        }
        chain.mine(1).await;
        economy
    }

    async fn equip(&mut self, chain: &DevChain, account: Address) {
        let Contracts {
            mintable,
            items,
            multi_sender,
            ..
        } = self.contracts;
        let share = MintableToken::mintCall {
            to: account,
            value: U256::from(10).pow(U256::from(24)),
        };
        let approval = MintableToken::approveCall {
            spender: multi_sender,
            value: U256::MAX,
        };
        let ids = (0..ITEMS).map(U256::from).collect();
        let some = GameItems::mintBatchCall {
            to: account,
            ids,
            values: vec![U256::from(1_000); usize::try_from(ITEMS).expect("few")],
        };
        let calls = [
            calling(mintable, &share),
            calling(mintable, &approval),
            calling(items, &some),
        ];
        for call in calls {
            self.accounts.send(chain, account, call).await;
        }
    }

    /// After blocks were taken away: nonces are free again.
    pub async fn was_reorganised(&mut self, chain: &DevChain) {
        self.accounts.read_nonces(chain).await;
    }

    /// Mines blocks of as many transactions each.
    pub async fn grow(&mut self, chain: &DevChain, blocks: u64, transactions: u64) -> B256 {
        for _ in 0..blocks {
            for _ in 0..transactions {
                let from = *self
                    .accounts
                    .addresses
                    .choose(&mut self.random)
                    .expect("accounts");
                let request = self.request(from);
                self.accounts.send(chain, from, request).await;
            }
            chain.mine(1).await;
        }
        chain.head().await
    }

    fn someone(&mut self) -> Address {
        if self.random.random_bool(0.6) {
            *self
                .accounts
                .addresses
                .choose(&mut self.random)
                .expect("accounts")
        } else {
            let stranger = self.random.random_range(0..STRANGERS);
            Address::from_word(keccak256([stranger]))
        }
    }

    /// Rarely a round number, sometimes nothing.
    fn some(&mut self) -> U256 {
        if self.random.random_bool(0.05) {
            return U256::ZERO;
        }
        U256::from(self.random.random_range(1..10_u64.pow(18)))
    }

    fn request(&mut self, from: Address) -> TransactionRequest {
        match self.random.random_range(0..100) {
            0..26 => self.fungible(),
            26..44 => self.collectible(from),
            44..64 => self.items(from),
            64..78 => self.wrapped(),
            78..86 => self.payment(),
            86..90 => self.creation(),
            90..97 => self.odd(),
            _ => DevChain::transfer(self.someone(), self.random.random_range(0..10_u64.pow(16))),
        }
    }

    fn fungible(&mut self) -> TransactionRequest {
        let (to, value) = (self.someone(), self.some());
        let Contracts {
            tally,
            mintable,
            proxied,
            cloned,
            unruly,
            bytes32,
            ..
        } = self.contracts;
        let rest = [proxied, cloned, unruly, bytes32];
        let token = *rest.choose(&mut self.random).expect("tokens");
        match self.random.random_range(0..10) {
            0..4 => calling(mintable, &MintableToken::transferCall { to, value }),
            4 => calling(mintable, &MintableToken::mintCall { to, value }),
            5 => calling(mintable, &MintableToken::burnCall { value }),
            // Only one account has any of it at the start: most of these fail.
            6 => calling(tally, &MintableToken::transferCall { to, value }),
            7 | 8 => calling(token, &ProxiedToken::mintCall { to, value }),
            _ => {
                let value = value / U256::from(50);
                calling(token, &Bytes32Token::transferCall { to, value })
            }
        }
    }

    fn collectible(&mut self, from: Address) -> TransactionRequest {
        let (to, token) = (self.someone(), self.contracts.collectible);
        let owned: Vec<u64> = self
            .owners
            .iter()
            .filter(|(_, owner)| **owner == from)
            .map(|(id, _)| *id)
            .collect();
        let what = self.random.random_range(0..10);
        let Some(id) = owned.choose(&mut self.random).filter(|_| what < 7) else {
            let id = self.random.random_range(0..10_000);
            self.owners.entry(id).or_insert(to);
            let token_id = U256::from(id);
            return calling(
                token,
                &Collectible::mintCall {
                    to,
                    tokenId: token_id,
                },
            );
        };
        let token_id = U256::from(*id);
        if what == 0 {
            self.owners.remove(id);
            return calling(token, &Collectible::burnCall { tokenId: token_id });
        }
        self.owners.insert(*id, to);
        if what < 4 {
            let call = Collectible::transferFromCall {
                from,
                to,
                tokenId: token_id,
            };
            return calling(token, &call);
        }
        let call = Collectible::safeTransferFrom_0Call {
            from,
            to,
            tokenId: token_id,
        };
        calling(token, &call)
    }

    fn items(&mut self, from: Address) -> TransactionRequest {
        let (to, token) = (self.someone(), self.contracts.items);
        let length = self.random.random_range(0..5);
        // The same id may come twice in a batch, and a batch may be empty.
        let ids: Vec<U256> = (0..length)
            .map(|_| U256::from(self.random.random_range(0..ITEMS)))
            .collect();
        let values: Vec<U256> = (0..length)
            .map(|_| U256::from(self.random.random_range(0..6)))
            .collect();
        let id = U256::from(self.random.random_range(0..ITEMS));
        let value = U256::from(self.random.random_range(0..9));
        let data = alloy::primitives::Bytes::new();
        match self.random.random_range(0..8) {
            0 => calling(token, &GameItems::mintCall { to, id, value }),
            1 => calling(token, &GameItems::mintBatchCall { to, ids, values }),
            2 => calling(token, &GameItems::burnCall { id, value }),
            3 => calling(token, &GameItems::burnBatchCall { ids, values }),
            4 | 5 => {
                let call = GameItems::safeTransferFromCall {
                    from,
                    to,
                    id,
                    value,
                    data,
                };
                calling(token, &call)
            }
            _ => {
                let call = GameItems::safeBatchTransferFromCall {
                    from,
                    to,
                    ids,
                    values,
                    data,
                };
                calling(token, &call)
            }
        }
    }

    fn wrapped(&mut self) -> TransactionRequest {
        let (dst, wad) = (self.someone(), self.some());
        let Contracts {
            wrapped, talkative, ..
        } = self.contracts;
        let token = if self.random.random_bool(0.5) {
            wrapped
        } else {
            talkative
        };
        let part = wad / U256::from(3);
        match self.random.random_range(0..6) {
            0..3 => calling(token, &WrappedCoin::depositCall {}).with_value(wad),
            3 => calling(token, &WrappedCoin::withdrawCall { wad: part }),
            _ => calling(token, &WrappedCoin::transferCall { dst, wad: part }),
        }
    }

    fn payment(&mut self) -> TransactionRequest {
        let count = self.random.random_range(1..15);
        let recipients: Vec<Address> = (0..count).map(|_| self.someone()).collect();
        let value = self.some();
        let to = self.contracts.multi_sender;
        match self.random.random_range(0..3) {
            0 => {
                let call = MultiSender::payAndTryCall { recipients };
                calling(to, &call)
                    .with_value(value)
                    .with_gas_limit(3_000_000)
            }
            coin_only => {
                let values = (0..count).map(|_| self.some()).collect();
                let token = if coin_only == 1 {
                    Address::ZERO
                } else {
                    self.contracts.mintable
                };
                let call = MultiSender::payCall {
                    recipients,
                    token,
                    values,
                };
                calling(to, &call)
                    .with_value(value)
                    .with_gas_limit(3_000_000)
            }
        }
    }

    fn creation(&mut self) -> TransactionRequest {
        let Contracts {
            factory,
            implementation,
            ..
        } = self.contracts;
        let value = self.some();
        // Salts come again, and what they create is then there already.
        let salt = B256::with_last_byte(self.random.random());
        let heir = self.someone();
        match self.random.random_range(0..5) {
            0 => calling(factory, &Factory::createCall {}).with_value(value),
            1 => calling(factory, &Factory::create2Call { salt }).with_value(value),
            2 => calling(factory, &Factory::cloneCall { implementation }),
            at_once => TransactionRequest::default()
                .with_deploy_code(farewell(heir, at_once == 3))
                .with_value(value),
        }
    }

    fn odd(&mut self) -> TransactionRequest {
        let victim = self.someone();
        let Contracts {
            look_alike,
            reverting,
            ..
        } = self.contracts;
        let ways: [&[u8]; 5] = [
            &Reverting::withReasonCall::SELECTOR,
            &Reverting::withErrorCall::SELECTOR,
            &Reverting::withoutDataCall::SELECTOR,
            &Reverting::withPanicCall::SELECTOR,
            &Reverting::withInvalidOpcodeCall::SELECTOR,
        ];
        let way = ways.choose(&mut self.random).expect("ways").to_vec();
        match self.random.random_range(0..4) {
            0 => calling(look_alike, &LookAlike::emitAllCall { victim }),
            1 => TransactionRequest::default()
                .with_to(reverting)
                .with_input(way),
            _ => self.lie(),
        }
    }

    fn lie(&mut self) -> TransactionRequest {
        let (from, account, amount) = (self.someone(), self.someone(), self.some());
        let (lying, id, to) = (self.contracts.lying, amount % U256::from(3), account);
        let value = [amount, U256::MAX][usize::from(self.random.random_bool(0.3))];
        match self.random.random_range(0..5) {
            0 => {
                let from = [from, Address::ZERO][usize::from(self.random.random_bool(0.5))];
                calling(lying, &LyingToken::moveFungibleCall { from, to, value })
            }
            1 => calling(lying, &LyingToken::moveUniqueCall { from, to, id }),
            2 => calling(
                lying,
                &LyingToken::moveItemCall {
                    from,
                    to,
                    id,
                    value,
                },
            ),
            both => {
                let withdrawn = [amount, value][usize::from(both == 3)];
                calling(
                    lying,
                    &LyingToken::wrapCall {
                        account,
                        deposited: value,
                        withdrawn,
                    },
                )
            }
        }
    }
}
