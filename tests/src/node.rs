//! A real node to drive: anvil, mined by hand.

use alloy::{
    consensus::{BlockHeader as _, TxEnvelope},
    eips::{BlockNumberOrTag, eip2718::Encodable2718 as _},
    network::{Ethereum, EthereumWallet, NetworkWallet, TransactionBuilder as _},
    primitives::{Address, B256, Bytes, U256},
    providers::{DynProvider, Provider as _, ProviderBuilder, ext::AnvilApi as _},
    rpc::types::{TransactionReceipt, TransactionRequest},
    signers::local::PrivateKeySigner,
};
use embedded::{Anvil, AnvilOptions};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

/// A contract that stores nothing and returns at once: creation code of an empty contract.
pub const TOKEN_BYTECODE: &str = "0x60016000f3";

/// A dev chain that mines when it is told to.
pub struct DevChain {
    anvil: Anvil,
    provider: DynProvider<Ethereum>,
    wallet: EthereumWallet,
    sender: Address,
    nonce: AtomicU64,
    _folder: TempDir,
}

impl DevChain {
    /// Starts a chain that makes no blocks by itself.
    pub async fn start() -> Self {
        Self::start_with(AnvilOptions::default()).await
    }

    /// The same with options; mining and keeping state are not among them.
    pub async fn start_with(mut options: AnvilOptions) -> Self {
        let folder = crate::folder();
        options.keep_state = false;
        options.extra_args.push("--no-mining".to_owned());
        let anvil = Anvil::start(&folder.path().join("anvil"), options)
            .await
            .expect("a dev chain (scripts/setup installs it)");
        // The first account of the standard development mnemonic.
        let key: PrivateKeySigner =
            "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
                .parse()
                .expect("a key");
        let sender = key.address();
        let wallet = EthereumWallet::from(key);
        let provider = ProviderBuilder::new()
            .disable_recommended_fillers()
            .wallet(wallet.clone())
            .connect_http(anvil.http_url().parse().expect("a URL"))
            .erased();
        Self {
            anvil,
            provider,
            wallet,
            sender,
            nonce: AtomicU64::new(0),
            _folder: folder,
        }
    }

    /// HTTP endpoint.
    #[must_use]
    pub fn http_url(&self) -> String {
        self.anvil.http_url()
    }

    /// WebSocket endpoint.
    #[must_use]
    pub fn ws_url(&self) -> String {
        self.anvil.ws_url()
    }

    /// The node's API.
    #[must_use]
    pub fn provider(&self) -> &DynProvider<Ethereum> {
        &self.provider
    }

    /// The account that sends.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.sender
    }

    /// Mines empty blocks, and returns the head.
    pub async fn mine(&self, blocks: u64) -> B256 {
        self.provider
            .anvil_mine(Some(blocks), None)
            .await
            .expect("blocks are mined");
        self.head().await
    }

    /// Hash of the head.
    pub async fn head(&self) -> B256 {
        self.block_hash(BlockNumberOrTag::Latest).await
    }

    /// Height of the head.
    pub async fn height(&self) -> u64 {
        self.provider.get_block_number().await.expect("a height")
    }

    /// Hash of a block.
    pub async fn block_hash(&self, id: BlockNumberOrTag) -> B256 {
        let block = self.provider.get_block_by_number(id).await;
        block
            .expect("the node answers")
            .expect("a block")
            .header
            .hash
    }

    /// Sends a transaction with the next nonce, and returns its hash; it waits to be mined.
    pub async fn send(&self, request: TransactionRequest) -> B256 {
        let nonce = self.nonce.fetch_add(1, Ordering::Relaxed);
        self.send_with_nonce(request, nonce).await
    }

    /// Sends a transaction with a nonce of the caller's choice.
    pub async fn send_with_nonce(&self, request: TransactionRequest, nonce: u64) -> B256 {
        let request = complete(request, self.sender, nonce);
        let pending = self.provider.send_transaction(request).await;
        *pending.expect("the node takes it").tx_hash()
    }

    /// The nonce that the next sent transaction gets.
    pub fn set_nonce(&self, nonce: u64) {
        self.nonce.store(nonce, Ordering::Relaxed);
    }

    /// The nonce of the account in the newest block.
    pub async fn mined_nonce(&self) -> u64 {
        let count = self.provider.get_transaction_count(self.sender).await;
        count.expect("a nonce")
    }

    /// A receipt that must be there.
    pub async fn receipt(&self, hash: B256) -> TransactionReceipt {
        let receipt = self.provider.get_transaction_receipt(hash).await;
        receipt.expect("the node answers").expect("a receipt")
    }

    /// Replaces the newest blocks: each pair is a raw transaction request and the block it goes into,
    /// counted from the first replaced one.
    pub async fn reorg(&self, depth: u64, transactions: &[(TransactionRequest, u64)]) -> B256 {
        let pairs: Vec<_> = transactions
            .iter()
            .map(|(request, block)| json!([request, block]))
            .collect();
        self.provider
            .raw_request::<_, serde_json::Value>("anvil_reorg".into(), (depth, pairs))
            .await
            .expect("a reorg");
        self.set_nonce(self.mined_nonce().await);
        self.head().await
    }

    /// Takes the newest blocks away without a word.
    pub async fn roll_back(&self, depth: u64) -> B256 {
        self.provider
            .raw_request::<_, serde_json::Value>("anvil_rollback".into(), (depth,))
            .await
            .expect("a rollback");
        self.set_nonce(self.mined_nonce().await);
        self.head().await
    }
}

