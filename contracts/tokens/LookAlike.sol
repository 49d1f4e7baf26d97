// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Emits logs that look like token transfers and are none.
/// @notice Each has the first topic of a standard's event and something else that the standard's event
/// cannot have. Whoever goes by the first topic alone credits coins that do not exist, or falls over.
contract LookAlike {
    bytes32 private constant TRANSFER = keccak256("Transfer(address,address,uint256)");
    bytes32 private constant SINGLE = keccak256("TransferSingle(address,address,address,uint256,uint256)");
    bytes32 private constant BATCH = keccak256("TransferBatch(address,address,address,uint256[],uint256[])");
    bytes32 private constant DEPOSIT = keccak256("Deposit(address,uint256)");

    /// @notice How many different ones there are: `emitOne` takes 0 up to below this.
    uint256 public constant KINDS = 14;

    function emitAll(address victim) external {
        for (uint256 kind = 0; kind < KINDS; kind++) emitOne(kind, victim);
    }

    function emitOne(uint256 kind, address victim) public {
        bytes32 to = bytes32(uint256(uint160(victim)));
        // An address has twelve zero bytes before it; here is one that has not.
        bytes32 dirty = to | bytes32(uint256(1) << 160);
        bytes memory word = abi.encode(uint256(1e18));
        bytes memory two = abi.encode(uint256(7), uint256(1e18));
        if (kind == 0) _log1(TRANSFER, abi.encode(address(this), victim, uint256(1e18)));
        else if (kind == 1) _log2(TRANSFER, to, abi.encode(victim, uint256(1e18)));
        else if (kind == 2) _log3(TRANSFER, 0, to, "");
        else if (kind == 3) _log3(TRANSFER, 0, to, hex"0de0b6b3a7640000");
        else if (kind == 4) _log3(TRANSFER, 0, to, abi.encodePacked(word, bytes1(0)));
        else if (kind == 5) _log3(TRANSFER, 0, dirty, word);
        else if (kind == 6) _log4(TRANSFER, 0, to, bytes32(uint256(7)), word);
        else if (kind == 7) _log4(TRANSFER, dirty, to, bytes32(uint256(7)), "");
        else if (kind == 8) _log3(SINGLE, 0, to, two);
        else if (kind == 9) _log4(SINGLE, to, 0, to, word);
        else if (kind == 10) _log4(BATCH, to, 0, to, abi.encode(_list(2), _list(1)));
        // Offsets and lengths far outside of what there is.
        else if (kind == 11) _log4(BATCH, to, 0, to, abi.encode(type(uint256).max, uint256(64), type(uint256).max));
        else if (kind == 12) _log2(DEPOSIT, dirty, word);
        else _log3(DEPOSIT, to, to, word);
    }

    function _list(uint256 length) private pure returns (uint256[] memory) {
        return new uint256[](length);
    }

    function _log1(bytes32 a, bytes memory d) private {
        assembly ("memory-safe") {
            log1(add(d, 32), mload(d), a)
        }
    }

    function _log2(bytes32 a, bytes32 b, bytes memory d) private {
        assembly ("memory-safe") {
            log2(add(d, 32), mload(d), a, b)
        }
    }

    function _log3(bytes32 a, bytes32 b, bytes32 c, bytes memory d) private {
        assembly ("memory-safe") {
            log3(add(d, 32), mload(d), a, b, c)
        }
    }

    function _log4(bytes32 a, bytes32 b, bytes32 c, bytes32 e, bytes memory d) private {
        assembly ("memory-safe") {
            log4(add(d, 32), mload(d), a, b, c, e)
        }
    }
}
