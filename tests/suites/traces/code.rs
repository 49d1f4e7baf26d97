//! Contracts in machine code, a step at a time.

use alloy::primitives::Address;

/// Steps, one after the other.
pub fn program(steps: &[Vec<u8>]) -> Vec<u8> {
    steps.concat()
}

fn push(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a word");
    [&[0x5f + length], bytes].concat()
}

fn size(code: &[u8]) -> Vec<u8> {
    push(&u16::try_from(code.len()).expect("short code").to_be_bytes())
}

/// Code into memory, from 0 on.
fn store(code: &[u8]) -> Vec<u8> {
    let mut steps = Vec::new();
    for (at, word) in (0_u16..).step_by(32).zip(code.chunks(32)) {
        let mut padded = [0; 32];
        padded[..word.len()].copy_from_slice(word);
        steps.extend([push(&padded), push(&at.to_be_bytes()), vec![0x52]].concat());
    }
    steps
}

/// CALL with so many wei and no data; whether it succeeds does not matter.
pub fn call(to: Address, wei: u8) -> Vec<u8> {
    let parts = [
        vec![0x5f; 4],
        push(&[wei]),
        push(to.as_slice()),
        vec![0x5a, 0xf1, 0x50],
    ];
    parts.concat()
}

/// DELEGATECALL without data.
pub fn delegate(to: Address) -> Vec<u8> {
    [vec![0x5f; 4], push(to.as_slice()), vec![0x5a, 0xf4, 0x50]].concat()
}

/// CREATE with so many wei.
pub fn create(init: &[u8], wei: u8) -> Vec<u8> {
    [
        store(init),
        size(init),
        vec![0x5f],
        push(&[wei]),
        vec![0xf0, 0x50],
    ]
    .concat()
}

/// CREATE2 with so many wei.
pub fn create2(init: &[u8], wei: u8, salt: u8) -> Vec<u8> {
    let end = vec![0xf5, 0x50];
    [
        store(init),
        push(&[salt]),
        size(init),
        vec![0x5f],
        push(&[wei]),
        end,
    ]
    .concat()
}

/// SELFDESTRUCT.
pub fn self_destruct(to: Address) -> Vec<u8> {
    [push(to.as_slice()), vec![0xff]].concat()
}

/// REVERT.
pub fn revert() -> Vec<u8> {
    vec![0x5f, 0x5f, 0xfd]
}

/// The creation code of a contract.
pub fn deploy(runtime: &[u8]) -> Vec<u8> {
    [store(runtime), size(runtime), vec![0x5f, 0xf3]].concat()
}
