//! Functions and events that many contracts share, as the standards and the contracts themselves write
//! them. The contract called may be another with the same signature: answers say that it is a standard's
//! meaning and not the contract's own.

use super::{
    ContractAbi,
    signature::{EventAbi, FunctionAbi},
};
use alloy::json_abi::{Event, Function};

/// Where two standards share a function, its parameters have names that fit both: EIP-20 and EIP-721
/// share approve and transferFrom.
const FUNCTIONS: &[&[&str]] = &[
    // EIP-20, its usual extensions, EIP-721, EIP-1155.
    &[
        "name()",
        "symbol()",
        "decimals()",
        "totalSupply()",
        "balanceOf(address account)",
        "allowance(address owner, address spender)",
        "transfer(address to, uint256 value)",
        "approve(address spender, uint256 valueOrTokenId)",
        "transferFrom(address from, address to, uint256 valueOrTokenId)",
        "increaseAllowance(address spender, uint256 addedValue)",
        "decreaseAllowance(address spender, uint256 subtractedValue)",
        "mint(address to, uint256 valueOrTokenId)",
        "burn(uint256 valueOrTokenId)",
        "burnFrom(address account, uint256 value)",
        "ownerOf(uint256 tokenId)",
        "tokenURI(uint256 tokenId)",
        "getApproved(uint256 tokenId)",
        "setApprovalForAll(address operator, bool approved)",
        "isApprovedForAll(address owner, address operator)",
        "safeTransferFrom(address from, address to, uint256 tokenId)",
        "safeTransferFrom(address from, address to, uint256 tokenId, bytes data)",
        "safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes data)",
        "safeBatchTransferFrom(address from, address to, uint256[] ids, uint256[] values, bytes data)",
        "balanceOf(address account, uint256 id)",
        "balanceOfBatch(address[] accounts, uint256[] ids)",
        "uri(uint256 id)",
        "onERC721Received(address operator, address from, uint256 tokenId, bytes data)",
        "onERC1155Received(address operator, address from, uint256 id, uint256 value, bytes data)",
        "onERC1155BatchReceived(address operator, address from, uint256[] ids, uint256[] values, bytes data)",
    ],
    // EIP-165, EIP-2612, EIP-2981.
    &[
        "supportsInterface(bytes4 interfaceId)",
        "permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)",
        "nonces(address owner)",
        "DOMAIN_SEPARATOR()",
        "royaltyInfo(uint256 tokenId, uint256 salePrice)",
    ],
    // EIP-4626.
    &[
        "asset()",
        "totalAssets()",
        "convertToShares(uint256 assets)",
        "convertToAssets(uint256 shares)",
        "deposit(uint256 assets, address receiver)",
        "mint(uint256 shares, address receiver)",
        "withdraw(uint256 assets, address receiver, address owner)",
        "redeem(uint256 shares, address receiver, address owner)",
    ],
    // EIP-1967 proxies: upgrades, and the initialisers behind them.
    &[
        "implementation()",
        "admin()",
        "proxiableUUID()",
        "upgradeTo(address newImplementation)",
        "upgradeToAndCall(address newImplementation, bytes data)",
        "changeAdmin(address newAdmin)",
        "initialize()",
    ],
    // EIP-173 (Ownable, in one step and two), AccessControl, Pausable.
    &[
        "owner()",
        "pendingOwner()",
        "acceptOwnership()",
        "renounceOwnership()",
        "transferOwnership(address newOwner)",
        "hasRole(bytes32 role, address account)",
        "getRoleAdmin(bytes32 role)",
        "grantRole(bytes32 role, address account)",
        "revokeRole(bytes32 role, address account)",
        "renounceRole(bytes32 role, address callerConfirmation)",
        "paused()",
        "pause()",
        "unpause()",
    ],
    // Wrapped native coin; the beacon chain's deposit contract.
    &[
        "deposit()",
        "withdraw(uint256 wad)",
        "deposit(bytes pubkey, bytes withdrawal_credentials, bytes signature, bytes32 deposit_data_root)",
    ],
    // Multicall of contracts themselves.
    &[
        "multicall(bytes[] data)",
        "multicall(uint256 deadline, bytes[] data)",
        "multicall(bytes32 previousBlockhash, bytes[] data)",
    ],
    // Uniswap V2: pair and router.
    &[
        "getReserves()",
        "skim(address to)",
        "sync()",
        "mint(address to)",
        "burn(address to)",
        "swap(uint256 amount0Out, uint256 amount1Out, address to, bytes data)",
        "createPair(address tokenA, address tokenB)",
        "addLiquidity(address tokenA, address tokenB, uint256 amountADesired, uint256 amountBDesired, uint256 amountAMin, uint256 amountBMin, address to, uint256 deadline)",
        "addLiquidityETH(address token, uint256 amountTokenDesired, uint256 amountTokenMin, uint256 amountETHMin, address to, uint256 deadline)",
        "removeLiquidity(address tokenA, address tokenB, uint256 liquidity, uint256 amountAMin, uint256 amountBMin, address to, uint256 deadline)",
        "removeLiquidityETH(address token, uint256 liquidity, uint256 amountTokenMin, uint256 amountETHMin, address to, uint256 deadline)",
        "removeLiquidityWithPermit(address tokenA, address tokenB, uint256 liquidity, uint256 amountAMin, uint256 amountBMin, address to, uint256 deadline, bool approveMax, uint8 v, bytes32 r, bytes32 s)",
        "removeLiquidityETHWithPermit(address token, uint256 liquidity, uint256 amountTokenMin, uint256 amountETHMin, address to, uint256 deadline, bool approveMax, uint8 v, bytes32 r, bytes32 s)",
        "swapExactTokensForTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline)",
        "swapTokensForExactTokens(uint256 amountOut, uint256 amountInMax, address[] path, address to, uint256 deadline)",
        "swapExactETHForTokens(uint256 amountOutMin, address[] path, address to, uint256 deadline)",
        "swapTokensForExactETH(uint256 amountOut, uint256 amountInMax, address[] path, address to, uint256 deadline)",
        "swapExactTokensForETH(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline)",
        "swapETHForExactTokens(uint256 amountOut, address[] path, address to, uint256 deadline)",
        "swapExactTokensForTokensSupportingFeeOnTransferTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline)",
        "swapExactETHForTokensSupportingFeeOnTransferTokens(uint256 amountOutMin, address[] path, address to, uint256 deadline)",
        "swapExactTokensForETHSupportingFeeOnTransferTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline)",
    ],
    // Uniswap V3: pool, routers (the second without a deadline), positions; the universal router.
    &[
        "swap(address recipient, bool zeroForOne, int256 amountSpecified, uint160 sqrtPriceLimitX96, bytes data)",
        "flash(address recipient, uint256 amount0, uint256 amount1, bytes data)",
        "createPool(address tokenA, address tokenB, uint24 fee)",
        "unwrapWETH9(uint256 amountMinimum, address recipient)",
        "refundETH()",
        "sweepToken(address token, uint256 amountMinimum, address recipient)",
        "execute(bytes commands, bytes[] inputs)",
        "execute(bytes commands, bytes[] inputs, uint256 deadline)",
    ],
    // Safe.
    &[
        "setup(address[] owners, uint256 threshold, address to, bytes data, address fallbackHandler, address paymentToken, uint256 payment, address paymentReceiver)",
        "execTransaction(address to, uint256 value, bytes data, uint8 operation, uint256 safeTxGas, uint256 baseGas, uint256 gasPrice, address gasToken, address refundReceiver, bytes signatures)",
        "execTransactionFromModule(address to, uint256 value, bytes data, uint8 operation)",
        "approveHash(bytes32 hashToApprove)",
        "addOwnerWithThreshold(address owner, uint256 threshold)",
        "removeOwner(address prevOwner, address owner, uint256 threshold)",
        "swapOwner(address prevOwner, address oldOwner, address newOwner)",
        "changeThreshold(uint256 threshold)",
        "enableModule(address module)",
        "disableModule(address prevModule, address module)",
        "createProxyWithNonce(address singleton, bytes initializer, uint256 saltNonce)",
        "multiSend(bytes transactions)",
    ],
];

