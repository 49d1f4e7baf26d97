//! Sizes beyond which a node refuses to answer, and how it says so.

use std::sync::{PoisonError, RwLock};

use axum::http::StatusCode;

use crate::methods::RpcError;
use crate::node::Handled;

/// How a batch of too many calls is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchRefusal {
    /// One error object without an id, -32600 "batch too large".
    InvalidRequest,
    /// A batch of one error, -32600 "batch too large", with the first call's id: geth.
    InList,
    /// One error object without an id, -32005 "Number of requests exceeds max batch size": Besu.
    LimitExceeded,
    /// HTTP 413 with a body that is not JSON: gateways. On a WebSocket, an error with that code.
    PayloadTooLarge,
}

/// A refused batch, in the form in which it is told.
pub(crate) enum Refused {
    Whole(RpcError),
    First(RpcError),
    Status(StatusCode),
}

impl BatchRefusal {
    fn refused(self) -> Refused {
        let too_large = RpcError::new(-32600, "batch too large");
        match self {
            Self::InvalidRequest => Refused::Whole(too_large),
            Self::InList => Refused::First(too_large),
            Self::LimitExceeded => {
                let message = "Number of requests exceeds max batch size";
                Refused::Whole(RpcError::new(-32005, message))
            }
            Self::PayloadTooLarge => Refused::Status(StatusCode::PAYLOAD_TOO_LARGE),
        }
    }
}

/// The node's limits, changeable while it runs.
#[derive(Default)]
pub(crate) struct Limits(RwLock<Set>);

#[derive(Default, Clone, Copy)]
struct Set {
    batch: Option<(usize, BatchRefusal)>,
    response: Option<usize>,
}

impl Limits {
    pub(crate) fn set_batch(&self, limit: Option<(usize, BatchRefusal)>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).batch = limit;
    }

    pub(crate) fn set_response(&self, limit: Option<usize>) {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        set.response = limit;
    }

    pub(crate) fn check_batch(&self, calls: usize) -> Result<(), Refused> {
        match self.now().batch {
            Some((limit, refusal)) if calls > limit => Err(refusal.refused()),
            _ => Ok(()),
        }
    }

    /// Turns results that do not fit any more into errors (-32003 "response too large", as geth has it).
    pub(crate) fn shorten<'a>(&self, replies: impl Iterator<Item = &'a mut Handled>) {
        let Some(limit) = self.now().response else {
            return;
        };
        let mut bytes = 0;
        for reply in replies {
            bytes += reply.answer.as_ref().map_or(0, |body| body.as_str().len());
            if bytes > limit {
                reply.answer = Err(RpcError::new(-32003, "response too large"));
            }
        }
    }

    fn now(&self) -> Set {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
