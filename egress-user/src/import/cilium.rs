//! Cilium's network policies: names, addresses and ports of what pods may reach.
//!
//! A policy holds for the pods that it selects, so that several are several profiles. Pods, services
//! and nodes of a cluster have no form here; what is about them is told.
use super::{
    Source, failed,
    page::Page,
    patterns::{self, Dialect},
    rules::Rule,
    tree::{Entry, HOW_TO_CLOSE, Node, Value, get, may_close},
};
use crate::{
    config::ConfigError,
    policy::{Action, Pattern, PortSet},
};

mod denies;
mod ports;

struct File<'a, 'p> {
    source: Source<'a>,
    page: &'a mut Page<'p>,
}

/// A specification, and the name of its policy.
type Spec<'n> = (String, &'n Node);

/// Whether the tree is one of Cilium's policies, or holds some.
pub(super) fn is_policy(root: &Node) -> bool {
    match &root.value {
        Value::List(nodes) => nodes.iter().any(is_policy),
        _ => {
            let kind = root.get("kind").and_then(Node::text).unwrap_or_default();
            is_kind(kind)
                || root.get("items").and_then(Node::list).unwrap_or_default().iter().any(is_policy)
                || root.get("endpointSelector").is_some()
        }
    }
}

fn is_kind(kind: &str) -> bool {
    matches!(kind, "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy")
}

pub(super) fn read(
    source: Source<'_>,
    documents: &[Node],
    page: &mut Page<'_>,
) -> Result<(), ConfigError> {
    let mut file = File { source, page };
    let mut specs = Vec::new();
    documents.iter().for_each(|document| file.collect(document, &mut specs));
    let is_one = specs.len() == 1;
    file.page.section("");
    if !is_one {
        file.page.note(
            "Each policy is a profile: egress run --profile NAME. Without one nothing is open.",
        );
    }
    for (name, spec) in specs {
        let profile = if is_one { String::new() } else { file.page.new_profile(&name) };
        file.spec(&profile, spec)?;
    }
    Ok(())
}

