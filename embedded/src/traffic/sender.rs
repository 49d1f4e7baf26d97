//! Decides what a transaction of each kind consists of, and keeps count of nonces.

use std::collections::BTreeMap;

use alloy::network::Ethereum;
use alloy::primitives::{Address, Bytes, TxKind, U256, keccak256};
use alloy::providers::{Provider, RootProvider};
use alloy::signers::local::PrivateKeySigner;
use alloy::transports::{RpcError, TransportErrorKind};
use rand::Rng;

use super::envelopes::Call;
use super::kinds::Kind;
use super::{accounts, token};

/// A plain transfer with a little call data or an access list.
const TRANSFER_GAS: u64 = 60_000;
const TOKEN_GAS: u64 = 120_000;
/// Enough for the call to begin, too little to write a balance.
const TOO_LITTLE_GAS: u64 = 27_000;
const CREATION_GAS: u64 = 1_500_000;

/// Recipients that never send: wallets that only a few transactions touch.
const STRANGERS: u64 = 200;

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
        })
    }

    /// What is known about the chain may be wrong: it is asked again before the next transaction.
    pub(super) fn forget(&mut self) {
        if let Some(known) = &mut self.known {
            known.nonces.clear();
        }
    }

    /// Reads what there is to know, and creates the tokens where they are missing.
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
            self.create_tokens().await?;
        }
        Ok(())
    }

    /// The deployer's nonce tells how many of them exist: it has sent nothing else.
    async fn create_tokens(&mut self) -> Result<(), Error> {
        let first = self.senders[0].clone();
        let deployer = self.deployer.clone();
        let done = usize::try_from(self.nonce(deployer.address()).await?).unwrap_or(usize::MAX);
        for (index, (name, symbol)) in token::TOKENS.into_iter().enumerate().skip(done) {
            let input = token::creation(name, symbol, first.address());
            let call = Call {
                to: TxKind::Create,
                value: U256::ZERO,
                input,
                gas: CREATION_GAS,
            };
            self.submit_dynamic(&deployer, call).await?;
            // Everyone gets a share, so that everyone can send.
            let share = token::supply() / U256::from(self.senders.len());
            for recipient in 1..self.senders.len() {
                let input = token::transfer(self.senders[recipient].address(), share);
                let to = self.token(index).into();
                let call = Call {
                    to,
                    value: U256::ZERO,
                    input,
                    gas: TOKEN_GAS,
                };
                self.submit_dynamic(&first, call).await?;
            }
        }
        Ok(())
    }

    fn token(&self, index: usize) -> Address {
        self.deployer
            .address()
            .create(u64::try_from(index).unwrap_or_default())
    }

    /// Sends one transaction of the kind.
    pub(super) async fn send(&mut self, kind: Kind, random: &mut impl Rng) -> Result<(), Error> {
        let from = self.senders[random.random_range(0..self.senders.len())].clone();
        let other = self.senders[random.random_range(0..self.senders.len())].address();
        let recipient = if random.random_bool(0.5) {
            other
        } else {
            stranger(random)
        };
        let token = self.token(random.random_range(0..token::TOKENS.len()));
        // Up to a hundred of them, rarely a round number.
        let tokens =
            U256::from(random.random_range(10_u64.pow(15)..10_u64.pow(18))) * U256::from(100);
        let wei = U256::from(random.random_range(1_u64..10_u64.pow(16)));
        let transfer = Call {
            to: recipient.into(),
            value: wei,
            input: Bytes::new(),
            gas: TRANSFER_GAS,
        };
        let call = |input, gas| Call {
            to: token.into(),
            value: U256::ZERO,
            input,
            gas,
        };
        let call = match kind {
            Kind::LegacyTransfer => return self.submit_legacy(&from, transfer).await,
            Kind::AccessListTransfer => {
                return self.submit_access_list(&from, transfer, token).await;
            }
            Kind::Delegation => return self.submit_delegation(&from, token, random).await,
            Kind::OutOfGas => {
                let starved = call(token::transfer(recipient, tokens), TOO_LITTLE_GAS);
                return self.submit_legacy(&from, starved).await;
            }
            Kind::Transfer => transfer,
            Kind::Message => {
                let input = Bytes::from_static(b"counted by Tallyscan");
                Call {
                    value: U256::ZERO,
                    input,
                    ..transfer
                }
            }
            Kind::Creation => {
                let input = token::creation("Tally Souvenir", "TSVR", from.address());
                Call {
                    to: TxKind::Create,
                    ..call(input, CREATION_GAS)
                }
            }
            Kind::TokenTransfer => call(token::transfer(recipient, tokens), TOKEN_GAS),
            Kind::TokenApproval => call(token::approve(other, tokens * U256::from(3)), TOKEN_GAS),
            Kind::TokenTransferFrom => {
                call(token::transfer_from(other, recipient, tokens), TOKEN_GAS)
            }
            Kind::Revert => call(
                token::transfer(recipient, token::supply() + tokens),
                TOKEN_GAS,
            ),
        };
        self.submit_dynamic(&from, call).await
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

fn stranger(random: &mut impl Rng) -> Address {
    let number: u64 = random.random_range(0..STRANGERS);
    Address::from_word(keccak256(number.to_be_bytes()))
}
