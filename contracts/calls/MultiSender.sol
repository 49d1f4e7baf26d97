// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title Pays many recipients in one transaction, as payrolls and airdrops do.
/// @notice What it pays are internal transfers: no transaction of their own shows them.
contract MultiSender {
    /// @notice One payment of `attempt` did not go through, and the rest did.
    event Refused(address indexed recipient, uint256 value);

    /// @notice Always thrown by `payAndRevert`, so that what it paid is as if it never was.
    error ChangedItsMind();
    /// @notice `recipient` took no coin.
    error PaymentRefused(address recipient);

    receive() external payable {}

    /// @notice Pays each recipient an equal share of the native coin that is sent along and, where a token
    /// is named, as much as `values` says of what the sender has approved. The rest of the coin goes back.
    function pay(address[] calldata recipients, IERC20 token, uint256[] calldata values) external payable {
        uint256 share = msg.value / recipients.length;
        for (uint256 i = 0; i < recipients.length; i++) {
            if (share > 0) _pay(recipients[i], share);
            if (address(token) != address(0)) token.transferFrom(msg.sender, recipients[i], values[i]);
        }
        uint256 rest = msg.value - share * recipients.length;
        if (rest > 0) _pay(msg.sender, rest);
    }

    /// @notice Pays each the same, then tries to pay each once more in a call that reverts: half of the
    /// native coin moves inside of calls that never happened, and comes back to the sender.
    function payAndTry(address[] calldata recipients) external payable {
        uint256 share = msg.value / (2 * recipients.length);
        for (uint256 i = 0; i < recipients.length; i++) {
            _pay(recipients[i], share);
            try this.payAndRevert{value: share}(recipients[i]) {} catch {
                emit Refused(recipients[i], share);
            }
        }
        _pay(msg.sender, address(this).balance);
    }

    function payAndRevert(address recipient) external payable {
        _pay(recipient, msg.value);
        revert ChangedItsMind();
    }

    function _pay(address recipient, uint256 value) private {
        (bool paid, ) = recipient.call{value: value}("");
        if (!paid) revert PaymentRefused(recipient);
    }
}
