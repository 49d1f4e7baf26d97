//! How many bytes may be on their way from the nodes to the database.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Notify;

/// A count of bytes that are fetched and not yet written.
#[derive(Debug, Default)]
pub(super) struct Budget {
    used: AtomicU64,
    released: Notify,
}

impl Budget {
    /// Counts bytes until the charge is dropped.
    pub(super) fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            budget: self.clone(),
            bytes,
        }
    }

    /// Bytes that are counted now.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Tells who waits for room that there may be some.
    pub(super) fn release_notice(&self) {
        self.released.notify_one();
    }

    /// Waits until something was released since the last wait.
    pub(super) async fn released(&self) {
        self.released.notified().await;
    }
}

/// Bytes that are counted for as long as this lives.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    /// An estimate gives way to what it turned out to be.
    pub(super) fn correct(&mut self, bytes: u64) {
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.release(before);
    }

    /// What it counts.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn release(&self, bytes: u64) {
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.released.notify_one();
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_charged_is_given_back() {
        let budget = Arc::new(Budget::default());
        let mut one = budget.charge(10);
        let two = budget.charge(5);
        assert_eq!(budget.used(), 15);
        one.correct(100);
        assert_eq!((one.bytes(), budget.used()), (100, 105));
        drop(two);
        budget.released().await;
        drop(one);
        assert_eq!(budget.used(), 0);
    }
}
