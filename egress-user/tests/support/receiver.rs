//! Far side servers of a test's own: what came over each connection, and how it ended.
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver as Channel, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::tools::slowness;
use super::world::World;

/// How long a connection may take to end once a test asks for its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a connection's stream from the client ended, as the server's kernel said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
}

/// What came over one connection.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
}

/// How a receiver behaves.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    /// Said before anything is read.
    pub(crate) greeting: Vec<u8>,
    /// Bytes of the receive buffer, before the kernel doubles it; the kernel's own choice without.
    pub(crate) buffer: Option<i32>,
    /// Reads at most so many bytes, then pauses.
    pub(crate) pause: Option<(usize, Duration)>,
    /// Reads nothing until it is told to.
    pub(crate) stalls: bool,
    /// Once it has got something, says so much again and again; has got everything when that meets a reset.
    pub(crate) talks: Option<(usize, Duration)>,
    /// Says one byte once it has got something.
    pub(crate) answers: bool,
    /// Breaks the connection off once it has got so many bytes.
    pub(crate) resets_after: Option<usize>,
}

/// A server at one port of the far side.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    got: Channel<Got>,
    gate: Arc<(Mutex<bool>, Condvar)>,
    accepted: Channel<SocketAddr>,
}

impl Receiver {
    /// Listens at an address of the far side, on a free port.
    pub(crate) fn at(world: &World, address: &str, manner: Manner) -> Receiver {
        Receiver::on(world, address, 0, manner)
    }

    /// Listens on this port, also where the far side does not have the address yet.
    pub(crate) fn on(world: &World, address: &str, port: u16, manner: Manner) -> Receiver {
        let address: IpAddr = address.parse().expect("an address");
        let at = SocketAddr::new(address, port);
        let listener = world.far_netns().enter(|| TcpListener::bind(at));
        let listener = listener.unwrap_or_else(|error| panic!("listen on {at}: {error}"));
        if let Some(buffer) = manner.buffer {
            use nix::sys::socket::{setsockopt, sockopt};
            let size = usize::try_from(buffer).expect("a size");
            setsockopt(&listener, sockopt::RcvBuf, &size).expect("set the receive buffer");
        }
        let port = listener.local_addr().expect("read the port").port();
        let (tell, got) = channel();
        let (tell_accepted, accepted) = channel();
        let gate = Arc::new((Mutex::new(!manner.stalls), Condvar::new()));
        let opened = Arc::clone(&gate);
        // Ends with the test's process; a world's listener has nothing to clear away.
        std::thread::spawn(move || {
            while let Ok((stream, from)) = listener.accept() {
                let (tell, manner, gate) = (tell.clone(), manner.clone(), Arc::clone(&opened));
                if tell_accepted.send(from).is_err() {
                    return;
                }
                std::thread::spawn(move || serve(&stream, &manner, &gate, &tell));
            }
        });
        Receiver { port, got, gate, accepted }
    }

    /// Lets a stalled one read.
    pub(crate) fn read_on(&self) {
        *self.gate.0.lock().expect("open the gate") = true;
        self.gate.1.notify_all();
    }

    /// Waits until a connection is accepted.
    #[track_caller]
    pub(crate) fn accepted(&self) -> SocketAddr {
        self.accepted.recv_timeout(PATIENCE * slowness()).expect("a connection at the receiver")
    }

    /// Waits for the end of the next connection to end.
    #[track_caller]
    pub(crate) fn got(&self) -> Got {
        match self.got.recv_timeout(PATIENCE * slowness()) {
            Ok(got) => got,
            Err(RecvTimeoutError::Timeout) => panic!("no connection to the receiver has ended"),
            Err(RecvTimeoutError::Disconnected) => panic!("the receiver is gone"),
        }
    }

    /// Whether any connection was accepted that [`Receiver::accepted`] has not given yet.
    pub(crate) fn is_visited(&self) -> bool {
        self.accepted.try_recv().is_ok()
    }
}

/// Says so many bytes again and again, until the connection breaks.
fn talk(stream: &TcpStream, (length, pause): (usize, Duration)) {
    let mut speaks = stream.try_clone().expect("copy the connection");
    std::thread::spawn(move || {
        while speaks.write_all(&vec![b'.'; length]).is_ok() {
            std::thread::sleep(pause);
        }
    });
}

fn serve(stream: &TcpStream, manner: &Manner, gate: &(Mutex<bool>, Condvar), tell: &Sender<Got>) {
    let mut stream = stream;
    let mut got = Got { bytes: Vec::new(), end: End::Fin };
    if stream.write_all(&manner.greeting).is_err() {
        got.end = End::Reset;
    }
    let mut opened = gate.0.lock().expect("wait at the gate");
    while !*opened {
        opened = gate.1.wait(opened).expect("wait at the gate");
    }
    drop(opened);
    let length = manner.pause.map_or(64 << 10, |(length, _)| length);
    let mut block = vec![0; length];
    loop {
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(read) => {
                if manner.answers && got.bytes.is_empty() && stream.write_all(b"!").is_err() {
                    got.end = End::Reset;
                }
                // Once it has been spoken to: a reset would take what is not read yet.
                if got.bytes.is_empty()
                    && let Some(talks) = manner.talks
                {
                    talk(stream, talks);
                }
                got.bytes.extend_from_slice(&block[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                got.end = End::Reset;
                break;
            }
        }
        if manner.resets_after.is_some_and(|most| got.bytes.len() >= most) {
            use nix::sys::socket::{setsockopt, sockopt};
            let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&stream, sockopt::Linger, &at_once).expect("make the close a reset");
            break;
        }
        if let Some((_, pause)) = manner.pause {
            std::thread::sleep(pause);
        }
    }
    if manner.talks.is_some() {
        // Nothing is asked for, so that it tells of errors alone.
        let mut broken = [PollFd::new(stream.as_fd(), PollFlags::empty())];
        poll(&mut broken, PollTimeout::NONE).expect("wait for the reset");
    }
    tell.send(got).ok();
}
