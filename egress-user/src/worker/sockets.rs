//! The sockets of the sandbox's programs, by way of the broker.

use std::{fs::File, io, io::Read, sync::Arc};

use egress_broker::{
    held_sockets::{Held, Patience, Remote, Which},
    message::{MOST_QUEUED, Seen, Tell, What},
};

use super::Broker;

pub(super) struct Sockets(pub(super) Arc<Broker>);

impl Remote for Sockets {
    fn look(
        &self,
        which: Which,
        known: usize,
        most: usize,
        patience: Option<Patience>,
    ) -> io::Result<Held> {
        let [known, most] = [known, most].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let told = self.0.ask_of_socket(What::Look { which, known, most, patience });
        let Some((Tell::Seen(Some(Seen { unsent, is_patient })), files)) = told else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut queue = Vec::new();
        if let Some(file) = files.into_iter().next() {
            File::from(file).take(MOST_QUEUED.into()).read_to_end(&mut queue)?;
        }
        Ok(Held { unsent: unsent as usize, queue, is_patient })
    }

    fn push(&self, which: Which, ours: [u32; 2]) {
        self.0.ask(What::Push { which, ours });
    }

    fn push_on(&self, which: Which) -> io::Result<usize> {
        match self.0.ask_of_socket(What::PushOn(which)) {
            Some((Tell::Unsent(Some(unsent)), _)) => Ok(unsent as usize),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn forget(&self, cookie: u64) {
        self.0.ask(What::Forget(cookie));
    }
}
