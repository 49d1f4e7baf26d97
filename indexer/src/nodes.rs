//! The node pool: which node is asked, for how much, and what its refusals mean.
//!
//! | file | what |
//! |---|---|
//! | `limits` | how much a node takes at once: grows by one, halves on trouble; pure |
//! | `reply` | results in the order of their calls, errors by what they ask for; pure |
//! | `refusal` | what an error message asks for: wait, ask for less, ask elsewhere; pure |
//! | `standing` | what is known of one node: chain, limits, pauses, pruned history; pure but for `now` |
//! | `pool` | the nodes with their standings; choice and permits |
//! | `trail` | what was tried for some blocks |
//! | `gather` | a block's parts from one node |
//! | `batch` | blocks from whichever nodes give them: split, retried, asked elsewhere |
//! | `current` | the one node that is followed: left when it fails, returned to when it is well |
//! | `health` | what operators see of it |

pub(crate) mod batch;
pub(crate) mod current;
pub(crate) mod gather;
pub(crate) mod health;
pub(crate) mod limits;
pub(crate) mod pool;
pub(crate) mod refusal;
pub(crate) mod reply;
pub(crate) mod standing;
pub(crate) mod trail;
