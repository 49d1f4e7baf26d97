//! Which chain this is: what the nodes say, compared with what the database holds.
//!
//! Two chains in one database would be worse than no index at all, so a node is asked for its chain
//! id and genesis hash before its first block is used, and a difference stops the indexer with a
//! sentence that says what to do.

use crate::{
    config::IndexerConfig,
    error::IndexError,
    node::Node,
    source::Source,
    tip::{Tag, Tip},
};
use alloy::primitives::{B256, U64};
use chain::FinalityProfile;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use sqlx::PgPool;
use std::{future::Future, time::Duration};
use store::{
    schema::{self, Edition},
    state::{self, Chain},
};

/// How many blocks must stand on a block before it counts as final, where nothing else tells: what
/// exchanges used to ask for on proof-of-work chains, rounded up to a number nobody argues about.
const DEFAULT_DEPTH: u64 = 64;

/// How much time one chunk of a hypertable spans: its indexes stay in memory, and ten years are some
/// five hundred chunks.
const CHUNK_SPAN: Duration = Duration::from_hours(7 * 24);

/// Bounds of a chunk in blocks, for chains with odd clocks.
const CHUNK_BLOCKS: std::ops::RangeInclusive<u64> = 10_000..=1_000_000;

/// Transactions of a chunk at most, where the newest blocks are typical: the indexes of its wallets' rows
/// and its token transfers are then some 400 MB, and stay in memory while they are filled; a billion
/// transactions are a thousand chunks, of which a page opens those it needs.
const CHUNK_TRANSACTIONS: u64 = 1_000_000;

/// Blocks of a chunk at least, however full they are.
const FEWEST_CHUNK_BLOCKS: u64 = 1_000;

/// How long a node gets to answer at start.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// How far back the block time is measured.
const BLOCK_TIME_WINDOW: u64 = 1_000;

/// What a node says it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChainId {
    pub chain_id: u64,
    pub genesis: B256,
}

/// Asks a node which chain it follows, and logs what it is.
pub(crate) async fn ask(node: &Node) -> Result<ChainId, IndexError> {
    let malformed =
        |what: &str| IndexError::Transient(format!("node {} gave no usable {what}", node.label()));
    let chain_id = node.ask("eth_chainId", ()).await?;
    let chain_id: U64 = serde_json::from_str(chain_id.get()).map_err(|_| malformed("chain id"))?;
    let genesis = node.ask("eth_getBlockByNumber", ("0x0", false)).await?;
    let genesis: Option<Tip> =
        serde_json::from_str(genesis.get()).map_err(|_| malformed("genesis block"))?;
    let genesis = genesis.ok_or_else(|| malformed("genesis block"))?;
    let version = node.ask("web3_clientVersion", ()).await;
    let version = version
        .ok()
        .and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok())
        .and_then(|value| value.as_str().map(str::to_owned));
    let chain_id = chain_id.saturating_to();
    tracing::info!(
        node = node.label(),
        chain.id = chain_id,
        chain.genesis = %genesis.hash,
        client = version.as_deref().unwrap_or("unknown"),
        "node answers"
    );
    Ok(ChainId {
        chain_id,
        genesis: genesis.hash,
    })
}

/// A node that says nothing must not hold up a start that the others allow.
async fn in_time<T>(asked: impl Future<Output = Result<T, IndexError>>) -> Result<T, IndexError> {
    let answered = tokio::time::timeout(START_PATIENCE, asked).await;
    answered.unwrap_or_else(|_| {
        let seconds = START_PATIENCE.as_secs();
        Err(IndexError::Transient(format!(
            "no reply within {seconds} s"
        )))
    })
}

/// Asks a node which chain it follows and what it can do, and logs both.
pub(crate) async fn introduce(source: &Source, index: usize) -> Result<ChainId, IndexError> {
    let node = &source.nodes()[index];
    let found = ask(node).await?;
    let by_block = source.probe_receipts(index).await?;
    let finalized = source.probe_tag(index, "finalized").await?;
    tracing::info!(
        node = node.label(),
        receipts = if by_block { "by block" } else { "one by one" },
        finality_tags = finalized != Tag::Unsupported,
        announces_heads = node.websocket().is_some(),
        "what the node can do"
    );
    Ok(found)
}

