//! One end of a connection, as a test tells its story.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::yield_now,
    time::timeout,
};

/// How long a test waits for what must come. Longer than anything that the proxy waits for: where the clock
/// is paused, it jumps to the proxy's limits first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Turns of the runtime in which the proxy takes what is there. On one thread each task has its turn
/// in each, and so has the kernel's word that a socket is readable.
const TURNS: usize = 10;

/// How the other end ended its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// In order.
    Fin,
    /// As broken.
    Reset,
}

pub(super) struct Peer(pub(super) TcpStream);

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        within("the other end to take the bytes", self.0.write_all(bytes)).await.unwrap();
    }

    /// Writes each piece when the proxy has had time to read those before.
    pub(super) async fn write_pieces(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.write(piece).await;
            turns().await;
        }
    }

    /// Writes until nothing more is taken. Gives how much was.
    pub(super) async fn write_until_full(&mut self) -> usize {
        let chunk = vec![b'x'; 64 * 1024];
        let mut written = 0;
        let mut idle = 0;
        while idle < 50 {
            match self.0.try_write(&chunk) {
                Ok(length) => (written, idle) = (written + length, 0),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    idle += 1;
                    turns().await;
                }
            }
        }
        written
    }

    /// Writes single bytes until the other end has broken off.
    pub(super) async fn write_until_broken(&mut self) {
        let writing = async {
            while self.0.write_all(b"x").await.is_ok() {
                turns().await;
            }
        };
        within("the reset", writing).await;
    }

    /// Ends the stream to the other side.
    pub(super) async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Breaks the connection.
    pub(super) fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }

    /// Waits for exactly these bytes.
    #[track_caller]
    pub(super) fn expect(&mut self, bytes: &[u8]) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        let bytes = bytes.to_vec();
        async move {
            let mut got = vec![0; bytes.len()];
            let read = within("bytes", self.0.read_exact(&mut got)).await;
            read.unwrap_or_else(|error| panic!("at {at}: {error}"));
            let (got, bytes) = (String::from_utf8_lossy(&got), String::from_utf8_lossy(&bytes));
            assert_eq!(got, bytes, "at {at}");
        }
    }

    /// Waits for so many bytes.
    pub(super) async fn read_exact(&mut self, bytes: &mut [u8]) {
        within("bytes", self.0.read_exact(bytes)).await.unwrap();
    }

    /// Some bytes, not none.
    pub(super) async fn read(&mut self, bytes: &mut [u8]) -> usize {
        let read = within("a byte", self.0.read(bytes)).await.unwrap();
        assert_ne!(read, 0, "the end");
        read
    }

    /// Everything up to the end of the stream, and which end it is.
    pub(super) async fn rest(&mut self) -> (Vec<u8>, Ended) {
        let mut got = Vec::new();
        let ended = match within("the end", self.0.read_to_end(&mut got)).await {
            Ok(_) => Ended::Fin,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ended::Reset,
            Err(error) => panic!("{error}"),
        };
        (got, ended)
    }

    /// [`Peer::rest`] as text.
    pub(super) async fn text(&mut self) -> (String, Ended) {
        let (bytes, ended) = self.rest().await;
        (String::from_utf8(bytes).unwrap(), ended)
    }

    /// Nothing has come, and nothing has ended.
    pub(super) async fn hears_nothing(&mut self) {
        turns().await;
        let mut byte = [0];
        let heard = self.0.try_read(&mut byte);
        assert!(
            heard.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock),
            "{heard:?}"
        );
    }
}

/// Lets everybody else on this runtime have turns.
pub(super) async fn turns() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

/// What must come, or the test fails.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits until it is so.
pub(super) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let turning = async {
        while !is_so() {
            yield_now().await;
        }
    };
    within(what, turning).await;
}
