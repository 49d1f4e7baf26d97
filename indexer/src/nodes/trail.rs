//! What was tried for some blocks, so that trying ends.

/// How often one node is asked for the same blocks before it is given up for them.
pub(crate) const TRIES: u32 = 3;

/// The same for a node that says that it is busy: each time it is left alone for longer.
const BUSY_TRIES: u32 = 8;

/// What was tried for some blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    /// A node for each failure.
    failed: Vec<usize>,
    /// A node for each time that it was busy.
    busy: Vec<usize>,
}

impl Trail {
    /// The node failed, and may be asked again.
    pub(crate) fn failed(&mut self, index: usize) {
        self.failed.push(index);
    }

    /// The node had too much to do.
    pub(crate) fn busy(&mut self, index: usize) {
        self.busy.push(index);
    }

    pub(crate) fn failures(&self, index: usize) -> u32 {
        count(&self.failed, index)
    }

    pub(crate) fn gave_up(&self, index: usize) -> bool {
        self.failures(index) >= TRIES || count(&self.busy, index) >= BUSY_TRIES
    }
}

fn count(indices: &[usize], index: usize) -> u32 {
    let same = indices.iter().filter(|other| **other == index).count();
    u32::try_from(same).unwrap_or(u32::MAX)
}
