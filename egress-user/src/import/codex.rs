//! Codex's `config.toml` and `requirements.toml`, in every form that they have had.
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Source, failed,
    page::{Page, quoted},
    patterns,
};
use crate::{config::ConfigError, policy::Action};

/// Tables that hold network settings by themselves.
const NETWORK_TABLES: [&str; 2] = ["network_proxy", "network"];

pub(super) fn read(source: Source<'_>, page: &mut Page) -> Result<(), ConfigError> {
    let root = DeTable::parse(source.text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(source.text, span.start));
        let message = format!("line {line}: {}", error.message().trim());
        failed(source.name, message, "give TOML or JSON as the other tool reads it")
    })?;
    let mut reader = Reader { source, page, found: false };
    reader.file(root.get_ref());
    if reader.found {
        return Ok(());
    }
    Err(failed(
        source.name,
        "has no network settings that are known",
        "give Codex's config.toml or requirements.toml, or sandbox-runtime's JSON",
    ))
}

type Node<'t, 'i> = &'t Spanned<DeValue<'i>>;

struct Reader<'a> {
    source: Source<'a>,
    page: &'a mut Page,
    found: bool,
}

impl Reader<'_> {
    fn file(&mut self, root: &DeTable<'_>) {
        let mut unrelated = Vec::new();
        for (key, node) in root {
            let name: &str = key.get_ref();
            match (name, node.get_ref()) {
                ("features", DeValue::Table(features)) => self.features(features),
                ("experimental_network", DeValue::Table(table)) => {
                    self.page.requirements = true;
                    self.found = true;
                    self.page.profile("");
                    self.network("", table);
                }
                (name, DeValue::Table(table)) if NETWORK_TABLES.contains(&name) => {
                    self.settings();
                    self.network("", table);
                }
                ("permissions", DeValue::Table(profiles)) => self.permissions(profiles),
                ("default_permissions", _) => {
                    let name = node.get_ref().as_str().unwrap_or_default();
                    self.page.note(format!(
                        "The default there is the profile {name:?}: run with --profile {name}."
                    ));
                }
                ("sandbox_workspace_write", DeValue::Table(table)) => {
                    if let Some(node) = table.get("network_access") {
                        self.settings();
                        self.switch("", "network_access", node);
                        if node.get_ref().as_bool() == Some(true) {
                            self.note_filter();
                        }
                    }
                }
                _ => unrelated.push(name.to_owned()),
            }
        }
        if self.found && !unrelated.is_empty() {
            let why = format!("not about network: {}", unrelated.join(", "));
            self.page.leave_out(self.source.name, why);
        }
    }

    fn settings(&mut self) {
        self.found = true;
        self.page.settings = true;
        self.page.profile("");
    }

    /// `network_proxy = true`, or its table.
    fn features(&mut self, features: &DeTable<'_>) {
        let Some(node) = features.get("network_proxy") else { return };
        self.settings();
        match node.get_ref() {
            DeValue::Table(table) => self.network("", table),
            _ => self.enabled("", node),
        }
    }

    fn permissions(&mut self, profiles: &DeTable<'_>) {
        for (key, node) in profiles {
            let (name, place) = (key.get_ref(), self.place(key.span().start));
            let Some(profile) = node.get_ref().as_table() else { continue };
            if name == "default" || name.starts_with(':') {
                self.page
                    .leave_out(&place, format!("the profile {name:?} has a name of its own here"));
                continue;
            }
            self.settings();
            self.page.profile(name);
            for (key, node) in profile {
                let place = self.place(key.span().start);
                match (key.get_ref().as_ref(), node.get_ref()) {
                    ("network", DeValue::Table(table)) => self.network(name, table),
                    ("extends", DeValue::String(parent))
                        if profiles.contains_key(parent.as_ref()) =>
                    {
                        self.page.extends(name, parent, &place);
                    }
                    ("extends", DeValue::String(parent)) => {
                        let why =
                            format!("extends = {parent:?}: a built-in profile has no rules here");
                        self.page.leave_out(&place, why);
                    }
                    (other, _) => {
                        self.page.leave_out(&place, format!("{other} is not about network"));
                    }
                }
            }
        }
    }

    fn network(&mut self, profile: &str, table: &DeTable<'_>) {
        for (key, node) in table {
            self.key(profile, key.get_ref(), key.span().start, node);
        }
    }

    fn key(&mut self, profile: &str, key: &str, at: usize, node: Node<'_, '_>) {
        let place = self.place(at);
        match (key, node.get_ref()) {
            ("enabled", _) => self.enabled(profile, node),
            (
                "allow_upstream_proxy"
                | "enable_socks5"
                | "enable_socks5_udp"
                | "dangerously_allow_all_unix_sockets"
                | "allow_local_binding",
                DeValue::Boolean(_),
            ) => self.switch(profile, key, node),
            ("managed_allowed_domains_only", DeValue::Boolean(_)) if self.page.requirements => {
                self.switch(profile, key, node);
            }
            ("mode", DeValue::String(mode)) if matches!(mode.as_ref(), "full" | "limited") => {
                if mode == "full" {
                    self.note_filter();
                }
                self.page.set(profile, "", "mode", quoted(mode), &place);
            }
            ("policy", DeValue::Table(table)) => self.network(profile, table),
            ("domains", DeValue::Table(table)) => self.domains(profile, table),
            ("allowed_domains", DeValue::Array(list)) => self.hosts(profile, list, Action::Allow),
            ("denied_domains", DeValue::Array(list)) => self.hosts(profile, list, Action::Deny),
            ("unix_sockets", DeValue::Table(table)) => {
                for (path, node) in table {
                    let place = self.place(path.span().start);
                    match node.get_ref().as_str() {
                        Some("allow") => {
                            patterns::socket(self.page, profile, path.get_ref(), &place)
                        }
                        // What no line allows is closed.
                        Some("none") => {}
                        _ => self.page.leave_out(&place, "is neither \"allow\" nor \"none\""),
                    }
                }
            }
            ("allow_unix_sockets", DeValue::Array(list)) => {
                for node in list.iter() {
                    let place = self.place(node.span().start);
                    match node.get_ref().as_str() {
                        Some(path) => patterns::socket(self.page, profile, path, &place),
                        None => self.page.leave_out(&place, "is no text"),
                    }
                }
            }
            ("proxy", DeValue::String(url)) => {
                self.page.set(profile, "upstream", "url", quoted(url), &place);
            }
            ("no_proxy", value) => self.no_proxy(profile, value, &place),
            ("proxy_url" | "socks_url" | "http_port" | "socks_port", _) => self.page.leave_out(
                &place,
                format!("{key}: explicit listeners are not built yet, and programs need none here"),
            ),
            ("dangerously_allow_non_loopback_proxy", _) => self.page.leave_out(
                &place,
                format!("{key}: there is no explicit listener that could listen elsewhere"),
            ),
            ("admin_url" | "dangerously_allow_non_loopback_admin", _) => {
                self.page.leave_out(&place, format!("{key}: there is no admin port"));
            }
            ("danger_full_access_denylist_only", _) => {
                self.note_filter();
                self.page.leave_out(
                    &place,
                    format!(
                        "{key}: \"*\" = \"allow\" in [network.domains] opens every public host \
                             that is not denied"
                    ),
                );
            }
            ("mitm" | "mitm_hooks" | "header_injections", _) => {
                self.page.leave_out(&place, format!("{key}: nothing is decrypted here"));
            }
            _ => self
                .page
                .leave_out(&place, format!("{key} has no counterpart, or a value of no use")),
        }
    }

    fn enabled(&mut self, profile: &str, node: Node<'_, '_>) {
        match node.get_ref().as_bool() {
            Some(true) => self.switch(profile, "enabled", node),
            // Without its filter a sandbox would be none.
            Some(false) => {
                self.note_filter();
                let place = self.place(node.span().start);
                self.page.leave_out(&place, "the filter is off there, and stays on here");
            }
            None => {
                let place = self.place(node.span().start);
                self.page.leave_out(&place, "is neither true nor false");
            }
        }
    }

    fn switch(&mut self, profile: &str, key: &str, node: Node<'_, '_>) {
        let place = self.place(node.span().start);
        match node.get_ref().as_bool() {
            Some(value) => self.page.set(profile, "", key, value.to_string(), &place),
            None => self.page.leave_out(&place, format!("{key} is neither true nor false")),
        }
    }

    fn domains(&mut self, profile: &str, table: &DeTable<'_>) {
        for (pattern, node) in table {
            let place = self.place(pattern.span().start);
            let action = match node.get_ref().as_str() {
                Some("allow") => Action::Allow,
                Some("deny") => Action::Deny,
                Some("none") => continue,
                _ => {
                    let why = format!("{:?} is neither \"allow\" nor \"deny\"", pattern.get_ref());
                    self.page.leave_out(&place, why);
                    continue;
                }
            };
            patterns::host(self.page, profile, pattern.get_ref(), action, &place);
        }
    }

    fn hosts(&mut self, profile: &str, list: &[Spanned<DeValue<'_>>], action: Action) {
        for node in list {
            let place = self.place(node.span().start);
            match node.get_ref().as_str() {
                Some(text) => patterns::host(self.page, profile, text, action, &place),
                None => self.page.leave_out(&place, "is no text"),
            }
        }
    }

    fn no_proxy(&mut self, profile: &str, value: &DeValue<'_>, place: &str) {
        let hosts: Vec<String> = match value {
            DeValue::String(list) => list.split(',').map(|host| quoted(host.trim())).collect(),
            DeValue::Array(list) => {
                list.iter().filter_map(|node| node.get_ref().as_str()).map(quoted).collect()
            }
            _ => Vec::new(),
        };
        self.page.set(profile, "upstream", "no_proxy", format!("[{}]", hosts.join(", ")), place);
    }

    fn note_filter(&mut self) {
        self.page.note(
            "Somewhere the settings pass everything. Here hosts are still filtered: what no rule \
             allows is refused. \"*\" = \"allow\" in [network.domains] opens every public host.",
        );
    }

    fn place(&self, at: usize) -> String {
        format!("{}:{}", self.source.name, line_of(self.source.text, at))
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}
