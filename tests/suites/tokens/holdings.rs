//! What contracts themselves answer about who has what.

use super::{
    ledger::{Ledger, Units, units},
    recount::Hex,
};
use alloy::primitives::{Address, U256};
use std::collections::BTreeSet;
use tallyscan_tests::{
    DevChain,
    contracts::{
        Contracts,
        compiled::{Collectible, GameItems, MintableToken},
        read,
    },
};

fn hex(address: Address) -> Hex {
    alloy::hex::encode(address)
}

fn address(hex: &str) -> Address {
    hex.parse().expect("an address")
}

/// Asks every contract for every balance that the ledger knows of, and for those that it has not.
pub async fn assert_answered(chain: &DevChain, contracts: &Contracts, ledger: &Ledger) {
    let holders: BTreeSet<&str> = ledger
        .balances
        .keys()
        .map(|(_, holder)| holder.as_str())
        .collect();
    let Contracts {
        tally,
        mintable,
        wrapped,
        talkative,
        proxied,
        cloned,
        unruly,
        bytes32,
        collectible,
        items,
        ..
    } = *contracts;
    let fungible = [
        tally, mintable, wrapped, talkative, proxied, cloned, unruly, bytes32,
    ];
    for token in fungible {
        let total = ledger.totals.get(&hex(token)).copied().unwrap_or_default();
        let supply = read(chain, token, MintableToken::totalSupplyCall {}).await;
        assert_eq!(
            total.minted - total.burnt,
            units(supply),
            "supply of {token}"
        );
    }
    for token in fungible.into_iter().chain([collectible]) {
        for holder in &holders {
            let account = address(holder);
            let balance = read(chain, token, MintableToken::balanceOfCall { account }).await;
            assert_eq!(
                ledger.balance(&hex(token), holder),
                units(balance),
                "{token} of {holder}"
            );
        }
    }
    assert_items(chain, items, ledger, &holders).await;
    for ((token, id, holder), pieces) in &ledger.instances {
        if *token == hex(collectible) {
            let owner = read(
                chain,
                collectible,
                Collectible::ownerOfCall { tokenId: *id },
            )
            .await;
            assert_eq!(
                (owner, *pieces),
                (address(holder), Units::ONE),
                "owner of {id}"
            );
        }
    }
}

/// Every holder times every id.
async fn assert_items(chain: &DevChain, items: Address, ledger: &Ledger, holders: &BTreeSet<&str>) {
    let token = hex(items);
    let ids: BTreeSet<U256> = ledger
        .instances
        .keys()
        .filter(|(of, _, _)| *of == token)
        .map(|(_, id, _)| *id)
        .collect();
    for holder in holders {
        let call = GameItems::balanceOfBatchCall {
            accounts: vec![address(holder); ids.len()],
            ids: ids.iter().copied().collect(),
        };
        let balances = read(chain, items, call).await;
        for (id, balance) in ids.iter().zip(&balances) {
            let key = (token.clone(), *id, (*holder).to_owned());
            let ours = ledger.instances.get(&key).copied().unwrap_or_default();
            assert_eq!(ours, units(*balance), "item {id} of {holder}");
        }
        let sum: U256 = balances.iter().sum();
        assert_eq!(
            ledger.balance(&token, holder),
            units(sum),
            "items of {holder}"
        );
    }
}
