//! The server's answers, as they pass by: whether an offer to upgrade can be told from them, and what became
//! of it.

use std::{
    ops::ControlFlow,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::handshake::Answer;
use crate::{
    relay::Watch,
    sniff::{
        RequestHead, ResponseStream,
        http1::{Asked, Switch},
    },
};

/// Watches the server's bytes from the first on. Of connections that carry no requests it keeps nothing.
#[derive(Debug, Default)]
pub(super) struct Answers {
    follow: Mutex<Follow>,
    told: Notify,
}

#[derive(Debug, Default)]
enum Follow {
    /// No request was forwarded, and the server has said nothing.
    #[default]
    Silent,
    Each(Box<ResponseStream>),
    /// It is not known whose answer comes next.
    Lost,
    /// The server will say no more.
    Ended,
}

impl Answers {
    /// A judged request is about to be forwarded, with its offer to upgrade if `offers`. Only where
    /// [`Answers::can_tell`].
    pub(super) fn expect(&self, head: &RequestHead, offers: bool) {
        let mut follow = self.lock();
        if matches!(*follow, Follow::Silent) {
            *follow = Follow::Each(Box::default());
        }
        if let Follow::Each(responses) = &mut *follow {
            responses.expect(match (offers, &*head.method) {
                (true, _) => Asked::Upgrade,
                (false, "HEAD") => Asked::Head,
                (false, _) => Asked::Answer,
            });
            self.settle(&mut follow);
        }
    }

    /// Whether the next answer is that of the request that is forwarded next.
    pub(super) fn can_tell(&self) -> bool {
        match &*self.lock() {
            Follow::Silent => true,
            Follow::Each(responses) => responses.is_idle(),
            Follow::Lost | Follow::Ended => false,
        }
    }

    /// The server will say no more: an answer that has not come will not.
    pub(super) fn end(&self) {
        let mut follow = self.lock();
        // What was told before it ended is still to be heard.
        if !matches!(&mut *follow, Follow::Each(responses) if responses.has_switch()) {
            *follow = Follow::Ended;
        }
        self.told.notify_one();
    }

    /// What became of the offer; none where the server has ended without an answer.
    pub(super) async fn switch(&self) -> Option<Switch> {
        loop {
            let told = match &mut *self.lock() {
                Follow::Each(responses) => responses.take_switch(),
                Follow::Silent | Follow::Lost => Some(Switch::Bad),
                Follow::Ended => return None,
            };
            if told.is_some() {
                return told;
            }
            self.told.notified().await;
        }
    }

    fn follow(&self, how: impl FnOnce(&mut ResponseStream)) {
        let mut follow = self.lock();
        match &mut *follow {
            Follow::Each(responses) => {
                how(responses);
                self.settle(&mut follow);
            }
            // Before there was a request.
            Follow::Silent => *follow = Follow::Lost,
            Follow::Lost | Follow::Ended => {}
        }
    }

    fn settle(&self, follow: &mut Follow) {
        let Follow::Each(responses) = follow else { return };
        if responses.has_switch() {
            self.told.notify_one();
        } else if responses.is_lost() {
            // Its memory goes with it.
            *follow = Follow::Lost;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Follow> {
        self.follow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who watches the server's bytes: at most one of the two awaits anything.
#[derive(Clone, Copy)]
pub(super) struct Watched<'a> {
    pub(super) answers: &'a Answers,
    pub(super) answer: &'a Answer,
}

impl Watch for Watched<'_> {
    fn see(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        self.answer.feed(bytes);
        self.answers.see(bytes)
    }

    fn unseen(&self) -> usize {
        if self.answer.is_awaited() { 0 } else { self.answers.unseen() }
    }

    fn passed(&mut self, bytes: usize) {
        self.answers.passed(bytes);
    }
}

impl Watch for &Answers {
    fn see(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        self.follow(|responses| responses.feed(bytes));
        ControlFlow::Continue(())
    }

    fn unseen(&self) -> usize {
        match &*self.lock() {
            Follow::Each(responses) => usize::try_from(responses.uncounted()).unwrap_or(usize::MAX),
            Follow::Silent | Follow::Lost | Follow::Ended => usize::MAX,
        }
    }

    fn passed(&mut self, bytes: usize) {
        self.follow(|responses| responses.skip(bytes as u64));
    }
}
