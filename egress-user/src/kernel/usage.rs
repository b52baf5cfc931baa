//! What each sandbox takes of the maps that all share, as the kernel side counts it.

use std::{
    os::fd::BorrowedFd,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use egress_common::{
    abi::capacity,
    event::{COUNTERS, Counter},
    usage::{NOBODY, word},
};

use crate::sys::mapped::MappedArray;

/// What was counted of one sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; COUNTERS as usize]);

impl Counts {
    /// How often it happened.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or(0)
    }
}

/// The records of usage, and who has which.
pub(super) struct UsageTable {
    records: MappedArray,
    /// The sandbox of each slot; 0 of those that are free, and of that of nobody.
    owners: Mutex<Vec<u64>>,
}

impl UsageTable {
    /// Of the map that was made with this object, for so many sandboxes at once.
    pub(super) fn new(map: BorrowedFd<'_>, sandboxes: u32) -> std::io::Result<Self> {
        let records = MappedArray::new(map, word::ALL, capacity::USAGE as usize)?;
        let slots = sandboxes.min(capacity::SANDBOXES) as usize + NOBODY as usize + 1;
        Ok(Self { records, owners: Mutex::new(vec![0; slots]) })
    }

    /// The slot of this sandbox: a new one, with nothing counted, where it has none. None when all are
    /// taken.
    pub(super) fn slot(&self, sandbox: u64) -> Option<u32> {
        let mut owners = self.owners();
        let found = find(&owners, sandbox);
        let slot = found.or_else(|| find(&owners, 0))?;
        if found.is_none() {
            let record = self.records.element(slot)?;
            record.iter().for_each(|word| word.store(0, Ordering::Relaxed));
            record.get(word::SANDBOX)?.store(sandbox, Ordering::Release);
            *owners.get_mut(slot)? = sandbox;
        }
        u32::try_from(slot).ok()
    }

    /// The slot that this sandbox has; none where it has none.
    pub(super) fn find(&self, sandbox: u64) -> Option<u32> {
        find(&self.owners(), sandbox).and_then(|slot| u32::try_from(slot).ok())
    }

    /// The sandbox is no more; what was counted of it.
    pub(super) fn free(&self, sandbox: u64) -> Counts {
        let mut owners = self.owners();
        let Some(slot) = find(&owners, sandbox) else { return Counts::default() };
        let counts = self.counts(slot);
        // From here on the kernel side counts nothing of it any more.
        if let Some(record) = self.word(slot, word::SANDBOX) {
            record.store(0, Ordering::Release);
        }
        if let Some(owner) = owners.get_mut(slot) {
            *owner = 0;
        }
        counts
    }

    /// Whether no sandbox has a slot.
    pub(super) fn is_empty(&self) -> bool {
        self.owners().iter().skip(NOBODY as usize + 1).all(|owner| *owner == 0)
    }

    /// What was counted of it until now; with 0, of what is in no sandbox.
    pub(super) fn counts_of(&self, sandbox: u64) -> Counts {
        match sandbox {
            0 => self.counts(NOBODY as usize),
            _ => find(&self.owners(), sandbox).map(|slot| self.counts(slot)).unwrap_or_default(),
        }
    }

    /// How many records it has in a map, by the word of its count.
    pub(super) fn taken(&self, sandbox: u64, word: usize) -> u64 {
        let slot = find(&self.owners(), sandbox);
        slot.and_then(|slot| self.word(slot, word)).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Records of the sandbox in that slot have been removed from a map here.
    pub(super) fn removed(&self, slot: u32, sandbox: u64, word: usize, count: u64) {
        let slot = slot as usize;
        // Of a sandbox that is no more there is nothing to count.
        let is_its = self
            .word(slot, word::SANDBOX)
            .is_some_and(|owner| owner.load(Ordering::Relaxed) == sandbox);
        if is_its && let Some(taken) = self.word(slot, word) {
            taken.fetch_sub(count, Ordering::Relaxed);
        }
    }

    fn counts(&self, slot: usize) -> Counts {
        let mut counts = Counts::default();
        for (at, count) in counts.0.iter_mut().enumerate() {
            let counter = self.word(slot, word::COUNTERS + at);
            *count = counter.map_or(0, |counter| counter.load(Ordering::Relaxed));
        }
        counts
    }

    fn word(&self, slot: usize, word: usize) -> Option<&AtomicU64> {
        self.records.element(slot)?.get(word)
    }

    fn owners(&self) -> MutexGuard<'_, Vec<u64>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first slot, but that of nobody, with this owner.
fn find(owners: &[u64], sandbox: u64) -> Option<usize> {
    let first = NOBODY as usize + 1;
    owners.iter().skip(first).position(|owner| *owner == sandbox).map(|at| at + first)
}
