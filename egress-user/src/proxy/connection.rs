//! One connection whose destination may be dialled, from its first byte to its last.
//!
//! The original destination is dialled at once, since pins or a rule vouch for it and a server may
//! speak first; the client's bytes are held until they are judged, so that a refused name has seen
//! a connection at most, and never a byte.

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};

use super::{
    accept::{Listed, Transparent},
    answers::{Answers, Watched},
    drain::Owed,
    first_bytes::{First, Stop, first},
    handshake::Answer,
    http1::End,
    refuse::reset,
};
use crate::{
    dial::Dialled,
    judge::Evidence,
    policy::Policy,
    relay::{self, pump_until},
    sandbox::Live,
};

/// A refused request behind others is answered once the server has answered those.
const EARLIER_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// A connection whose destination may be dialled.
pub(super) struct Connection<'a> {
    pub(super) proxy: &'a Transparent,
    pub(super) client: TcpStream,
    /// Set once it is dialled.
    pub(super) server: OnceLock<TcpStream>,
    /// By which all of it is judged. Where the policy changes, the connection lives on if the new one says
    /// the same of it.
    pub(super) policy: Arc<Policy>,
    pub(super) live: Live<'a>,
    pub(super) evidence: Arc<Evidence>,
    /// Everything that the server will ever say has been read.
    pub(super) server_ended: AtomicBool,
    /// Until the client's last byte, and its end, are handed to the server's socket.
    pub(super) owed: Owed<'a>,
}

impl<'a> Connection<'a> {
    /// One for which `listed` vouches, dialled where `server` is set.
    pub(super) fn new(
        proxy: &'a Transparent,
        client: TcpStream,
        server: OnceLock<TcpStream>,
        Listed { policy, evidence, live }: Listed<'a>,
        owed: Owed<'a>,
    ) -> Self {
        let server_ended = AtomicBool::new(false);
        Self { proxy, client, server, policy, live, evidence, server_ended, owed }
    }
}

impl Connection<'_> {
    pub(super) async fn run(&self) {
        // From here on, not from the verdict: a silent client may wait for hours.
        let asked = self.evidence.target().ip();
        let _lease = self.lease(asked);
        // In boxes what is over soon: it is not to stay in the memory of a connection for hours.
        let mut judging = Box::pin(first(&self.client, self.judging(), &self.proxy.unjudged));
        let mut judged = None;
        let (server, address) = match self.server.get() {
            // It was held until the asked address had answered.
            Some(server) => (server, asked),
            None => match Box::pin(self.reach(judging.as_mut(), &mut judged)).await {
                Ok(Dialled { stream, address }) => (self.server.get_or_init(|| stream), address),
                Err(stop) => return Box::pin(self.stop(stop)).await,
            },
        };
        relay::prepare(server);
        let (answers, answer) = (Answers::default(), Answer::default());
        let (moved, pipes) = (AtomicU64::new(0), &self.proxy.outbound.pipes);
        // Set when the last words to the client are ours, behind the server's.
        let refusing = AtomicBool::new(false);
        let down = async {
            let watched = Watched { answers: &answers, answer: &answer };
            let ended = pump_until(server, &self.client, &moved, pipes, watched).await;
            answers.end();
            let _ = ended?;
            self.server_ended.store(true, Ordering::Relaxed);
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
        if !self.may_serve(address, first.name.as_ref()) || !self.live.judged(first.judged()) {
            return reset(&self.client);
        }
        let _other_lease = (address != asked).then(|| self.lease(address));
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

    /// Dials, and makes sure that what was reached may be dialled still. `Stop::Gone` when nothing answers.
    async fn reach<F>(
        &self,
        judging: Pin<&mut F>,
        judged: &mut Option<First>,
    ) -> Result<Dialled, Stop>
    where
        F: Future<Output = Result<First, Stop>>,
    {
        let dialled = self.dial(judging, judged).await?.ok_or(Stop::Gone)?;
        let reached = SocketAddr::new(dialled.address, self.evidence.target().port());
        match self.proxy.sandbox.became_own(reached) {
            Some(refused) => Err(Stop::Refused { refused, http: false }),
            None => Ok(dialled),
        }
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
}
