//! The certificate and what a repair does, for a person and for a program.

use super::Visit;
use serde_json::{Value, json};
use store::{
    audit::{Audit, Certificate, Damage},
    state::BlockRef,
};

/// The certificate as one JSON object; what a repair did or would do beside its fields.
pub(super) fn json(visit: &Visit, certificate: &Certificate) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(certificate)?;
    if let Value::Object(fields) = &mut value {
        let mut add = |name: &str, list: &[String]| {
            if !list.is_empty() {
                fields.insert(name.to_owned(), json!(list));
            }
        };
        add("repaired", &visit.steps);
        add("planned", &visit.planned);
        add("refused", visit.refused.as_slice());
    }
    serde_json::to_string_pretty(&value)
}

/// The same in lines.
pub(super) fn text(visit: &Visit, audit: &Audit) {
    let it = &audit.certificate;
    let place = |block: Option<BlockRef>| {
        block.map_or_else(|| "none".to_owned(), |block| block.to_string())
    };
    for step in &visit.steps {
        println!("repaired   {step}");
    }
    println!("chain      {} with genesis {}", it.chain_id, it.genesis);
    println!("range      blocks {} to {}", it.from, it.to);
    println!("first      {}", place(it.first));
    println!("last       {}", place(it.last));
    println!(
        "proven     {} blocks, {} transactions, {} logs (level {}): {}",
        it.blocks,
        it.transactions,
        it.logs,
        it.level,
        it.proven.join(", ")
    );
    if it.whole {
        println!(
            "dropped    {} reorgs, {} blocks they dropped proven",
            it.reorgs, it.orphaned_blocks
        );
    }
    println!(
        "checked    at {} in {:.1} s by tallyscan {}",
        it.checked_at, it.elapsed_seconds, it.version
    );
    differences(it);
    for step in &visit.planned {
        println!("WOULD DO   {step}");
    }
    let hopeless = audit.damage.beyond_repair;
    if hopeless > 0 {
        println!("           {hopeless} of them cannot be repaired: nothing has what is lost");
    }
    if it.is_clean() {
        println!("complete   no gaps, no differences");
    }
}

fn differences(certificate: &Certificate) {
    for difference in &certificate.differences {
        let block = difference
            .block_number
            .map_or_else(String::new, |number| format!("block {number}: "));
        println!(
            "DIFFERS    {block}{} ({})",
            difference.detail, difference.kind
        );
    }
    let listed = u64::try_from(certificate.differences.len()).unwrap_or(u64::MAX);
    let unlisted = certificate.difference_count.saturating_sub(listed);
    if unlisted > 0 {
        println!("           and {unlisted} more");
    }
}

/// What a repair would do.
pub(super) fn plan(damage: &Damage) -> Vec<String> {
    let mut plan = Vec::new();
    for (low, high) in damage.refetch.ranges() {
        plan.push(format!(
            "fetch blocks {low} to {high} from RPC_URL, prove them and write their rows anew"
        ));
    }
    for (low, high) in damage.rewrite.ranges() {
        plan.push(format!(
            "compute the rows of blocks {low} to {high} again from the blocks themselves, without a node"
        ));
    }
    if !damage.strays.is_empty() {
        let count = damage.strays.len();
        plan.push(format!("remove {count} rows that nothing leads to"));
    }
    if !damage.uncovered.is_empty() || damage.covers_beyond {
        plan.push("correct coverage".to_owned());
    }
    if damage.head {
        plan.push("correct the state of the head from its block".to_owned());
    }
    if damage.tx_count != 0 {
        plan.push(format!(
            "change the count of transactions by {:+}",
            damage.tx_count
        ));
    }
    for (reorg, height) in &damage.orphans {
        plan.push(format!(
            "compute the rows of block {height}, dropped by reorg {reorg}, again from itself"
        ));
    }
    for facts in &damage.reorgs {
        plan.push(format!(
            "correct reorg {} from the blocks it dropped",
            facts.id
        ));
    }
    if !damage.outbox.is_empty() {
        let count = damage.outbox.len();
        plan.push(format!(
            "remove {count} waiting events; their messages are lost"
        ));
    }
    plan
}
