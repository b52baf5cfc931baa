//! What is done to a sandbox that lives: another policy, or rights that are taken back.

use std::net::{IpAddr, SocketAddr};

use super::{Reloaded, Sandbox, change::Changed};
use crate::{
    kernel::KernelError,
    policy::{Policy, Transport},
    supervisor::Supervisor,
};

impl Sandbox {
    /// The policy takes the place of the one of now. Connections past the proxy end where no name that is
    /// pinned there may go past it any more; with several names at one address it is not known which of them
    /// a connection named, and it ends where one of them lost its right.
    pub(super) fn reload(
        &self,
        policy: Policy,
        supervisor: &Supervisor,
    ) -> Result<Reloaded, KernelError> {
        let _changing = self.state.change();
        let before = self.state.policy();
        // The kernel's rules are judged again by the proxy: first what is new, then what is gone.
        supervisor.maps.replace_rules(self.state.id, &before, &policy)?;
        let Changed { ended, lost } = self.state.set_policy(policy);
        self.dns.pin_hosts();
        // Told at the end: what has lost its right ends all the same.
        let written = self.write_record();
        self.keeper.write_rules();
        let policy = self.state.policy();
        let is_other = !policy.settings().judges_as(before.settings());
        let is_gone = |to: SocketAddr| {
            let of_pin = lost
                .iter()
                .any(|lost| lost.address == to.ip() && lost.grant.opens(to.port(), Transport::Tcp));
            // What a rule of the address let out, and no longer does.
            is_other || of_pin || policy.denied_address(to.ip()).is_some()
        };
        self.end_direct(is_gone);
        written?;
        Ok(Reloaded { generation: self.state.policy.generation(), ended })
    }

    /// Ends pins and connections of some addresses.
    pub(super) fn revoke(&self, which: impl Fn(IpAddr) -> bool) -> usize {
        let _changing = self.state.change();
        let ended = self.state.revoke(&which);
        self.end_direct(|to| which(to.ip()));
        ended
    }

    fn end_direct(&self, which: impl Fn(SocketAddr) -> bool) {
        if let Some(direct) = &self.direct {
            direct.end_everything_where(which);
            direct.settle();
        }
    }
}
