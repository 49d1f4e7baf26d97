//! Decides what a transaction of each kind consists of, and keeps count of nonces.

use std::collections::BTreeMap;

use alloy::network::Ethereum;
use alloy::primitives::{Address, Bytes, TxKind, U256, keccak256};
use alloy::providers::{Provider, RootProvider};
use alloy::signers::local::PrivateKeySigner;
use alloy::transports::{RpcError, TransportErrorKind};
use rand::Rng;

use super::contracts::{self, Contract};
use super::envelopes::Call;
use super::kinds::Kind;
use super::{accounts, token};

/// A plain transfer with a little call data or an access list.
const TRANSFER_GAS: u64 = 60_000;
const TOKEN_GAS: u64 = 120_000;
/// Enough for the call to begin, too little to write a balance.
const TOO_LITTLE_GAS: u64 = 27_000;
const CREATION_GAS: u64 = 3_000_000;

/// Recipients that never send: wallets that only a few transactions touch.
const STRANGERS: u64 = 200;

/// ERC-721 tokens that are kept in mind to be moved.
const COLLECTIBLES: usize = 64;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0} is not a URL")]
    Url(String),
    #[error("cannot sign: {0}")]
    Sign(#[from] alloy::signers::Error),
    #[error("not a key: {0}")]
    Key(#[from] alloy::signers::k256::ecdsa::Error),
    #[error(transparent)]
    Rpc(#[from] RpcError<TransportErrorKind>),
}

#[derive(Debug)]
pub(super) struct Sender {
    node: RootProvider<Ethereum>,
    senders: Vec<PrivateKeySigner>,
    deployer: PrivateKeySigner,
    /// The chain as last asked; None: to be asked again.
    known: Option<Known>,
    /// ERC-721 tokens that accounts which send have, as far as is known.
    collectibles: Vec<(U256, usize)>,
}

#[derive(Debug)]
struct Known {
    chain_id: u64,
    /// Reorgs stay above it: the node has no state older than its own start.
    floor: u64,
    nonces: BTreeMap<Address, u64>,
}

impl Sender {
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        let url = url.parse().map_err(|_| Error::Url(url.to_owned()))?;
        Ok(Self {
            node: RootProvider::new_http(url),
            senders: accounts::senders()?,
            deployer: accounts::deployer()?,
            known: None,
            collectibles: Vec::new(),
        })
    }

    /// What is known about the chain may be wrong: it is asked again before the next transaction.
    pub(super) fn forget(&mut self) {
        if let Some(known) = &mut self.known {
            known.nonces.clear();
        }
        self.collectibles.clear();
    }

    /// Reads what there is to know, and creates the contracts where they are missing.
    pub(super) async fn prepare(&mut self) -> Result<(), Error> {
        if self.known.is_none() {
            let chain_id = self.node.get_chain_id().await?;
            let floor = self.node.get_block_number().await?;
            self.known = Some(Known {
                chain_id,
                floor,
                nonces: BTreeMap::new(),
            });
        }
        if self
            .known
            .as_ref()
            .is_some_and(|known| known.nonces.is_empty())
        {
            self.create_contracts().await?;
        }
        Ok(())
    }

    /// The deployer's nonce tells how many of them exist: it has sent nothing else.
    async fn create_contracts(&mut self) -> Result<(), Error> {
        let deployer = self.deployer.clone();
        let holder = self.senders[0].address();
        let tokens = token::TOKENS.map(|(name, symbol)| token::creation(name, symbol, holder));
        let implementation = self.contract(Contract::Implementation);
        let contracts = Contract::ALL.map(|contract| contract.creation(implementation));
        let done = usize::try_from(self.nonce(deployer.address()).await?).unwrap_or(usize::MAX);
        let all = tokens.into_iter().chain(contracts);
        for (index, input) in all.enumerate().skip(done) {
            self.submit_dynamic(&deployer, creation(input)).await?;
            if index < token::TOKENS.len() {
                self.share_out(self.token(index)).await?;
            } else if Contract::ALL[index - token::TOKENS.len()] == Contract::MultiSender {
                self.approve_payments().await?;
            }
        }
        Ok(())
    }

    /// Everyone gets a share of a token, so that everyone can send.
    async fn share_out(&mut self, token: Address) -> Result<(), Error> {
        let first = self.senders[0].clone();
        let share = token::supply() / U256::from(self.senders.len());
        for recipient in 1..self.senders.len() {
            let input = token::transfer(self.senders[recipient].address(), share);
            let call = token_call(token, input, TOKEN_GAS);
            self.submit_dynamic(&first, call).await?;
        }
        Ok(())
    }

    /// Everyone lets the contract that pays many pay with the first token.
    async fn approve_payments(&mut self) -> Result<(), Error> {
        let spender = self.contract(Contract::MultiSender);
        for from in self.senders.clone() {
            let input = token::approve(spender, U256::MAX);
            let call = token_call(self.token(0), input, TOKEN_GAS);
            self.submit_dynamic(&from, call).await?;
        }
        Ok(())
    }

    /// They come after the tokens.
    fn contract(&self, contract: Contract) -> Address {
        let position = Contract::ALL.iter().position(|one| *one == contract);
        self.token(token::TOKENS.len() + position.unwrap_or_default())
    }

    fn token(&self, index: usize) -> Address {
        self.deployer
            .address()
            .create(u64::try_from(index).unwrap_or_default())
    }

    /// Sends one transaction of the kind.
    pub(super) async fn send(&mut self, kind: Kind, random: &mut impl Rng) -> Result<(), Error> {
        if kind == Kind::Collectible {
            let (from, call) = self.collectible(random);
            return self.submit_dynamic(&from, call).await;
        }
        let from = self.senders[random.random_range(0..self.senders.len())].clone();
        let token = self.token(random.random_range(0..token::TOKENS.len()));
        let call = self.call(kind, from.address(), token, random);
        match kind {
            Kind::LegacyTransfer | Kind::OutOfGas => self.submit_legacy(&from, call).await,
            Kind::AccessListTransfer => self.submit_access_list(&from, call, token).await,
            Kind::Delegation => self.submit_delegation(&from, token, random).await,
            _ => self.submit_dynamic(&from, call).await,
        }
    }

    /// What a transaction of the kind does; plain transfers where only the envelope is special.
    fn call(&self, kind: Kind, from: Address, token: Address, random: &mut impl Rng) -> Call {
        let other = self.senders[random.random_range(0..self.senders.len())].address();
        let recipient = if random.random_bool(0.5) {
            other
        } else {
            stranger(random)
        };
        // Up to a hundred of them, rarely a round number.
        let tokens =
            U256::from(random.random_range(10_u64.pow(15)..10_u64.pow(18))) * U256::from(100);
        let wei = U256::from(random.random_range(1_u64..10_u64.pow(16)));
        let transfer = |input| Call {
            to: recipient.into(),
            value: wei,
            input,
            gas: TRANSFER_GAS,
        };
        let call = |input| token_call(token, input, TOKEN_GAS);
        match kind {
            Kind::LegacyTransfer
            | Kind::AccessListTransfer
            | Kind::Transfer
            | Kind::Delegation
            | Kind::Collectible => transfer(Bytes::new()),
            Kind::Message => Call {
                value: U256::ZERO,
                ..transfer(Bytes::from_static(b"counted by Tallyscan"))
            },
            Kind::Creation => creation(token::creation("Tally Souvenir", "TSVR", from)),
            Kind::TokenTransfer => call(token::transfer(recipient, tokens)),
            Kind::TokenApproval => call(token::approve(other, tokens * U256::from(3))),
            Kind::TokenTransferFrom => call(token::transfer_from(other, recipient, tokens)),
            Kind::Revert => call(token::transfer(recipient, token::supply() + tokens)),
            Kind::OutOfGas => Call {
                gas: TOO_LITTLE_GAS,
                ..call(token::transfer(recipient, tokens))
            },
            Kind::Items => {
                contracts::items(self.contract(Contract::Items), from, recipient, random)
            }
            Kind::Wrapping => {
                contracts::wrap(self.contract(Contract::Wrapped), recipient, wei, random)
            }
            Kind::Payment => {
                let payer = self.contract(Contract::MultiSender);
                contracts::payment(payer, self.token(0), wei, random)
            }
            Kind::ProxiedToken => {
                contracts::proxied(self.contract(Contract::Proxied), from, recipient, random)
            }
            Kind::FactoryCreation => {
                let implementation = self.contract(Contract::Implementation);
                let factory = self.contract(Contract::Factory);
                contracts::factory_creation(factory, implementation, wei, random)
            }
            Kind::SelfDestruct => contracts::farewell(recipient, wei),
        }
    }

    /// Mints an ERC-721 token, or has its owner move one of those that are known.
    fn collectible(&mut self, random: &mut impl Rng) -> (PrivateKeySigner, Call) {
        let contract = self.contract(Contract::Collectible);
        let to = random.random_range(0..self.senders.len());
        let recipient = self.senders[to].address();
        let known = self.collectibles.len();
        if known == 0 || (known < COLLECTIBLES && random.random_bool(0.4)) {
            let id = U256::from(random.random::<u32>());
            self.collectibles.push((id, to));
            let minter = self.senders[random.random_range(0..self.senders.len())].clone();
            return (minter, contracts::mint_collectible(contract, recipient, id));
        }
        let position = random.random_range(0..known);
        let (id, owner) = self.collectibles[position];
        let owner = self.senders[owner].clone();
        let recipient = if random.random_bool(0.8) {
            self.collectibles[position].1 = to;
            recipient
        } else {
            // Strangers never send.
            self.collectibles.swap_remove(position);
            stranger(random)
        };
        let call = contracts::move_collectible(contract, owner.address(), recipient, id);
        (owner, call)
    }

    /// Replaces the newest blocks by as many empty ones; what they held is gone. Returns the depth,
    /// or None when the chain is not high enough above where we found it.
    pub(super) async fn reorg(&mut self, depth: u64) -> Result<Option<u64>, Error> {
        let head = self.node.get_block_number().await?;
        let Some(known) = &self.known else {
            return Ok(None);
        };
        let depth = depth.min(head.saturating_sub(known.floor));
        if depth == 0 {
            return Ok(None);
        }
        let nothing: [(); 0] = [];
        let _: serde_json::Value = self
            .node
            .raw_request("anvil_reorg".into(), (depth, nothing))
            .await?;
        // What still waits for a block counts on nonces that are free again, and would only get in the
        // way of the transactions that take them now.
        let _: serde_json::Value = self
            .node
            .raw_request("anvil_dropAllTransactions".into(), ())
            .await?;
        self.forget();
        Ok(Some(depth))
    }

    pub(super) fn node(&self) -> &RootProvider<Ethereum> {
        &self.node
    }

    /// The account's next transaction takes the next nonce.
    pub(super) fn count(&mut self, account: Address) {
        if let Some(known) = &mut self.known {
            *known.nonces.entry(account).or_default() += 1;
        }
    }

    /// Chain id and nonce of the account's next transaction.
    pub(super) async fn position(&mut self, from: &PrivateKeySigner) -> Result<(u64, u64), Error> {
        let nonce = self.nonce(from.address()).await?;
        Ok((self.known.as_ref().map_or(0, |known| known.chain_id), nonce))
    }

    /// The next nonce, counting transactions that wait for their block.
    async fn nonce(&mut self, account: Address) -> Result<u64, Error> {
        if let Some(nonce) = self
            .known
            .as_ref()
            .and_then(|known| known.nonces.get(&account))
        {
            return Ok(*nonce);
        }
        let nonce = self.node.get_transaction_count(account).pending().await?;
        if let Some(known) = &mut self.known {
            known.nonces.insert(account, nonce);
        }
        Ok(nonce)
    }
}

fn creation(code: Bytes) -> Call {
    Call {
        to: TxKind::Create,
        value: U256::ZERO,
        input: code,
        gas: CREATION_GAS,
    }
}

fn token_call(token: Address, input: Bytes, gas: u64) -> Call {
    Call {
        to: token.into(),
        value: U256::ZERO,
        input,
        gas,
    }
}

pub(super) fn stranger(random: &mut impl Rng) -> Address {
    let number: u64 = random.random_range(0..STRANGERS);
    Address::from_word(keccak256(number.to_be_bytes()))
}
