//! `permissions` of Claude Code's settings, of which the sandbox takes `WebFetch(domain:...)`.
use super::File;
use crate::{
    config::ConfigError,
    import::{
        patterns::{self, Dialect},
        tree::{Entry, Value},
    },
    policy::Action,
};

/// The tool whose rules are about hosts.
const TOOL: &str = "WebFetch";

impl File<'_, '_> {
    /// Whether there is a rule about a host.
    pub(super) fn permissions(&mut self, entry: &Entry) -> Result<bool, ConfigError> {
        let mut found = false;
        let place = self.place(entry.line);
        let mut others = false;
        for entry in self.table(entry)? {
            let action = match entry.key.as_str() {
                "allow" => Some(Action::Allow),
                "deny" => Some(Action::Deny),
                "ask" => None,
                _ => {
                    others = true;
                    continue;
                }
            };
            if matches!(entry.node.value, Value::Null) {
                continue;
            }
            for (rule, place) in self.texts(entry)? {
                match self.host(rule, action == Some(Action::Deny), &place)? {
                    Some(host) => {
                        found = true;
                        self.page.section("");
                        match action {
                            Some(Action::Allow) => {
                                patterns::allow(self.page, "", host, Dialect::Runtime, &place);
                            }
                            Some(Action::Deny) => {
                                patterns::deny(self.page, "", host, Dialect::Runtime, &place);
                            }
                            // Beside an allow the question comes first.
                            None => {
                                let why =
                                    format!("{rule:?} asks there; nobody is asked here: denied");
                                self.page.change(&place, why);
                                patterns::deny(self.page, "", host, Dialect::Runtime, &place);
                            }
                        }
                    }
                    None => others = true,
                }
            }
        }
        if others {
            self.page.leave_out(&place, "permissions: those of other tools are not about network");
        }
        Ok(found)
    }

    /// The host of such a rule; none where it is of another tool, or of the tool as a whole.
    fn host<'r>(
        &mut self,
        rule: &'r str,
        is_deny: bool,
        place: &str,
    ) -> Result<Option<&'r str>, ConfigError> {
        let rule = rule.trim();
        let Some(rest) = rule.strip_prefix(TOOL) else { return Ok(None) };
        if rest.is_empty() {
            if is_deny {
                let why = "the deny of WebFetch closes a tool of the program, not the network of its \
                           commands";
                self.page.leave_out(place, why);
            }
            return Ok(None);
        }
        let host = rest.strip_prefix("(domain:").and_then(|rest| rest.strip_suffix(')'));
        match host.filter(|host| !host.trim().is_empty()) {
            Some(host) => Ok(Some(host)),
            None if is_deny => Err(super::of_file(
                place,
                format!("{rule:?} is a deny that cannot be read"),
                "write it as \"WebFetch(domain:example.com)\"",
            )),
            None => {
                let why = format!("{rule:?}: not of the form WebFetch(domain:example.com)");
                self.page.leave_out(place, why);
                Ok(None)
            }
        }
    }
}
