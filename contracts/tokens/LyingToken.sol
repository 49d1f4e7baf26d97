// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Emits whatever transfers it is told to, of every standard, and keeps no balances.
/// @notice Each log is exactly as its standard has it, so each is a transfer; they add up to balances below
/// zero, to sums that no uint256 holds, and to an id that several accounts own.
contract LyingToken {
    event TransferSingle(
        address indexed operator,
        address indexed from,
        address indexed to,
        uint256 id,
        uint256 value
    );
    event Deposit(address indexed dst, uint256 wad);
    event Withdrawal(address indexed src, uint256 wad);

    function moveFungible(address from, address to, uint256 value) external {
        bytes32 signature = keccak256("Transfer(address,address,uint256)");
        assembly ("memory-safe") {
            mstore(0, value)
            log3(0, 32, signature, from, to)
        }
    }

    /// @dev The same signature as above with one more topic: Solidity cannot declare both.
    function moveUnique(address from, address to, uint256 id) external {
        bytes32 signature = keccak256("Transfer(address,address,uint256)");
        assembly ("memory-safe") {
            log4(0, 0, signature, from, to, id)
        }
    }

    function moveItem(address from, address to, uint256 id, uint256 value) external {
        emit TransferSingle(msg.sender, from, to, id, value);
    }

    /// @notice Both, for the same coins or for others.
    function wrap(address account, uint256 deposited, uint256 withdrawn) external {
        emit Deposit(account, deposited);
        emit Withdrawal(account, withdrawn);
    }
}
