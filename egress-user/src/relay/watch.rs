//! Who looks at the bytes of a direction.
use std::ops::ControlFlow;

/// Who is shown the bytes of a direction before they are written.
pub trait Watch {
    /// A run of bytes; after a break another pump can go on behind it.
    fn see(&mut self, bytes: &[u8]) -> ControlFlow<()>;

    /// How many of the next bytes need not be seen. They may pass faster, and are told by
    /// [`Watch::passed`].
    fn unseen(&self) -> usize {
        0
    }

    /// So many bytes pass unseen, at most [`Watch::unseen`].
    fn passed(&mut self, _bytes: usize) {}
}

impl<F: FnMut(&[u8]) -> ControlFlow<()>> Watch for F {
    fn see(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        self(bytes)
    }
}

/// Nobody.
pub(crate) struct Unwatched;

impl Watch for Unwatched {
    fn see(&mut self, _: &[u8]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn unseen(&self) -> usize {
        usize::MAX
    }
}
