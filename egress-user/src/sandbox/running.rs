//! A sandbox that lives: what serves it, and what it does with what the kernel tells.

use std::sync::Arc;

use egress_common::event::Event;

use super::SandboxState;
use crate::{
    direct::Direct,
    dns::Service,
    kernel::{self, HeldEvent, HeldPiece, KernelError, KernelEvent, Said, SandboxRecord},
    own::Keeper,
    policy::Mode,
    proxy::Transparent,
};

/// What answers one sandbox. It is held by a [`super::Handle`].
pub struct Sandbox {
    /// What its parts share.
    pub state: Arc<SandboxState>,
    /// A name that no other run of this boot has.
    pub name: String,
    /// When its path was proved, in CLOCK_BOOTTIME nanoseconds: what the kernel tells of before is no news.
    pub begun_ns: u64,
    pub(super) record: Arc<SandboxRecord>,
    pub(crate) proxy: Arc<Transparent>,
    pub(crate) dns: Arc<Service>,
    pub(crate) keeper: Arc<Keeper>,
    /// None where the policy, or the kernel, leaves no direct connections.
    pub(crate) direct: Option<Arc<Direct>>,
    /// How many listeners its proxy has.
    pub(crate) listeners: usize,
}

impl Sandbox {
    /// What the kernel side tells of it. Within a runtime.
    pub(crate) fn on_event(&self, event: KernelEvent) {
        match event {
            KernelEvent::Refused(event) => self.refused(&event),
            KernelEvent::Hello(hello) => {
                if let Some(direct) = &self.direct {
                    direct.on_event(hello);
                }
            }
        }
    }

    /// What the kernel side tells of a connect that it holds.
    pub(crate) fn on_held(&self, event: HeldEvent) {
        self.proxy.on_held(event);
    }

    /// What the kernel side holds of a direct connection.
    pub(crate) fn on_payload(&self, piece: HeldPiece) {
        if let Some(direct) = &self.direct {
            direct.on_payload(piece);
        }
    }

    /// Writes what the policy of now says into the kernel's record.
    pub(super) fn write_record(&self) -> Result<(), KernelError> {
        let policy = self.state.policy();
        let may_be_direct = self.direct.is_some() && policy.settings().mode != Mode::Limited;
        let settings = policy.settings();
        self.record.set_policy(Said {
            is_public: policy.allows_public(),
            allows_ech: settings.allow_ech,
            may_be_direct,
            // No network is none to oneself, either.
            own_loopback: settings.own_loopback && settings.has_network(),
            inbound: settings.inbound && settings.has_network(),
            refusal_errno: settings.refusal_errno,
        })
    }

    fn refused(&self, event: &Event) {
        let refused = kernel::describe(event, |to| self.state.explain(to));
        match kernel::connected_datagram(event) {
            Some(to) if self.state.is_pinned(to.ip()) => {
                self.state.journal.refused_datagram(to.port(), refused);
            }
            _ => self.state.journal.refused(refused),
        }
    }
}
