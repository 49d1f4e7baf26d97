//! WebSocket clients: calls, heads as they come, and sockets that die.

mod support;

use std::sync::Arc;
use std::time::Duration;

use alloy::network::Ethereum;
use alloy::providers::{Provider, ProviderBuilder, WsConnect};
use futures::StreamExt;
use support::{Outcome, block, hash, node};
use tallyscan_simnode::{CannedChain, Fault, LoadChain, LoadProfile, Server, When};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(150);

async fn connect(node: &Server) -> Result<impl Provider + use<>, Box<dyn std::error::Error>> {
    Ok(ProviderBuilder::<_, _, Ethereum>::default()
        .connect_ws(WsConnect::new(node.ws_url()))
        .await?)
}

#[tokio::test]
async fn calls_over_a_socket_are_answered_and_counted() -> Outcome {
    let node = node(12);
    let client = connect(&node).await?;
    assert_eq!(client.get_block_number().await?, 12);
    assert!(client.get_block_by_hash(hash(3, 1)).await?.is_some());
    assert_eq!(
        (node.calls("eth_blockNumber"), node.counts().sockets),
        (1, 1)
    );
    Ok(())
}

#[tokio::test]
async fn heads_are_announced_when_the_head_moves_and_the_whole_branch_on_a_reorg() -> Outcome {
    let node = node(10);
    node.chain().set_head(5);
    let client = connect(&node).await?;
    let mut heads = client.subscribe_blocks().await?.into_stream();
    // The reply and the start of notifications are two steps of the node: let the second happen.
    client.get_block_number().await?;
    node.chain().set_head(7);
    node.chain().release_head();
    node.chain()
        .replace_from(9, (9..=11).map(|number| block(number, 2, 8)));
    let mut seen = Vec::new();
    for _ in 0..8 {
        let head = timeout(SOON, heads.next())
            .await?
            .ok_or("the subscription ended")?;
        seen.push(head.hash);
    }
    let first_branch = (6..=10).map(|number| hash(number, 1));
    let second_branch = (9..=11).map(|number| hash(number, 2));
    assert_eq!(seen, first_branch.chain(second_branch).collect::<Vec<_>>());
    node.chain().replace_from(11, []);
    assert!(
        timeout(SILENCE, heads.next()).await.is_err(),
        "a rollback announces nothing"
    );
    Ok(())
}

#[tokio::test]
async fn a_subscription_can_be_accepted_and_stay_silent_while_calls_work() -> Outcome {
    let node = node(1);
    node.faults()
        .on("eth_subscribe", Fault::SilentSubscription, When::Times(1));
    let client = connect(&node).await?;
    let mut heads = client.subscribe_blocks().await?.into_stream();
    node.chain().push(block(2, 1, 0));
    assert!(timeout(SILENCE, heads.next()).await.is_err());
    assert_eq!(client.get_block_number().await?, 2);
    Ok(())
}

#[tokio::test]
async fn muted_sockets_stay_open_and_dead_while_new_ones_work() -> Outcome {
    let node = node(1);
    let client = connect(&node).await?;
    let mut heads = client.subscribe_blocks().await?.into_stream();
    assert_eq!(client.get_block_number().await?, 1);
    node.mute_sockets();
    node.chain().push(block(2, 1, 0));
    assert!(timeout(SILENCE, heads.next()).await.is_err());
    assert!(timeout(SILENCE, client.get_block_number()).await.is_err());
    let fresh = connect(&node).await?;
    assert_eq!(timeout(SOON, fresh.get_block_number()).await??, 2);
    Ok(())
}

#[tokio::test]
async fn closed_sockets_are_opened_again_by_their_clients() -> Outcome {
    let node = node(1);
    let client = connect(&node).await?;
    assert_eq!(client.get_block_number().await?, 1);
    node.close_sockets();
    tokio::time::sleep(SILENCE).await;
    assert_eq!(timeout(SOON, client.get_block_number()).await??, 1);
    assert_eq!(node.counts().sockets, 2);
    Ok(())
}

#[tokio::test]
async fn statuses_become_errors_on_a_socket() -> Outcome {
    let node = node(1);
    let limit = Fault::TooManyRequests {
        retry_after_secs: None,
    };
    node.faults().on("eth_blockNumber", limit, When::Times(1));
    let client = connect(&node).await?;
    let error = client
        .get_block_number()
        .await
        .err()
        .ok_or("it was answered")?;
    assert_eq!(
        error.as_error_resp().map(|response| response.code),
        Some(429)
    );
    assert_eq!(client.get_block_number().await?, 1);
    Ok(())
}

#[tokio::test]
async fn blocks_of_a_load_chain_are_announced_as_the_head_is_raised() -> Outcome {
    let profile = LoadProfile {
        transactions: 5,
        ..LoadProfile::default()
    };
    let load = Arc::new(LoadChain::generate(profile, 6)?);
    let chain = CannedChain::with_load(Arc::clone(&load));
    chain.set_head(2);
    let node = Server::start(chain.clone())?;
    let client = connect(&node).await?;
    let mut heads = client.subscribe_blocks().await?.into_stream();
    client.get_block_number().await?;
    chain.advance(1);
    chain.release_head();
    for number in 3..=6 {
        let head = timeout(SOON, heads.next())
            .await?
            .ok_or("the subscription ended")?;
        assert_eq!(Some(head.hash), load.hash(number));
        assert_eq!(head.inner.hash_slow(), head.hash);
    }
    Ok(())
}
