// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

/// @title An ERC-721 as most are deployed: OpenZeppelin's.
/// @notice Anyone may mint an id that does not exist; only its owner, or whom the owner approved, may
/// burn it. A burnt id can be minted again.
contract Collectible is ERC721 {
    constructor(string memory name_, string memory symbol_) ERC721(name_, symbol_) {}

    function mint(address to, uint256 tokenId) external {
        _mint(to, tokenId);
    }

    function burn(uint256 tokenId) external {
        // OpenZeppelin: moving to the zero address on someone's behalf checks that they may.
        _update(address(0), tokenId, msg.sender);
    }

    function _baseURI() internal pure override returns (string memory) {
        return "https://collectible.example/";
    }
}