impl DevChain {
    /// What the node answers, as it stands.
    pub async fn ask(&self, method: &'static str, params: Value) -> Value {
        let reply = self.provider.raw_request(method.into(), params).await;
        reply.expect("the node answers")
    }

    /// A signed transaction with its hash, not yet sent: it can be put into several branches.
    pub async fn sign(&self, request: TransactionRequest, nonce: u64) -> (B256, Bytes) {
        let request = complete(request, self.sender, nonce);
        let signed: Result<TxEnvelope, _> =
            NetworkWallet::<Ethereum>::sign_request(&self.wallet, request).await;
        let signed = signed.expect("a transaction that can be signed");
        (*signed.tx_hash(), signed.encoded_2718().into())
    }

    /// Sends a signed transaction.
    pub async fn send_raw(&self, raw: &Bytes) {
        let sent = self.provider.send_raw_transaction(raw).await;
        let _ = sent.expect("the node takes it");
        self.set_nonce(self.nonce.load(Ordering::Relaxed) + 1);
    }

    /// Replaces the newest blocks: each pair is a signed transaction and the block it goes into,
    /// counted from the first replaced one.
    pub async fn reorg_signed(&self, depth: u64, transactions: &[(Bytes, u64)]) -> B256 {
        self.ask("anvil_reorg", json!([depth, transactions])).await;
        self.set_nonce(self.mined_nonce().await);
        self.head().await
    }

    /// The whole chain: every height with its hash.
    pub async fn hashes(&self) -> Vec<(u64, B256)> {
        let mut hashes = Vec::new();
        for number in 0..=self.height().await {
            hashes.push((number, self.block_hash(number.into()).await));
        }
        hashes
    }
}

/// Fills what a test did not care for.
fn complete(mut request: TransactionRequest, from: Address, nonce: u64) -> TransactionRequest {
    request.set_nonce(nonce);
    request.set_from(from);
    request.set_chain_id(31_337);
    if request.gas.is_none() {
        request.set_gas_limit(200_000);
    }
    if request.gas_price.is_none() && request.max_fee_per_gas.is_none() {
        request.set_max_fee_per_gas(20_000_000_000);
        request.set_max_priority_fee_per_gas(1_000_000_000);
    }
    request
}

impl DevChain {
    /// A plain transfer.
    #[must_use]
    pub fn transfer(to: Address, wei: u64) -> TransactionRequest {
        TransactionRequest::default()
            .with_to(to)
            .with_value(U256::from(wei))
    }

    /// A contract creation.
    #[must_use]
    pub fn creation() -> TransactionRequest {
        let code: Bytes = TOKEN_BYTECODE.parse().expect("hex");
        TransactionRequest::default().with_deploy_code(code)
    }

    /// Seconds since 1970 of the head.
    pub async fn head_timestamp(&self) -> u64 {
        let block = self
            .provider
            .get_block_by_number(BlockNumberOrTag::Latest)
            .await;
        block
            .expect("the node answers")
            .expect("a block")
            .header
            .timestamp()
    }
}
