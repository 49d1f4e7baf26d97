// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Fails in each of the ways there are.
contract Reverting {
    /// @notice Nothing else is ever answered.
    error Always(address caller, uint256 value);

    function withReason() external payable {
        revert("it always does");
    }

    function withError() external payable {
        revert Always(msg.sender, msg.value);
    }

    function withoutData() external payable {
        assembly ("memory-safe") {
            revert(0, 0)
        }
    }

    /// @notice Panic(0x11): arithmetic below zero.
    function withPanic() external payable returns (uint256) {
        return address(this).balance - type(uint256).max;
    }

    /// @notice Takes all the gas that there is.
    function withInvalidOpcode() external payable {
        assembly ("memory-safe") {
            invalid()
        }
    }
}
