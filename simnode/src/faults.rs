//! How the node misbehaves: rules by method, drawn once per request, changeable while it runs.
//!
//! Rules of a method are a script: the first that still applies is used up before the next begins.
//! Only [`Fault::Latency`] adds to whatever else happens. A rule with a probability draws from a
//! generator of its own, seeded by [`Faults::seed`] and the rule's position: its n-th matching
//! request gets the same verdict in every run, whatever happens to other methods meanwhile.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

/// A rule for every method.
pub const ANY_METHOD: &str = "*";

/// What goes wrong with a request.
///
/// Faults of the HTTP layer hit the whole HTTP reply, so one such call spoils its batch. WebSocket
/// has no status: there, 429 and 5xx become JSON-RPC errors with the status as their code.
#[derive(Clone)]
pub enum Fault {
    /// HTTP 429, with `Retry-After` in seconds when given.
    TooManyRequests {
        /// The header's value.
        retry_after_secs: Option<u64>,
    },
    /// Another HTTP status, such as 500 or 503, with a body that is not JSON.
    Status(u16),
    /// The request is taken and never answered.
    NeverAnswer,
    /// The answer comes so much later.
    Latency(Duration),
    /// The answer stops in the middle of its JSON, with a correct `Content-Length`.
    TruncatedBody,
    /// The connection breaks in the middle of the answer; a WebSocket is closed.
    CutConnection,
    /// A JSON-RPC error.
    Error {
        /// Its code, such as -32005.
        code: i64,
        /// Its message.
        message: String,
    },
    /// The result is null, whatever was asked.
    Null,
    /// The node lags: it answers as if its head were so many blocks lower.
    StaleHead(u64),
    /// `eth_getBlockReceipts` answers with the receipts of the nearest block whose receipts differ,
    /// `eth_getTransactionReceipt` with another transaction's receipt. Others answer truthfully.
    ReceiptsOfAnotherBlock,
    /// The method does not exist (-32601).
    Unsupported,
    /// The true result, edited. See [`Fault::edit`] and [`Fault::set`].
    Edit(Edit),
    /// `eth_subscribe` is accepted, and nothing is ever notified.
    SilentSubscription,
}

/// A change to a result.
pub type Edit = Arc<dyn Fn(&mut Value) + Send + Sync>;

impl Fault {
    /// The true result, changed by a closure.
    pub fn edit(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Edit(Arc::new(change))
    }

    /// The true result with one place replaced, named by a JSON pointer (`/transactions/0/value`).
    /// A missing last field is added; a result without that place is left alone.
    pub fn set(pointer: impl Into<String>, value: impl Into<Value>) -> Self {
        let (pointer, value) = (pointer.into(), value.into());
        Self::edit(move |result| {
            if let Some(place) = result.pointer_mut(&pointer) {
                *place = value.clone();
            } else if let Some((parent, field)) = pointer.rsplit_once('/')
                && let Some(Value::Object(fields)) = result.pointer_mut(parent)
            {
                fields.insert(field.to_owned(), value.clone());
            }
        })
    }

    /// The true result without one field, named by a JSON pointer.
    pub fn remove(pointer: impl Into<String>) -> Self {
        let pointer = pointer.into();
        Self::edit(move |result| {
            if let Some((parent, field)) = pointer.rsplit_once('/')
                && let Some(Value::Object(fields)) = result.pointer_mut(parent)
            {
                fields.remove(field);
            }
        })
    }

    /// The true result with another root (`transactionsRoot`, `receiptsRoot`, `stateRoot`, a hash): the last
    /// bit of what the pointer names is flipped. A result without that place is left alone.
    pub fn wrong_root(pointer: impl Into<String>) -> Self {
        let pointer = pointer.into();
        Self::edit(move |result| {
            if let Some(Value::String(root)) = result.pointer_mut(&pointer) {
                let last = root.pop().and_then(|digit| digit.to_digit(16));
                let flipped = last.and_then(|digit| char::from_digit(digit ^ 1, 16));
                root.extend(flipped);
            }
        })
    }

    /// Error -32005 for too many requests in too short a time (Infura, Alchemy).
    pub fn rate_limited() -> Self {
        Self::error(-32005, "rate limit exceeded")
    }

    /// Error -32005 for an answer that would be too large, whoever asks and however slowly: the same code
    /// as [`rate_limited`](Self::rate_limited), and asking again never helps.
    pub fn response_too_large() -> Self {
        Self::error(-32005, "query returned more than 10000 results")
    }

    /// A JSON-RPC error.
    pub fn error(code: i64, message: impl Into<String>) -> Self {
        Self::Error {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRequests { retry_after_secs } => {
                write!(f, "TooManyRequests({retry_after_secs:?})")
            }
            Self::Status(status) => write!(f, "Status({status})"),
            Self::NeverAnswer => f.write_str("NeverAnswer"),
            Self::Latency(delay) => write!(f, "Latency({delay:?})"),
            Self::TruncatedBody => f.write_str("TruncatedBody"),
            Self::CutConnection => f.write_str("CutConnection"),
            Self::Error { code, message } => write!(f, "Error({code}, {message})"),
            Self::Null => f.write_str("Null"),
            Self::StaleHead(behind) => write!(f, "StaleHead({behind})"),
            Self::ReceiptsOfAnotherBlock => f.write_str("ReceiptsOfAnotherBlock"),
            Self::Unsupported => f.write_str("Unsupported"),
            Self::Edit(_) => f.write_str("Edit"),
            Self::SilentSubscription => f.write_str("SilentSubscription"),
        }
    }
}

