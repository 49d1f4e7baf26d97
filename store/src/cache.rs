//! The layout of Redis: keys, the head, cached answers and when they may be used.
//!
//! A cached answer says what it depends on. It is read together with the head in one round trip and
//! used only if the head still fits: an answer about blocks that are not final names the fork epoch
//! it was computed in, an answer that every block may change names the head itself. So nothing has
//! to be deleted for a reader to stop seeing it, and a fill that raced with a commit or a reorg can
//! not be used after that commit is published.

use crate::state::{BlockRef, ChainState};
use alloy::primitives::B256;
use serde::{Deserialize, Serialize};

/// The published head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the event that moved it here; 0 when read from the database.
    #[serde(default)]
    pub seq: i64,
    /// The newest canonical block.
    #[serde(flatten)]
    pub block: BlockRef,
    /// Its time, seconds since 1970.
    pub timestamp: u64,
    /// Highest safe block.
    pub safe: Option<u64>,
    /// Highest final block.
    pub finalized: Option<u64>,
    /// Rises with every reorg and every repair.
    pub epoch: u64,
    /// The last reorg that undid what was final.
    #[serde(default)]
    pub final_epoch: u64,
    /// Rises whenever blocks below the head are filled in.
    #[serde(default)]
    pub history_epoch: u64,
}

impl Head {
    /// The head of a state; `None` while nothing is indexed.
    #[must_use]
    pub fn of(state: &ChainState) -> Option<Self> {
        Some(Self {
            seq: 0,
            block: state.head?,
            timestamp: state.head_timestamp?,
            safe: state.safe,
            finalized: state.finalized,
            epoch: state.fork_epoch,
            final_epoch: state.final_epoch,
            history_epoch: state.history_epoch,
        })
    }
}

/// What a cached answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Final blocks only: never changes, unless an operator undoes what is final.
    Final(u64),
    /// Blocks that a reorg may still drop.
    Epoch(u64),
    /// The newest blocks: every new one changes it. Within an epoch the height names the head.
    Head {
        /// Fork epoch.
        epoch: u64,
        /// Height of the head.
        number: u64,
        /// How much of the history was there: more than was published is as good.
        history: u64,
    },
}

impl Validity {
    /// What an answer about the block at `number` depends on.
    #[must_use]
    pub fn of_block(state: &ChainState, number: u64) -> Self {
        if state.finalized.is_some_and(|finalized| number <= finalized) {
            Self::Final(state.final_epoch)
        } else {
            Self::Epoch(state.fork_epoch)
        }
    }

    /// What an answer that every new block may change depends on.
    #[must_use]
    pub fn of_head(state: &ChainState) -> Self {
        Self::Head {
            epoch: state.fork_epoch,
            number: state.head.map_or(0, |head| head.number),
            history: state.history_epoch,
        }
    }

    /// Whether an answer is still right under this head.
    #[must_use]
    pub fn holds(self, head: &Head) -> bool {
        match self {
            Self::Final(epoch) => epoch == head.final_epoch,
            Self::Epoch(epoch) => epoch == head.epoch,
            Self::Head {
                epoch,
                number,
                history,
            } => {
                epoch == head.epoch && number == head.block.number && history >= head.history_epoch
            }
        }
    }
}

/// Which block an answer is about, for its finality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// No single block.
    Many,
    /// The canonical block at this height.
    Block(u64),
    /// Something that a reorg dropped and that is nowhere now.
    Orphaned,
}

/// An answer's data as JSON, with what it depends on and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it may be used.
    pub validity: Validity,
    /// What it is about.
    pub subject: Subject,
    /// The JSON.
    pub body: String,
}

impl Entry {
    /// One line of header, then the body.
    #[must_use]
    pub fn encode(&self) -> String {
        let validity = match self.validity {
            Validity::Final(epoch) => format!("f{epoch}"),
            Validity::Epoch(epoch) => format!("e{epoch}"),
            Validity::Head {
                epoch,
                number,
                history,
            } => format!("h{epoch}:{number}:{history}"),
        };
        let subject = match self.subject {
            Subject::Many => "-".to_owned(),
            Subject::Block(number) => format!("b{number}"),
            Subject::Orphaned => "o".to_owned(),
        };
        format!("{validity} {subject}\n{}", self.body)
    }

