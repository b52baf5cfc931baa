//! Connecting to the outside: only to addresses that the policy let through, never to a name.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    task::yield_now,
    time::{Instant, timeout},
};

/// How long an address may be silent when the name has others.
const NEXT_AFTER: Duration = Duration::from_secs(3);

/// How long all other addresses of a name may take together: a name can have hundreds.
const OTHERS_WITHIN: Duration = Duration::from_secs(30);

/// How long the last address may be silent. The kernel's own limit is over two minutes; the
/// program's connect has succeeded already, so it should hear of the failure before it gives up.
const LAST_AFTER: Duration = Duration::from_secs(30);

/// An address that may be dialled: the original destination, or another live pin of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialAddress(pub SocketAddr);

/// A connection, and to which address.
#[derive(Debug)]
pub struct Dialled {
    /// The connection.
    pub stream: TcpStream,
    /// The one of the addresses that has answered.
    pub address: IpAddr,
}

/// Connects to the address that the program asked for.
///
/// # Errors
/// What connect gives, or TimedOut. `others` says whether further pins can be tried: then this one
/// gets little time.
pub async fn asked(address: DialAddress, others: bool) -> io::Result<Dialled> {
    one(address, if others { NEXT_AFTER } else { LAST_AFTER }).await
}

/// Tries the other pins of a name in their order, the same port.
///
/// # Errors
/// The last one's error; `NotFound` when there are none.
pub async fn others(
    asked: DialAddress,
    pins: impl IntoIterator<Item = IpAddr>,
) -> io::Result<Dialled> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let end = Instant::now() + OTHERS_WITHIN;
    for address in pins.into_iter().filter(|address| *address != asked.0.ip()) {
        match one(DialAddress(SocketAddr::new(address, asked.0.port())), NEXT_AFTER).await {
            Ok(stream) => return Ok(stream),
            Err(error) if Instant::now() >= end => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn one(address: DialAddress, patience: Duration) -> io::Result<Dialled> {
    let mut connecting = pin!(TcpStream::connect(address.0));
    // A server nearby has answered when this task is next in turn: it costs no timer.
    let stream = tokio::select! {
        biased;
        connected = &mut connecting => connected?,
        () = yield_now() => timeout(patience, connecting)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??,
    };
    Ok(Dialled { stream, address: address.0.ip() })
}