/// A name for the database of the chain that the first answering node follows.
pub async fn database_name(urls: &[url::Url]) -> Result<String, IndexError> {
    let mut last_error = IndexError::Conflict;
    for url in urls {
        match in_time(ask(&Node::new(url.clone()))).await {
            Ok(found) => {
                let genesis = alloy::hex::encode(&found.genesis[..4]);
                return Ok(format!("chain_{}_{genesis}", found.chain_id));
            }
            Err(error) => last_error = error,
        }
    }
    Err(IndexError::Halt(format!(
        "RPC_URL: no usable node: {last_error}"
    )))
}

/// Refuses a node of another chain.
pub(crate) fn compare(chain: &Chain, node: &Node, found: ChainId) -> Result<(), IndexError> {
    let label = node.label();
    if found.chain_id != chain.chain_id {
        return Err(IndexError::Halt(format!(
            "node {label} follows chain {}, and the database holds chain {}: use a node of chain \
             {1}, or another database (DATABASE_URL)",
            found.chain_id, chain.chain_id,
        )));
    }
    if found.genesis != chain.genesis_hash {
        return Err(IndexError::Halt(format!(
            "node {label} has genesis {}, and the database holds a chain {} with genesis {}: a dev \
             chain that was reset looks like this; start over with an empty database, or use the \
             node this one was indexed from",
            found.genesis, chain.chain_id, chain.genesis_hash,
        )));
    }
    Ok(())
}

/// Compares every node that answers with the database, and writes the chain's row at first start.
pub(crate) async fn establish(
    source: &Source,
    config: &IndexerConfig,
) -> Result<Chain, IndexError> {
    let mut known = state::find_chain(&config.database).await?;
    let mut last_error = None;
    let introductions = (0..source.nodes().len()).map(|index| in_time(introduce(source, index)));
    let introductions = futures::future::join_all(introductions).await;
    for (index, introduced) in introductions.into_iter().enumerate() {
        let node = &source.nodes()[index];
        match introduced {
            Ok(found) => {
                let chain = if let Some(chain) = known.take() {
                    chain
                } else {
                    source.use_node(index);
                    first_start(source, config, found).await?
                };
                compare(&chain, node, found)?;
                source.set_verified(index);
                known = Some(chain);
            }
            Err(error) => {
                tracing::warn!(node = node.label(), %error, "node does not answer");
                last_error = Some(error);
            }
        }
    }
    if !source.use_first_verified() {
        return Err(last_error.unwrap_or(IndexError::Conflict));
    }
    let chain = known.ok_or(IndexError::Conflict)?;
    source.expect_chain(&chain);
    let chain = reconcile_settings(chain, config).await?;
    check_bounds(config.until, chain.start_block)?;
    Ok(chain)
}

/// A range that ends before it begins would never be complete.
fn check_bounds(until: Option<u64>, start_block: u64) -> Result<(), IndexError> {
    match until {
        Some(until) if until < start_block => Err(IndexError::Halt(format!(
            "--until is {until}, and the index begins at block {start_block}: give that or a higher one"
        ))),
        _ => Ok(()),
    }
}

/// Settings that may differ from those of the first start.
async fn reconcile_settings(mut chain: Chain, config: &IndexerConfig) -> Result<Chain, IndexError> {
    if let Some(start) = config.start_block {
        if start > chain.start_block {
            return Err(IndexError::Halt(format!(
                "CHAIN_START_BLOCK is {start}, and this database begins at block {} already: give that \
                 or a lower one, or use another database",
                chain.start_block
            )));
        }
        if start < chain.start_block {
            state::lower_start(&config.database, start).await?;
            tracing::info!(
                start.from = chain.start_block,
                start.to = start,
                "the index begins lower now"
            );
            chain.start_block = start;
        }
    }
    if let Some(profile) = config
        .finality
        .filter(|profile| *profile != chain.finality_profile)
    {
        state::set_finality_profile(&config.database, profile).await?;
        tracing::info!(finality.from = %chain.finality_profile, finality.to = %profile, "finality profile changed");
        chain.finality_profile = profile;
    }
    Ok(chain)
}

