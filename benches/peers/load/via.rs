//! How the client gets to the target.
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::{ANSWER, HELLO, PATIENCE, TARGET, WANT, Want};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// It connects to the target.
    Target,
    /// It asks an HTTP proxy for a tunnel.
    Connect(SocketAddr),
    /// It connects to a forwarder.
    Forward(SocketAddr),
}

impl Via {
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let address = |text: &str| text.parse().map_err(io::Error::other);
        match text.split_once('=') {
            None => Ok(Self::Target),
            Some(("connect", at)) => address(at).map(Self::Connect),
            Some((_, at)) => address(at).map(Self::Forward),
        }
    }

    /// As a word of the load's command line.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Target => "target".to_owned(),
            Self::Connect(at) => format!("connect={at}"),
            Self::Forward(at) => format!("forward={at}"),
        }
    }

    fn open(self) -> io::Result<TcpStream> {
        let target: SocketAddr = TARGET.parse().map_err(io::Error::other)?;
        let at = match self {
            Self::Target => target,
            Self::Connect(at) | Self::Forward(at) => at,
        };
        let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        if let Self::Connect(_) = self {
            // One write, as browsers do.
            stream.write_all(
                format!("CONNECT {TARGET} HTTP/1.1\r\nHost: {TARGET}\r\n\r\n").as_bytes(),
            )?;
            let mut answer = [0; 1024];
            let mut length = 0;
            // Nothing follows the answer until the hello has been sent, so nothing is read too much.
            while !answer.get(..length).unwrap_or_default().ends_with(b"\r\n\r\n") {
                let read = stream.read(answer.get_mut(length..).unwrap_or_default())?;
                if read == 0 {
                    return Err(io::Error::other("the proxy ended its answer to CONNECT"));
                }
                length += read;
            }
            if !answer.starts_with(b"HTTP/1.1 200") && !answer.starts_with(b"HTTP/1.0 200") {
                let said = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
                let first = said.lines().next().unwrap_or_default().to_owned();
                return Err(io::Error::other(format!("the proxy answered {first:?} to CONNECT")));
            }
        }
        Ok(stream)
    }

    /// A connection whose server has answered.
    pub(super) fn wanting(self, want: Want) -> io::Result<TcpStream> {
        let mut stream = self.open()?;
        let mut hello = HELLO.to_vec();
        if let Some(byte) = hello.get_mut(WANT) {
            *byte = want as u8;
        }
        stream.write_all(&hello)?;
        stream.read_exact(&mut [0; ANSWER.len()])?;
        Ok(stream)
    }
}
