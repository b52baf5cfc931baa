//! Who sees the bytes that pass.
use std::ops::ControlFlow;

/// Who is shown the bytes of a direction before they are written.
pub trait Watch {
    /// A run of bytes; after a break another pump can go on behind it.
    fn see(&mut self, bytes: &[u8]) -> ControlFlow<()>;

    /// Whether the next bytes matter. Those that do not may pass unseen, and faster.
    fn is_watching(&self) -> bool {
        true
    }
}

impl<F: FnMut(&[u8]) -> ControlFlow<()>> Watch for F {
    fn see(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        self(bytes)
    }
}

/// Nobody.
pub(super) struct Unwatched;

impl Watch for Unwatched {
    fn see(&mut self, _: &[u8]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn is_watching(&self) -> bool {
        false
    }
}
