//! What a block with proof of work pays its producer by itself, fees aside.

use alloy::primitives::U256;

/// Ethereum mainnet.
const MAINNET: u64 = 1;
/// Sepolia, which had proof of work until its merge.
const SEPOLIA: u64 = 11_155_111;

/// From here on mainnet's reward is 3 instead of 5 (Byzantium, EIP-649).
const BYZANTIUM: u64 = 4_370_000;
/// From here on it is 2 (Constantinople, EIP-1234).
const CONSTANTINOPLE: u64 = 7_280_000;

/// Wei in a coin.
const ETHER: u64 = 1_000_000_000_000_000_000;

/// Wei that the producer of a block gets besides fees: the era's reward and a 32nd of it for each uncle
/// that the block includes (Yellow Paper, section 11.3). Nothing since the merge, which set the
/// difficulty to 0, and nothing on chains of which we know no rewards.
///
/// What the producers of the uncles get is not in here.
#[must_use]
pub fn static_reward(chain_id: u64, number: u64, difficulty: U256, uncles: u64) -> U256 {
    let coins = match chain_id {
        _ if number == 0 || difficulty.is_zero() => 0,
        MAINNET if number < BYZANTIUM => 5,
        MAINNET if number < CONSTANTINOPLE => 3,
        MAINNET | SEPOLIA => 2,
        _ => 0,
    };
    let reward = U256::from(coins) * U256::from(ETHER);
    reward + reward / U256::from(32) * U256::from(uncles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milli(chain_id: u64, number: u64, difficulty: u64, uncles: u64) -> U256 {
        let reward = static_reward(chain_id, number, U256::from(difficulty), uncles);
        reward / U256::from(ETHER / 1_000_000)
    }

    #[test]
    fn the_eras_of_mainnet_pay_five_three_two_and_nothing() {
        for (number, difficulty, coins) in [
            (0, 17, 0_u64),
            (1, 17, 5),
            (BYZANTIUM - 1, 17, 5),
            (BYZANTIUM, 17, 3),
            (CONSTANTINOPLE - 1, 17, 3),
            (CONSTANTINOPLE, 17, 2),
            (15_537_393, 17, 2),
            (15_537_394, 0, 0),
        ] {
            let expected = U256::from(coins * 1_000_000);
            assert_eq!(milli(MAINNET, number, difficulty, 0), expected, "{number}");
        }
    }

    #[test]
    fn each_included_uncle_adds_a_32nd() {
        assert_eq!(milli(MAINNET, 1, 17, 2), U256::from(5_312_500));
        assert_eq!(milli(SEPOLIA, 1, 17, 1), U256::from(2_062_500));
    }

    #[test]
    fn other_chains_pay_nothing() {
        assert_eq!(milli(31_337, 5, 17, 1), U256::ZERO);
        assert_eq!(milli(SEPOLIA, 1_735_372, 0, 0), U256::ZERO);
    }
}
