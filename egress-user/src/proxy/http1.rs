//! The client's side of an HTTP/1 connection: every request's host is judged before any byte of it
//! is forwarded, for as long as the connection lives.

use std::{
    io,
    ops::ControlFlow,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use egress_common::Reason;
use tokio::{net::TcpStream, sync::Notify, time::timeout};

use super::{budget::Share, first_bytes::Stop, judging::Judging, read_more, write_all};
use crate::{
    judge::keeps_upgrade,
    record::{Event, Seen},
    relay::Watch,
    sniff::{
        RequestHead, RequestStream, ResponseWatch, Step,
        http1::{Awaited, ResponseState, without_upgrade},
    },
};

/// Bytes read at once; a head may need several reads.
const CHUNK: usize = 16 * 1024;

/// Bytes held at most of what a client sends before the answer to its upgrade; a connection's share
/// of [`super::budget::EARLY_BYTES`]. What is more waits in its socket.
const EARLY: usize = 16 * 1024;

/// Bytes read at once of these.
const EARLY_CHUNK: usize = 4 * 1024;

/// How long a server may think about an upgrade once the client has ended its stream: until then what is
/// behind the offer is held, and its share with it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How the client's side ended.
#[derive(Debug)]
pub(super) enum End {
    /// The client has sent all it will; the server may still answer.
    Finished,
    /// The server switched protocols: everything else passes as it is, these bytes first.
    Tunnel(Vec<u8>),
    /// A request is refused; nothing of it was forwarded.
    Refused(Box<Event>),
    /// A request can be read in two ways; nothing of its head was forwarded.
    Malformed(&'static str),
    /// The server must take nothing of what it has for a whole: its connection is reset.
    Broken(Stop),
}

/// Watches the server's bytes while the answer to an upgrade is outstanding.
#[derive(Debug, Default)]
pub(super) struct Tap {
    watch: Mutex<Option<ResponseWatch>>,
    verdict: Mutex<Option<ResponseState>>,
    answered: Notify,
}

impl Tap {
    /// The server's next bytes, before they are forwarded. Cheap while nothing is awaited.
    pub(super) fn feed(&self, chunk: &[u8]) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watching) = watch.as_mut() else { return };
        let state = watching.feed(chunk);
        if state != ResponseState::Need {
            *watch = None;
            *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
            self.answered.notify_one();
        }
    }

    /// Whether the answer to an upgrade is awaited. It is asked for before the request is
    /// forwarded, so that no byte of the answer can have come before.
    fn is_armed(&self) -> bool {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The server will say no more: an answer that has not come will not.
    pub(super) fn end(&self) {
        let mut verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner);
        verdict.get_or_insert(ResponseState::Need);
        self.answered.notify_one();
    }

    fn arm(&self) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        *watch = Some(ResponseWatch::new(Awaited::Upgrade));
    }

    async fn verdict(&self) -> ResponseState {
        loop {
            let verdict = self.verdict.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(verdict) = verdict {
                return verdict;
            }
            self.answered.notified().await;
        }
    }
}

impl Watch for &Tap {
    fn see(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        self.feed(bytes);
        ControlFlow::Continue(())
    }

    fn is_watching(&self) -> bool {
        self.is_armed()
    }
}

/// One connection's requests.
pub(super) struct Requests<'a> {
    pub(super) client: &'a TcpStream,
    pub(super) server: &'a TcpStream,
    pub(super) judging: Judging<'a>,
    pub(super) tap: &'a Tap,
    pub(super) stream: RequestStream,
    pub(super) held: Vec<u8>,
    /// Bytes at the front of the first head that the server has already.
    pub(super) forwarded: usize,
    /// The last head's offer to upgrade was taken out.
    pub(super) offer_withdrawn: bool,
    /// Room for what the client sends before the answer to its upgrade.
    pub(super) early: Share<'a>,
}

