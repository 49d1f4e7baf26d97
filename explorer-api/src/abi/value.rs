//! Values as JSON: numbers, bytes and addresses as strings, lists as lists, tuples as lists of their
//! named members, all cut to a size.

use alloy::{dyn_abi::DynSolValue, hex};
use serde_json::{Value, json};

/// Most items of a list that are shown.
const MAX_ITEMS: usize = 256;
/// Most bytes of a byte string or a text that are shown.
const MAX_BYTES: usize = 4096;
/// About as many characters as a call or an event is shown with, all of its arguments together. What it
/// holds whole is beside it in the answer.
const MAX_TOTAL: usize = 64 * 1024;
/// What any value counts, beside its text.
const VALUE_COST: usize = 8;

/// A parameter or a member of a tuple.
#[derive(Debug)]
pub(super) struct Parameter {
    pub name: String,
    pub ty: String,
    /// Members, when it is a tuple or a list of tuples.
    pub components: Vec<Parameter>,
}

/// How many characters may still be shown.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_TOTAL)
    }
}

impl Budget {
    fn spend(&mut self, characters: usize) {
        self.0 = self.0.saturating_sub(characters + VALUE_COST);
    }
}

/// A value, and whether part of it is left out.
pub(super) struct Shown {
    pub value: Value,
    pub truncated: bool,
}

/// A value as JSON. The recursion is as deep as the type, which is bounded where ABIs are read.
pub(super) fn show(value: &DynSolValue, components: &[Parameter], budget: &mut Budget) -> Shown {
    let whole = |text: String, budget: &mut Budget| {
        budget.spend(text.len());
        Shown {
            value: Value::String(text),
            truncated: false,
        }
    };
    match value {
        DynSolValue::Bool(value) => {
            budget.spend(0);
            Shown {
                value: Value::Bool(*value),
                truncated: false,
            }
        }
        DynSolValue::Int(value, _) => whole(value.to_string(), budget),
        DynSolValue::Uint(value, _) => whole(value.to_string(), budget),
        DynSolValue::Address(address) => whole(address.to_checksum(None), budget),
        DynSolValue::Function(function) => whole(function.to_string(), budget),
        DynSolValue::FixedBytes(word, size) => whole(
            hex::encode_prefixed(word.get(..*size).unwrap_or_default()),
            budget,
        ),
        DynSolValue::Bytes(bytes) => {
            let end = bytes.len().min(MAX_BYTES).min(budget.0 / 2);
            Shown {
                truncated: end < bytes.len(),
                ..whole(hex::encode_prefixed(&bytes[..end]), budget)
            }
        }
        DynSolValue::String(text) => {
            let end = text.floor_char_boundary(text.len().min(MAX_BYTES).min(budget.0));
            Shown {
                truncated: end < text.len(),
                ..whole(text[..end].to_owned(), budget)
            }
        }
        DynSolValue::Array(items) | DynSolValue::FixedArray(items) => {
            list(items, components, budget)
        }
        DynSolValue::Tuple(members) => tuple(members, components, budget),
        // Types of EIP-712, which no ABI has.
        #[allow(
            unreachable_patterns,
            reason = "the variant is there with a feature only"
        )]
        _ => Shown {
            value: Value::Null,
            truncated: true,
        },
    }
}

fn list(items: &[DynSolValue], components: &[Parameter], budget: &mut Budget) -> Shown {
    let mut values = Vec::new();
    let mut truncated = items.len() > MAX_ITEMS;
    for item in items.iter().take(MAX_ITEMS) {
        if budget.0 == 0 {
            truncated = true;
            break;
        }
        let shown = show(item, components, budget);
        truncated |= shown.truncated;
        values.push(shown.value);
    }
    Shown {
        value: Value::Array(values),
        truncated,
    }
}

fn tuple(members: &[DynSolValue], components: &[Parameter], budget: &mut Budget) -> Shown {
    let mut truncated = false;
    let members = members.iter().zip(components).map(|(member, parameter)| {
        budget.spend(parameter.name.len() + parameter.ty.len());
        let shown = show(member, &parameter.components, budget);
        truncated |= shown.truncated;
        json!({"name": parameter.name, "type": parameter.ty, "value": shown.value})
    });
    Shown {
        value: Value::Array(members.collect()),
        truncated,
    }
}
