//! What transactions did within, in the two forms in which nodes tell it.
//!
//! Geth's `callTracer` tells a tree of all calls. Parity's form is a flat list, which leaves calls of
//! precompiled contracts out and ends with the block's reward.

use alloy::primitives::{Address, B256, U256};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::json::quantity;

/// Addresses below this are precompiled contracts.
const PRECOMPILED: u64 = 0x100;

/// What a frame of a call tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CallKind {
    /// CALL.
    Call,
    /// STATICCALL.
    StaticCall,
    /// DELEGATECALL.
    DelegateCall,
    /// CALLCODE.
    CallCode,
    /// CREATE, and a transaction that creates.
    Create,
    /// CREATE2.
    Create2,
    /// SELFDESTRUCT.
    SelfDestruct,
}

impl CallKind {
    fn name(self) -> &'static str {
        match self {
            Self::Call => "CALL",
            Self::StaticCall => "STATICCALL",
            Self::DelegateCall => "DELEGATECALL",
            Self::CallCode => "CALLCODE",
            Self::Create => "CREATE",
            Self::Create2 => "CREATE2",
            Self::SelfDestruct => "SELFDESTRUCT",
        }
    }
}

/// A call with the calls that it made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallFrame {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: CallKind,
    /// Who called, or is destroyed.
    pub from: Address,
    /// Who is called or created, or gets what the destroyed one had.
    #[serde(default)]
    pub to: Address,
    /// Wei.
    #[serde(default)]
    pub value: U256,
    /// Gas it may use.
    #[serde(deserialize_with = "quantity")]
    pub gas: u64,
    /// Gas it used.
    #[serde(deserialize_with = "quantity")]
    pub gas_used: u64,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// The calls that it made, in order.
    #[serde(default)]
    pub calls: Vec<CallFrame>,
}

impl CallFrame {
    fn is_precompiled(&self) -> bool {
        let calls = matches!(
            self.kind,
            CallKind::Call | CallKind::StaticCall | CallKind::DelegateCall
        );
        let moves = self.kind == CallKind::Call && !self.value.is_zero();
        calls && !moves && U256::from_be_slice(self.to.as_slice()) < U256::from(PRECOMPILED)
    }

    fn tree(&self) -> Value {
        let mut frame = json!({
            "type": self.kind.name(),
            "from": self.from,
            "to": self.to,
            "gas": format!("{:#x}", self.gas),
            "gasUsed": format!("{:#x}", self.gas_used),
            "input": "0x",
        });
        if self.kind != CallKind::StaticCall {
            frame["value"] = json!(self.value);
        }
        if let Some(error) = &self.error {
            frame["error"] = json!(error);
        }
        if !self.calls.is_empty() {
            frame["calls"] = self.calls.iter().map(Self::tree).collect();
        }
        frame
    }

    /// Appends itself and what lies within, every caller before its calls.
    fn flatten(&self, place: &[usize], told: &mut Vec<Value>) {
        let calls = self.calls.iter().filter(|call| !call.is_precompiled());
        let calls: Vec<&Self> = calls.collect();
        let mut trace = match self.kind {
            CallKind::SelfDestruct => json!({
                "type": "suicide",
                "action": {"address": self.from, "refundAddress": self.to, "balance": self.value},
                "result": null,
            }),
            CallKind::Create | CallKind::Create2 => json!({
                "type": "create",
                "action": {
                    "from": self.from,
                    "value": self.value,
                    "gas": format!("{:#x}", self.gas),
                    "init": "0x",
                    "creationMethod": self.kind.name().to_lowercase(),
                },
                "result": {
                    "address": self.to,
                    "code": "0x",
                    "gasUsed": format!("{:#x}", self.gas_used),
                },
            }),
            _ => json!({
                "type": "call",
                "action": {
                    "callType": self.kind.name().to_lowercase(),
                    "from": self.from,
                    "to": self.to,
                    "value": self.value,
                    "gas": format!("{:#x}", self.gas),
                    "input": "0x",
                },
                "result": {"gasUsed": format!("{:#x}", self.gas_used), "output": "0x"},
            }),
        };
        trace["subtraces"] = json!(calls.len());
        trace["traceAddress"] = json!(place);
        if self.error.is_some() {
            trace["error"] = json!("Reverted");
            trace["result"] = Value::Null;
        }
        told.push(trace);
        for (position, call) in calls.into_iter().enumerate() {
            call.flatten(&[place, &[position]].concat(), told);
        }
    }
}

/// What `debug_traceBlockByHash` answers when it is asked for `callTracer`.
pub fn call_tracer<'a>(transactions: impl IntoIterator<Item = (B256, &'a CallFrame)>) -> Value {
    let told = transactions.into_iter();
    told.map(|(hash, top)| json!({"txHash": hash, "result": top.tree()}))
        .collect()
}

/// What `trace_block` answers.
pub fn flat_traces<'a>(
    block: (u64, B256),
    transactions: impl IntoIterator<Item = (B256, &'a CallFrame)>,
) -> Value {
    let mut traces = Vec::new();
    for (position, (hash, top)) in transactions.into_iter().enumerate() {
        let from = traces.len();
        top.flatten(&[], &mut traces);
        for trace in &mut traces[from..] {
            trace["transactionHash"] = json!(hash);
            trace["transactionPosition"] = json!(position);
        }
    }
    traces.push(json!({
        "type": "reward",
        "action": {"author": Address::ZERO, "rewardType": "block", "value": "0x0"},
        "result": null,
        "subtraces": 0,
        "traceAddress": [],
        "transactionHash": null,
        "transactionPosition": null,
    }));
    for trace in &mut traces {
        trace["blockNumber"] = json!(block.0);
        trace["blockHash"] = json!(block.1);
    }
    Value::from(traces)
}
