//! Whether bytes are laid out exactly as the contract ABI's strict encoding: heads, then tails in order,
//! without gaps, overlaps or anything behind them.
//!
//! Decoders follow offsets wherever they point. Data in which thousands of offsets point to the same
//! bytes would decode to gigabytes; here every byte is passed once, so that what passes is as large
//! decoded as it is encoded. Padding is not looked at: encoding the values again tells of that.

use alloy::dyn_abi::DynSolType;

const WORD: usize = 32;

/// Deepest nesting of a type that is decoded: bounds every recursion over types and values.
pub(super) const MAX_DEPTH: usize = 12;

/// Whether data may be values of these types.
pub(super) fn is_strict(types: &[DynSolType], data: &[u8]) -> bool {
    sequence(types.iter(), data) == Some(data.len())
}

/// Whether values of the type take place at all: lists of others have any length without any data.
pub(super) fn takes_place(ty: &DynSolType) -> bool {
    match ty {
        DynSolType::FixedArray(inner, length) => *length > 0 && takes_place(inner),
        DynSolType::Array(inner) => takes_place(inner),
        DynSolType::Tuple(types) => !types.is_empty() && types.iter().all(takes_place),
        _ => true,
    }
}

/// Bytes that a value has among the heads.
fn head_size(ty: &DynSolType) -> usize {
    if ty.is_dynamic() {
        return WORD;
    }
    match ty {
        DynSolType::FixedArray(inner, length) => head_size(inner).saturating_mul(*length),
        DynSolType::Tuple(types) => types
            .iter()
            .fold(0, |sum: usize, ty| sum.saturating_add(head_size(ty))),
        _ => WORD,
    }
}

/// Length of a sequence of values at the begin of `data`; `None` unless it is strict.
fn sequence<'a>(types: impl Iterator<Item = &'a DynSolType> + Clone, data: &[u8]) -> Option<usize> {
    let heads = types
        .clone()
        .fold(0, |sum: usize, ty| sum.saturating_add(head_size(ty)));
    if heads > data.len() {
        return None;
    }
    let (mut head, mut tail) = (0, heads);
    for ty in types {
        if ty.is_dynamic() {
            if number(data, head)? != tail {
                return None;
            }
            tail += dynamic(ty, data.get(tail..)?)?;
        }
        head += head_size(ty);
    }
    Some(tail)
}

/// Length of the tail of a value at the begin of `data`.
fn dynamic(ty: &DynSolType, data: &[u8]) -> Option<usize> {
    match ty {
        DynSolType::Bytes | DynSolType::String => {
            let padded = number(data, 0)?.checked_next_multiple_of(WORD)?;
            let length = WORD.checked_add(padded)?;
            (length <= data.len()).then_some(length)
        }
        DynSolType::Array(inner) => {
            let length = number(data, 0)?;
            let items = data.get(WORD..)?;
            Some(WORD + repeated(inner, length, items)?)
        }
        DynSolType::FixedArray(inner, length) => repeated(inner, *length, data),
        DynSolType::Tuple(types) => sequence(types.iter(), data),
        _ => None,
    }
}

/// The same type so many times; a length that the data cannot hold is refused before it is walked.
fn repeated(inner: &DynSolType, length: usize, data: &[u8]) -> Option<usize> {
    let heads = head_size(inner).checked_mul(length)?;
    if heads > data.len() || (heads == 0 && length > 0) {
        return None;
    }
    if !inner.is_dynamic() {
        return Some(heads);
    }
    sequence(std::iter::repeat_n(inner, length), data)
}

/// The word at a position as a number that may be a position or a length here.
fn number(data: &[u8], at: usize) -> Option<usize> {
    let word = data.get(at..)?.first_chunk::<WORD>()?;
    let (high, low) = word.split_at(WORD - 8);
    if high.iter().any(|byte| *byte != 0) {
        return None;
    }
    usize::try_from(u64::from_be_bytes(low.try_into().ok()?)).ok()
}
