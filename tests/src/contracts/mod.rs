//! Real contracts on a dev chain, and several accounts that call them.

pub mod compiled;

use crate::DevChain;
use alloy::{
    network::TransactionBuilder as _,
    primitives::{Address, B256, Bytes, U256},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolConstructor},
};
use compiled::{
    Bytes32Token, Collectible, Erc1967Proxy, Factory, Farewell, GameItems, LookAlike, LyingToken,
    MintableToken, MultiSender, ProxiedToken, Reverting, TalkativeWrappedCoin, TallyToken,
    UnrulyNameToken, WrappedCoin,
};
use serde_json::json;
use std::collections::BTreeMap;

/// Enough for every call of these contracts and little enough for dozens of them in a block.
const CALL_GAS: u64 = 1_000_000;
/// The largest contract here takes 1.5 million.
const CREATION_GAS: u64 = 3_000_000;

/// The dev chain's funded accounts. The node signs for them; nonces are counted here, so that any
/// number of their transactions can wait for one block, in the order of sending.
pub struct Accounts {
    /// Their addresses.
    pub addresses: Vec<Address>,
    nonces: BTreeMap<Address, u64>,
}

impl Accounts {
    /// All accounts that the node signs for.
    pub async fn of(chain: &DevChain) -> Self {
        let addresses = chain.ask("eth_accounts", json!([])).await;
        let mut accounts = Self {
            addresses: serde_json::from_value(addresses).expect("addresses"),
            nonces: BTreeMap::new(),
        };
        accounts.read_nonces(chain).await;
        accounts
    }

    /// Takes the nonces from the head: needed after blocks were taken away.
    pub async fn read_nonces(&mut self, chain: &DevChain) {
        for address in &self.addresses {
            let nonce = chain
                .ask("eth_getTransactionCount", json!([address, "latest"]))
                .await;
            self.nonces.insert(*address, crate::quantity(&nonce));
        }
    }

    /// Sends a transaction with the account's next nonce, and returns its hash; it waits to be mined.
    pub async fn send(
        &mut self,
        chain: &DevChain,
        from: Address,
        request: TransactionRequest,
    ) -> B256 {
        let nonce = self.nonces.get_mut(&from).expect("an account of the node");
        let mut request = request.with_from(from).with_nonce(*nonce);
        request.max_fee_per_gas.get_or_insert(20_000_000_000);
        request
            .max_priority_fee_per_gas
            .get_or_insert(1_000_000_000);
        request.gas.get_or_insert(CALL_GAS);
        *nonce += 1;
        let hash = chain.ask("eth_sendTransaction", json!([request])).await;
        serde_json::from_value(hash).expect("a hash")
    }

    /// Calls a contract.
    pub async fn call(
        &mut self,
        chain: &DevChain,
        from: Address,
        to: Address,
        call: &impl SolCall,
    ) -> B256 {
        self.send(chain, from, calling(to, call)).await
    }

    /// Creates a contract, and returns the address that it will have.
    pub async fn create(&mut self, chain: &DevChain, from: Address, code: Bytes) -> Address {
        let address = from.create(self.nonces[&from]);
        let request = TransactionRequest::default()
            .with_deploy_code(code)
            .with_gas_limit(CREATION_GAS);
        self.send(chain, from, request).await;
        address
    }
}

/// A transaction that calls a contract.
pub fn calling(to: Address, call: &impl SolCall) -> TransactionRequest {
    TransactionRequest::default()
        .with_to(to)
        .with_input(call.abi_encode())
}

/// What a contract answers at the head.
pub async fn read<C: SolCall>(chain: &DevChain, to: Address, call: C) -> C::Return {
    let answer = chain
        .ask("eth_call", json!([calling(to, &call), "latest"]))
        .await;
    let answer: Bytes = serde_json::from_value(answer).expect("bytes");
    C::abi_decode_returns(&answer).unwrap_or_else(|error| panic!("{to}: {error}"))
}

/// Creation code with a constructor's arguments behind it.
#[must_use]
pub fn creation(code: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    [&code[..], &arguments.abi_encode()].concat().into()
}

/// Creation code of a contract that destroys itself in favour of an heir, at once or when told to.
#[must_use]
pub fn farewell(heir: Address, at_once: bool) -> Bytes {
    let arguments = Farewell::constructorCall {
        heir,
        atOnce: at_once,
    };
    creation(&Farewell::BYTECODE, &arguments)
}