impl Requests<'_> {
    /// Forwards requests until the connection ends or one is refused. The first head was judged.
    pub(super) async fn forward(mut self, first: (RequestHead, usize)) -> io::Result<End> {
        self.head(&first.0, first.1).await?;
        loop {
            match self.stream.step(&self.held) {
                Step::Head(head, length) => {
                    if let Err(refused) = self.judging.request(&head) {
                        return Ok(End::Refused(refused));
                    }
                    self.head(&head, length).await?;
                }
                Step::Body(length) => {
                    write_all(self.server, self.held.get(..length).unwrap_or_default()).await?;
                    self.held.drain(..length.min(self.held.len()));
                }
                Step::AwaitResponse if !self.is_within_early() => {
                    return Ok(self.unanswered("too much at once"));
                }
                Step::AwaitResponse => match self.switched().await? {
                    Some(ResponseState::Switched) => return Ok(End::Tunnel(self.held)),
                    Some(ResponseState::NotSwitched) => self.stream.resume(),
                    // One side went away, which is no refusal of ours.
                    Some(ResponseState::Need) => return Ok(End::Finished),
                    Some(ResponseState::Bad) => {
                        return Ok(End::Malformed("the answer to its upgrade is not HTTP"));
                    }
                    None => return Ok(self.unanswered("no answer came")),
                },
                Step::Need => {
                    if !read_more::<CHUNK>(self.client, &mut self.held).await? {
                        return Ok(End::Finished);
                    }
                }
                Step::Bad(why) => return Ok(End::Malformed(why)),
                Step::NotHttp | Step::Http2Preface => {
                    return Ok(End::Malformed("not an HTTP/1 request"));
                }
            }
        }
    }

    /// Forwards a judged head. An offer to upgrade is kept only where its answer can be watched.
    async fn head(&mut self, head: &RequestHead, length: usize) -> io::Result<()> {
        let bytes = self.held.get(..length).unwrap_or_default();
        // Less than the request line, which no rewriting changes.
        let forwarded = std::mem::take(&mut self.forwarded);
        let rest = |bytes| <[u8]>::get(bytes, forwarded..).unwrap_or_default();
        if keeps_upgrade(head) {
            self.tap.arm();
            write_all(self.server, rest(bytes)).await?;
        } else if head.upgrade.is_some() {
            write_all(self.server, rest(&without_upgrade(bytes))).await?;
        } else {
            write_all(self.server, rest(bytes)).await?;
        }
        self.held.drain(..length.min(self.held.len()));
        if head.upgrade.is_some() && !keeps_upgrade(head) {
            self.offer_withdrawn = true;
        }
        Ok(())
    }

    /// Whether the connection became a tunnel; `Need` when the server ended without an answer, or
    /// the client without waiting for it: its end must reach a server that says nothing. None when
    /// the client has ended with data behind its offer, and no answer came in time.
    async fn switched(&mut self) -> io::Result<Option<ResponseState>> {
        if std::mem::take(&mut self.offer_withdrawn) {
            return Ok(Some(ResponseState::NotSwitched));
        }
        let mut has_ended = false;
        let tap = self.tap;
        self.held.shrink_to_fit();
        while self.held.len() < EARLY && self.early.grow(self.held.len() + EARLY_CHUNK) {
            tokio::select! {
                verdict = tap.verdict() => return Ok(Some(self.answered(verdict))),
                more = read_more::<EARLY_CHUNK>(self.client, &mut self.held) => match more? {
                    true => {}
                    false if self.held.is_empty() => return Ok(Some(ResponseState::Need)),
                    false => {
                        has_ended = true;
                        break;
                    }
                },
            }
        }
        let verdict = if has_ended {
            timeout(ANSWER_WITHIN, tap.verdict()).await.ok()
        } else {
            Some(tap.verdict().await)
        };
        Ok(verdict.map(|verdict| self.answered(verdict)))
    }

    /// What stands behind an offer is dropped: neither side may take what it has for a whole.
    fn unanswered(&self, why: &'static str) -> End {
        let refused = self.judging.evidence.refused(Seen::EarlyData(why), Reason::RateLimited);
        End::Broken(Stop::Refused { refused, http: true })
    }

    fn answered(&mut self, verdict: ResponseState) -> ResponseState {
        self.early.give_back();
        verdict
    }

    /// Whether there is room for what was read behind the offer.
    fn is_within_early(&mut self) -> bool {
        self.offer_withdrawn || self.held.is_empty() || self.early.grow(self.held.len())
    }
}
