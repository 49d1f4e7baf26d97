// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The ERC-20 that the local dev chain's traffic moves.
/// @notice Follows EIP-20 and nothing beyond it, so that what an indexer reads from it is what any
/// ordinary token would have shown. It is worth nothing and guards nothing.
/// @dev The supply is minted once, to the holder that the deployer names. Amounts are base units, 18 decimals.
contract TallyToken {
    string public name;
    string public symbol;
    uint8 public constant decimals = 18;
    uint256 public immutable totalSupply;

    mapping(address account => uint256 amount) public balanceOf;
    mapping(address owner => mapping(address spender => uint256 amount)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    /// @notice `account` holds `balance`, which is less than the `needed` amount.
    error InsufficientBalance(address account, uint256 balance, uint256 needed);
    /// @notice `owner` lets `spender` move `allowed`, which is less than the `needed` amount.
    error InsufficientAllowance(address owner, address spender, uint256 allowed, uint256 needed);
    /// @notice The zero address cannot receive tokens: that would be a burn, which this token lacks.
    error ZeroRecipient();

    constructor(string memory name_, string memory symbol_, uint256 supply, address holder) {
        if (holder == address(0)) revert ZeroRecipient();
        name = name_;
        symbol = symbol_;
        totalSupply = supply;
        balanceOf[holder] = supply;
        // EIP-20: minting is a transfer from the zero address, so that balances are the sum of events.
        emit Transfer(address(0), holder, supply);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        // The largest amount means "without limit" and is never counted down, as wallets expect.
        if (allowed != type(uint256).max) {
            if (allowed < value) revert InsufficientAllowance(from, msg.sender, allowed, value);
            unchecked {
                allowance[from][msg.sender] = allowed - value;
            }
        }
        _move(from, to, value);
        return true;
    }

    function _move(address from, address to, uint256 value) private {
        if (to == address(0)) revert ZeroRecipient();
        uint256 balance = balanceOf[from];
        if (balance < value) revert InsufficientBalance(from, balance, value);
        // No overflow: the sum of all balances is totalSupply, which fits.
        unchecked {
            balanceOf[from] = balance - value;
            balanceOf[to] += value;
        }
        emit Transfer(from, to, value);
    }
}
