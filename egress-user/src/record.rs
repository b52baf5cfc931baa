//! What was decided, as data ([`Event`]), and the one place where it is put into words: what was asked, the
//! reason, the rule that decided, and what would change the answer.
//!
//! Rooms that decide make events, and the [`Journal`] of their sandbox takes them: refusals it keeps for the
//! summary and for `egress status`, and all of them it hands to an [`Observer`], where one is set.

mod advice;
mod event;
#[cfg(test)]
mod heard;
mod journal;
mod live;
mod remedy;
mod socket;
mod subject;
mod summary;

#[cfg(test)]
pub(crate) use heard::Heard;

pub use advice::Advice;
pub use event::{Event, Grounds, MAX_NAMES, Renewal, Verdict};
pub use journal::{Journal, MAX_DISTINCT, Observer};
pub use live::{Lines, Live};
pub use remedy::short;
pub use subject::{Limit, Seen, Subject};
pub use summary::{GivenUp, Summary};
