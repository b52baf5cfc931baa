//! One connection whose destination may be dialled, from its first byte to its last.
//!
//! The original destination is dialled at once, since pins or a rule vouch for it and a server may
//! speak first; the client's bytes are held until they are judged, so that a refused name has seen
//! a connection at most, and never a byte.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use egress_common::Reason;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::{net::TcpStream, time::timeout};

use super::{
    accept::Transparent,
    answers::{Answers, Watched},
    drain::Owed,
    first_bytes::{First, Stop, Then, first},
    handshake::{Answer, Handshake},
    http1::{End, Requests},
    http2,
    opaque::{Became, Begun},
    refuse::{self, reset},
    write_all,
};
use crate::{
    clock::boottime_ns,
    dial::Dialled,
    judge::Evidence,
    policy::{Name, Policy},
    record::{Event, Seen},
    relay::{self, pump, pump_until},
    sandbox::Live,
};

/// A refused request behind others is answered once the server has answered those.
const EARLIER_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// A connection whose destination may be dialled.
pub(super) struct Connection<'a> {
    pub(super) door: &'a Transparent,
    pub(super) client: TcpStream,
    /// Set once it is dialled.
    pub(super) server: OnceLock<TcpStream>,
    /// By which all of it is judged. Where the policy changes, the connection lives on if the new one says
    /// the same of it.
    pub(super) policy: Arc<Policy>,
    pub(super) live: Live<'a>,
    pub(super) evidence: Arc<Evidence>,
    /// Until the client's last byte, and its end, are handed to the server's socket.
    pub(super) owed: Owed<'a>,
}

