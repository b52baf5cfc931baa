//! What a process orders of the broker that it becomes: read once, before the worker has read anything that others
//! wrote.

use std::{
    fs::File,
    io::{self, Seek},
    os::fd::OwnedFd,
};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::{
    launch::Command,
    sys::inherited::Inherited,
    wire::{Wire, receive, send},
};

/// The version of whoever orders: another one's order would be misread.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// One sandbox, and the worker that serves it.
#[derive(Debug, PartialEq, Eq)]
pub struct Order {
    /// What to run.
    pub command: Command,
    /// What the command is to find as the caller left it.
    pub inherited: Inherited,
    /// The worker, by its process id: a child.
    pub worker: i32,
    /// How many transparent listeners of IPv6 there are to be.
    pub listeners6: u32,
    /// Whether something that was refused is a failure of a command that succeeded.
    pub fail_on_refusal: bool,
}

impl Wire for Order {
    fn put(&self, to: &mut Vec<u8>) {
        VERSION.as_bytes().to_vec().put(to);
        self.command.put(to);
        self.inherited.put(to);
        self.worker.put(to);
        self.listeners6.put(to);
        u8::from(self.fail_on_refusal).put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        if Vec::take(from)? != VERSION.as_bytes() {
            return None;
        }
        Some(Self {
            command: Command::take(from)?,
            inherited: Inherited::take(from)?,
            worker: i32::take(from)?,
            listeners6: u32::take(from)?,
            fail_on_refusal: u8::take(from)? == 1,
        })
    }
}

impl Order {
    /// In memory that the program to be executed reads.
    ///
    /// # Errors
    /// What memfd_create or write gives; E2BIG where the command is longer than the kernel takes.
    pub fn write(&self) -> io::Result<OwnedFd> {
        let mut memory = File::from(memfd_create(c"egress-order", MFdFlags::MFD_CLOEXEC)?);
        send(&mut memory, self)?;
        memory.rewind()?;
        Ok(memory.into())
    }

    /// The counterpart of [`Order::write`].
    ///
    /// # Errors
    /// When it is none, or another version's.
    pub fn read(from: OwnedFd) -> io::Result<Self> {
        receive(&mut File::from(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::Capabilities;

    #[test]
    fn an_order_arrives() {
        let order = Order {
            command: Command {
                program: "sh".into(),
                arguments: vec!["-c".into(), "true".into()],
                user: None,
                capabilities: Capabilities::None,
            },
            inherited: Inherited::of_this_process(),
            worker: 7,
            listeners6: 32,
            fail_on_refusal: true,
        };
        assert_eq!(Order::read(order.write().unwrap()).unwrap(), order);
        assert!(Order::read(memfd_create(c"x", MFdFlags::MFD_CLOEXEC).unwrap()).is_err());
    }
}