/// Functions that take a tuple, and the names of its members: signatures have no place for them.
const WITH_TUPLES: &[(&str, &str)] = &[
    // Multicall 1 to 3; Uniswap V3's routers and positions.
    ("aggregate((address,bytes)[] calls)", "target callData"),
    (
        "tryAggregate(bool requireSuccess, (address,bytes)[] calls)",
        "target callData",
    ),
    (
        "aggregate3((address,bool,bytes)[] calls)",
        "target allowFailure callData",
    ),
    (
        "aggregate3Value((address,bool,uint256,bytes)[] calls)",
        "target allowFailure value callData",
    ),
    (
        "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160) params)",
        "tokenIn tokenOut fee recipient deadline amountIn amountOutMinimum sqrtPriceLimitX96",
    ),
    (
        "exactInput((bytes,address,uint256,uint256,uint256) params)",
        "path recipient deadline amountIn amountOutMinimum",
    ),
    (
        "exactOutputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160) params)",
        "tokenIn tokenOut fee recipient deadline amountOut amountInMaximum sqrtPriceLimitX96",
    ),
    (
        "exactOutput((bytes,address,uint256,uint256,uint256) params)",
        "path recipient deadline amountOut amountInMaximum",
    ),
    (
        "exactInputSingle((address,address,uint24,address,uint256,uint256,uint160) params)",
        "tokenIn tokenOut fee recipient amountIn amountOutMinimum sqrtPriceLimitX96",
    ),
    (
        "exactInput((bytes,address,uint256,uint256) params)",
        "path recipient amountIn amountOutMinimum",
    ),
    (
        "exactOutputSingle((address,address,uint24,address,uint256,uint256,uint160) params)",
        "tokenIn tokenOut fee recipient amountOut amountInMaximum sqrtPriceLimitX96",
    ),
    (
        "exactOutput((bytes,address,uint256,uint256) params)",
        "path recipient amountOut amountInMaximum",
    ),
    (
        "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256) params)",
        "token0 token1 fee tickLower tickUpper amount0Desired amount1Desired amount0Min amount1Min recipient deadline",
    ),
    (
        "increaseLiquidity((uint256,uint256,uint256,uint256,uint256,uint256) params)",
        "tokenId amount0Desired amount1Desired amount0Min amount1Min deadline",
    ),
    (
        "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256) params)",
        "tokenId liquidity amount0Min amount1Min deadline",
    ),
    (
        "collect((uint256,address,uint128,uint128) params)",
        "tokenId recipient amount0Max amount1Max",
    ),
];

