//! One direction.
use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{PumpError, Side, reset};

/// Size of the one read buffer of each worker thread, and the most that a direction of a
/// connection holds while its receiver doesn't read.
pub const READ_LIMIT_BYTES: usize = 256 * 1024;

/// A task gives way after moving so much without having to wait, so that one busy connection
/// can't starve its thread's others. About 100 µs of copying.
const TURN_BYTES: usize = 1024 * 1024;

/// The same for many small reads.
const TURN_READS: usize = 32;

thread_local! {
    /// Borrowed only between two awaits.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_LIMIT_BYTES]);
}

/// Moves bytes from `reader` to `writer` until the end of the stream, then ends `writer`'s stream
/// too. `moved_bytes` counts what was written, as it is written.
///
/// # Errors
/// When either socket breaks; both are then set to close by a reset, which also tells the pump of
/// the other direction that an end of stream is none.
pub async fn pump(
    reader: &TcpStream,
    writer: &TcpStream,
    moved_bytes: &AtomicU64,
) -> Result<(), PumpError> {
    let watch = |_: &[u8]| ControlFlow::Continue(());
    let _ = pump_until(reader, writer, moved_bytes, watch).await?;
    end(reader, writer)
}

/// Passes the end of `reader`'s stream on to `writer`.
///
/// # Errors
/// When the writer is broken; both are then set to close by a reset.
pub fn end(reader: &TcpStream, writer: &TcpStream) -> Result<(), PumpError> {
    // A writer that was reset meanwhile is not connected.
    shutdown(writer.as_raw_fd(), Shutdown::Write).map_err(|error| {
        reset(reader);
        reset(writer);
        broken_writer(error.into())
    })
}

/// As [`pump`], and shows each run of bytes to `watch` before it is written. Leaves both streams
/// open: after a break from `watch` (its bytes are still written) another pump can go on;
/// `Continue` means that the reader's stream has ended, for the caller to pass on by [`end`].
///
/// # Errors
/// As [`pump`].
pub async fn pump_until(
    reader: &TcpStream,
    writer: &TcpStream,
    moved_bytes: &AtomicU64,
    watch: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, PumpError> {
    let ended = Pump { reader, writer, moved_bytes, watch }.run().await;
    if ended.is_err() {
        reset(reader);
        reset(writer);
    }
    ended
}

struct Pump<'a, W> {
    reader: &'a TcpStream,
    writer: &'a TcpStream,
    moved_bytes: &'a AtomicU64,
    watch: W,
}

/// What one read came to.
enum Turn {
    /// So many bytes moved, all of them written.
    Moved(usize, ControlFlow<()>),
    /// Some were not written.
    Tail(Vec<u8>, ControlFlow<()>),
    Nothing,
    EndOfStream,
}

impl<W: FnMut(&[u8]) -> ControlFlow<()>> Pump<'_, W> {
    async fn run(mut self) -> Result<ControlFlow<()>, PumpError> {
        let (mut turn_bytes, mut turn_reads) = (0, 0);
        loop {
            let flow = match self.turn()? {
                Turn::EndOfStream if is_doomed(self.reader) => {
                    return Err(broken_reader(io::ErrorKind::ConnectionReset.into()));
                }
                Turn::EndOfStream => break,
                Turn::Nothing => {
                    (turn_bytes, turn_reads) = (0, 0);
                    self.wait_to_read().await?;
                    continue;
                }
                Turn::Moved(len, flow) => {
                    turn_bytes += len;
                    turn_reads += 1;
                    if turn_bytes >= TURN_BYTES || turn_reads >= TURN_READS {
                        (turn_bytes, turn_reads) = (0, 0);
                        tokio::task::yield_now().await;
                    }
                    flow
                }
                Turn::Tail(tail, flow) => {
                    (turn_bytes, turn_reads) = (0, 0);
                    self.write_tail(&tail).await?;
                    flow
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// One read, and as much writing as goes at once.
    fn turn(&mut self) -> Result<Turn, PumpError> {
        BUFFER.with_borrow_mut(|buffer| {
            let len = match self.reader.try_read(buffer) {
                Ok(0) => return Ok(Turn::EndOfStream),
                Ok(len) => len,
                Err(error) if is_temporary(&error) => return Ok(Turn::Nothing),
                Err(error) => return Err(broken_reader(error)),
            };
            let read = buffer.get(..len).unwrap_or_default();
            let flow = (self.watch)(read);
            match self.write_some(read)? {
                [] => Ok(Turn::Moved(len, flow)),
                rest => Ok(Turn::Tail(rest.to_vec(), flow)),
            }
        })
    }

    /// Writes until the kernel takes no more, and gives the rest.
    fn write_some<'b>(&self, mut bytes: &'b [u8]) -> Result<&'b [u8], PumpError> {
        while !bytes.is_empty() {
            match self.writer.try_write(bytes) {
                Ok(written) => {
                    self.moved_bytes.fetch_add(written as u64, Ordering::Relaxed);
                    bytes = bytes.get(written..).unwrap_or_default();
                }
                Err(error) if is_temporary(&error) => break,
                Err(error) => return Err(broken_writer(error)),
            }
        }
        Ok(bytes)
    }

    async fn write_tail(&self, mut tail: &[u8]) -> Result<(), PumpError> {
        loop {
            tail = self.write_some(tail)?;
            if tail.is_empty() {
                return Ok(());
            }
            // The reader may be reset while the writer's peer reads nothing: without this, both
            // connections would stay until that peer moves.
            tokio::select! {
                ready = self.writer.writable() => ready.map_err(broken_writer)?,
                error = failure(self.reader) => return Err(broken_reader(error)),
            }
        }
    }

    async fn wait_to_read(&self) -> Result<(), PumpError> {
        // The writer may be reset while the reader has nothing to say; behind a half-close, no
        // other pump would notice.
        tokio::select! {
            ready = self.reader.readable() => ready.map_err(broken_reader),
            error = failure(self.writer) => Err(broken_writer(error)),
        }
    }
}

/// Waits until `stream` is broken (EPOLLERR), and says how.
async fn failure(stream: &TcpStream) -> io::Error {
    if let Err(error) = stream.ready(Interest::ERROR).await {
        return error;
    }
    // The error is reported once; the other direction may have had it.
    match stream.take_error() {
        Ok(Some(error)) | Err(error) => error,
        Ok(None) => io::ErrorKind::ConnectionReset.into(),
    }
}

/// Whether the other direction found `stream` broken. The kernel reports a reset once: if a write
/// had it, the next read says end of stream, and a cut answer would look complete.
fn is_doomed(stream: &TcpStream) -> bool {
    matches!(stream.linger(), Ok(Some(Duration::ZERO)))
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn broken_reader(source: io::Error) -> PumpError {
    PumpError { side: Side::Reader, source }
}

fn broken_writer(source: io::Error) -> PumpError {
    PumpError { side: Side::Writer, source }
}
