//! Connects that are held: the kernel side keeps their SYN, and the asked address is dialled before anything is
//! accepted, so that connect(2) answers as the network does.
//!
//! Holding decides nothing. What is let in is accepted, read and judged like every connection; what comes to
//! nothing here (no room, a full ring, the end of this process) leaves the program with an answer of the
//! network's, or waiting for one.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{interval, sleep, timeout},
};

use self::waiting::Place;
pub(super) use self::waiting::{Accepted, Held};
use super::{accept::Transparent, connection::Connection};
use crate::{
    dial::{self, DialAddress, Dialled},
    hold::{Answer, Injector, Syn},
    kernel::HeldEvent,
    sandbox::Live,
};

mod waiting;

/// How long an answer is given time to arrive before it is sent again: an ICMP message that finds the socket
/// locked, as by the very connect(2) that waits for it, is lost.
const ANSWER_AGAIN: Duration = Duration::from_millis(2);

/// How often it is sent at most.
const ANSWERS: usize = 500;

/// How long what was let in may take to be accepted. The listener's queue may be full, and the program's next SYN
/// come after seconds.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(30);

/// How often is looked meanwhile whether others wait for its room.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A connect that is held.
struct Connect {
    proxy: Arc<Transparent>,
    injector: Arc<Injector>,
    /// To which its SYN goes.
    listener: Arc<TcpListener>,
    to: SocketAddr,
    syn: Syn,
    place: Place,
}

/// The kernel lets the socket's SYNs pass: until it is connected, or this is dropped.
struct Release<'a> {
    proxy: &'a Transparent,
    cookie: u64,
    is_connected: bool,
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        if !self.is_connected {
            self.proxy.flows.forget_released(self.cookie);
        }
    }
}

/// How the dial of a connect that is held came out.
enum Outcome {
    Dialled(Dialled),
    Failed(io::Error),
    /// Accepted, though nobody has let it in.
    Accepted(Accepted),
    /// Its right is gone.
    Ended,
    /// Nobody waits for it any more.
    Gone,
}

impl Transparent {
    /// From here on connects are held where the kernel side does so, and answered by this.
    pub fn hold_by(&self, injector: Arc<Injector>) {
        let _ = self.held.injector.set(injector);
    }

    /// Whether connects may be held.
    pub fn holds(&self) -> bool {
        self.held.injector.get().is_some()
    }

    /// What the kernel side tells of a connect that it holds. Within the runtime that serves its listener.
    pub fn on_held(self: &Arc<Self>, event: HeldEvent) {
        let Some(syn) = event.syn else { return self.held.gone(event.cookie) };
        let Some(injector) = self.held.injector.get() else { return };
        let Some(syn) = Syn::parse(&syn) else {
            tracing::debug!(to = %event.to, "a held packet that is no SYN");
            return;
        };
        let Some(listener) = self.held.listener(syn.is_v4(), event.listener_port) else { return };
        // Here, in the order in which the kernel tells of beginnings and ends.
        let place = Place::enter(self, event.cookie, syn.sequence(), event.to);
        let Some(place) = place else { return };
        let (proxy, injector) = (Arc::clone(self), Arc::clone(injector));
        tokio::spawn(Connect { proxy, injector, listener, to: event.to, syn, place }.run());
    }
}

impl Connect {
    /// From the SYN to the connection's last byte.
    async fn run(mut self) {
        let proxy = Arc::clone(&self.proxy);
        // Where there is no room it waits in the listener's queue, as at any server that is full; and what nothing
        // vouches for is refused where it is accepted.
        let Some(_permit) = proxy.try_permit() else { return self.pass_on() };
        let Ok(listed) = proxy.listed(self.to) else { return self.pass_on() };
        proxy.sandbox.journal.note_attempt(self.to.port());
        let server = OnceLock::new();
        let accepted = Box::pin(self.settle(&listed.live, &server)).await;
        let Some((client, owed)) = accepted.and_then(|accepted| accepted.take(&proxy)) else {
            return;
        };
        let to = self.to;
        drop(self);
        let connection = Connection::new(&proxy, client, server, listed, owed);
        proxy.follow(connection, to).await;
    }