    /// Reads it back; `None` for anything we did not write.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let (header, body) = text.split_once('\n')?;
        let (validity, subject) = header.split_once(' ')?;
        let validity = match validity.split_at_checked(1)? {
            ("f", epoch) => Validity::Final(epoch.parse().ok()?),
            ("e", epoch) => Validity::Epoch(epoch.parse().ok()?),
            ("h", head) => {
                let mut parts = head.splitn(3, ':').map(|part| part.parse().ok());
                Validity::Head {
                    epoch: parts.next()??,
                    number: parts.next()??,
                    history: parts.next()??,
                }
            }
            _ => return None,
        };
        let subject = match subject.split_at_checked(1)? {
            ("-", "") => Subject::Many,
            ("b", number) => Subject::Block(number.parse().ok()?),
            ("o", "") => Subject::Orphaned,
            _ => return None,
        };
        Some(Self {
            validity,
            subject,
            body: body.to_owned(),
        })
    }
}

/// Names of keys. They begin with the chain and the database's own name, so that nothing cached
/// from another database is ever read; the braces keep one chain's keys in one slot of a cluster.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys for one database.
    #[must_use]
    pub fn new(chain_id: u64, instance: &str) -> Self {
        Self {
            prefix: format!("{{tallyscan:{chain_id}:{instance}}}:"),
        }
    }

    /// The published [`Head`] as JSON.
    #[must_use]
    pub fn head(&self) -> String {
        format!("{}head", self.prefix)
    }

    /// Number of the last event that was published.
    #[must_use]
    pub fn announced(&self) -> String {
        format!("{}announced", self.prefix)
    }

    /// The canonical block at a height.
    #[must_use]
    pub fn block(&self, number: u64) -> String {
        format!("{}block:{number}", self.prefix)
    }

    /// A transaction.
    #[must_use]
    pub fn transaction(&self, hash: &B256) -> String {
        format!("{}tx:{hash}", self.prefix)
    }

    /// The network's figures.
    #[must_use]
    pub fn network(&self) -> String {
        format!("{}network", self.prefix)
    }

    /// The set of addresses (lower-case hex) whose balance and code somebody asked for.
    #[must_use]
    pub fn wanted(&self) -> String {
        format!("{}wanted", self.prefix)
    }

    /// Any other answer, named by the caller.
    #[must_use]
    pub fn answer(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// How long entries stay, in seconds.
pub mod ttl {
    /// The network's figures.
    pub const NETWORK: u64 = 30;
    /// Wallets and lists.
    pub const WALLET: u64 = 60;
    /// Blocks and transactions that may still be dropped: about as long as a page stays open.
    pub const RECENT: u64 = 600;
    /// What is final.
    pub const FINAL: u64 = 86_400;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(epoch: u64, number: u64) -> Head {
        Head {
            seq: 1,
            block: BlockRef {
                number,
                hash: B256::ZERO,
            },
            timestamp: 0,
            safe: None,
            finalized: None,
            epoch,
            final_epoch: 0,
            history_epoch: 5,
        }
    }

    #[test]
    fn entries_read_back_as_they_were_written() {
        for validity in [
            Validity::Final(3),
            Validity::Epoch(7),
            Validity::Head {
                epoch: 7,
                number: 9,
                history: 2,
            },
        ] {
            for subject in [Subject::Many, Subject::Block(9), Subject::Orphaned] {
                let entry = Entry {
                    validity,
                    subject,
                    body: "{\"a\":\"line\\nbreak\"}".to_owned(),
                };
                assert_eq!(Entry::decode(&entry.encode()), Some(entry));
            }
        }
    }

    #[test]
    fn garbage_is_a_miss() {
        for text in [
            "", "x", "f\n{}", "f -\n{}", "e -\n{}", "h1 -\n{}", "f b\n{}", "ü -\n",
        ] {
            assert_eq!(Entry::decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_reorg_ends_what_is_not_final() {
        assert!(Validity::Final(0).holds(&head(2, 10)));
        assert!(!Validity::Final(1).holds(&head(2, 10)));
        assert!(Validity::Epoch(2).holds(&head(2, 11)));
        assert!(!Validity::Epoch(1).holds(&head(2, 10)));
        let at_head = Validity::Head {
            epoch: 2,
            number: 10,
            history: 5,
        };
        assert!(at_head.holds(&head(2, 10)));
        assert!(!at_head.holds(&head(2, 11)));
        assert!(!at_head.holds(&head(3, 10)));
    }

    #[test]
    fn history_that_is_filled_in_ends_lists_that_lack_it() {
        let list = |history| Validity::Head {
            epoch: 2,
            number: 10,
            history,
        };
        assert!(!list(4).holds(&head(2, 10)));
        assert!(list(5).holds(&head(2, 10)));
        assert!(
            list(6).holds(&head(2, 10)),
            "it knows more than was published"
        );
    }
}
