//! The client's direction of a connection, once its beginning is judged.

use std::{
    io,
    net::IpAddr,
    os::fd::AsRawFd,
    pin::pin,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::{net::TcpStream, time::timeout};

use super::{
    answers::Watched,
    connection::Connection,
    first_bytes::{First, Stop, Then},
    handshake::Handshake,
    http1::{End, Requests},
    http2,
    opaque::{Became, Begun},
    write_all,
};
use crate::{
    policy::Name,
    relay::{self, Unwatched, pump_until},
};

impl Connection<'_> {
    /// The client's direction, from the held bytes on.
    pub(super) async fn up(
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
                    may_serve: |name: Option<&Name>| self.may_serve(address, name),
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
                    early: self.proxy.early.share(),
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
        let pipes = &self.proxy.outbound.pipes;
        write_all(server, &rest).await.map_err(broken)?;
        drop(rest);
        unjudged.give_back();
        let _ = pump_until(&self.client, server, &AtomicU64::new(0), pipes, Unwatched).await?;
        // Where the server has ended before, both connections are closed at once, which says as much.
        if !self.server_ended.load(Ordering::Relaxed) {
            relay::end(&self.client, server)?;
        }
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
}

/// Passes the client's end of stream on.
fn end_writing(server: &TcpStream) {
    // A server that is gone will say so to the other direction.
    let _ = shutdown(server.as_raw_fd(), Shutdown::Write);
}
