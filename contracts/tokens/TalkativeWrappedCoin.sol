// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A wrapped coin that tells of everything twice.
/// @notice Wrapping emits Deposit and a Transfer from the zero address, unwrapping emits Withdrawal and a
/// Transfer to it, as some networks' wrapped coins do: whoever counts both doubles every balance.
contract TalkativeWrappedCoin is ERC20 {
    event Deposit(address indexed dst, uint256 wad);
    event Withdrawal(address indexed src, uint256 wad);

    /// @notice The native coin could not be paid out to `account`.
    error PaymentRefused(address account);

    constructor() ERC20("Talkative Wrapped Coin", "TWCOIN") {}

    function deposit() external payable {
        _mint(msg.sender, msg.value);
        emit Deposit(msg.sender, msg.value);
    }

    function withdraw(uint256 wad) external {
        // The other order than above: both are found in the wild.
        emit Withdrawal(msg.sender, wad);
        _burn(msg.sender, wad);
        (bool paid, ) = msg.sender.call{value: wad}("");
        if (!paid) revert PaymentRefused(msg.sender);
    }
}
