//! Hellos that are not whole yet, in the order in which they began.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use egress_common::event::HelloEvent;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::WHOLE_WITHIN;

/// Most that are waited for: 1.5 MiB. A program that begins more gets the oldest ended early.
const MAX_WAITING: usize = 4096;

/// A queue, since all wait equally long.
#[derive(Default)]
pub(super) struct Waiting {
    queue: Mutex<VecDeque<(Instant, Box<HelloEvent>)>>,
    came: Notify,
}

impl Waiting {
    /// Adds one that has begun now. Gives the oldest where there is no room for both.
    pub(super) fn add(&self, hello: Box<HelloEvent>) -> Option<Box<HelloEvent>> {
        let mut queue = self.queue();
        let oldest = if queue.len() < MAX_WAITING { None } else { queue.pop_front() };
        queue.push_back((Instant::now() + WHOLE_WITHIN, hello));
        drop(queue);
        self.came.notify_one();
        oldest.map(|(_, hello)| hello)
    }

    /// Waits for the next whose time is over, and gives it.
    pub(super) async fn late(&self) -> Box<HelloEvent> {
        loop {
            let next = self.queue().front().map(|(until, _)| *until);
            let Some(until) = next else {
                self.came.notified().await;
                continue;
            };
            sleep_until(until).await;
            // The front may be another one by now.
            let late = self.queue().pop_front_if(|(until, _)| *until <= Instant::now());
            if let Some((_, hello)) = late {
                return hello;
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<(Instant, Box<HelloEvent>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
