//! `[network.dns]`.
use std::time::Duration;

use toml::Spanned;

use super::{Node, Reader, in_order};
use crate::{
    config::{DnsWritten, Forward, Written, schema, value},
    policy::{Host, PatternError},
};

impl Reader<'_> {
    pub(super) fn dns(&mut self, node: Node<'_, '_>) -> DnsWritten {
        let mut dns = DnsWritten::default();
        let Some(table) = self.table(node) else { return dns };
        for (key, node) in self.known(table, schema::DNS) {
            match key.get_ref().as_ref() {
                "servers" => dns.servers = self.written_list(node, value::dns_server),
                "forward" => {
                    let forward = self.forward(node);
                    dns.forward = Some(self.said(forward, node));
                }
                "timeout" => dns.timeout = self.written(node, value::duration),
                "min_ttl" => dns.min_ttl = self.written(node, value::duration),
                "max_ttl" => dns.max_ttl = self.written(node, value::duration),
                "record_types" => {
                    let types = self.any_list(node, value::record_type);
                    dns.record_types = types.map(|types| self.said(types, node));
                }
                "refusal" => dns.refusal = self.written(node, value::refusal),
                "dnssec" => dns.dnssec = self.written(node, value::boolean),
                _ => {}
            }
            if key.get_ref() == "timeout"
                && dns.timeout.as_ref().is_some_and(|time| time.value.is_zero())
            {
                let error = PatternError::new("no lookup is done in no time", "write \"2s\"");
                self.report(node.span(), error);
            }
        }
        let ttl = |written: &Option<Written<Duration>>| written.as_ref().map(|ttl| ttl.value);
        if let (Some(min), Some(max)) = (ttl(&dns.min_ttl), ttl(&dns.max_ttl))
            && min > max
        {
            let error = PatternError::new(
                format!("min_ttl ({min:?}) is more than max_ttl ({max:?})"),
                "write a min_ttl that is at most max_ttl",
            );
            let span = table.get("min_ttl").map_or(node.span(), Spanned::span);
            self.report(span, error);
        }
        dns
    }

    fn forward(&mut self, node: Node<'_, '_>) -> Vec<Forward> {
        let mut forward = Vec::new();
        let Some(table) = self.table(node) else { return forward };
        for (key, node) in in_order(table) {
            let servers = self.list(node, value::dns_server);
            match Host::parse(key.get_ref()) {
                Ok(Host::Name(domain)) => {
                    forward.extend(servers.map(|servers| Forward { domain, servers }));
                }
                Ok(Host::Address(_)) | Err(_) => {
                    let message = format!("{:?} is no domain", key.get_ref());
                    let suggestion = "write a name such as \"corp.example\": it covers all below";
                    self.report(key.span(), PatternError::new(message, suggestion));
                }
            }
        }
        forward
    }
}