impl File<'_, '_> {
    fn collect<'n>(&mut self, node: &'n Node, specs: &mut Vec<Spec<'n>>) {
        if let Some(nodes) = node.list().or_else(|| node.get("items").and_then(Node::list)) {
            nodes.iter().for_each(|node| self.collect(node, specs));
            return;
        }
        if matches!(node.value, Value::Null) {
            return;
        }
        let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
        let metadata = node.get("metadata");
        let name = metadata.and_then(|data| data.get("name")).and_then(Node::text);
        let name = name.unwrap_or("policy").to_owned();
        if is_kind(kind) {
            specs.extend(node.get("spec").map(|spec| (name.clone(), spec)));
            let more = node.get("specs").and_then(Node::list).unwrap_or_default();
            specs.extend(more.iter().map(|spec| (name.clone(), spec)));
        } else if node.get("endpointSelector").is_some() || node.get("nodeSelector").is_some() {
            specs.push((name, node));
        } else {
            let why = format!("{kind:?} is no policy of Cilium");
            self.page.leave_out(&self.place(node.line), why);
        }
    }

    fn spec(&mut self, profile: &str, spec: &Node) -> Result<(), ConfigError> {
        self.page.section(profile);
        let entries = self.table(spec, "a specification")?;
        if get(entries, "egress").is_none() && get(entries, "egressDeny").is_none() {
            let why = "no egress: these pods reach everything there; nothing is open here";
            self.page.leave_out(&self.place(spec.line), why);
        }
        for Entry { key, line, node } in entries {
            let place = self.place(*line);
            match key.as_str() {
                "egress" => {
                    for rule in self.list(node, "egress")? {
                        self.rule(profile, rule)?;
                    }
                }
                "egressDeny" => {
                    for rule in self.list(node, "egressDeny")? {
                        self.deny_rule(profile, rule)?;
                    }
                }
                "endpointSelector" | "nodeSelector" => self.page.leave_out(
                    &place,
                    format!("{key}: whom it holds is who runs under the policy here"),
                ),
                "description" | "labels" => {}
                "ingress" | "ingressDeny" => self.page.leave_out(
                    &place,
                    format!("{key}: connections to a program are not filtered here"),
                ),
                "enableDefaultDeny" => {
                    if node.get("egress").and_then(Node::boolean) == Some(false) {
                        self.page.change(
                            &place,
                            "enableDefaultDeny: what no line is about passes there; here it is refused",
                        );
                    }
                }
                key if may_close(key, node) => {
                    let message = format!("{key} is no key that is known, and may close something");
                    return Err(failed(self.source.name, *line, message, HOW_TO_CLOSE));
                }
                key => self.page.leave_out(&place, format!("{key}: this key is not known")),
            }
        }
        Ok(())
    }

    /// A rule of `egress`: every part of it has to match.
    fn rule(&mut self, profile: &str, rule: &Node) -> Result<(), ConfigError> {
        let entries = self.table(rule, "a rule")?;
        let place = self.place(rule.line);
        // A list that is there and empty selects nobody.
        let targets = ["toFQDNs", "toCIDR", "toCIDRSet", "toEntities"];
        let known = |key: &str| targets.contains(&key) || key == "toPorts";
        if let Some(other) = entries.iter().find(|entry| !known(&entry.key)) {
            let why = match other.key.as_str() {
                "icmps" => "icmps: ICMP passes no rule here".to_owned(),
                key @ ("toEndpoints" | "toServices" | "toGroups" | "toNodes" | "toRequires") => {
                    format!(
                        "{key}: what a cluster calls its own has no name here; programs' lookups go to \
                     egress, and other services need a rule of their name or address"
                    )
                }
                key => format!("{key}: this key is not known, so that the rule opens nothing here"),
            };
            self.page.leave_out(&self.place(other.line), why);
            return Ok(());
        }
        if entries.iter().filter(|entry| entry.key != "toPorts").count() > 1 {
            let why = "a rule of two kinds of targets is refused there, and opens nothing";
            self.page.leave_out(&place, why);
            return Ok(());
        }
        let Some(ports) = self.ports(entries)? else { return Ok(()) };
        let mut has_target = false;
        for Entry { key, node, .. } in entries.iter().filter(|entry| entry.key != "toPorts") {
            has_target = true;
            for target in self.list(node, key)? {
                self.target(profile, key, target, &ports)?;
            }
        }
        match (has_target, get(entries, "toPorts")) {
            (true, _) => {}
            (false, None) => self.page.leave_out(&place, "an empty rule opens nothing"),
            // Ports of whatever is outside: as the entity "all".
            (false, Some(_)) => self.allow_all(profile, &ports, &place),
        }
        Ok(())
    }

    fn target(
        &mut self,
        profile: &str,
        key: &str,
        target: &Node,
        ports: &PortSet,
    ) -> Result<(), ConfigError> {
        let place = self.place(target.line);
        match key {
            "toFQDNs" => {
                let entries = self.table(target, "an entry of toFQDNs")?;
                if let [Entry { key, node, .. }] = entries
                    && let Some(text) = node.text()
                    && let Some(dialect) = dialect(key)
                {
                    let pattern =
                        patterns::allow_at(self.page, profile, text.trim(), dialect, ports, &place);
                    if text.trim().starts_with("**") && matches!(pattern, Some(Pattern::Below(_))) {
                        let why = format!(
                            "{text:?}: every depth, as Cilium reads it since 1.19; one \
                                           label before"
                        );
                        self.page.note(why);
                    }
                } else {
                    let why =
                        "neither one matchName nor one matchPattern: the policy is refused there";
                    self.page.leave_out(&place, why);
                }
            }
            "toCIDR" | "toCIDRSet" => self.allow_block(profile, target, ports, &place)?,
            _ => match target.text() {
                Some("world" | "all") => self.allow_all(profile, ports, &place),
                Some("world-ipv4" | "world-ipv6") => self.page.leave_out(
                    &place,
                    "one family of addresses has no form here; write \"*\" = \"allow\" for both",
                ),
                other => self.page.leave_out(
                    &place,
                    format!(
                        "the entity {:?}: what a cluster calls its own has no name here; write its \
                         addresses in [network.addresses] if it is to be reached",
                        other.unwrap_or_default()
                    ),
                ),
            },
        }
        Ok(())
    }

    fn allow_all(&mut self, profile: &str, ports: &PortSet, place: &str) {
        let rule = Rule::allow(ports.clone(), false, place);
        self.page.rule(profile, "domains", &Pattern::Any.to_string(), rule);
    }

    /// A block of addresses, and those that are excepted.
    fn allow_block(
        &mut self,
        profile: &str,
        target: &Node,
        ports: &PortSet,
        place: &str,
    ) -> Result<(), ConfigError> {
        let text = target.text().or_else(|| target.get("cidr").and_then(Node::text));
        let others = target.table().unwrap_or_default();
        if let Some(other) = others.iter().find(|entry| !matches!(&*entry.key, "cidr" | "except")) {
            let why = format!("{}: addresses that stand elsewhere; name them", other.key);
            self.page.leave_out(&self.place(other.line), why);
            return Ok(());
        }
        let Some(pattern) = text.and_then(block) else {
            self.page.leave_out(place, "this is no block of addresses");
            return Ok(());
        };
        let excepted = match get(others, "except") {
            Some(entry) => self.list(&entry.node, "except")?,
            None => &[],
        };
        for node in excepted {
            let Some(pattern) = node.text().and_then(block) else {
                let message = "an exception that is no block of addresses";
                return Err(failed(self.source.name, node.line, message, "write it as 10.0.0.0/8"));
            };
            let place = self.place(node.line);
            let why = format!("the exception {pattern}: denied, whatever other rules say");
            self.page.change(&place, why);
            let rule = Rule::new(Action::Deny, None, true, &place);
            self.page.rule(profile, "addresses", &pattern.to_string(), rule);
        }
        let rule = Rule::allow(ports.clone(), true, place);
        self.page.rule(profile, "addresses", &pattern.to_string(), rule);
        Ok(())
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.source.name)
    }

    fn table<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [Entry], ConfigError> {
        let error =
            || failed(self.source.name, node.line, format!("{what} is no table"), "write its keys");
        match &node.value {
            Value::Null => Ok(&[]),
            _ => node.table().ok_or_else(error),
        }
    }

    fn list<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [Node], ConfigError> {
        let error = || {
            failed(self.source.name, node.line, format!("{what} is no list"), "write each with -")
        };
        match &node.value {
            Value::Null => Ok(&[]),
            _ => node.list().ok_or_else(error),
        }
    }
}

fn dialect(key: &str) -> Option<Dialect> {
    match key {
        "matchName" => Some(Dialect::CiliumName),
        "matchPattern" => Some(Dialect::CiliumPattern),
        _ => None,
    }
}

fn block(text: &str) -> Option<Pattern> {
    let address = |text: &str| text.parse::<std::net::IpAddr>().ok().map(Into::into);
    text.parse().ok().or_else(|| address(text)).map(Pattern::block)
}