/// Every contract, deployed once.
#[derive(Clone, Copy, Debug)]
pub struct Contracts {
    /// [`TallyToken`], all of it with the first account.
    pub tally: Address,
    /// [`MintableToken`] of 18 decimals.
    pub mintable: Address,
    /// [`Collectible`].
    pub collectible: Address,
    /// [`GameItems`].
    pub items: Address,
    /// [`WrappedCoin`].
    pub wrapped: Address,
    /// [`TalkativeWrappedCoin`].
    pub talkative: Address,
    /// The code behind [`Self::proxied`] and [`Self::cloned`].
    pub implementation: Address,
    /// [`ProxiedToken`] behind an ERC-1967 proxy.
    pub proxied: Address,
    /// [`ProxiedToken`] behind a minimal proxy (EIP-1167), created by the factory.
    pub cloned: Address,
    /// [`UnrulyNameToken`].
    pub unruly: Address,
    /// [`Bytes32Token`].
    pub bytes32: Address,
    /// [`LyingToken`].
    pub lying: Address,
    /// [`LookAlike`].
    pub look_alike: Address,
    /// [`MultiSender`].
    pub multi_sender: Address,
    /// [`Factory`].
    pub factory: Address,
    /// [`Reverting`].
    pub reverting: Address,
}

impl Contracts {
    /// Creates all of them from the first account, in two blocks.
    pub async fn deploy(chain: &DevChain, accounts: &mut Accounts) -> Self {
        let owner = accounts.addresses[0];
        let mut codes = creations(owner).into_iter();
        let mut addresses = Vec::new();
        for code in codes.by_ref() {
            addresses.push(accounts.create(chain, owner, code).await);
        }
        let [
            tally,
            mintable,
            collectible,
            items,
            wrapped,
            talkative,
            implementation,
            unruly,
            bytes32,
            lying,
            look_alike,
            multi_sender,
            factory,
            reverting,
        ] = addresses[..]
        else {
            unreachable!("an address for each creation");
        };
        chain.mine(1).await;
        let proxied = proxied_token(implementation);
        let proxied = accounts.create(chain, owner, proxied).await;
        accounts
            .call(
                chain,
                owner,
                factory,
                &Factory::cloneCall { implementation },
            )
            .await;
        // EIP-161: a contract's nonce begins at 1.
        let cloned = factory.create(1);
        let name = ProxiedToken::initializeCall {
            name_: "Cloned Token".to_owned(),
            symbol_: "CLONE".to_owned(),
        };
        accounts.call(chain, owner, cloned, &name).await;
        chain.mine(1).await;
        Self {
            tally,
            mintable,
            collectible,
            items,
            wrapped,
            talkative,
            implementation,
            proxied,
            cloned,
            unruly,
            bytes32,
            lying,
            look_alike,
            multi_sender,
            factory,
            reverting,
        }
    }
}

impl Contracts {
    /// Those whose logs tell of token transfers.
    #[must_use]
    pub fn tokens(&self) -> [Address; 11] {
        [
            self.tally,
            self.mintable,
            self.collectible,
            self.items,
            self.wrapped,
            self.talkative,
            self.proxied,
            self.cloned,
            self.unruly,
            self.bytes32,
            self.lying,
        ]
    }
}

/// An ERC-1967 proxy for the implementation that is initialised as it is created.
fn proxied_token(implementation: Address) -> Bytes {
    let name = ProxiedToken::initializeCall {
        name_: "Proxied Token".to_owned(),
        symbol_: "PROXY".to_owned(),
    };
    let arguments = Erc1967Proxy::constructorCall {
        implementation,
        data: name.abi_encode().into(),
    };
    creation(&Erc1967Proxy::BYTECODE, &arguments)
}

/// Creation codes, in the order in which [`Contracts::deploy`] takes them.
fn creations(holder: Address) -> [Bytes; 14] {
    let tally = TallyToken::constructorCall {
        name_: "Tally Dollar".to_owned(),
        symbol_: "TUSD".to_owned(),
        supply: U256::from(10).pow(U256::from(27)),
        holder,
    };
    let mintable = MintableToken::constructorCall {
        name_: "Mintable Token".to_owned(),
        symbol_: "MINT".to_owned(),
        decimals_: 18,
    };
    let collectible = Collectible::constructorCall {
        name_: "Collectible".to_owned(),
        symbol_: "COLL".to_owned(),
    };
    [
        creation(&TallyToken::BYTECODE, &tally),
        creation(&MintableToken::BYTECODE, &mintable),
        creation(&Collectible::BYTECODE, &collectible),
        GameItems::BYTECODE.clone(),
        WrappedCoin::BYTECODE.clone(),
        TalkativeWrappedCoin::BYTECODE.clone(),
        ProxiedToken::BYTECODE.clone(),
        UnrulyNameToken::BYTECODE.clone(),
        Bytes32Token::BYTECODE.clone(),
        LyingToken::BYTECODE.clone(),
        LookAlike::BYTECODE.clone(),
        MultiSender::BYTECODE.clone(),
        Factory::BYTECODE.clone(),
        Reverting::BYTECODE.clone(),
    ]
}
