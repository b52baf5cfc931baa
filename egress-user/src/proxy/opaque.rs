//! A connection where other protocols may pass, while its first bytes may still be those of a
//! request: they are forwarded as they come, but for what would make a request of them.

use std::{io, net::IpAddr};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    budget::Share,
    connection::Connection,
    first_bytes::{Stop, Then, VERDICT_WITHIN},
    read_more, write_all,
};
use crate::{
    record::Seen,
    sniff::{Beginning, Begun as Verdict, RequestStream, Step, http1::HEAD_LIMIT_BYTES},
};

/// Bytes read at once.
const CHUNK: usize = 8 * 1024;

/// What the bytes turned out to be.
pub(super) struct Became {
    pub(super) then: Then,
    /// From the connection's first byte on for a request, else what was not forwarded.
    pub(super) held: Vec<u8>,
    /// What these take of the sandbox's memory.
    pub(super) unjudged: Share,
    /// Bytes of these that the server has.
    pub(super) forwarded: usize,
}

/// A beginning, and what of it was forwarded.
pub(super) struct Begun<'a> {
    connection: &'a Connection<'a>,
    server: &'a TcpStream,
    /// Where the server is.
    address: IpAddr,
    beginning: Beginning,
    held: Vec<u8>,
    unjudged: Share,
    /// Bytes of the connection before those in `held`: no head is so long.
    dropped: usize,
    /// Bytes of the connection that were forwarded.
    forwarded: usize,
}

impl<'a> Begun<'a> {
    pub(super) fn new(
        connection: &'a Connection<'a>,
        server: &'a TcpStream,
        address: IpAddr,
        beginning: Beginning,
        held: Vec<u8>,
        unjudged: Share,
    ) -> Self {
        let (dropped, forwarded) = (0, 0);
        Self { connection, server, address, beginning, held, unjudged, dropped, forwarded }
    }

    /// Forwards until it is certain what this is; a request's head is judged. A refusal leaves the
    /// server with less than a line, to be reset.
    pub(super) async fn follow(mut self) -> io::Result<Result<Became, Stop>> {
        let mut fresh = 0;
        loop {
            let new = self.held.get(fresh..).unwrap_or_default();
            match self.beginning.feed(new) {
                Verdict::Maybe => {}
                Verdict::Opaque => return Ok(Ok(self.relay())),
                Verdict::Request => return self.request().await,
            }
            // Less than what was dropped where that ends in the first half of a version.
            let passable = self.beginning.passable().saturating_sub(self.dropped);
            let from = self.forwarded - self.dropped;
            if passable > from {
                write_all(self.server, self.held.get(from..passable).unwrap_or_default()).await?;
                self.forwarded = self.dropped + passable;
            }
            // A request that would need what is dropped is refused.
            if self.held.len() > HEAD_LIMIT_BYTES || !self.unjudged.holds(self.held.len()) {
                self.held.drain(..passable);
                self.dropped += passable;
            }
            if !self.unjudged.holds(self.held.len()) {
                return Ok(Err(self.too_much()));
            }
            fresh = self.held.len();
            if !self.more().await? {
                return match self.beginning.end() {
                    Verdict::Request => Ok(Err(Stop::Malformed(
                        "a request line that the client ends with its data",
                    ))),
                    Verdict::Maybe | Verdict::Opaque => Ok(Ok(self.relay())),
                };
            }
        }
    }

    fn relay(mut self) -> Became {
        self.connection.judging().passes(Seen::Opaque);
        self.held.drain(..(self.forwarded - self.dropped).min(self.held.len()));
        Became { then: Then::Relay, held: self.held, unjudged: self.unjudged, forwarded: 0 }
    }

    fn too_much(&self) -> Stop {
        let refused = self.connection.judging().too_much_unjudged();
        Stop::Refused { refused, http: false }
    }

    async fn request(mut self) -> io::Result<Result<Became, Stop>> {
        if self.dropped > 0 {
            return Ok(Err(Stop::Malformed("head is too long")));
        }
        let judging = self.connection.judging();
        let deadline = Instant::now() + VERDICT_WITHIN;
        let mut requests = RequestStream::new();
        loop {
            match requests.step(&self.held) {
                Step::Head(head, length) => {
                    let name = match judging.request(&head) {
                        Ok(name) => name,
                        Err(refused) => return Ok(Err(Stop::Refused { refused, http: true })),
                    };
                    let pins = self.connection.proxy.pins();
                    if !self.connection.may_serve(&pins, self.address, name.as_ref()) {
                        return Ok(Err(Stop::Gone));
                    }
                    let then = Then::Requests(Box::new(requests), head, length);
                    let Self { held, unjudged, forwarded, .. } = self;
                    return Ok(Ok(Became { then, held, unjudged, forwarded }));
                }
                Step::Need if !self.unjudged.holds(self.held.len()) => {
                    return Ok(Err(self.too_much()));
                }
                Step::Need => match timeout_at(deadline, self.more()).await {
                    Ok(Ok(true)) => {}
                    Ok(Err(error)) => return Err(error),
                    Ok(Ok(false)) | Err(_) => {
                        return Ok(Err(Stop::Malformed("its head is not whole")));
                    }
                },
                Step::Http2Preface => {
                    if let Err(refused) = judging.http2() {
                        return Ok(Err(Stop::Refused { refused, http: false }));
                    }
                    let Self { held, unjudged, forwarded, .. } = self;
                    return Ok(Ok(Became { then: Then::Http2, held, unjudged, forwarded }));
                }
                Step::Bad(why) => return Ok(Err(Stop::Malformed(why))),
                _ => return Ok(Err(Stop::Malformed("servers may read a request in it"))),
            }
        }
    }

    async fn more(&mut self) -> io::Result<bool> {
        read_more::<CHUNK>(&self.connection.client, &mut self.held).await
    }
}
