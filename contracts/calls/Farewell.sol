// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Destroys itself, at once or later.
/// @notice EIP-6780 (Cancun): within the transaction that created it a contract is really gone; later
/// only its coins move, and code and storage stay. Either way the coins move without a call.
contract Farewell {
    constructor(address payable heir, bool atOnce) payable {
        if (atOnce) selfdestruct(heir);
    }

    receive() external payable {}

    function depart(address payable heir) external {
        selfdestruct(heir);
    }
}
