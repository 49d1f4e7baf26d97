//! The recorded chains load, whole and fast; an absent folder is named.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::Outcome;
use tallyscan_simnode::fixtures::{FixtureError, Genesis, RlpFile, canned};
use tallyscan_simnode::{CannedChain, Fixtures};

#[test]
fn all_sepolia_blocks_load_in_well_under_two_seconds() -> Outcome {
    let Some(fixtures) = Fixtures::find_or_say("all_sepolia_blocks_load_in_well_under_two_seconds")
    else {
        return Ok(());
    };
    let started = Instant::now();
    let chain = CannedChain::with_blocks(11_155_111, fixtures.sepolia_run()?);
    let elapsed = started.elapsed();
    assert_eq!(chain.len(), 8_192);
    let head = chain.head().ok_or("no head")?;
    assert_eq!(head.number, 180_223);
    let blocks = (172_032..=180_223).filter_map(|number| chain.block(number));
    let (mut transactions, mut uncles) = (0, 0);
    for block in blocks {
        transactions += block.transactions.len();
        uncles += block.uncle_count;
    }
    assert_eq!((transactions, uncles), (93, 1_273));
    eprintln!("loaded in {elapsed:?}");
    assert!(elapsed < Duration::from_secs(2), "took {elapsed:?}");
    Ok(())
}

#[test]
fn every_kind_of_fixture_loads() -> Outcome {
    let Some(fixtures) = Fixtures::find_or_say("every_kind_of_fixture_loads") else {
        return Ok(());
    };
    let mainnet = fixtures.mainnet_blocks()?;
    let with_receipts = mainnet
        .iter()
        .filter(|block| block.receipts.is_some())
        .count();
    assert_eq!((mainnet.len(), with_receipts), (16, 7));
    assert_eq!(canned(&mainnet)?.len(), 16);
    assert_eq!(canned(&fixtures.mainnet_run()?)?.len(), 41);
    assert_eq!(fixtures.sepolia_7265502()?.canned()?.transactions.len(), 94);
    assert_eq!(
        fixtures.mainnet_21925176()?.canned()?.transactions.len(),
        202
    );
    let traced = mainnet.iter().filter(|block| block.traces.is_some());
    assert_eq!(traced.count(), 1);
    let tampered = fixtures.tampered()?;
    let good: Vec<_> = tampered
        .iter()
        .filter(|block| block.reason.is_none())
        .collect();
    assert_eq!((tampered.len(), good.len()), (8, 1));
    assert_eq!(good[0].name, "post-shanghai-success");
    assert_eq!(fixtures.bft_headers()?.len(), 4);
    assert_eq!(
        fixtures.rlp_blocks(RlpFile::Ibft1)?.len(),
        101,
        "block 0 and 100 more"
    );
    assert_eq!(fixtures.rlp_blocks(RlpFile::ExecutionApis)?.len(), 54);
    assert_eq!(fixtures.rlp_blocks(RlpFile::BesuHive)?.len(), 35);
    assert_eq!(fixtures.execution_apis_blocks()?.len(), 54);
    for genesis in [
        Genesis::ExecutionApis,
        Genesis::BesuHive,
        Genesis::Ibft,
        Genesis::QbftMigration,
    ] {
        assert!(fixtures.genesis(genesis)?.get().contains("\"alloc\""));
    }
    let exchanges = fixtures.besu_exchanges()?;
    assert!(
        exchanges
            .iter()
            .any(|pair| pair.name == "eth_getBlockReceiptsByHash_NotFound")
    );
    Ok(())
}

#[test]
fn a_folder_without_the_files_is_an_error_that_names_the_file() -> Outcome {
    let empty = tempfile::tempdir()?;
    let error = Fixtures::at(empty.path())
        .sepolia_run()
        .err()
        .ok_or("it loaded")?;
    assert!(matches!(&error, FixtureError::Unreadable { .. }));
    assert!(
        error.to_string().contains("172032-180223.jsonl.zst"),
        "{error}"
    );
    Ok(())
}

/// Runs itself without a folder: the environment of a process is not changed while tests run in it.
#[test]
fn an_absent_folder_names_the_test_that_did_not_run() -> Outcome {
    let output = Command::new(std::env::current_exe()?)
        .args(["--exact", "every_kind_of_fixture_loads"])
        .env("CHAIN_FIXTURES", "absent/fixtures")
        .output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(output.status.success());
    assert!(
        said.contains("NOT RUN (1 in this process): every_kind_of_fixture_loads"),
        "{said}"
    );
    assert!(said.contains("absent/fixtures"), "{said}");
    Ok(())
}
