// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";

/// @title An ERC-1155 as most are deployed: OpenZeppelin's.
/// @notice Anyone may mint any id, alone or in a batch, and burn what they hold. It has no name: the
/// standard asks for none.
contract GameItems is ERC1155 {
    constructor() ERC1155("https://items.example/{id}.json") {}

    function mint(address to, uint256 id, uint256 value) external {
        _mint(to, id, value, "");
    }

    function mintBatch(address to, uint256[] calldata ids, uint256[] calldata values) external {
        _mintBatch(to, ids, values, "");
    }

    function burn(uint256 id, uint256 value) external {
        _burn(msg.sender, id, value);
    }

    function burnBatch(uint256[] calldata ids, uint256[] calldata values) external {
        _burnBatch(msg.sender, ids, values);
    }
}
