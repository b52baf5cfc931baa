//! `egressDeny`: what closes, or an error.
use super::{
    super::{
        failed,
        rules::Rule,
        tree::{Entry, HOW_TO_CLOSE, Node, get},
    },
    File, block,
};
use crate::{config::ConfigError, policy::Action};

impl File<'_, '_> {
    /// A rule of `egressDeny`. A deny has no ports here.
    pub(super) fn deny_rule(&mut self, profile: &str, rule: &Node) -> Result<(), ConfigError> {
        let entries = self.table(rule, "a rule")?;
        if let Some(ports) = get(entries, "toPorts") {
            let why = "the ports of a deny: a deny has no ports here, so that every port is denied";
            self.page.change(&self.place(ports.line), why);
        }
        let mut has_target = false;
        for Entry { key, line, node } in entries {
            let place = self.place(*line);
            match key.as_str() {
                "toPorts" => continue,
                "icmps" => self.page.leave_out(&place, "icmps: ICMP passes no rule here"),
                "toCIDR" | "toCIDRSet" => {
                    for target in self.list(node, key)? {
                        self.deny_block(profile, target)?;
                    }
                }
                "toEntities" => {
                    for target in self.list(node, key)? {
                        self.deny_entity(profile, target);
                    }
                }
                "toEndpoints" | "toServices" | "toGroups" | "toNodes" => self.page.lose(
                    &place,
                    format!(
                        "{key} in egressDeny: what a cluster calls its own has no name here; deny its \
                         addresses in [network.addresses] if a rule opens them"
                    ),
                ),
                key => {
                    let message = format!("{key} closes something, and is not known");
                    return Err(failed(self.source.name, *line, message, HOW_TO_CLOSE));
                }
            }
            has_target = true;
        }
        if !has_target {
            let place = self.place(rule.line);
            self.page.change(&place, "a deny of everything closes all network");
            self.page.deny_all(profile, &place);
        }
        Ok(())
    }

    fn deny_block(&mut self, profile: &str, target: &Node) -> Result<(), ConfigError> {
        let text = target.text().or_else(|| target.get("cidr").and_then(Node::text));
        let Some(pattern) = text.and_then(block) else {
            let message = "a deny of what is no block of addresses";
            return Err(failed(self.source.name, target.line, message, HOW_TO_CLOSE));
        };
        let place = self.place(target.line);
        if target.get("except").is_some() {
            let why = format!("the exceptions of {pattern}: denied with the rest");
            self.page.change(&place, why);
        }
        let rule = Rule::new(Action::Deny, None, true, &place);
        self.page.rule(profile, "addresses", &pattern.to_string(), rule);
        Ok(())
    }

    fn deny_entity(&mut self, profile: &str, target: &Node) {
        let place = self.place(target.line);
        match target.text() {
            Some("world" | "all" | "world-ipv4" | "world-ipv6") => {
                self.page.change(&place, "a deny of the world closes all network");
                self.page.deny_all(profile, &place);
            }
            other => self.page.lose(
                &place,
                format!(
                    "a deny of the entity {:?}: what a cluster calls its own has no name here; deny its \
                     addresses in [network.addresses] if a rule opens them",
                    other.unwrap_or_default()
                ),
            ),
        }
    }
}
