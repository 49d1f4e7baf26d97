// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title An ERC-20 whose name and symbol nobody should print as they come.
/// @notice The name is 10,000 bytes long. The symbol turns the direction of writing around, has a
/// null, an escape sequence, a line break and markup in it.
contract UnrulyNameToken {
    uint8 public constant decimals = 255;
    uint256 public totalSupply;

    mapping(address account => uint256 amount) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 value);

    function name() external pure returns (string memory) {
        bytes memory text = new bytes(10_000);
        for (uint256 i = 0; i < text.length; i++) {
            text[i] = bytes1(uint8(0x61 + (i % 26)));
        }
        return string(text);
    }

    function symbol() external pure returns (string memory) {
        return unicode"\u202eDSU\u202c\x00\x1b[31m\n<b>\u200b";
    }

    function mint(address to, uint256 value) external {
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }
}