const EVENTS: &[&str] = &[
    // EIP-20, EIP-721 (the same signatures with one more topic), EIP-1155.
    "Transfer(address indexed from, address indexed to, uint256 value)",
    "Transfer(address indexed from, address indexed to, uint256 indexed tokenId)",
    "Approval(address indexed owner, address indexed spender, uint256 value)",
    "Approval(address indexed owner, address indexed approved, uint256 indexed tokenId)",
    "ApprovalForAll(address indexed owner, address indexed operator, bool approved)",
    "TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value)",
    "TransferBatch(address indexed operator, address indexed from, address indexed to, uint256[] ids, uint256[] values)",
    "URI(string value, uint256 indexed id)",
    // EIP-4626, EIP-4906, wrapped native coin.
    "Deposit(address indexed sender, address indexed owner, uint256 assets, uint256 shares)",
    "Withdraw(address indexed sender, address indexed receiver, address indexed owner, uint256 assets, uint256 shares)",
    "MetadataUpdate(uint256 tokenId)",
    "BatchMetadataUpdate(uint256 fromTokenId, uint256 toTokenId)",
    "Deposit(address indexed dst, uint256 wad)",
    "Withdrawal(address indexed src, uint256 wad)",
    // EIP-1967, initialisers.
    "Upgraded(address indexed implementation)",
    "AdminChanged(address previousAdmin, address newAdmin)",
    "BeaconUpgraded(address indexed beacon)",
    "Initialized(uint8 version)",
    "Initialized(uint64 version)",
    // EIP-173, AccessControl, Pausable.
    "OwnershipTransferred(address indexed previousOwner, address indexed newOwner)",
    "OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner)",
    "RoleGranted(bytes32 indexed role, address indexed account, address indexed sender)",
    "RoleRevoked(bytes32 indexed role, address indexed account, address indexed sender)",
    "RoleAdminChanged(bytes32 indexed role, bytes32 indexed previousAdminRole, bytes32 indexed newAdminRole)",
    "Paused(address account)",
    "Unpaused(address account)",
    // Uniswap V2.
    "PairCreated(address indexed token0, address indexed token1, address pair, uint256 count)",
    "Mint(address indexed sender, uint256 amount0, uint256 amount1)",
    "Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to)",
    "Swap(address indexed sender, uint256 amount0In, uint256 amount1In, uint256 amount0Out, uint256 amount1Out, address indexed to)",
    "Sync(uint112 reserve0, uint112 reserve1)",
    // Uniswap V3.
    "PoolCreated(address indexed token0, address indexed token1, uint24 indexed fee, int24 tickSpacing, address pool)",
    "Initialize(uint160 sqrtPriceX96, int24 tick)",
    "Mint(address sender, address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount, uint256 amount0, uint256 amount1)",
    "Burn(address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount, uint256 amount0, uint256 amount1)",
    "Collect(address indexed owner, address recipient, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount0, uint128 amount1)",
    "Collect(uint256 indexed tokenId, address recipient, uint256 amount0, uint256 amount1)",
    "Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, uint160 sqrtPriceX96, uint128 liquidity, int24 tick)",
    "Flash(address indexed sender, address indexed recipient, uint256 amount0, uint256 amount1, uint256 paid0, uint256 paid1)",
    "IncreaseLiquidity(uint256 indexed tokenId, uint128 liquidity, uint256 amount0, uint256 amount1)",
    "DecreaseLiquidity(uint256 indexed tokenId, uint128 liquidity, uint256 amount0, uint256 amount1)",
    // Safe: what it did, and its set-up; before 1.5 the parameters of the former have no topic.
    "SafeSetup(address indexed initiator, address[] owners, uint256 threshold, address initializer, address fallbackHandler)",
    "ProxyCreation(address proxy, address singleton)",
    "ProxyCreation(address indexed proxy, address singleton)",
    "ExecutionSuccess(bytes32 txHash, uint256 payment)",
    "ExecutionSuccess(bytes32 indexed txHash, uint256 payment)",
    "ExecutionFailure(bytes32 txHash, uint256 payment)",
    "ExecutionFailure(bytes32 indexed txHash, uint256 payment)",
    "ExecutionFromModuleSuccess(address indexed module)",
    "SafeReceived(address indexed sender, uint256 value)",
    "AddedOwner(address owner)",
    "RemovedOwner(address owner)",
    "ChangedThreshold(uint256 threshold)",
    "EnabledModule(address module)",
    "DisabledModule(address module)",
];

/// All of them. What does not parse is left out; a test holds that nothing is.
pub(super) fn abi() -> ContractAbi {
    ContractAbi {
        functions: functions()
            .filter_map(|function| FunctionAbi::new(&function?).ok())
            .collect(),
        events: EVENTS
            .iter()
            .filter_map(|text| EventAbi::new(&Event::parse(text).ok()?).ok()?)
            .map(|(topic, event)| ((topic, event.indexed()), event))
            .collect(),
    }
}

fn functions() -> impl Iterator<Item = Option<Function>> {
    let plain = FUNCTIONS.iter().copied().flatten();
    let plain = plain.map(|text| Function::parse(text).ok());
    plain.chain(WITH_TUPLES.iter().map(|(text, names)| {
        let mut function = Function::parse(text).ok()?;
        let inputs = function.inputs.iter_mut();
        let members = inputs.flat_map(|input| &mut input.components);
        for (member, name) in members.zip(names.split(' ')) {
            name.clone_into(&mut member.name);
        }
        Some(function)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_is_read_and_none_hides_another() {
        let abi = abi();
        assert_eq!(abi.functions.len(), functions().count());
        assert_eq!(abi.events.len(), EVENTS.len());
    }
}
