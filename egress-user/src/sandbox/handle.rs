//! A sandbox, as whoever started it holds it.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use nix::sys::signal::Signal;

use super::{Sandbox, account::account, awaited, serve::Tasks};
use crate::{
    dns::NameServers,
    host::{Cgroup, CgroupError},
    kernel::{Attached, Counts, KernelError, Maps},
    launch::{Init, Note},
    policy::Policy,
    record::{GivenUp, Summary},
    status::{Report, StatusServer},
    supervisor::Supervisor,
};

/// The cgroup and the programs at it, which on every way out, an error's too, go in this order: nothing may be
/// left to run when the programs go.
pub(super) struct AttachedCgroup {
    cgroup: Cgroup,
    attached: Attached,
    id: u64,
    maps: Arc<Maps>,
    has_left: bool,
}

impl AttachedCgroup {
    pub(super) fn new(
        cgroup: Cgroup,
        attached: Attached,
        maps: Arc<Maps>,
    ) -> Result<Self, CgroupError> {
        Ok(Self { id: cgroup.id()?, cgroup, attached, maps, has_left: true })
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Ends it now. False when something does not die; with what was counted.
    fn end(mut self) -> (bool, Counts) {
        self.remove()
    }

    fn remove(&mut self) -> (bool, Counts) {
        if !std::mem::take(&mut self.has_left) {
            return (true, Counts::default());
        }
        let is_empty = self.cgroup.remove();
        if !is_empty {
            self.attached.leave();
        }
        // Only now: what still sends is judged until here.
        (is_empty, self.maps.remove_sandbox(self.id))
    }
}

impl Drop for AttachedCgroup {
    fn drop(&mut self) {
        if !self.remove().0 {
            tracing::warn!("some of the command's processes do not die; they stay filtered");
        }
    }
}

/// What a new policy did to what lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// The policy's generation: how many there were before it.
    pub generation: u64,
    /// Connections that were ended, those by way of the proxy.
    pub ended: usize,
}

/// A sandbox that lives. Dropping it ends it, and everything in it.
pub struct Handle {
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) upstream: Arc<NameServers>,
    pub(super) init: Init,
    pub(super) drain: Duration,
    pub(super) notes: Vec<Note>,
    pub(super) status: Result<StatusServer, io::Error>,
    pub(super) cgroup: Option<AttachedCgroup>,
    /// What serves it, until it is dropped.
    pub(super) _tasks: Tasks,
}

impl Handle {
    /// The sandbox.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Why `egress status` does not show it, where it does not.
    pub fn status_error(&self) -> Option<&io::Error> {
        self.status.as_ref().err()
    }

    /// What the command did not get of what it was to inherit, where that is to be told.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How it stands: pins, lookups, refusals.
    pub fn status(&self) -> Option<Report> {
        self.status.as_ref().ok().map(StatusServer::report)
    }

    /// Waits until the command has ended; gives its exit code, 128 + n when signal n ended it.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub async fn wait(&self) -> io::Result<i32> {
        awaited::end_of(&self.init).await
    }

    /// The exit code, if the command has ended.
    pub fn ended(&self) -> Option<i32> {
        self.init.ended()
    }

    /// Passes a signal on to the command.
    pub fn signal(&self, signal: Signal) {
        self.init.signal(signal);
    }

    /// Puts another policy in the place of the one of now, for everything that lives and that is to come.
    ///
    /// # Errors
    /// When it does not fit into the kernel's table: then the policy of before holds. When the kernel's record
    /// of the sandbox cannot be written, the new one holds in all else.
    pub fn reload(&self, policy: Policy) -> Result<Reloaded, KernelError> {
        self.sandbox.reload(policy, &self.supervisor)
    }

    /// Ends the connections to, and the pins of, the addresses for which `which` holds: a program that has
    /// looked the name up anew may connect again, if the policy lets it. Gives how many connections by way
    /// of the proxy were ended.
    pub fn revoke(&self, which: impl Fn(IpAddr) -> bool) -> usize {
        self.sandbox.revoke(which)
    }

    /// The command has ended: kills what it left behind. False when something does not die in time.
    pub fn kill(&self) -> bool {
        self.cgroup.as_ref().is_none_or(|attached| attached.cgroup().kill())
    }

    /// Behind [`Handle::kill`]: everything that the command wrote is delivered from here on, until
    /// [`Handle::drained`]; a connection without progress for the time of its policy is given up.
    pub fn drain(&self) {
        self.sandbox.proxy.drain(self.drain);
    }

    /// Waits until everything is delivered or given up.
    pub async fn drained(&self) {
        self.sandbox.proxy.drained().await;
        if let Some(direct) = &self.sandbox.direct {
            direct.delivered(self.drain).await;
        }
    }

    /// Gives up what is still to be delivered.
    pub fn give_up(&self) {
        self.sandbox.proxy.give_up();
    }

    /// What was given up.
    pub fn given_up(&self) -> Vec<GivenUp> {
        self.sandbox.proxy.given_up()
    }

    /// Ends it: whatever runs is killed, the programs go, and with them everything that the kernel has of
    /// it. Gives what there is to tell.
    pub fn stop(mut self) -> Summary {
        let ended = self.cgroup.take().map(AttachedCgroup::end);
        let (is_empty, counts) = ended.unwrap_or_else(|| (true, Counts::default()));
        account(&self.sandbox, &self.supervisor, &self.upstream, is_empty, counts)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Where it was stopped, all of this is done.
        drop(self.cgroup.take());
        self.supervisor.remove(&self.sandbox);
        self.sandbox.state.connections.close();
    }
}