impl Connection<'_> {
    pub(super) async fn run(&self) {
        // From here on, not from the verdict: a silent client may wait for hours.
        let asked = self.evidence.target().ip();
        let _held = self.hold(asked);
        // In boxes what is over soon: it is not to stay in the memory of a connection for hours.
        let mut judging = Box::pin(first(&self.client, self.judging(), &self.door.unjudged));
        let mut judged = None;
        let Dialled { stream, address } =
            match Box::pin(self.dial(judging.as_mut(), &mut judged)).await {
                Ok(Some(dialled)) => dialled,
                Ok(None) => return reset(&self.client),
                Err(stop) => return Box::pin(self.stop(stop)).await,
            };
        let reached = SocketAddr::new(address, self.evidence.target().port());
        if let Some(refused) = self.door.became_own(reached) {
            drop(stream);
            return Box::pin(self.stop(Stop::Refused { refused, http: false })).await;
        }
        let server = self.server.get_or_init(|| stream);
        relay::prepare(server);
        let (answers, answer) = (Answers::default(), Answer::default());
        let (moved, pipes) = (AtomicU64::new(0), &self.door.outbound.pipes);
        // Set when the last words to the client are ours, behind the server's.
        let refusing = AtomicBool::new(false);
        let down = async {
            let watched = Watched { answers: &answers, answer: &answer };
            let ended = pump_until(server, &self.client, &moved, pipes, watched).await;
            answers.end();
            let _ = ended?;
            if refusing.load(Ordering::Relaxed) { Ok(()) } else { relay::end(server, &self.client) }
        };
        let mut down = pin!(down);
        let (mut server_ended, mut client_gone) = (false, false);
        let first = loop {
            if let Some(first) = judged.take() {
                break first;
            }
            tokio::select! {
                verdict = &mut judging => match verdict {
                    Ok(first) => judged = Some(first),
                    Err(stop) => return Box::pin(self.stop(stop)).await,
                },
                ended = &mut down, if !server_ended && !client_gone => match ended {
                    Ok(()) => server_ended = true,
                    Err(error) if error.is_behind_end() => client_gone = true,
                    Err(_) => return reset(&self.client),
                },
            }
        };
        drop(judging);
        if !self.may_serve(&self.door.pins(), address, first.name.as_ref())
            || !self.live.judged(first.judged())
        {
            return reset(&self.client);
        }
        let _other = (address != asked).then(|| self.hold(address));
        let watched = Watched { answers: &answers, answer: &answer };
        let up = pin!(self.up(server, address, watched, first, &refusing));
        if server_ended {
            match Box::pin(relay::alone(up, server)).await {
                Ok(end) => Box::pin(self.finish(end, server)).await,
                Err(_) => Box::pin(self.break_off(server)).await,
            }
            return;
        }
        if client_gone {
            return Box::pin(self.bequeath(server, up)).await;
        }
        self.both(server, up, down).await;
    }

    /// Keeps the pins under which the connection was made from ending before it.
    fn hold(&self, address: IpAddr) -> Held<'_> {
        // What no name vouches for needs no pin.
        let is_named = self.evidence.names().next().is_some();
        let is_held = is_named && self.door.pins().hold(self.door.sink(), address, boottime_ns());
        Held { door: self.door, address, is_held }
    }

    /// Runs both directions to their end.
    async fn both<U, D>(&self, server: &TcpStream, up: Pin<&mut U>, down: Pin<&mut D>)
    where
        U: Future<Output = Result<End, relay::PumpError>>,
        D: Future<Output = Result<(), relay::PumpError>>,
    {
        let (mut up, mut down) = (up, down);
        let ended = tokio::select! {
            ended = &mut up => match ended {
                Ok(End::Finished) => {
                    Box::pin(relay::alone(down, &self.client)).await.map(|()| End::Finished)
                }
                Ok(end @ End::Broken(_)) => Ok(end),
                // A refusal waits for the answers to earlier requests, but not without end.
                Ok(end) => match Box::pin(timeout(EARLIER_ANSWERS_WITHIN, &mut down)).await {
                    Ok(ended) => ended.map(|()| end),
                    Err(_) => return reset(&self.client),
                },
                Err(error) => {
                    if error.side == relay::Side::Writer {
                        // What the server sent before it went away may still be on the way, for as
                        // long as the client is there.
                        // What then looks like its end is none: the error is reported once.
                        reset(&self.client);
                        reset(server);
                        let _ = Box::pin(relay::alone(down, &self.client)).await;
                    }
                    Err(error)
                }
            },
            ended = &mut down => match ended {
                Ok(()) => Box::pin(relay::alone(up, server)).await,
                Err(error) if error.is_behind_end() => {
                    return Box::pin(self.bequeath(server, up)).await;
                }
                Err(error) => Err(error),
            },
        };
        match ended {
            Ok(end) => Box::pin(self.finish(end, server)).await,
            Err(_) => Box::pin(self.break_off(server)).await,
        }
    }

    /// Delivers what the client sent before it went away, with the end of its stream.
    async fn bequeath<U>(&self, server: &TcpStream, up: Pin<&mut U>)
    where
        U: Future<Output = Result<End, relay::PumpError>>,
    {
        if let Ok(end) = relay::alone(up, server).await {
            self.finish(end, server).await;
        }
        self.break_off(server).await;
    }

    /// Ends a broken connection by a reset on both sides, behind what the server's kernel takes.
    async fn break_off(&self, server: &TcpStream) {
        reset(&self.client);
        relay::delivered(server).await;
        reset(server);
    }

    /// The client's direction, from the held bytes on.
    async fn up(
        &self,
        server: &TcpStream,
        address: IpAddr,
        watched: Watched<'_>,
        first: First,
        refusing: &AtomicBool,
    ) -> Result<End, relay::PumpError> {
        let end = self.forward(server, address, watched, first, refusing).await?;
        if matches!(end, End::Finished) {
            self.owed.settle();
        }
        Ok(end)
    }

    async fn forward(
        &self,
        server: &TcpStream,
        address: IpAddr,
        Watched { answers, answer }: Watched<'_>,
        first: First,
        refusing: &AtomicBool,
    ) -> Result<End, relay::PumpError> {
        let broken = |source| relay::PumpError { side: relay::Side::Writer, source };
        let First { mut then, mut held, mut unjudged, name: _ } = first;
        let mut forwarded = 0;
        if let Then::Begun(beginning) = then {
            let begun = Begun::new(self, server, address, *beginning, held, unjudged);
            Became { then, held, unjudged, forwarded } = match Box::pin(begun.follow()).await {
                Ok(Ok(became)) => became,
                Ok(Err(stop)) => return Ok(End::Broken(stop)),
                Err(source) => return Err(broken(source)),
            };
        }
        let rest = match then {
            // Never here: it has become something.
            Then::Begun(_) => return Ok(End::Broken(Stop::Gone)),
            Then::Silent => {
                end_writing(server);
                return Ok(End::Finished);
            }
            Then::Http2 => {
                let frames = http2::forward(self, server, address, held, &mut unjudged, forwarded);
                let end = Box::pin(self.while_alive(frames)).await.map_err(broken)?;
                if matches!(end, End::Finished) {
                    end_writing(server);
                }
                return Ok(end);
            }
            Then::Relay => held,
            Then::Handshake(judged) => {
                let handshake = Handshake {
                    client: &self.client,
                    server,
                    judging: self.judging(),
                    answer,
                    may_serve: |name: Option<&Name>| {
                        self.may_serve(&self.door.pins(), address, name)
                    },
                    held,
                };
                let forward = handshake.forward(judged);
                match Box::pin(self.while_alive(forward)).await.map_err(broken)? {
                    End::Tunnel(rest) => rest,
                    End::Finished => {
                        end_writing(server);
                        return Ok(End::Finished);
                    }
                    end => return Ok(end),
                }
            }
            Then::Requests(stream, head, length) => {
                let requests = Requests {
                    client: &self.client,
                    server,
                    judging: self.judging(),
                    answers,
                    stream: *stream,
                    held,
                    forwarded,
                    offer_withdrawn: false,
                    unjudged: &mut unjudged,
                    early: self.door.early.share(),
                };
                let forward = requests.forward((*head, length));
                match Box::pin(self.while_alive(forward)).await.map_err(broken)? {
                    End::Tunnel(rest) => rest,
                    // Its server is to see a reset, and no end before it.
                    end @ End::Broken(_) => return Ok(end),
                    end => {
                        refusing.store(!matches!(end, End::Finished), Ordering::Relaxed);
                        end_writing(server);
                        return Ok(end);
                    }
                }
            }
        };
        let pipes = &self.door.outbound.pipes;
        write_all(server, &rest).await.map_err(broken)?;
        drop(rest);
        unjudged.give_back();
        pump(&self.client, server, &AtomicU64::new(0), pipes).await?;
        Ok(End::Finished)
    }

    /// Goes on, a little, when the client breaks off: what it sent before is here already.
    async fn while_alive<T>(&self, forward: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut forward = pin!(forward);
        tokio::select! {
            biased;
            ended = &mut forward => return ended,
            error = relay::cut(&self.client) => tracing::debug!(%error, "the client broke off"),
        }
        // A server that takes nothing is not to be kept from the reset.
        timeout(relay::WITHIN, forward).await?
    }

    /// Ends a connection of which nothing was forwarded.
    async fn stop(&self, stop: Stop) {
        match stop {
            Stop::Refused { refused, http } => {
                // Noted first: the program may end as soon as it has its answer, and the summary
                // is written then.
                self.door.sandbox.journal.refused(Event::clone(&refused));
                if http {
                    refuse::forbidden(&self.client, &refused).await;
                } else {
                    reset(&self.client);
                }
            }
            Stop::Malformed(why) => self.malformed(why).await,
            Stop::Gone => reset(&self.client),
        }
    }

    /// Ends a connection whose earlier requests were forwarded and answered.
    async fn finish(&self, end: End, server: &TcpStream) {
        match end {
            End::Broken(stop) => {
                reset(server);
                self.stop(stop).await;
            }
            End::Refused(refused) => {
                self.door.sandbox.journal.refused(Event::clone(&refused));
                refuse::forbidden(&self.client, &refused).await;
            }
            End::Malformed(why) => self.malformed(why).await,
            End::Finished | End::Tunnel(_) => {}
        }
    }

    async fn malformed(&self, why: &'static str) {
        let refused = self.evidence.refused(Seen::BadHttp(why), Reason::ProtocolNotAllowed);
        self.door.sandbox.journal.refused(*refused);
        refuse::malformed(&self.client, why).await;
    }
}

/// Pins that a live connection holds.
struct Held<'a> {
    door: &'a Transparent,
    address: IpAddr,
    is_held: bool,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.is_held {
            self.door.pins().release(self.door.sink(), self.address, boottime_ns());
        }
    }
}

/// Passes the client's end of stream on.
fn end_writing(server: &TcpStream) {
    // A server that is gone will say so to the other direction.
    let _ = shutdown(server.as_raw_fd(), Shutdown::Write);
}