/// Which of the matching requests a rule hits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// Every one.
    Always,
    /// The next so many.
    Times(u32),
    /// None of the next `skip`, then `times`.
    After {
        /// Requests that pass first.
        skip: u32,
        /// Requests that are hit then.
        times: u32,
    },
    /// Each with this probability, 0 to 1, under the seed.
    Chance(f64),
}

/// Names a rule, to take it away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

/// The node's rules. Clones are handles to the same rules.
#[derive(Clone, Default)]
pub struct Faults {
    shared: Arc<Mutex<Rules>>,
}

#[derive(Default)]
struct Rules {
    seed: u64,
    made: u64,
    made_since_seed: u64,
    script: Vec<Rule>,
}

struct Rule {
    id: RuleId,
    method: String,
    fault: Fault,
    when: When,
    generator: u64,
}

/// What was drawn for one request.
#[derive(Debug, Default)]
pub(crate) struct Drawn {
    pub(crate) delay: Duration,
    pub(crate) fault: Option<Fault>,
}

impl Faults {
    /// Adds a rule for a method, or for [`ANY_METHOD`].
    pub fn on(&self, method: impl Into<String>, fault: Fault, when: When) -> RuleId {
        let mut rules = self.lock();
        let id = RuleId(rules.made);
        rules.made += 1;
        let generator = splitmix(&mut (rules.seed ^ rules.made_since_seed.rotate_left(32)));
        rules.made_since_seed += 1;
        rules.script.push(Rule {
            id,
            method: method.into(),
            fault,
            when,
            generator,
        });
        id
    }

    /// The seed of the rules that are added from now on; positions count from the start again.
    pub fn seed(&self, seed: u64) {
        let mut rules = self.lock();
        rules.seed = seed;
        rules.made_since_seed = 0;
    }

    /// Takes one rule away. Returns whether it was still there.
    pub fn remove(&self, id: RuleId) -> bool {
        let mut rules = self.lock();
        let before = rules.script.len();
        rules.script.retain(|rule| rule.id != id);
        rules.script.len() < before
    }

    /// Takes every rule away: the node behaves from now on.
    pub fn clear(&self) {
        self.lock().script.clear();
    }

    /// Number of rules that can still hit something.
    pub fn pending(&self) -> usize {
        self.lock().script.len()
    }

    pub(crate) fn draw(&self, method: &str) -> Drawn {
        let mut rules = self.lock();
        let mut drawn = Drawn::default();
        for rule in &mut rules.script {
            if rule.method != method && rule.method != ANY_METHOD {
                continue;
            }
            match &rule.fault {
                Fault::Latency(delay) => {
                    let delay = *delay;
                    if rule.hits() {
                        drawn.delay += delay;
                    }
                }
                fault if drawn.fault.is_none() => {
                    let fault = fault.clone();
                    if rule.hits() {
                        drawn.fault = Some(fault);
                    }
                }
                // A rule further down the script waits: this request is not counted against it.
                _ => {}
            }
        }
        rules.script.retain(|rule| !rule.used_up());
        drawn
    }

    fn lock(&self) -> MutexGuard<'_, Rules> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rule {
    fn hits(&mut self) -> bool {
        match &mut self.when {
            When::Always => true,
            When::After { skip, .. } if *skip > 0 => {
                *skip -= 1;
                false
            }
            When::Times(left) | When::After { times: left, .. } => {
                let hit = *left > 0;
                *left = left.saturating_sub(1);
                hit
            }
            When::Chance(probability) => unit(splitmix(&mut self.generator)) < *probability,
        }
    }

    fn used_up(&self) -> bool {
        matches!(self.when, When::Times(0) | When::After { times: 0, .. })
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same in every version of every library.
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The top 32 bits as a number in [0, 1): exact, so no lossy cast.
fn unit(bits: u64) -> f64 {
    let top = u32::try_from(bits >> 32).unwrap_or(u32::MAX);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(seed: u64) -> Vec<bool> {
        let faults = Faults::default();
        faults.seed(seed);
        faults.on("a", Fault::Null, When::Chance(0.3));
        (0..1_000)
            .map(|_| faults.draw("a").fault.is_some())
            .collect()
    }

    #[test]
    fn a_seed_repeats_its_verdicts_and_another_seed_does_not() {
        assert_eq!(verdicts(7), verdicts(7));
        assert_ne!(verdicts(7), verdicts(8));
        let hits = verdicts(7).iter().filter(|hit| **hit).count();
        assert!(
            (250..350).contains(&hits),
            "{hits} of 1000 at probability 0.3"
        );
    }

    #[test]
    fn rules_of_a_method_are_used_up_one_after_the_other() {
        let faults = Faults::default();
        faults.on("a", Fault::Null, When::Times(1));
        faults.on("a", Fault::Unsupported, When::After { skip: 1, times: 1 });
        faults.on("a", Fault::Latency(Duration::from_millis(5)), When::Always);
        let drawn: Vec<_> = (0..4)
            .map(|_| format!("{:?}", faults.draw("a").fault))
            .collect();
        assert_eq!(drawn, ["Some(Null)", "None", "Some(Unsupported)", "None"]);
        assert_eq!(faults.pending(), 1);
        assert_eq!(faults.draw("a").delay, Duration::from_millis(5));
        assert_eq!(faults.draw("b").delay, Duration::ZERO);
    }
}
