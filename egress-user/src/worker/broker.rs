//! The broker, as its worker sees it.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixListener,
    },
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use egress_broker::{
    held_sockets,
    host::ask_instead,
    message::{Ask, Given, SIZE, Tell, What, decode, encode},
    sys::link::{self, receive, send, send_now},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    confine::{Role, enter_or_tell},
    hold::Injector,
    host::Listeners,
    kernel::{Connected, MapSet},
    launch::Note,
    worker::sockets::Sockets,
};

static OF_THIS_PROCESS: OnceLock<Arc<Broker>> = OnceLock::new();

/// The broker of this process; none in one that has its rights itself.
pub(crate) fn of_this_process() -> Option<&'static Arc<Broker>> {
    OF_THIS_PROCESS.get()
}

/// Where this process is the worker of a broker: it cannot serve, as was told.
pub fn failed() {
    if let Some(broker) = of_this_process() {
        broker.ask(What::Failed);
    }
}

/// What a broker tells in its own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The command has ended: everything that it wrote is to be delivered.
    Drain {
        /// Nothing is to be waited for.
        is_interrupted: bool,
    },
    /// What is still to be delivered is given up.
    GiveUp,
    /// Everything has ended.
    Ended {
        /// Unless processes of the command do not die.
        is_empty: bool,
    },
}

/// What a broker has made for this process.
pub struct Handed {
    /// What it says of it.
    pub given: Given,
    /// The maps of the kernel side.
    pub maps: MapSet,
    /// The listeners.
    pub listeners: Listeners,
    /// What answers held connects; none where the rights for it are missing.
    pub injector: Option<Injector>,
    /// By which root asks how the sandbox stands.
    pub status: Option<UnixListener>,
}

/// The broker, for whoever asks it for something.
pub struct Broker {
    pub(super) socket: OwnedFd,
    pub(super) sandbox: u64,
    /// Held by whoever waits for an answer: one question at a time.
    answers: Mutex<Receiver<Tell>>,
    /// The same of the programs' sockets, which a program can make last.
    seen: Mutex<Receiver<(Tell, Vec<OwnedFd>)>>,
    events: Mutex<Option<UnboundedReceiver<Event>>>,
}

impl Broker {
    /// Waits for what the broker behind this socket hands over. `gone` is called, and the process ends, when the broker
    /// does before it was told that all is finished: with true where it has said why. For the process, once.
    ///
    /// # Errors
    /// When it hands over what is no sandbox. Where it ends instead, the process does.
    pub fn meet(
        socket: OwnedFd,
        gone: impl Fn(bool) + Send + 'static,
    ) -> io::Result<(Arc<Self>, Handed)> {
        let (tell, descriptors) = told(&socket)?.unwrap_or_else(|| end(&gone, false));
        let handed = match tell {
            Tell::Given(given) => adopt(given, descriptors),
            Tell::Gone => end(&gone, true),
            _ => None,
        };
        let handed = handed.ok_or(io::ErrorKind::InvalidData)?;
        let ((answer, answers), (see, seen)) = (channel(), channel());
        let (event, events) = unbounded_channel();
        let heard = socket.try_clone()?;
        let (tell, told) = channel();
        let work = move || {
            enter_or_tell(Role::Reader, &tell);
            listen(&heard, &Hears { answer, see, event }, &gone);
        };
        thread::Builder::new().name("egress-link".to_owned()).spawn(work)?;
        told.recv().map_err(io::Error::other)??;
        let broker = Arc::new(Self {
            socket,
            sandbox: handed.given.sandbox,
            answers: Mutex::new(answers),
            seen: Mutex::new(seen),
            events: Mutex::new(Some(events)),
        });
        OF_THIS_PROCESS.get_or_init(|| broker.clone());
        let asking = broker.clone();
        ask_instead(Box::new(move |files| asking.may_write(files)));
        held_sockets::ask_instead(Box::new(Sockets(broker.clone())));
        Ok((broker, handed))
    }

    /// What it tells in its own time; for the first caller.
    pub(crate) fn events(&self) -> Option<UnboundedReceiver<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Has the path proved. Gives what there is to be told before the command starts.
    pub(crate) fn probe(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        self.ask(What::Probe);
        loop {
            match answers.recv() {
                Ok(Tell::Note(note)) => notes.push(note),
                Ok(Tell::Probed) => return notes,
                _ => wait_for_the_end(),
            }
        }
    }

    /// Has the command started.
    pub(crate) fn start(&self) {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        self.ask(What::Start);
        if answers.recv() != Ok(Tell::Started) {
            wait_for_the_end();
        }
    }

    /// Has an unanswered direct connection ended, soon.
    pub(crate) fn end(&self, cookie: u64) {
        let record = encode(&Ask { sandbox: self.sandbox, what: What::End(cookie) });
        // Nobody waits here: where there is no room it ends by itself, within seconds.
        if let Err(error) = send_now(self.socket.as_fd(), &record) {
            tracing::debug!(%error, "a connection could not be ended");
        }
    }