async fn first_start(
    source: &Source,
    config: &IndexerConfig,
    found: ChainId,
) -> Result<Chain, IndexError> {
    let head = source.head().await?;
    let (detected, finalized) = detect_finality(source, &head).await?;
    let profile = config.finality.unwrap_or(detected);
    let finalized = match profile.heights(head.number()) {
        Some((_, finalized)) => finalized,
        None => finalized.unwrap_or(0),
    };
    let start_block = config.start_block.unwrap_or(0);
    check_bounds(config.until, start_block)?;
    // Before the row that ends the first start: a chunk size cannot be made up for.
    let bucket_blocks = size_chunks(source, &config.database, &head).await?;
    state::insert_chain(
        &config.database,
        found.chain_id,
        found.genesis,
        profile,
        (start_block, finalized + 1),
        bucket_blocks,
    )
    .await?;
    tracing::info!(
        chain.id = found.chain_id,
        finality = %profile,
        start.block = start_block,
        finalized.block = finalized,
        "first start on this database"
    );
    state::find_chain(&config.database)
        .await?
        .ok_or(IndexError::Conflict)
}

/// The finality profile a chain shows, and its final height where the node says it.
async fn detect_finality(
    source: &Source,
    head: &Tip,
) -> Result<(FinalityProfile, Option<u64>), IndexError> {
    if head.is_bft() {
        return Ok((FinalityProfile::Instant, None));
    }
    Ok(match source.get_tag("finalized").await? {
        Tag::Known(tip) => (FinalityProfile::Tags, Some(tip.number())),
        Tag::Nothing => (FinalityProfile::Tags, None),
        Tag::Unsupported => {
            tracing::warn!(
                "the node knows no finality tags: a block counts as final when {DEFAULT_DEPTH} \
                 stand on it; FINALITY overrides this"
            );
            (FinalityProfile::Depth(DEFAULT_DEPTH), None)
        }
    })
}

/// Transactions of a block; none where the node does not tell: a guess is no reason not to start.
async fn count_transactions(source: &Source, number: u64) -> u64 {
    #[derive(Deserialize)]
    struct Counted {
        #[serde(default)]
        transactions: Vec<IgnoredAny>,
    }
    let node = source.node();
    let asked = node.ask("eth_getBlockByNumber", (U64::from(number), false));
    let counted = asked
        .await
        .ok()
        .and_then(|raw| serde_json::from_str::<Option<Counted>>(raw.get()).ok())
        .flatten();
    let count = counted.map_or(0, |counted| counted.transactions.len());
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Chooses the chunk size of an empty database by the chain's own block time and by how full its blocks
/// are. Returns the blocks of a chunk, which counters have buckets of whether there are chunks or not;
/// `None` leaves the schema's default.
async fn size_chunks(
    source: &Source,
    pool: &PgPool,
    head: &Tip,
) -> Result<Option<u64>, IndexError> {
    let back = head.number().min(BLOCK_TIME_WINDOW);
    let earlier = head.number() - back;
    let earlier = source.find_header(&format!("{earlier:#x}")).await;
    let earlier = earlier.ok().flatten();
    let seconds = earlier.map_or(0, |tip| head.timestamp().saturating_sub(tip.timestamp()));
    // blocks per chunk = span × blocks ÷ seconds; a chain without a past keeps the schema's default.
    let Some(blocks) = (CHUNK_SPAN.as_secs() * back).checked_div(seconds) else {
        return Ok(None);
    };
    let blocks = blocks.clamp(*CHUNK_BLOCKS.start(), *CHUNK_BLOCKS.end());
    let typical = [
        head.number(),
        head.number() - back / 2,
        head.number() - back,
    ];
    let (mut sampled, mut transactions) = (0, 0);
    for number in typical {
        sampled += 1;
        transactions += count_transactions(source, number).await;
    }
    let by_density = (CHUNK_TRANSACTIONS * sampled).checked_div(transactions);
    let blocks = blocks.min(by_density.unwrap_or(u64::MAX).max(FEWEST_CHUNK_BLOCKS));
    if schema::edition(pool).await? != Edition::Plain {
        schema::set_chunk_blocks(pool, blocks).await?;
    }
    tracing::info!(
        chunk.blocks = blocks,
        "chunk size follows the chain's block time and density"
    );
    Ok(Some(blocks))
}
