// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What the factory creates: holds what it was created with, and gives it to whoever asks.
contract Child {
    uint256 public immutable number;

    constructor(uint256 number_) payable {
        number = number_;
    }

    function sweep(address payable to) external {
        (bool paid, ) = to.call{value: address(this).balance}("");
        require(paid);
    }
}

/// @title Creates contracts inside of transactions, where no receipt names them.
contract Factory {
    uint256 public count;

    event Created(address indexed child, uint256 number);

    /// @notice The creation failed: with CREATE2 the address was most likely taken.
    error NotCreated();

    /// @notice CREATE: the address follows from this contract's nonce.
    function create() external payable returns (address child) {
        child = address(new Child{value: msg.value}(++count));
        emit Created(child, count);
    }

    /// @notice CREATE2 (EIP-1014): the address follows from the salt and the code.
    function create2(bytes32 salt) external payable returns (address child) {
        child = address(new Child{salt: salt, value: msg.value}(0));
        emit Created(child, 0);
    }

    /// @notice A minimal proxy for `implementation`: the code is EIP-1167's, byte by byte.
    function clone(address implementation) external returns (address child) {
        bytes memory code = abi.encodePacked(
            hex"3d602d80600a3d3981f3363d3d373d3d3d363d73",
            implementation,
            hex"5af43d82803e903d91602b57fd5bf3"
        );
        assembly ("memory-safe") {
            child := create(0, add(code, 32), mload(code))
        }
        if (child == address(0)) revert NotCreated();
        emit Created(child, 0);
    }
}