    /// Has a connection ended, soon.
    pub(crate) fn end_connection(&self, connection: Connected) {
        self.ask(What::EndConnection(connection));
    }

    /// Waits until what was to end has ended; false where it takes too long.
    pub(crate) fn settle(&self) -> bool {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        self.ask(What::Settle);
        matches!(answers.recv(), Ok(Tell::Settled(true)))
    }

    /// Everything is delivered.
    pub(crate) fn drained(&self) {
        self.ask(What::Drained);
    }

    /// All has been told.
    pub fn finished(&self, has_refused: bool) {
        self.ask(What::Finished { has_refused });
        #[cfg(debug_assertions)]
        super::misbehave::stay_where_asked();
    }

    fn may_write(&self, files: &[BorrowedFd<'_>]) -> bool {
        if files.len() > link::MOST {
            return true;
        }
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        self.send(What::MayWrite, files);
        // However long it takes, as where the broker is stopped: an answer that nobody waited for would be taken for
        // that to the next question.
        !matches!(answers.recv(), Ok(Tell::MayWrite(false)))
    }

    /// Asks about a socket, and waits for what is told of it.
    pub(super) fn ask_of_socket(&self, what: What) -> Option<(Tell, Vec<OwnedFd>)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.ask(what);
        seen.recv().ok()
    }

    pub(super) fn ask(&self, what: What) {
        self.send(what, &[]);
    }

    fn send(&self, what: What, descriptors: &[BorrowedFd<'_>]) {
        let record = encode(&Ask { sandbox: self.sandbox, what });
        // Where it is gone, the thread that listens ends the process.
        if let Err(error) = send(self.socket.as_fd(), &record, descriptors) {
            tracing::debug!(%error, "the broker is not reached");
        }
    }
}

/// What the broker says next, with what it sends along; none when it is gone.
fn told(socket: &OwnedFd) -> io::Result<Option<(Tell, Vec<OwnedFd>)>> {
    let mut record = [0; SIZE];
    let arrived = match receive(socket.as_fd(), &mut record) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        arrived => arrived?,
    };
    if arrived.length == 0 {
        return Ok(None);
    }
    let told = record.get(..arrived.length).filter(|_| !arrived.is_cut).and_then(decode);
    Ok(Some((told.ok_or(io::ErrorKind::InvalidData)?, arrived.descriptors)))
}

fn adopt(given: Given, descriptors: Vec<OwnedFd>) -> Option<Handed> {
    if descriptors.len() != given.descriptors() {
        return None;
    }
    let mut rest = descriptors.into_iter();
    let maps = rest.by_ref().take(given.maps.into()).collect();
    let maps = MapSet::adopt(maps, given.judges_hellos, 1)?;
    let listeners = Listeners::adopt(given.tcp4, given.tcp6, &mut rest)?;
    let injector = Injector::adopt(rest.by_ref().take(given.raw.into()).collect());
    let status = rest.next().map(UnixListener::from);
    Some(Handed { given, maps, listeners, injector, status })
}

/// Whom the broker's words go to.
struct Hears {
    answer: Sender<Tell>,
    see: Sender<(Tell, Vec<OwnedFd>)>,
    event: UnboundedSender<Event>,
}

/// Until the broker is gone, and the process with it.
fn listen(socket: &OwnedFd, hears: &Hears, gone: &impl Fn(bool)) {
    let Hears { answer, see, event } = hears;
    loop {
        #[cfg(debug_assertions)]
        super::misbehave::stop_where_deaf();
        // Nobody waits for what is told to nobody.
        match told(socket) {
            Ok(Some((Tell::Gone, _))) => end(gone, true),
            Ok(Some((Tell::Drain { is_interrupted }, _))) => {
                let _ = event.send(Event::Drain { is_interrupted });
            }
            Ok(Some((Tell::GiveUp, _))) => {
                let _ = event.send(Event::GiveUp);
            }
            Ok(Some((Tell::Ended { is_empty }, _))) => {
                let _ = event.send(Event::Ended { is_empty });
            }
            Ok(Some((tell @ (Tell::Seen(_) | Tell::Unsent(_)), queue))) => {
                let _ = see.send((tell, queue));
            }
            Ok(Some((tell, _))) => {
                let _ = answer.send(tell);
            }
            Ok(None) | Err(_) => end(gone, false),
        }
    }
}

fn end(gone: &impl Fn(bool), is_told: bool) -> ! {
    gone(is_told);
    std::process::exit(crate::launch::exit::NOT_STARTED.into())
}

/// For whoever waits for an answer that does not come: the thread that listens ends the process.
fn wait_for_the_end() -> ! {
    loop {
        thread::park();
    }
}
