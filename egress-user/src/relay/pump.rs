//! One direction.
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::yield_now;

use super::{
    PumpError, Side,
    breaks::{cut, is_doomed},
    pace::{IDLE_BYTES, Pace, Turns},
    pipe::Pipe,
    reset,
    watch::{Unwatched, Watch},
};
use crate::quota::Quota;

/// Size of the one read buffer of each worker thread, and the most that a direction of a
/// connection holds while its receiver doesn't read.
pub const READ_LIMIT_BYTES: usize = 256 * 1024;

thread_local! {
    /// Borrowed only between two awaits.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_LIMIT_BYTES]);
}

/// Lets `read` use the thread's buffer, [`READ_LIMIT_BYTES`] large. It must not do so again meanwhile.
pub(crate) fn with_buffer<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| read(buffer))
}

/// Moves bytes from `reader` to `writer` until the end of the stream, then ends `writer`'s stream
/// too. `moved_bytes` counts what was written, as it is written. Busy, it takes one of `pipes`, if any is left.
///
/// # Errors
/// When either socket breaks; both are then set to close by a reset, which also tells the pump of
/// the other direction that an end of stream is none.
pub async fn pump(
    reader: &TcpStream,
    writer: &TcpStream,
    moved_bytes: &AtomicU64,
    pipes: &Arc<Quota>,
) -> Result<(), PumpError> {
    let _ = pump_until(reader, writer, moved_bytes, pipes, Unwatched).await?;
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

/// As [`pump`], and shows each run of bytes that matters to `watch` before it is written. Leaves both streams
/// open: after a break from `watch` (its bytes are still written) another pump can go on;
/// `Continue` means that the reader's stream has ended, for the caller to pass on by [`end`].
///
/// # Errors
/// As [`pump`].
pub async fn pump_until(
    reader: &TcpStream,
    writer: &TcpStream,
    moved_bytes: &AtomicU64,
    pipes: &Arc<Quota>,
    watch: impl Watch + Unpin,
) -> Result<ControlFlow<()>, PumpError> {
    let ended = Pump::new(reader, writer, moved_bytes, pipes, watch).await;
    // What a writer sent before it ended its stream is whole, and for the other direction to deliver.
    if ended.as_ref().is_err_and(|error| !error.is_behind_end()) {
        reset(reader);
        reset(writer);
    }
    ended
}

/// The future of one direction, by hand: what the compiler makes of the same in async functions is five times
/// as large, at every connection at rest.
struct Pump<'a, W> {
    reader: &'a TcpStream,
    writer: &'a TcpStream,
    moved_bytes: &'a AtomicU64,
    pipes: &'a Arc<Quota>,
    watch: W,
    pace: Pace,
    unwritten: Unwritten,
    turns: Turns,
    /// The reader's end, while this waits for the writer.
    failing: Option<Failure<'a>>,
}

type Failure<'a> = Pin<Box<dyn Future<Output = io::Error> + Send + 'a>>;

/// What was read and not written.
enum Unwritten {
    Nothing,
    Tail(Tail),
    Piped(Pipe),
}

/// So much of these bytes is written, and how to go on behind them.
struct Tail {
    bytes: Vec<u8>,
    written: usize,
    flow: ControlFlow<()>,
}

/// What one read came to.
enum Turn {
    /// So many bytes moved, all of them written.
    Moved(usize, ControlFlow<()>),
    /// Some were not written.
    Unwritten(Unwritten),
    Nothing,
    EndOfStream,
}

impl<W: Watch + Unpin> Future for Pump<'_, W> {
    type Output = Result<ControlFlow<()>, PumpError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let ControlFlow::Break(()) = ready!(this.write_unwritten(context))? {
                return Poll::Ready(Ok(ControlFlow::Break(())));
            }
            if this.turns.is_over() {
                this.turns = Turns::default();
                // Once: it wakes this task when others have had their turn.
                let _ = pin!(yield_now()).poll(context);
                return Poll::Pending;
            }
            match this.turn()? {
                Turn::EndOfStream if is_doomed(this.reader) => {
                    let source = io::ErrorKind::ConnectionReset.into();
                    return Poll::Ready(Err(broken_reader(source)));
                }
                Turn::EndOfStream => return Poll::Ready(Ok(ControlFlow::Continue(()))),
                Turn::Nothing => {
                    this.turns = Turns::default();
                    ready!(this.wait_to_read(context))?;
                }
                Turn::Moved(_, ControlFlow::Break(())) => {
                    return Poll::Ready(Ok(ControlFlow::Break(())));
                }
                Turn::Moved(bytes, ControlFlow::Continue(())) => {
                    this.turns.add(bytes);
                }
                Turn::Unwritten(rest) => this.unwritten = rest,
            }
        }
    }
}

impl<'a, W: Watch> Pump<'a, W> {
    fn new(
        reader: &'a TcpStream,
        writer: &'a TcpStream,
        moved_bytes: &'a AtomicU64,
        pipes: &'a Arc<Quota>,
        watch: W,
    ) -> Self {
        let (pace, turns) = (Pace::default(), Turns::default());
        let unwritten = Unwritten::Nothing;
        Self { reader, writer, moved_bytes, pipes, watch, pace, unwritten, turns, failing: None }
    }

