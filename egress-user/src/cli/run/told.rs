//! What `egress run` tells on standard error.

use std::{io::Write, sync::Arc, thread::JoinHandle};

use egress_user::{
    confine::{self, Role},
    record::{Live, Observer, Summary},
    sys::descriptors::wait_to_write,
    text,
};

/// What is told, and when.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct ToldArgs {
    /// Tell each refusal on stderr as it happens, once, in a line of its own
    #[arg(long)]
    live: bool,
    /// Tell nothing but errors: no notes and warnings at the start, no summary at the end
    #[arg(long)]
    quiet: bool,
    /// Exit with 3 when the command succeeded and something was refused
    #[arg(long)]
    pub(super) fail_on_refusal: bool,
}

/// Writes lines as they come, in a thread of its own: whoever is slow to read stderr keeps nobody waiting.
pub(super) struct Teller {
    live: Arc<Live>,
    thread: JoinHandle<()>,
}

/// When the broker is gone before the end.
pub(super) fn of_the_broker(is_told: bool) {
    if !is_told {
        super::super::complain(
            "the process that has the sandbox's rights (egress-broker) has died: everything in the sandbox was ended",
        );
    }
}

impl ToldArgs {
    /// A line that is no error.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            super::super::complain(text);
        }
    }

    /// At the end.
    pub(super) fn tell(self, summary: &Summary) {
        let text = if self.quiet { summary.errors().to_string() } else { summary.to_string() };
        write(&text::lines(&text));
    }

    /// Where lines are to be written as they come.
    pub(super) fn teller(self) -> std::io::Result<Option<Teller>> {
        if !self.live {
            return Ok(None);
        }
        let (live, lines) = Live::new();
        let (tell, told) = std::sync::mpsc::channel();
        let write = move || {
            let entered = confine::enter(Role::Reader);
            let is_confined = entered.is_ok();
            if tell.send(entered).is_ok() && is_confined {
                lines.for_each(|line| write(&text::lines(&line)));
            }
        };
        let thread = std::thread::Builder::new().name("egress-teller".to_owned()).spawn(write)?;
        told.recv().map_err(std::io::Error::other)??;
        Ok(Some(Teller { live, thread }))
    }
}

impl Teller {
    pub(super) fn observer(&self) -> Arc<dyn Observer> {
        self.live.clone()
    }

    /// Writes what is there, and no more.
    pub(super) fn end(self) {
        self.live.end();
        let _ = self.thread.join();
    }
}

/// As one piece, where what is behind stderr takes it so: lines of the command's do not come between. Where it
/// is closed there is nobody to tell.
fn write(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match std::io::stderr().write(rest) {
            Ok(0) => return,
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // The command shares it, and has set it so.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                wait_to_write(std::io::stderr());
            }
            Err(_) => return,
        }
    }
}
