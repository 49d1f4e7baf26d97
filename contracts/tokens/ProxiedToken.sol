// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Utils} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Utils.sol";

/// @title An ERC-20 that lives behind a proxy: this is its code, the proxy has its balances.
/// @notice The proxy's address emits the logs. Behind an ERC-1967 proxy anyone may exchange the code; a
/// minimal proxy (EIP-1167) has its code for good.
contract ProxiedToken {
    string public name;
    string public symbol;
    uint8 public constant decimals = 6;
    uint256 public totalSupply;

    mapping(address account => uint256 amount) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    /// @notice A token is given its name once.
    error AlreadyInitialized();
    /// @notice `account` holds `balance`, which is less than the `needed` amount.
    error InsufficientBalance(address account, uint256 balance, uint256 needed);

    /// @dev In place of a constructor, which would have run in the storage of this contract.
    function initialize(string calldata name_, string calldata symbol_) external {
        if (bytes(name).length != 0) revert AlreadyInitialized();
        name = name_;
        symbol = symbol_;
    }

    function mint(address to, uint256 value) external {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        uint256 balance = balanceOf[msg.sender];
        if (balance < value) revert InsufficientBalance(msg.sender, balance, value);
        balanceOf[msg.sender] = balance - value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }

    function upgradeTo(address implementation) external {
        ERC1967Utils.upgradeToAndCall(implementation, "");
    }
}
