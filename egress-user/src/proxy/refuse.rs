//! How a refused connection ends: with words where the program speaks HTTP, else with a reset.

use std::{os::fd::AsRawFd, time::Duration};

use egress_common::Reason;
use nix::sys::socket::{Shutdown, shutdown};
use tokio::{net::TcpStream, time::timeout};

use super::write_all;
use crate::record::Event;

/// A program that does not read its refusal is not waited for.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// Ends the connection so that the program sees ECONNRESET at once.
pub(super) fn reset(client: &TcpStream) {
    // Fails only on a socket that is gone already.
    let _ = client.set_zero_linger();
}

/// Answers a refused request: POLICY's 403, with what, why, and what would allow it.
pub(super) async fn forbidden(client: &TcpStream, refused: &Event) {
    let reason = refused.reason().unwrap_or(Reason::NotAllowed);
    let error = format!("x-proxy-error: {}\r\n", label(reason));
    answer(client, "403 Forbidden", &error, &refused.explanation()).await;
}

/// Answers a request that two readers could understand differently.
pub(super) async fn malformed(client: &TcpStream, why: &str) {
    answer(client, "400 Bad Request", "", &format!("egress refused the request: {why}\n")).await;
}

/// Values of `x-proxy-error` that clients of the policy's origin know.
const fn label(reason: Reason) -> &'static str {
    match reason {
        Reason::NotAllowed | Reason::NotAllowedLocal => "blocked-by-allowlist",
        Reason::Denied => "blocked-by-denylist",
        Reason::MethodNotAllowed => "blocked-by-method-policy",
        Reason::InspectionRequired => "blocked-by-mitm-required",
        _ => "blocked-by-policy",
    }
}

async fn answer(client: &TcpStream, status: &str, extra: &str, body: &str) {
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\n{extra}\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len(),
    );
    // An answer that cannot be delivered is as good as a reset.
    let _ = timeout(WRITE_WITHIN, async {
        write_all(client, text.as_bytes()).await?;
        shutdown(client.as_raw_fd(), Shutdown::Write)?;
        drain(client).await
    })
    .await;
}

/// Reads what the program still sends: closing with unread bytes would reset the connection, and
/// the answer could be lost with it.
async fn drain(client: &TcpStream) -> std::io::Result<()> {
    loop {
        client.readable().await?;
        // Not across the wait: it would be in the memory of every connection.
        let mut passed_over = [0; 4096];
        match client.try_read(&mut passed_over) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
