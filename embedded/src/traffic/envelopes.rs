//! One call, signed and submitted in each of the transaction envelopes (EIP-2718 types 0, 1, 2 and 4).

use alloy::consensus::{
    EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy,
    TypedTransaction,
};
use alloy::eips::eip2718::Encodable2718;
use alloy::eips::eip2930::{AccessList, AccessListItem};
use alloy::eips::eip7702::Authorization;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy::providers::Provider;
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use rand::Rng;

use super::sender::{Error, Sender};

const GWEI: u128 = 1_000_000_000;

/// Far above what the base fee can reach on a chain with this little in its blocks.
const MAX_FEE: u128 = 50 * GWEI;
const TIP: u128 = GWEI;

/// A delegation and nothing else.
const DELEGATION_GAS: u64 = 120_000;

/// What differs between transactions of the same envelope.
pub(super) struct Call {
    pub(super) to: TxKind,
    pub(super) value: U256,
    pub(super) input: Bytes,
    pub(super) gas: u64,
}

impl Sender {
    pub(super) async fn submit_legacy(
        &mut self,
        from: &PrivateKeySigner,
        call: Call,
    ) -> Result<(), Error> {
        let Call {
            to,
            value,
            input,
            gas: gas_limit,
        } = call;
        let (chain_id, nonce) = self.position(from).await?;
        let chain_id = Some(chain_id);
        let transaction = TxLegacy {
            chain_id,
            nonce,
            gas_price: MAX_FEE,
            gas_limit,
            to,
            value,
            input,
        };
        self.submit(from, transaction.into()).await
    }

    pub(super) async fn submit_access_list(
        &mut self,
        from: &PrivateKeySigner,
        call: Call,
        listed: Address,
    ) -> Result<(), Error> {
        let Call {
            to,
            value,
            input,
            gas: gas_limit,
        } = call;
        let (chain_id, nonce) = self.position(from).await?;
        let storage_keys = vec![B256::ZERO, B256::with_last_byte(1)];
        let access_list = AccessList(vec![AccessListItem {
            address: listed,
            storage_keys,
        }]);
        let gas_price = MAX_FEE;
        let transaction = TxEip2930 {
            chain_id,
            nonce,
            gas_price,
            gas_limit,
            to,
            value,
            access_list,
            input,
        };
        self.submit(from, transaction.into()).await
    }

    pub(super) async fn submit_dynamic(
        &mut self,
        from: &PrivateKeySigner,
        call: Call,
    ) -> Result<(), Error> {
        let Call {
            to,
            value,
            input,
            gas: gas_limit,
        } = call;
        let (chain_id, nonce) = self.position(from).await?;
        let transaction = TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: TIP,
            to,
            value,
            access_list: AccessList::default(),
            input,
        };
        self.submit(from, transaction.into()).await
    }

    /// A fresh account lets the token's code act for it.
    pub(super) async fn submit_delegation(
        &mut self,
        from: &PrivateKeySigner,
        code: Address,
        random: &mut impl Rng,
    ) -> Result<(), Error> {
        let (chain_id, nonce) = self.position(from).await?;
        let authority = PrivateKeySigner::from_bytes(&keccak256(random.random::<[u8; 32]>()))?;
        // Its first nonce: this account has never been used.
        let offer = Authorization {
            chain_id: U256::from(chain_id),
            address: code,
            nonce: 0,
        };
        let signature = authority.sign_hash_sync(&offer.signature_hash())?;
        let transaction = TxEip7702 {
            chain_id,
            nonce,
            gas_limit: DELEGATION_GAS,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: TIP,
            to: from.address(),
            value: U256::ZERO,
            access_list: AccessList::default(),
            authorization_list: vec![offer.into_signed(signature)],
            input: Bytes::new(),
        };
        self.submit(from, transaction.into()).await
    }

    async fn submit(
        &mut self,
        from: &PrivateKeySigner,
        transaction: TypedTransaction,
    ) -> Result<(), Error> {
        let signature = from.sign_hash_sync(&transaction.signature_hash())?;
        let envelope: EthereumTxEnvelope<_> = transaction.into_envelope(signature);
        // Taken by the node is enough: whether it succeeds, or ever gets into a block, is left open.
        let _ = self
            .node()
            .send_raw_transaction(&envelope.encoded_2718())
            .await?;
        self.count(from.address());
        Ok(())
    }
}