    /// Dials, and lets in what has an answer; all else is told to the program, and none.
    async fn settle(&mut self, live: &Live<'_>, server: &OnceLock<TcpStream>) -> Option<Accepted> {
        match self.dial(live).await {
            Outcome::Dialled(Dialled { stream, .. }) => {
                if let Some(refused) = self.proxy.sandbox.became_own(self.to) {
                    self.proxy.sandbox.journal.refused(*refused);
                    self.answer(Answer::Refused).await;
                    return None;
                }
                let local = stream.local_addr().ok();
                let accepted = tokio::select! {
                    _ = live.ended() => None,
                    accepted = self.let_in(local) => accepted,
                };
                let _ = server.set(stream);
                return accepted;
            }
            Outcome::Accepted(accepted) => return Some(accepted),
            // There was a connection, which the server has broken: the program has one, and sees it break.
            Outcome::Failed(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                drop(self.let_in(None).await);
            }
            Outcome::Failed(error) => {
                tracing::debug!(to = %self.to, %error, "not reached");
                self.answer(Answer::to(&error, self.syn.is_v4())).await;
            }
            Outcome::Ended => self.answer(Answer::Refused).await,
            Outcome::Gone => {}
        }
        None
    }

    /// Dials the asked address, whose answer is the answer, for as long as the program waits.
    async fn dial(&mut self, live: &Live<'_>) -> Outcome {
        let dial = dial::attempt(DialAddress(self.to));
        let over = pin!(self.proxy.drain.begun());
        tokio::select! {
            biased;
            accepted = self.place.accepted() => match accepted {
                Some(accepted) => Outcome::Accepted(accepted),
                None => Outcome::Gone,
            },
            _ = live.ended() => Outcome::Ended,
            dialled = dial => match dialled {
                Ok(dialled) => Outcome::Dialled(dialled),
                Err(error) => Outcome::Failed(error),
            },
            // Nobody is left who could wait.
            () = over => Outcome::Gone,
        }
    }

    /// Sends the very SYN to the listener. With the name that the program's socket is to have: its own, where
    /// there is none. None where it is not accepted.
    async fn let_in(&mut self, local: Option<SocketAddr>) -> Option<Accepted> {
        let (proxy, cookie) = (Arc::clone(&self.proxy), self.place.cookie());
        let mut release = Release { proxy: &proxy, cookie, is_connected: false };
        // First, as the program may ask for its name as soon as it is connected.
        if let Err(error) = self.proxy.flows.release(cookie, local) {
            tracing::debug!(to = %self.to, %error, "let in under its own name");
        }
        self.send_again();
        // On one machine the whole handshake is over by now, as a rule.
        self.proxy.accept_one(&self.listener, self.syn.ends());
        let accepted = match self.place.accepted_already() {
            None => self.accepted_late().await,
            accepted => accepted,
        };
        release.is_connected = accepted.is_some();
        accepted
    }

    /// Waits for it: the listener's queue may be full.
    async fn accepted_late(&mut self) -> Option<Accepted> {
        // Behind one that waits for room this one would keep that room.
        let mut looks = interval(LOOK_EVERY);
        let mut late = pin!(sleep(ACCEPTED_WITHIN));
        loop {
            tokio::select! {
                biased;
                accepted = self.place.accepted() => return accepted,
                () = &mut late => return None,
                _ = looks.tick() => if self.proxy.waits_for_room() { return None },
            }
        }
    }

    /// Lets it in as a connection of which nothing is known yet.
    fn pass_on(self) {
        self.send_again();
    }

    /// Where this fails, the program's next SYN is told of, or passes.
    fn send_again(&self) {
        if let Err(error) = self.injector.send(&self.syn.again(), self.syn.destination()) {
            tracing::debug!(to = %self.to, %error, "send a SYN");
        }
    }

    /// Answers the program until it has heard.
    async fn answer(&mut self, answer: Answer) {
        let packet = match answer {
            Answer::Refused => self.syn.reset(),
            Answer::Unreachable(code) => self.syn.unreachable(code),
            Answer::Silence => return,
        };
        for _ in 0..ANSWERS {
            if let Err(error) = self.injector.send(&packet, self.syn.source()) {
                tracing::debug!(to = %self.to, %error, "answer a SYN");
            }
            if timeout(ANSWER_AGAIN, self.place.accepted()).await.is_ok() {
                return;
            }
        }
    }
}
