//! What a client's first bytes are, and which host they name.
//!
//! Pure and resumable: no I/O, no clock, no panic on foreign bytes. Two conventions of input, so
//! that bytes are held once, by the caller:
//! - **held**: [`Sniffer`], [`TlsSniffer`], [`RequestStream`] and [`Http2Stream`] look at the caller's buffer of
//!   bytes not forwarded yet, from its start, and remember how far they looked. Call again with
//!   the same bytes and more behind them.
//! - **chunk**: [`Beginning`], [`ResponseStream`] and [`AnswerWatch`] look at bytes that pass by, each once, in order.
//!
//! A verdict depends on the bytes alone, never on how they were split into reads. Silence is the
//! caller's matter: after its own time limit it gives "no bytes" to the policy.
#![deny(clippy::indexing_slicing)]

pub mod beginning;
pub mod http1;
pub mod http2;
pub mod protocol;
pub mod tls;

pub use beginning::{Beginning, Begun};
pub use http1::{RequestHead, RequestStream, ResponseStream, Step};
pub use http2::{Http2Step, Http2Stream};
pub use protocol::{Protocol, Sniffer};
pub use tls::{AnswerWatch, Hello, TlsSniff, TlsSniffer};
