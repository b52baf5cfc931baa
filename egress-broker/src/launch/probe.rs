//! The proof, before the command starts, that the path works: what is pinned reaches our proxy with
//! its original destination known, and what is not allowed gets EPERM.

use std::{
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

/// Pinned while the probe runs. TEST-NET-1 (RFC 5737): never a real destination.
pub const PROBE_TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7);
/// Never pinned.
const REFUSED_TARGET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 7);
/// What the proxy says to a connection whose original destination is [`PROBE_TARGET`].
pub const PROBE_GREETING: &[u8; 8] = b"egress\r\n";

const PATIENCE: Duration = Duration::from_secs(5);

/// Which part of the path does not work. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The redirected connection failed.
    #[error("a permitted connection did not reach the proxy; is `lo` up (`ip link set lo up`)?")]
    Redirect(#[source] io::Error),
    /// It reached something else, or its destination was not known.
    #[error("a permitted connection reached something that is not the proxy")]
    Stranger,
    /// Something that must be refused was not.
    #[error("{0} to a destination that nothing allows was not refused by the kernel")]
    Open(&'static str),
}

/// Runs inside the sandbox's cgroup.
///
/// # Errors
/// When the sandbox would not hold, or would hold everything.
pub(super) fn probe() -> Result<(), ProbeError> {
    let mut stream =
        TcpStream::connect_timeout(&PROBE_TARGET, PATIENCE).map_err(ProbeError::Redirect)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(ProbeError::Redirect)?;
    let mut greeting = [0; PROBE_GREETING.len()];
    stream.read_exact(&mut greeting).map_err(ProbeError::Redirect)?;
    if &greeting != PROBE_GREETING || stream.peer_addr().ok() != Some(PROBE_TARGET) {
        return Err(ProbeError::Stranger);
    }
    if !refused(TcpStream::connect_timeout(&REFUSED_TARGET, PATIENCE).map(drop)) {
        return Err(ProbeError::Open("TCP"));
    }
    let datagram = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(ProbeError::Redirect)?;
    if !refused(datagram.send_to(b"", REFUSED_TARGET).map(drop)) {
        return Err(ProbeError::Open("UDP"));
    }
    Ok(())
}

fn refused(result: io::Result<()>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
}
