//! The client's side of an HTTP/1 connection: every request's host is judged before any byte of it
//! is forwarded, for as long as the connection lives.

use std::{io, time::Duration};

use egress_common::Reason;
use tokio::{net::TcpStream, time::timeout};

use super::{
    answers::Answers, budget::Share, first_bytes::Stop, judging::Judging, read_more, write_all,
};
use crate::{
    judge::may_upgrade,
    record::{Event, Seen},
    sniff::{
        RequestHead, RequestStream, Step,
        http1::{Switch, without_upgrade},
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

/// What became of an offer to upgrade.
enum Offer {
    Taken,
    Declined,
    /// One side went away before an answer.
    Gone,
    /// The answer is not HTTP.
    Bad,
    /// No answer came in time.
    Unanswered,
}

/// One connection's requests.
pub(super) struct Requests<'a> {
    pub(super) client: &'a TcpStream,
    pub(super) server: &'a TcpStream,
    pub(super) judging: Judging<'a>,
    pub(super) answers: &'a Answers,
    pub(super) stream: RequestStream,
    pub(super) held: Vec<u8>,
    /// Bytes at the front of the first head that the server has already.
    pub(super) forwarded: usize,
    /// The last head's offer to upgrade was taken out.
    pub(super) offer_withdrawn: bool,
    /// What `held` takes of the sandbox's memory while it waits for a verdict.
    pub(super) unjudged: &'a mut Share,
    /// Room for what the client sends before the answer to its upgrade.
    pub(super) early: Share,
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
                    Offer::Taken => return Ok(End::Tunnel(self.held)),
                    Offer::Declined => self.stream.resume(),
                    // Which is no refusal of ours.
                    Offer::Gone => return Ok(End::Finished),
                    Offer::Bad => {
                        return Ok(End::Malformed("the answer to its upgrade is not HTTP"));
                    }
                    Offer::Unanswered => return Ok(self.unanswered("no answer came")),
                },
                Step::Need => {
                    if self.held.is_empty() {
                        // At rest a connection holds nothing.
                        self.held = Vec::new();
                    }
                    if !self.unjudged.holds(self.held.len()) {
                        return Ok(End::Refused(self.judging.too_much_unjudged()));
                    }
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

    /// Forwards a judged head. An offer to upgrade is kept only where its answer can be told from others.
    async fn head(&mut self, head: &RequestHead, length: usize) -> io::Result<()> {
        let bytes = self.held.get(..length).unwrap_or_default();
        // Less than the request line, which no rewriting changes.
        let forwarded = std::mem::take(&mut self.forwarded);
        let rest = |bytes| <[u8]>::get(bytes, forwarded..).unwrap_or_default();
        let keeps_offer = may_upgrade(head) && self.answers.can_tell();
        // Before a byte of the answer can come.
        self.answers.expect(head, keeps_offer);
        if head.upgrade.is_some() && !keeps_offer {
            write_all(self.server, rest(&without_upgrade(bytes))).await?;
            self.offer_withdrawn = true;
        } else {
            write_all(self.server, rest(bytes)).await?;
        }
        self.held.drain(..length.min(self.held.len()));
        Ok(())
    }

    /// Whether the connection became a tunnel. A client that ends without waiting for the answer is gone:
    /// its end must reach a server that says nothing. One that ends with data behind its offer is waited
    /// for, but not for ever.
    async fn switched(&mut self) -> io::Result<Offer> {
        if std::mem::take(&mut self.offer_withdrawn) {
            return Ok(Offer::Declined);
        }
        let mut has_ended = false;
        let answers = self.answers;
        self.held.shrink_to_fit();
        while self.held.len() < EARLY && self.early.grow(self.held.len() + EARLY_CHUNK) {
            tokio::select! {
                switch = answers.switch() => return Ok(self.answered(switch)),
                more = read_more::<EARLY_CHUNK>(self.client, &mut self.held) => match more? {
                    true => {}
                    false if self.held.is_empty() => return Ok(Offer::Gone),
                    false => {
                        has_ended = true;
                        break;
                    }
                },
            }
        }
        let switch = if has_ended {
            timeout(ANSWER_WITHIN, answers.switch()).await
        } else {
            Ok(answers.switch().await)
        };
        Ok(switch.map_or(Offer::Unanswered, |switch| self.answered(switch)))
    }

    /// What stands behind an offer is dropped: neither side may take what it has for a whole.
    fn unanswered(&self, why: &'static str) -> End {
        let refused = self.judging.evidence.refused(Seen::EarlyData(why), Reason::RateLimited);
        End::Broken(Stop::Refused { refused, http: true })
    }

    fn answered(&mut self, switch: Option<Switch>) -> Offer {
        self.early.give_back();
        match switch {
            Some(Switch::Switched) => Offer::Taken,
            Some(Switch::NotSwitched) => Offer::Declined,
            Some(Switch::Bad) => Offer::Bad,
            None => Offer::Gone,
        }
    }

    /// Whether there is room for what was read behind the offer.
    fn is_within_early(&mut self) -> bool {
        self.offer_withdrawn || self.held.is_empty() || self.early.grow(self.held.len())
    }
}
