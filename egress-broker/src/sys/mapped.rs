//! An array map in this process's own memory, which the kernel side changes at the same time.

use std::{
    io,
    num::NonZeroUsize,
    os::fd::{AsFd, BorrowedFd},
    ptr::NonNull,
    sync::atomic::AtomicU64,
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The elements of an array map that was made with `BPF_F_MMAPABLE`, as words.
#[derive(Debug)]
pub struct MappedArray {
    start: NonNull<AtomicU64>,
    bytes: NonZeroUsize,
    /// Of an element.
    words: usize,
    elements: usize,
}

// SAFETY: the memory belongs to the map and stays where it is; it is only reached as atomic words.
unsafe impl Send for MappedArray {}
// SAFETY: as above.
unsafe impl Sync for MappedArray {}

impl MappedArray {
    /// Maps so many elements of so many words each, which the caller has found to be those of the map.
    ///
    /// # Errors
    /// What mmap(2) gives: for a map that cannot be mapped, or is smaller.
    pub fn new(map: BorrowedFd<'_>, words: usize, elements: usize) -> io::Result<Self> {
        let bytes = words.checked_mul(elements).and_then(|all| all.checked_mul(8));
        let bytes = bytes.and_then(NonZeroUsize::new).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses; nothing else is touched.
        let start = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map.as_fd(), 0) }?;
        Ok(Self { start: start.cast(), bytes, words, elements })
    }

    /// The words of an element; none where there is no such element.
    pub fn element(&self, index: usize) -> Option<&[AtomicU64]> {
        (index < self.elements).then(|| {
            // SAFETY: within the mapping, which lives as long as `self`, is aligned to a page, and is
            // written by nobody but in whole words.
            unsafe {
                std::slice::from_raw_parts(self.start.as_ptr().add(index * self.words), self.words)
            }
        })
    }
}

impl Drop for MappedArray {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, whose borrows have ended with `self`.
        let _ = unsafe { munmap(self.start.cast(), self.bytes.get()) };
    }
}
