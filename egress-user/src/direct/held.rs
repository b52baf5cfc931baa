//! What the kernel side holds of direct connections and does not judge alone: judged here by the proxy's parsers, in a
//! thread for each sandbox, so that one that floods keeps nobody else waiting. There is a thread only while something
//! is held.

mod connection;
mod judge;

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

pub(super) use self::judge::Judge;
use crate::kernel::HeldPiece;

/// Bytes held at most for a sandbox, in the queue and out of it; as much as the proxy holds of what it has not judged.
pub(super) const HELD_MOST: usize = 16 << 20;

/// What a piece takes besides its bytes, and a connection.
pub(super) const OVERHEAD: usize = 256;

/// Pieces that are taken in before those are judged that they belong to.
const AT_ONCE: usize = 64;

/// How long a thread waits for more before it ends.
const IDLE: Duration = Duration::from_secs(5);

/// Those of one sandbox.
pub(super) struct Held {
    queue: Arc<Queue>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    pieces: VecDeque<HeldPiece>,
    /// What these take.
    bytes: usize,
    /// What could not be taken in: of the connections with these cookies something is missing.
    lost: Vec<u64>,
    /// Kept by who judges, while it does.
    judge: Option<Box<Judge>>,
    /// There is a thread that judges, or one begins.
    is_judged: bool,
    closed: bool,
}

impl Held {
    /// Nothing is held.
    pub(super) fn new(judge: Judge) -> Self {
        let waiting = Waiting { judge: Some(Box::new(judge)), ..Waiting::default() };
        let queue = Queue { waiting: Mutex::new(waiting), came: Condvar::new() };
        Self { queue: Arc::new(queue) }
    }

    /// Takes a piece in, to be judged soon. Never blocks.
    pub(super) fn add(&self, piece: HeldPiece) {
        let mut waiting = self.queue.lock();
        let bytes = piece.bytes.len() + OVERHEAD;
        if waiting.bytes + bytes > HELD_MOST {
            // Bounded by the connections that there may be.
            if waiting.lost.last() != Some(&piece.head.cookie) {
                waiting.lost.push(piece.head.cookie);
            }
        } else {
            waiting.bytes += bytes;
            waiting.pieces.push_back(piece);
        }
        if waiting.is_judged {
            return self.queue.came.notify_one();
        }
        let queue = Arc::clone(&self.queue);
        let started =
            thread::Builder::new().name("egress-held".to_owned()).spawn(move || queue.judge_all());
        match started {
            Ok(_) => waiting.is_judged = true,
            // Nothing leaves until a later piece finds one, and the programs have their time-outs.
            Err(error) => tracing::warn!(%error, "what is held cannot be judged yet"),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.closed = true;
        if let Some(mut judge) = waiting.judge.take() {
            judge.withdraw_all();
        }
        self.queue.came.notify_one();
    }
}

impl Queue {
    /// Until nothing has been held for a while.
    fn judge_all(&self) {
        let Some(mut judge) = self.lock().judge.take() else { return };
        let mut until = Instant::now() + IDLE;
        loop {
            let Some((pieces, lost)) = self.next(&mut judge, until) else { return };
            let now = Instant::now();
            if !pieces.is_empty() {
                until = now + IDLE;
            }
            judge.take_in(pieces, lost, now);
            judge.look(now);
            if let Some(next) = judge.next_look() {
                until = until.max(next + IDLE);
            }
        }
    }

    /// Waits for pieces, or for the time to look after what is held. None when the thread is to end, with the
    /// judge given back.
    fn next(&self, judge: &mut Box<Judge>, until: Instant) -> Option<(Vec<HeldPiece>, Vec<u64>)> {
        let mut waiting = self.lock();
        loop {
            if waiting.closed {
                judge.withdraw_all();
                return None;
            }
            if !waiting.pieces.is_empty() || !waiting.lost.is_empty() {
                let count = waiting.pieces.len().min(AT_ONCE);
                let pieces: Vec<_> = waiting.pieces.drain(..count).collect();
                waiting.bytes -= pieces.iter().map(|one| one.bytes.len() + OVERHEAD).sum::<usize>();
                judge.set_queued(waiting.bytes);
                return Some((pieces, std::mem::take(&mut waiting.lost)));
            }
            let now = Instant::now();
            match judge.next_look() {
                Some(at) if at <= now => return Some((Vec::new(), Vec::new())),
                Some(at) => waiting = self.wait(waiting, at - now),
                None if until <= now => {
                    waiting.judge = Some(std::mem::replace(judge, Box::new(judge.emptied())));
                    waiting.is_judged = false;
                    return None;
                }
                None => waiting = self.wait(waiting, until - now),
            }
        }
    }

    fn wait<'a>(
        &self,
        waiting: MutexGuard<'a, Waiting>,
        within: Duration,
    ) -> MutexGuard<'a, Waiting> {
        let waited = self.came.wait_timeout(waiting, within);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
