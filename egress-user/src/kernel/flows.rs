//! Original destinations, as the kernel side has noted them for one sandbox's listeners.

use std::{io, net::SocketAddr, os::fd::BorrowedFd, sync::Arc};

use egress_common::{
    Address,
    flow::{FlowKey, FlowValue, kind},
    usage::{NOBODY, word},
};

use super::maps::{Maps, key_of};
use crate::{
    clock::boottime_ns,
    flow::{FORGOTTEN_AFTER, Flow, Flows, OriginalDestination, PeerAddress},
    sys::{self, pod::Wire},
};

/// A DNS asker's record is believed this long after the datagram that wrote it: a socket that has
/// closed since must not lend its port's record to a stranger.
const ASKER_LIFE_NS: u64 = 10_000_000_000;

impl Maps {
    /// The [`Flows`] of a listener in the network namespace of `socket`, for TCP connections of
    /// this [`kind`] alone: two sockets bound to one port, one connecting to port 53, must not get
    /// each other's records.
    ///
    /// # Errors
    /// When the kernel does not tell the namespace's cookie.
    pub fn flows(
        self: &Arc<Self>,
        sandbox: u64,
        tcp_kind: u16,
        socket: BorrowedFd<'_>,
    ) -> io::Result<KernelFlows> {
        let netns = sys::sockets::netns_cookie(socket)?;
        let slot = self.usage.find(sandbox).unwrap_or(NOBODY);
        Ok(KernelFlows { maps: self.clone(), sandbox, slot, tcp_kind, netns })
    }
}

/// Reads one sandbox's flows.
pub struct KernelFlows {
    maps: Arc<Maps>,
    sandbox: u64,
    /// Of its usage.
    slot: u32,
    tcp_kind: u16,
    netns: u64,
}

impl KernelFlows {
    /// `at` for TCP.
    fn key(&self, peer: PeerAddress, at: Option<SocketAddr>) -> FlowKey {
        let protocol = if at.is_some() { libc::IPPROTO_TCP } else { libc::IPPROTO_UDP };
        FlowKey {
            netns: self.netns,
            address: key_of(peer.0.ip()),
            listener: at.map_or(Address { words: [0; 4] }, |at| key_of(at.ip())),
            port: peer.0.port(),
            listener_port: at.map_or(0, |at| at.port()),
            protocol: u16::try_from(protocol).unwrap_or(0),
            reserved: 0,
        }
    }

    fn flow(&self, value: FlowValue) -> Option<Flow> {
        if value.sandbox != self.sandbox {
            return None;
        }
        Some(Flow {
            original: OriginalDestination(SocketAddr::new(
                value.original.into(),
                value.original_port,
            )),
            cookie: value.cookie,
            tgid: value.tgid,
            uid: value.uid,
        })
    }
}

impl Flows for KernelFlows {
    fn take_tcp(&self, peer: PeerAddress, at: SocketAddr) -> Option<Flow> {
        let value = self.maps.flows.take(&self.key(peer, Some(at)))?;
        self.maps.usage.removed(self.slot, self.sandbox, word::FLOWS, 1);
        if value.kind != self.tcp_kind {
            return None;
        }
        self.flow(value)
    }

    fn release(&self, cookie: u64, local: Option<SocketAddr>) -> io::Result<()> {
        self.maps.release(cookie, local)
    }

    fn forget_released(&self, cookie: u64) {
        self.maps.forget_released(cookie);
    }

    fn forget(&self) {
        let now_ns = boottime_ns();
        let before_ns = now_ns.saturating_sub(FORGOTTEN_AFTER.as_nanos() as u64);
        let removed = self.maps.flows.remove_where(|flow| {
            flow.sandbox == self.sandbox
                && flow.kind == self.tcp_kind
                && flow.ended != 0
                && flow.seen_ns < before_ns
        });
        self.maps.usage.removed(self.slot, self.sandbox, word::FLOWS, removed);
    }

    fn udp(&self, peer: PeerAddress) -> Option<Flow> {
        let value = self.maps.askers.get(&Wire(self.key(peer, None)), 0).ok()?.0;
        let age = boottime_ns().saturating_sub(value.seen_ns);
        if value.kind != kind::DNS_UDP || age > ASKER_LIFE_NS {
            return None;
        }
        self.flow(value)
    }
}
