//! Proxies that tell by their code where they lead, and the storage slots in which others keep it.

use alloy::primitives::{Address, B256, b256};

/// Slot of the implementation's address (EIP-1967): keccak256("eip1967.proxy.implementation") − 1.
pub const IMPLEMENTATION_SLOT: B256 =
    b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");
/// Slot of the beacon's address (EIP-1967): keccak256("eip1967.proxy.beacon") − 1.
pub const BEACON_SLOT: B256 =
    b256!("a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50");
/// Slot of the implementation's address (EIP-1822): keccak256("PROXIABLE").
pub const PROXIABLE_SLOT: B256 =
    b256!("c5f16f0fcc639fa48a6947836d9850f504798523bf8c9a3a87d5876cf622bcf7");

/// What stands before the code's address of a delegated account (EIP-7702).
const DELEGATION_PREFIX: [u8; 3] = [0xef, 0x01, 0x00];

/// Minimal proxies as they are in use: what comes before the address, and after it. The address is
/// pushed as 20 bytes, or as fewer where it begins with zeros; the jump then goes that much less far.
const MINIMAL: [(&[u8], &[u8], usize); 4] = [
    // EIP-1167.
    (
        &[0x36, 0x3d, 0x3d, 0x37, 0x3d, 0x3d, 0x3d, 0x36, 0x3d],
        &[
            0x5a, 0xf4, 0x3d, 0x82, 0x80, 0x3e, 0x90, 0x3d, 0x91, 0x60, 0x2b, 0x57, 0xfd, 0x5b,
            0xf3,
        ],
        10,
    ),
    // EIP-7511, with PUSH0.
    (
        &[0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f],
        &[
            0x5a, 0xf4, 0x3d, 0x5f, 0x5f, 0x3e, 0x5f, 0x3d, 0x91, 0x60, 0x2a, 0x57, 0xfd, 0x5b,
            0xf3,
        ],
        10,
    ),
    // The one that is a byte shorter than EIP-1167.
    (
        &[0x3d, 0x3d, 0x3d, 0x3d, 0x36, 0x3d, 0x3d, 0x37, 0x36, 0x3d],
        &[
            0x5a, 0xf4, 0x3d, 0x3d, 0x93, 0x80, 0x3e, 0x60, 0x2a, 0x57, 0xfd, 0x5b, 0xf3,
        ],
        8,
    ),
    // Early Vyper's `create_forwarder_to`.
    (
        &[
            0x36, 0x60, 0x00, 0x60, 0x00, 0x37, 0x61, 0x10, 0x00, 0x60, 0x00, 0x36, 0x60, 0x00,
        ],
        &[
            0x5a, 0xf4, 0x60, 0x2c, 0x57, 0x60, 0x00, 0x80, 0xfd, 0x5b, 0x61, 0x10, 0x00, 0x60,
            0x00, 0xf3,
        ],
        3,
    ),
];

/// Where a minimal proxy leads (EIP-1167 and its kin); `None` for any other code.
#[must_use]
pub fn minimal_proxy(code: &[u8]) -> Option<Address> {
    MINIMAL.iter().find_map(|(before, after, jump)| {
        let rest = code.strip_prefix(*before)?;
        let (push, rest) = rest.split_first()?;
        // PUSH1 is 0x60, PUSH20 0x73.
        let length = usize::from(push.checked_sub(0x5f)?);
        let missing = 20_usize
            .checked_sub(length)
            .filter(|missing| *missing < 20)?;
        let (pushed, rest) = rest.split_at_checked(length)?;
        let mut after = after.to_vec();
        after[*jump] -= u8::try_from(missing).ok()?;
        (rest == after).then(|| Address::left_padding_from(pushed))
    })
}

/// Whose code a delegated account runs (EIP-7702); `None` for any other code.
#[must_use]
pub fn delegation(code: &[u8]) -> Option<Address> {
    let address = code.strip_prefix(&DELEGATION_PREFIX)?;
    Address::try_from(address).ok()
}

/// The address in a word of storage or of a reply; `None` for zero and for what is no address.
#[must_use]
pub fn address_in(word: B256) -> Option<Address> {
    let address = Address::from_word(word);
    (address.into_word() == word && !address.is_zero()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{
        hex,
        primitives::{U256, address, keccak256},
    };

    const TARGET: Address = address!("bebebebebebebebebebebebebebebebebebebebe");

    #[test]
    fn every_form_of_a_minimal_proxy_is_read() {
        for code in [
            "363d3d373d3d3d363d73bebebebebebebebebebebebebebebebebebebebe5af43d82803e903d91602b57fd5bf3",
            "365f5f375f5f365f73bebebebebebebebebebebebebebebebebebebebe5af43d5f5f3e5f3d91602a57fd5bf3",
            "3d3d3d3d363d3d37363d73bebebebebebebebebebebebebebebebebebebebe5af43d3d93803e602a57fd5bf3",
            "366000600037611000600036600073bebebebebebebebebebebebebebebebebebebebe5af4602c57600080fd5b6110006000f3",
        ] {
            let mut code = hex::decode(code).expect("hex");
            assert_eq!(minimal_proxy(&code), Some(TARGET));
            code.push(0);
            assert_eq!(minimal_proxy(&code), None, "more follows");
            code.truncate(30);
            assert_eq!(minimal_proxy(&code), None, "it is cut short");
        }
    }

    #[test]
    fn an_address_that_begins_with_zeros_may_be_pushed_shorter() {
        // The EIP's own example: 16 bytes.
        let code =
            "363d3d373d3d3d363d6fbebebebebebebebebebebebebebebebe5af43d82803e903d91602757fd5bf3";
        let code = hex::decode(code).expect("hex");
        let expected = address!("00000000bebebebebebebebebebebebebebebebe");
        assert_eq!(minimal_proxy(&code), Some(expected));
        let mut jumps_wrong = code;
        let at = jumps_wrong.len() - 5;
        jumps_wrong[at] = 0x2b;
        assert_eq!(minimal_proxy(&jumps_wrong), None);
    }

    #[test]
    fn code_that_is_no_proxy_is_none() {
        for code in [
            &[][..],
            &[0x60],
            &[0x36, 0x3d, 0x3d, 0x37, 0x3d, 0x3d, 0x3d, 0x36, 0x3d, 0xff],
        ] {
            assert_eq!(minimal_proxy(code), None);
            assert_eq!(delegation(code), None);
        }
    }

    #[test]
    fn a_delegated_account_tells_whose_code_it_runs() {
        let mut code = DELEGATION_PREFIX.to_vec();
        code.extend(TARGET);
        assert_eq!(delegation(&code), Some(TARGET));
        code.push(0);
        assert_eq!(delegation(&code), None);
    }

    #[test]
    fn the_slots_are_what_their_standards_say() {
        let less_one =
            |text: &str| B256::from(U256::from_be_bytes(keccak256(text).0) - U256::from(1));
        assert_eq!(
            IMPLEMENTATION_SLOT,
            less_one("eip1967.proxy.implementation")
        );
        assert_eq!(BEACON_SLOT, less_one("eip1967.proxy.beacon"));
        assert_eq!(PROXIABLE_SLOT, keccak256("PROXIABLE"));
    }

    #[test]
    fn only_a_word_that_is_an_address_is_one() {
        assert_eq!(address_in(TARGET.into_word()), Some(TARGET));
        assert_eq!(address_in(B256::ZERO), None);
        assert_eq!(address_in(B256::repeat_byte(1)), None);
    }
}
