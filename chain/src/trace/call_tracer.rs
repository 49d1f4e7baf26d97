//! Traces by geth's `callTracer`: a tree of calls for each transaction.
//!
//! The tree is read level by level: a frame's calls stay text until their turn comes. A tree of any
//! depth then needs neither stack to be read nor to be dropped; levels are scanned again instead, which
//! is cheap at the depths that occur.

use super::{
    InternalKind, InternalTransfer, TraceError, TracedTransaction,
    frames::{DEEPEST, Frame, FrameKind, collect},
};
use alloy::primitives::{Address, B256, U256};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is answered for one transaction. geth before 1.11 names no hash.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(default)]
    tx_hash: Option<B256>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallFrame<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    from: Option<Address>,
    #[serde(default)]
    to: Option<Address>,
    #[serde(default)]
    value: Option<U256>,
    #[serde(default)]
    gas: Option<U256>,
    #[serde(default)]
    gas_used: Option<U256>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    calls: Option<Vec<&'a RawValue>>,
}

/// The internal transfers of a block, in order, from what `debug_traceBlockByHash` or `…ByNumber`
/// answered when asked for `callTracer`.
pub fn read_call_tracer(
    json: &str,
    transactions: &[TracedTransaction],
) -> Result<Vec<InternalTransfer>, TraceError> {
    let answers: Vec<Answer<'_>> = read(json)?;
    if answers.len() != transactions.len() {
        return Err(TraceError::Count {
            traces: answers.len(),
            transactions: transactions.len(),
        });
    }
    let mut transfers = Vec::new();
    for (index, (answer, transaction)) in answers.iter().zip(transactions).enumerate() {
        if let Some(hash) = answer.tx_hash.filter(|hash| *hash != transaction.hash) {
            return Err(TraceError::Differs {
                index,
                what: "hash",
                traced: hash.to_string(),
                proven: transaction.hash.to_string(),
            });
        }
        let Some(top) = answer.result else {
            let reason = answer.error.clone();
            return Err(TraceError::Failed {
                index,
                reason: reason.unwrap_or_else(|| "it has neither result nor error".to_owned()),
            });
        };
        collect(index, transaction, &frames(top)?, &mut transfers)?;
    }
    Ok(transfers)
}

/// All frames of a tree in the order of execution.
fn frames(top: &RawValue) -> Result<Vec<Frame>, TraceError> {
    let mut frames = Vec::new();
    let mut levels = vec![vec![top].into_iter()];
    while let Some(level) = levels.last_mut() {
        let Some(raw) = level.next() else {
            levels.pop();
            continue;
        };
        let depth = levels.len() - 1;
        if depth > DEEPEST {
            let reason = format!("calls lie more than {DEEPEST} deep");
            return Err(TraceError::Malformed(reason));
        }
        let mut frame: CallFrame<'_> = read(raw.get())?;
        levels.push(frame.calls.take().unwrap_or_default().into_iter());
        frames.push(frame.at(depth)?);
    }
    Ok(frames)
}

impl CallFrame<'_> {
    fn at(self, depth: usize) -> Result<Frame, TraceError> {
        let (Some(kind), Some(from)) = (self.kind, self.from) else {
            return Err(TraceError::OtherTracer);
        };
        Ok(Frame {
            depth,
            kind: match kind.as_str() {
                "CALL" => FrameKind::Moves(InternalKind::Call),
                "CREATE" => FrameKind::Moves(InternalKind::Create),
                "CREATE2" => FrameKind::Moves(InternalKind::Create2),
                "SELFDESTRUCT" | "SUICIDE" => FrameKind::Moves(InternalKind::SelfDestruct),
                "DELEGATECALL" | "CALLCODE" | "STATICCALL" => FrameKind::Other,
                other => return Err(unknown(other)),
            },
            from,
            to: self.to,
            value: self.value.unwrap_or_default(),
            gas: gas(self.gas)?,
            gas_used: gas(self.gas_used)?,
            failed: self.error.is_some_and(|error| error.get() != "\"\""),
        })
    }
}

pub(super) fn unknown(kind: &str) -> TraceError {
    let kind: String = kind.chars().take(40).collect();
    TraceError::Malformed(format!("a frame is of the unknown type {kind:?}"))
}

/// Gas, which no block has more of than the database can hold.
pub(super) fn gas(gas: Option<U256>) -> Result<Option<u64>, TraceError> {
    let fits = |gas: U256| i64::try_from(gas).ok().map(i64::unsigned_abs);
    gas.map(|gas| fits(gas).ok_or_else(|| TraceError::Malformed(format!("gas of {gas}"))))
        .transpose()
}

pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, TraceError> {
    serde_json::from_str(json).map_err(|error| TraceError::Malformed(error.to_string()))
}