    /// Writes that; a break when the watcher wanted one behind it.
    fn write_unwritten(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<ControlFlow<()>, PumpError>> {
        loop {
            match std::mem::replace(&mut self.unwritten, Unwritten::Nothing) {
                Unwritten::Nothing => return Poll::Ready(Ok(ControlFlow::Continue(()))),
                Unwritten::Tail(mut tail) => {
                    let rest = tail.bytes.get(tail.written..).unwrap_or_default();
                    let left = self.write_some(rest)?.len();
                    if left == 0 {
                        return Poll::Ready(Ok(tail.flow));
                    }
                    tail.written = tail.bytes.len().saturating_sub(left);
                    self.unwritten = Unwritten::Tail(tail);
                }
                Unwritten::Piped(mut pipe) => {
                    self.write_pipe(&mut pipe)?;
                    if pipe.unwritten_bytes() == 0 {
                        pipe.give_back();
                        return Poll::Ready(Ok(ControlFlow::Continue(())));
                    }
                    self.unwritten = Unwritten::Piped(pipe);
                }
            }
            self.turns = Turns::default();
            ready!(self.wait_to_write(context))?;
        }
    }

    /// One read, and as much writing as goes at once.
    fn turn(&mut self) -> Result<Turn, PumpError> {
        let unseen = if self.pace.is_busy() { self.watch.unseen() } else { 0 };
        // The last bytes that need not be seen are not worth a turn of their own.
        if unseen >= IDLE_BYTES
            && let Some(pipe) = Pipe::take(self.pipes)
            && let Some(turn) = self.splice(pipe, unseen)?
        {
            return Ok(turn);
        }
        self.copy()
    }

    /// One turn without copying; none where only a read says more: nothing may have come, or an
    /// urgent byte may be next, at which splice stops.
    fn splice(&mut self, mut pipe: Pipe, limit: usize) -> Result<Option<Turn>, PumpError> {
        let moved = match pipe.fill(self.reader, limit) {
            Ok(0) => {
                pipe.give_back();
                return Ok(Some(Turn::EndOfStream));
            }
            Ok(moved) => moved,
            Err(error) if is_temporary(&error) => {
                pipe.give_back();
                return Ok(None);
            }
            Err(error) => return Err(broken_reader(error)),
        };
        self.pace.read(moved);
        self.watch.passed(moved);
        self.write_pipe(&mut pipe)?;
        Ok(Some(if pipe.unwritten_bytes() > 0 {
            Turn::Unwritten(Unwritten::Piped(pipe))
        } else {
            pipe.give_back();
            Turn::Moved(moved, ControlFlow::Continue(()))
        }))
    }

    fn copy(&mut self) -> Result<Turn, PumpError> {
        with_buffer(|buffer| {
            let len = match self.reader.try_read(buffer) {
                Ok(0) => return Ok(Turn::EndOfStream),
                Ok(len) => len,
                Err(error) if is_temporary(&error) => return Ok(Turn::Nothing),
                Err(error) => return Err(broken_reader(error)),
            };
            let read = buffer.get(..len).unwrap_or_default();
            self.pace.read(len);
            let flow = self.watch.see(read);
            match self.write_some(read)? {
                [] => Ok(Turn::Moved(len, flow)),
                rest => Ok(Turn::Unwritten(Unwritten::Tail(Tail {
                    bytes: rest.to_vec(),
                    written: 0,
                    flow,
                }))),
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

    /// Empties the pipe as far as the kernel takes it.
    fn write_pipe(&self, pipe: &mut Pipe) -> Result<(), PumpError> {
        while pipe.unwritten_bytes() > 0 {
            match self.writer.try_io(Interest::WRITABLE, || pipe.drain(self.writer)) {
                // A pipe that holds something gives it, or says why not.
                Ok(0) => return Err(broken_writer(io::ErrorKind::WriteZero.into())),
                Ok(moved) => {
                    self.moved_bytes.fetch_add(moved as u64, Ordering::Relaxed);
                }
                Err(error) if is_temporary(&error) => break,
                Err(error) => return Err(broken_writer(error)),
            }
        }
        Ok(())
    }

    fn wait_to_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), PumpError>> {
        match self.writer.poll_write_ready(context) {
            Poll::Ready(ready) => Poll::Ready(ready.map_err(broken_writer)),
            // The reader may be reset while the writer's peer reads nothing: without this, both
            // connections would stay until that peer moves.
            Poll::Pending => {
                let failing = self.failing.get_or_insert_with(|| Box::pin(cut(self.reader)));
                failing.as_mut().poll(context).map(|source| Err(broken_reader(source)))
            }
        }
    }

    fn wait_to_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), PumpError>> {
        // That the writer breaks meanwhile is for the other direction to notice, or for `alone`.
        self.failing = None;
        self.reader.poll_read_ready(context).map_err(broken_reader)
    }
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
