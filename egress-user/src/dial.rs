//! Connecting to the outside: only to addresses that the policy let through, never to a name.
//!
//! Where connects are held (`proxy/held.rs`) the asked address's answer is the program's. Where they are not, a program
//! whose connection was accepted does not hear of a dead address: when the asked one is silent for a quarter of a
//! second, other pins of the name are tried beside it (Happy Eyeballs, RFC 8305).

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsFd as _,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    task::{JoinSet, yield_now},
    time::timeout,
};

use crate::{quota::Quota, sys};

/// How long an attempt is waited for before another is made beside it (RFC 8305 section 5).
pub const NEXT_AFTER: Duration = Duration::from_millis(250);

/// How long all attempts of a connection may take together. The kernel's own limit is over two
/// minutes; the program's connect has succeeded already, so it should hear of the failure before it
/// gives up.
pub const ALL_WITHIN: Duration = Duration::from_secs(30);

/// How long an address other than the asked one may be silent: a name can have hundreds.
const OTHER_WITHIN: Duration = Duration::from_secs(3);

/// Attempts at the same time.
const AT_ONCE: usize = 4;

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

/// A connection in the making.
pub type Attempt = Pin<Box<dyn Future<Output = io::Result<Dialled>> + Send>>;

/// Begins to connect when it is polled.
pub fn attempt(address: DialAddress) -> Attempt {
    Box::pin(async move {
        let stream = connect(address.0).await?;
        Ok(Dialled { stream, address: address.0.ip() })
    })
}

/// As tokio's, but without a turn of the event loop where the answer is there at once: that of a server nearby is
/// when connect(2) returns.
async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = sys::sockets::begin_to_connect(to)?;
    let is_over = sys::descriptors::is_writable(stream.as_fd());
    let stream = TcpStream::from_std(stream)?;
    if !is_over {
        stream.writable().await?;
    }
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

/// Waits for [`NEXT_AFTER`]; none when the attempt has come to nothing until then, and goes on.
///
/// # Errors
/// What connect gives.
pub async fn soon(attempt: &mut Attempt) -> Option<io::Result<Dialled>> {
    // A server nearby has answered when this task is next in turn: it costs no timer.
    tokio::select! {
        biased;
        ended = &mut *attempt => return Some(ended),
        () = yield_now() => {}
    }
    timeout(NEXT_AFTER, pin!(attempt)).await.ok()
}

/// Attempts of which the first to succeed wins; the others end with it.
#[derive(Debug)]
pub struct Race {
    /// Of all connections: each attempt beside another takes a descriptor.
    further: Arc<Quota>,
    attempts: JoinSet<io::Result<Dialled>>,
}

impl Race {
    /// Nobody runs yet. Attempts beside the first are made as far as `further` has room for them.
    pub fn new(further: Arc<Quota>) -> Self {
        Self { further, attempts: JoinSet::new() }
    }

    /// Lets one that has begun go on beside the others.
    pub fn join(&mut self, attempt: Attempt) {
        self.attempts.spawn(attempt);
    }

    /// Tries an address beside the others, for a few seconds; not where there are no descriptors left
    /// for that.
    pub fn add(&mut self, address: DialAddress) {
        let further = self.further.take();
        // One alone has the connection's own.
        if further.is_none() && !self.is_empty() {
            return;
        }
        self.attempts.spawn(async move {
            let _further = further;
            let late = |_| io::Error::from(io::ErrorKind::TimedOut);
            timeout(OTHER_WITHIN, attempt(address)).await.map_err(late)?
        });
    }

    /// Whether one more may be tried.
    pub fn has_room(&self) -> bool {
        self.attempts.len() < AT_ONCE
    }

    /// Whether none is running.
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// The next to end. Never, when none is running. May be dropped and called again.
    ///
    /// # Errors
    /// Why it failed; the others run on.
    pub async fn ended(&mut self) -> io::Result<Dialled> {
        match self.attempts.join_next().await {
            Some(ended) => ended.map_err(io::Error::other)?,
            None => std::future::pending().await,
        }
    }
}
