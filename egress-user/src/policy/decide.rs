//! The decision.
use std::{net::IpAddr, sync::Arc};

use egress_common::Reason;
use ipnet::IpNet;

use super::{Action, Grant, Host, Name, Rule, Transport};

/// The policy of one sandbox. Immutable; shared behind an `Arc`.
#[derive(Clone, Debug)]
pub struct Policy {
    _private: (),
}

/// Settings of `[network]` that decisions depend on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `network_access`.
    pub network_access: bool,
    /// `enabled`.
    pub enabled: bool,
    /// `allow_local_binding`.
    pub allow_local_binding: bool,
}

/// What a lookup gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Union of A and AAAA with the names of the CNAME chain (without the question).
    Found {
        /// Names of the chain.
        chain: Vec<Name>,
        /// Addresses.
        addresses: Vec<IpAddr>,
    },
    /// The name does not exist.
    NxDomain,
    /// An error, or no server answered.
    ServFail,
    /// No answer in time.
    Timeout,
}

/// How a name is looked up, for [`Policy::decide`].
pub trait Lookup {
    /// Looks the name up, A and AAAA together. Called once at most.
    fn lookup(&mut self, name: &Name) -> Answer;
}

/// A target.
#[derive(Clone, Debug)]
pub struct Request {
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// Transport.
    pub transport: Transport,
}

/// A refusal, with all that a person needs to understand it.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The rule that decided, where one did.
    pub rule: Option<Arc<Rule>>,
    /// The line or flag that would allow it.
    pub fix: Option<String>,
}

/// What was decided about a [`Request`].
#[derive(Clone, Debug)]
pub enum Decision {
    /// Allowed.
    Allow {
        /// By this grant.
        grant: Grant,
        /// Addresses that it may be dialled at.
        addresses: Vec<IpAddr>,
    },
    /// Refused.
    Refuse(Refusal),
}

/// An entry of the kernel's longest-prefix map; the longest match is the policy's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelRule {
    /// Block; IPv4 blocks are to be written in v4-mapped form.
    pub block: IpNet,
    /// Allow, or deny, or local.
    pub action: egress_common::pin::RuleAction,
}

impl Policy {
    /// A policy of these rules. The order of rules does not matter.
    pub fn new(_settings: Settings, _rules: Vec<Rule>) -> Self {
        unimplemented!()
    }
    /// The settings.
    pub fn settings(&self) -> &Settings {
        unimplemented!()
    }
    /// Rows 1 and 3 for a name, any port: asked before any lookup. `localhost`: rows 1 and 2.
    pub fn name(&self, _name: &Name) -> Result<Grant, Refusal> {
        unimplemented!()
    }
    /// Row 1 alone: for SNI, Host and CNAME names that need not be allowed.
    pub fn denied_name(&self, _name: &Name) -> Option<Refusal> {
        unimplemented!()
    }
    /// Rows 1 to 3 for an address that no name vouches for, any port.
    pub fn address(&self, _address: IpAddr) -> Result<Grant, Refusal> {
        unimplemented!()
    }
    /// Rows 6 to 8: judges the whole union of a lookup.
    pub fn judge_lookup<'a>(
        &self,
        _name: &Name,
        _answer: &'a Answer,
    ) -> Result<&'a [IpAddr], Refusal> {
        unimplemented!()
    }
    /// Row 4's refusal, with the rule that does not open the port.
    pub fn port_refusal(&self, _grant: &Grant, _port: u16, _transport: Transport) -> Refusal {
        unimplemented!()
    }
    /// Rows 0 to 8 for a whole target.
    pub fn decide(&self, _request: &Request, _lookup: &mut dyn Lookup) -> Decision {
        unimplemented!()
    }
    /// Whether `*` is allowed (public addresses that nothing else names reach the proxy).
    pub fn allows_public(&self) -> bool {
        unimplemented!()
    }
    /// Address rules and non-public ranges for the kernel.
    pub fn kernel_rules(&self) -> Vec<KernelRule> {
        unimplemented!()
    }
}

#[expect(dead_code, reason = "stub")]
fn unused(_: Action) {}
