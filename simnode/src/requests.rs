//! What the node was asked, counted so that tests can assert on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A snapshot of what the node was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Calls by method, over HTTP and WebSocket, each call of a batch on its own.
    pub calls: BTreeMap<String, u64>,
    /// HTTP requests: a batch is one.
    pub http_requests: u64,
    /// Batches, over either transport.
    pub batches: u64,
    /// The largest batch seen.
    pub largest_batch: usize,
    /// WebSocket connections that were opened.
    pub sockets: u64,
    /// HTTP requests that are being answered now.
    pub in_flight: u64,
    /// The most HTTP requests that were being answered at once.
    pub peak_in_flight: u64,
}

#[derive(Clone, Default)]
pub(crate) struct Requests {
    counts: Arc<Mutex<RequestCounts>>,
}

/// Counts an HTTP request as in flight until dropped, also when its client went away.
pub(crate) struct Flight(Requests);

impl Requests {
    pub(crate) fn call(&self, method: &str) {
        let mut counts = self.lock();
        match counts.calls.get_mut(method) {
            Some(count) => *count += 1,
            None => {
                counts.calls.insert(method.to_owned(), 1);
            }
        }
    }

    pub(crate) fn batch(&self, size: usize) {
        let mut counts = self.lock();
        counts.batches += 1;
        counts.largest_batch = counts.largest_batch.max(size);
    }

    pub(crate) fn socket(&self) {
        self.lock().sockets += 1;
    }

    pub(crate) fn http(&self) -> Flight {
        let mut counts = self.lock();
        counts.http_requests += 1;
        counts.in_flight += 1;
        counts.peak_in_flight = counts.peak_in_flight.max(counts.in_flight);
        drop(counts);
        Flight(self.clone())
    }

    pub(crate) fn snapshot(&self) -> RequestCounts {
        self.lock().clone()
    }

    /// Starts again from nothing; what is in flight stays in flight.
    pub(crate) fn reset(&self) {
        let mut counts = self.lock();
        let in_flight = counts.in_flight;
        *counts = RequestCounts {
            in_flight,
            peak_in_flight: in_flight,
            ..RequestCounts::default()
        };
    }

    fn lock(&self) -> MutexGuard<'_, RequestCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}
