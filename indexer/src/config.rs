//! What an indexer is told.

use crate::backfill::BackfillLimits;
use chain::{FinalityProfile, VerifyLevel};
use sqlx::PgPool;
use std::net::SocketAddr;
use url::Url;

/// Everything an indexer needs, validated.
#[derive(Clone, Debug)]
pub struct IndexerConfig {
    /// Nodes, in order of preference: http, https, ws or wss.
    pub rpc_urls: Vec<Url>,
    /// The database, with rights to write.
    pub database: PgPool,
    /// Redis, which receives what was committed.
    pub redis_url: String,
    /// First block to index; later starts may give a lower one.
    pub start_block: Option<u64>,
    /// Overrides the finality profile found at the node.
    pub finality: Option<FinalityProfile>,
    /// How much is proven before it is kept.
    pub verify: VerifyLevel,
    /// Where health and metrics are served; nowhere when another server of the process does.
    pub listen: Option<SocketAddr>,
    /// Last block to index: the indexer ends when everything up to it is committed.
    pub until: Option<u64>,
    /// How much filling in history may take.
    pub backfill: BackfillLimits,
}

/// A setting that cannot be used: one line that names it, what was given and what is accepted.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {given:?} cannot be used: {accepted}")]
pub struct ConfigError {
    /// The setting's name.
    pub setting: &'static str,
    /// What was given, without secrets.
    pub given: String,
    /// What is accepted.
    pub accepted: String,
}

impl IndexerConfig {
    /// Parses a comma-separated list of node URLs.
    pub fn parse_rpc_urls(list: &str) -> Result<Vec<Url>, ConfigError> {
        let bad = |given: &str, accepted: &str| ConfigError {
            setting: "RPC_URL",
            given: given.to_owned(),
            accepted: accepted.to_owned(),
        };
        let accepted = "a comma-separated list of http, https, ws or wss URLs is accepted";
        let urls = list
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| match Url::parse(part) {
                Ok(url) if matches!(url.scheme(), "http" | "https" | "ws" | "wss") => Ok(url),
                // Only the scheme is repeated: the rest may hold a key.
                Ok(url) => Err(bad(&format!("{}:…", url.scheme()), accepted)),
                Err(_) => Err(bad(part.split("://").next().unwrap_or(part), accepted)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(bad(list, accepted));
        }
        Ok(urls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_nodes_of_both_kinds_are_accepted() {
        let urls = IndexerConfig::parse_rpc_urls("http://a:1, ws://b:2/x,").unwrap();
        assert_eq!(urls.len(), 2);
    }

    #[test]
    fn a_bad_url_is_named_without_its_secret() {
        for list in ["", " , ", "ftp://host/secret", "secret-host"] {
            let error = IndexerConfig::parse_rpc_urls(list).unwrap_err().to_string();
            assert!(error.starts_with("RPC_URL:"), "{error}");
            assert!(error.contains("ws"), "{error}");
            assert!(!error.contains("host/secret"), "{error}");
        }
    }
}
