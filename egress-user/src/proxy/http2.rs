//! The client's side of an HTTP/2 connection without TLS: every request is judged before a byte of
//! it is forwarded. A refusal ends the connection, as a browser's or gRPC's end of a server does: in
//! the other direction nobody could say it between the server's own frames.

use std::{io, net::IpAddr};

use egress_common::Reason;
use tokio::net::TcpStream;

use super::{
    budget::Share, connection::Connection, first_bytes::Stop, http1::End, read_more, write_all,
};
use crate::{
    record::Seen,
    sniff::{Http2Step, Http2Stream},
};

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// Forwards until the client has sent all, or a request is refused. The server, at `address`, has
/// the first `forwarded` bytes of `held`.
pub(super) async fn forward(
    connection: &Connection<'_>,
    server: &TcpStream,
    address: IpAddr,
    mut held: Vec<u8>,
    unjudged: &mut Share,
    mut forwarded: usize,
) -> io::Result<End> {
    let mut frames = Http2Stream::new();
    loop {
        let mut judged = 0;
        loop {
            match frames.step(held.get(judged..).unwrap_or_default()) {
                Http2Step::Need => break,
                Http2Step::Pass(length) => judged += length,
                Http2Step::Request(head, length) => {
                    let name = match connection.judging().request(&head) {
                        Ok(name) => name,
                        Err(refused) => {
                            return Ok(End::Broken(Stop::Refused { refused, http: false }));
                        }
                    };
                    if !connection.may_serve(&connection.proxy.pins(), address, name.as_ref()) {
                        return Ok(End::Broken(Stop::Gone));
                    }
                    judged += length;
                }
                Http2Step::Bad(why) => {
                    let (seen, reason) = (Seen::BadHttp2(why), Reason::ProtocolNotAllowed);
                    let refused = connection.evidence.refused(seen, reason);
                    return Ok(End::Broken(Stop::Refused { refused, http: false }));
                }
            }
        }
        let judged = judged.min(held.len());
        if judged > forwarded {
            write_all(server, held.get(forwarded..judged).unwrap_or_default()).await?;
        }
        if judged > 0 {
            held.drain(..judged);
            forwarded = forwarded.saturating_sub(judged);
        }
        if held.is_empty() {
            // At rest a connection holds nothing.
            held = Vec::new();
        }
        if !unjudged.holds(held.len()) {
            let refused = connection.judging().too_much_unjudged();
            return Ok(End::Broken(Stop::Refused { refused, http: false }));
        }
        if !read_more::<CHUNK>(&connection.client, &mut held).await? {
            return Ok(End::Finished);
        }
    }
}
