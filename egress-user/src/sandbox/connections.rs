//! The connections of a sandbox that live by way of the proxy, so that a policy that changes finds them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use super::PolicyVersion;
use crate::{
    judge::Evidence,
    policy::{Name, Policy},
};

/// What a connection has shown of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Judged {
    /// Nothing yet.
    #[default]
    Nothing,
    /// All that will be judged: it goes on as it is. With the name that it said, if it said one.
    Whole(Option<Name>),
    /// Its requests are judged one by one, by the policy under which it began.
    Requests,
}

/// How a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By resets on both sides: its right is gone.
    Reset,
    /// As when the process ends: what the kernel has is still sent.
    Close,
}

/// Tells a connection to end.
#[derive(Debug, Default)]
struct End {
    requested: Notify,
    closes: AtomicBool,
}

/// A connection, as the list has it.
#[derive(Debug)]
struct Entry {
    /// What vouches for it.
    evidence: Arc<Evidence>,
    judged: Judged,
    /// By which it is judged.
    by: PolicyVersion,
    /// Of the newest policy that keeps it.
    kept_by: u64,
    end: Arc<End>,
}

/// Every connection that lives. About 150 bytes each.
#[derive(Debug, Default)]
pub struct Connections {
    live: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// The numbers are ours: nobody can choose them to collide.
    by_number: HashMap<u64, Entry, foldhash::fast::RandomState>,
    last: u64,
    /// Of the newest policy that the list was gone through for.
    generation: u64,
}

impl Connections {
    /// Adds one that is judged by this policy. None where a newer one holds already: it has to be judged by
    /// that.
    pub(crate) fn add(&self, evidence: Arc<Evidence>, by: PolicyVersion) -> Option<Live<'_>> {
        let mut entries = self.entries();
        if by.generation < entries.generation {
            return None;
        }
        entries.last += 1;
        let number = entries.last;
        let end = Arc::<End>::default();
        let kept_by = by.generation;
        let entry = Entry { evidence, judged: Judged::Nothing, by, kept_by, end: Arc::clone(&end) };
        entries.by_number.insert(number, entry);
        Some(Live { list: self, number, end })
    }

    /// How many live.
    pub fn count(&self) -> usize {
        self.entries().by_number.len()
    }

    /// Goes through all that are judged by an older policy than that of `generation`: those of which `keeps`
    /// says false are ended by resets; it is given the policy, what vouched, and what they have shown. What
    /// is added or judged later is judged by the new policy. Gives how many are ended.
    pub(super) fn rejudge(
        &self,
        generation: u64,
        keeps: impl Fn(&Policy, &Evidence, &Judged) -> bool,
    ) -> usize {
        let mut entries = self.entries();
        entries.generation = entries.generation.max(generation);
        let mut ended = 0;
        for entry in entries.by_number.values_mut().filter(|entry| entry.kept_by < generation) {
            if keeps(&entry.by.policy, &entry.evidence, &entry.judged) {
                entry.kept_by = generation;
            } else {
                entry.end.requested.notify_one();
                ended += 1;
            }
        }
        ended
    }

    /// Ends all, and leaves to the kernel what it has of them: nothing serves them any more.
    pub(super) fn close(&self) {
        for entry in self.entries().by_number.values() {
            entry.end.closes.store(true, Ordering::Release);
            entry.end.requested.notify_one();
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // Nothing that is done under the lock can leave it half done.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's own place in the list; dropping it leaves the list.
#[derive(Debug)]
pub struct Live<'a> {
    list: &'a Connections,
    number: u64,
    end: Arc<End>,
}

impl Live<'_> {
    /// The connection has shown this, and it was judged by the policy under which it was added. False where
    /// a newer one has come meanwhile: it must not go on.
    #[must_use]
    pub fn judged(&self, judged: Judged) -> bool {
        let mut entries = self.list.entries();
        let newest = entries.generation;
        let Some(entry) = entries.by_number.get_mut(&self.number) else { return false };
        entry.judged = judged;
        entry.kept_by >= newest
    }

    /// Waits until the connection has to end: the policy has changed, its pins were taken back, or the
    /// sandbox is no more.
    pub async fn ended(&self) -> Ending {
        self.end.requested.notified().await;
        if self.end.closes.load(Ordering::Acquire) { Ending::Close } else { Ending::Reset }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.list.entries().by_number.remove(&self.number);
    }
}
