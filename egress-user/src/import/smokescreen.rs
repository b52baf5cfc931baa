//! smokescreen's ACL, version v1: rules of services, and lists of all of them.
//!
//! A service's own list is asked before the global denies there. Here a deny wins, so that what both
//! are about is closed.
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

struct File<'a, 'p> {
    source: Source<'a>,
    page: &'a mut Page<'p>,
    denied: Vec<Pattern>,
}

/// Whether the tree is an ACL of smokescreen.
pub(super) fn is_acl(root: &Node) -> bool {
    ["services", "global_allow_list", "global_deny_list"].iter().any(|key| root.get(key).is_some())
}

pub(super) fn read(
    source: Source<'_>,
    root: &Node,
    page: &mut Page<'_>,
) -> Result<(), ConfigError> {
    let mut file = File { source, page, denied: Vec::new() };
    let top = root.table().unwrap_or_default();
    if get(top, "version").and_then(|entry| entry.node.text()) != Some("v1") {
        let message = "the version is not v1, and smokescreen does not start with it";
        return Err(failed(source.name, 1, message, "give an ACL of version v1"));
    }
    let Some(services) = get(top, "services").and_then(|entry| entry.node.list()) else {
        let message = "there is no list of services, and smokescreen does not start without";
        return Err(failed(source.name, 1, message, "write services: []"));
    };
    file.page.section("");
    // Denies first: what they meet is told at the allows.
    if let Some(entry) = get(top, "global_deny_list") {
        for (text, place) in file.texts(entry)? {
            file.denied.extend(patterns::denied(text));
            patterns::deny(file.page, "", text, Dialect::Smokescreen, &place);
        }
    }
    let (mut names, mut profiles) = (Vec::new(), Vec::new());
    for service in services {
        let name = service.get("name").and_then(Node::text).unwrap_or_default();
        if name.is_empty() || names.contains(&name) {
            let message = "a service without a name, or with that of another";
            return Err(failed(source.name, service.line, message, "name each once"));
        }
        names.push(name);
        let profile = file.page.new_profile(name);
        file.rule(&profile, service)?;
        profiles.push(profile);
    }
    let has_default = match get(top, "default").filter(|entry| entry.node.table().is_some()) {
        Some(entry) => {
            file.rule("", &entry.node)?;
            true
        }
        None => false,
    };
    file.page.note(
        "Each service is a profile: egress run --profile NAME. Without one, it is the default rule.",
    );
    if let Some(entry) = get(top, "global_allow_list") {
        for (text, place) in file.texts(entry)? {
            for profile in profiles.iter().cloned().chain(has_default.then(String::new)) {
                file.allow(&profile, text, &place);
            }
        }
    }
    for entry in top {
        match entry.key.as_str() {
            "version" | "services" | "default" | "global_allow_list" | "global_deny_list" => {}
            _ => file.other(entry)?,
        }
    }
    Ok(())
}

impl File<'_, '_> {
    fn rule(&mut self, profile: &str, rule: &Node) -> Result<(), ConfigError> {
        self.page.section(profile);
        let entries = rule.table().unwrap_or_default();
        let Some(action) = get(entries, "action") else {
            let message = "a rule without an action, and smokescreen does not start with it";
            return Err(failed(self.source.name, rule.line, message, "write action: enforce"));
        };
        let place = self.place(action.line);
        match action.node.text() {
            Some("enforce") => {}
            Some("report") => self.page.change(
                &place,
                "action: report: what is not listed passes there with a note; here it is refused. \
                 Write \"*\" = \"allow\" if it is to pass",
            ),
            Some("open") => {
                let rule = Rule::new(Action::Allow, None, false, &place);
                self.page.rule(profile, "domains", &Pattern::Any.to_string(), rule);
            }
            _ => {
                let message = "the action is none of open, report and enforce";
                return Err(failed(self.source.name, action.line, message, "write enforce"));
            }
        }
        for entry in entries {
            match entry.key.as_str() {
                "name" | "action" => {}
                "allowed_domains" => {
                    for (text, place) in self.texts(entry)? {
                        self.allow(profile, text, &place);
                    }
                }
                "project" => {
                    let why = "project: whose service it is, which is not about network";
                    self.page.leave_out(&self.place(entry.line), why);
                }
                "mitm_domains" => {
                    let why = "mitm_domains: nothing is decrypted here; headers are not added, and the \
                               domains stay as allowed_domains has them";
                    self.page.leave_out(&self.place(entry.line), why);
                }
                "allowed_external_proxies" => {
                    let why = "allowed_external_proxies: there is no proxy to lead through here; \
                               name one in allowed_domains if programs are to reach it";
                    self.page.leave_out(&self.place(entry.line), why);
                }
                _ => self.other(entry)?,
            }
        }
        Ok(())
    }

    fn allow(&mut self, profile: &str, text: &str, place: &str) {
        let dialect = Dialect::Smokescreen;
        let Some(pattern) =
            patterns::allow_at(self.page, profile, text, dialect, &PortSet::All, place)
        else {
            return;
        };
        if let Some(deny) = self.denied.iter().find(|deny| patterns::meet(deny, &pattern)) {
            let why = format!(
                "{text:?}: a service's own list is asked before global_deny_list there; here the \
                 deny of \"{deny}\" wins. Take it out of that list if this is meant"
            );
            self.page.change(place, why);
        }
    }

    fn other(&mut self, entry: &Entry) -> Result<(), ConfigError> {
        if may_close(&entry.key, &entry.node) {
            let message = format!("{} is no key that is known, and may close something", entry.key);
            return Err(failed(self.source.name, entry.line, message, HOW_TO_CLOSE));
        }
        let why = format!("{}: this key is not known", entry.key);
        self.page.leave_out(&self.place(entry.line), why);
        Ok(())
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.source.name)
    }

    fn texts<'e>(&self, entry: &'e Entry) -> Result<Vec<(&'e str, String)>, ConfigError> {
        let nodes = match &entry.node.value {
            Value::Null => &[],
            Value::List(nodes) => nodes.as_slice(),
            _ => {
                let message = format!("{} is no list", entry.key);
                return Err(failed(
                    self.source.name,
                    entry.line,
                    message,
                    "write each on a line, with -",
                ));
            }
        };
        let text = |node: &'e Node| match node.text() {
            Some(text) => Ok((text, self.place(node.line))),
            None => {
                let message = format!("an entry of {} is no text", entry.key);
                Err(failed(self.source.name, node.line, message, "write it as a text"))
            }
        };
        nodes.iter().map(text).collect()
    }
}
