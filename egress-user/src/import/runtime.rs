//! JSON settings of sandbox-runtime, also below `sandbox` of another program's settings, with the
//! rules of that program's own permissions that the sandbox takes.
use super::{
    Source, failed, of_file,
    page::{Page, quoted},
    patterns::{self, Dialect},
    rules::Rule,
    sockets,
    tree::{Entry, HOW_TO_CLOSE, Node, Value, get, may_close},
};
use crate::{
    config::ConfigError,
    policy::{Action, Pattern},
};

mod permissions;

struct File<'a, 'p> {
    source: Source<'a>,
    page: &'a mut Page<'p>,
}

pub(super) fn read(
    source: Source<'_>,
    root: &Node,
    page: &mut Page<'_>,
) -> Result<(), ConfigError> {
    let mut file = File { source, page };
    if file.file(root)? {
        return Ok(());
    }
    Err(of_file(
        source.name,
        "has no network settings that are known",
        "give Codex's config.toml or requirements.toml, or JSON with network.allowedDomains",
    ))
}

impl File<'_, '_> {
    /// Whether there is anything about network in it.
    fn file(&mut self, root: &Node) -> Result<bool, ConfigError> {
        let top = root.table().unwrap_or_default();
        let sandbox = get(top, "sandbox");
        if let (Some(_), Some(network)) = (sandbox, get(top, "network")) {
            let message = "there is a network beside the sandbox, which has its own";
            return Err(self.failed(network.line, message, "keep the one that is meant"));
        }
        let settings = match sandbox {
            Some(entry) if matches!(entry.node.value, Value::Null | Value::Boolean(_)) => &[],
            Some(entry) => self.table(entry)?,
            None => top,
        };
        let mut found = false;
        if let Some(entry) = get(settings, "network")
            && !matches!(entry.node.value, Value::Null)
        {
            found = true;
            self.page.section("");
            for entry in self.table(entry)? {
                self.key(entry)?;
            }
        }
        if let Some(entry) = get(top, "permissions")
            && !matches!(entry.node.value, Value::Null)
        {
            found |= self.permissions(entry)?;
        }
        if !found {
            return Ok(false);
        }
        let beside = if sandbox.is_some() { top } else { &[] };
        for entry in settings.iter().chain(beside) {
            self.beside(entry);
        }
        Ok(true)
    }

    /// A key beside the network.
    fn beside(&mut self, entry: &Entry) {
        let place = self.place(entry.line);
        let key = entry.key.as_str();
        match key {
            "network" | "sandbox" | "permissions" => {}
            "enabled" if entry.node.boolean() == Some(false) => self.page.leave_out(
                &place,
                "enabled = false: no sandbox there, and everything passes; here the rules hold",
            ),
            "extends" | "extend" | "include" => self.page.lose(
                &place,
                format!(
                    "{key}: rules stand elsewhere; import what it names together with this file"
                ),
            ),
            "credentials" => self.page.leave_out(
                &place,
                "credentials: not about network; what is masked there, programs see here",
            ),
            _ => self.page.leave_out(&place, format!("not about network: {key}")),
        }
    }

    fn key(&mut self, entry: &Entry) -> Result<(), ConfigError> {
        let Entry { key, line, node } = entry;
        let place = self.place(*line);
        if matches!(node.value, Value::Null) {
            return Ok(());
        }
        match key.as_str() {
            "allowedDomains" => {
                for (text, place) in self.texts(entry)? {
                    patterns::allow(self.page, "", text, Dialect::Runtime, &place);
                }
            }
            "deniedDomains" => {
                for (text, place) in self.texts(entry)? {
                    patterns::deny(self.page, "", text, Dialect::Runtime, &place);
                }
            }
            "deniedResolvedAddresses" => self.denied_addresses(entry)?,
            "allowUnixSockets" => {
                for (text, place) in self.texts(entry)? {
                    // An allow is never an error.
                    let _ = sockets::socket(self.page, "", text, Action::Allow, &place);
                }
            }
            "allowAllUnixSockets" => {
                let value = self.boolean(entry)?.to_string();
                self.page.set("", "", "dangerously_allow_all_unix_sockets", value, &place);
            }
            // Ours of that name would open every private address as well; the source's sandbox has
            // its own loopback.
            "allowLocalBinding" => {
                if self.boolean(entry)? {
                    let why = "allowLocalBinding: listening needs no rule; written as \
                               allow_own_loopback, to reach listeners of the same sandbox";
                    self.page.change(&place, why);
                    self.page.set("", "", "allow_own_loopback", "true".to_owned(), &place);
                }
            }
            "parentProxy" => self.parent(entry)?,
            "mitmProxy" => self.mitm(entry)?,
            "refuseOpaqueTunnels" => {
                if self.boolean(entry)? {
                    self.page.change(
                        &place,
                        "refuseOpaqueTunnels: ports 80, 443, 8080 and 8443 alone are open, which \
                         carry nothing but TLS and HTTP",
                    );
                    self.page.refuses_opaque = Some(place);
                }
            }
            "allowManagedDomainsOnly" => {
                if self.boolean(entry)? {
                    self.page.change(
                        &place,
                        "allowManagedDomainsOnly: holds for this file; give the policy as \
                         /etc/egress/requirements.toml, with managed_allowed_domains_only = true, to \
                         hold others to it",
                    );
                    self.page.only_file.get_or_insert(place);
                }
            }
            "filterRequest" => {
                let message = "filterRequest is a function of a program, and no setting of a file";
                let suggestion =
                    "take it out; methods and paths of plain HTTP are options of a rule";
                return Err(self.failed(*line, message, suggestion));
            }
            other => self.other(other, *line, node)?,
        }
        Ok(())
    }

    /// Keys that have no line here.
    fn other(&mut self, key: &str, line: usize, node: &Node) -> Result<(), ConfigError> {
        let why = match key {
            // Nobody is asked here.
            "strictAllowlist" => {
                if node.boolean() == Some(true) {
                    return Ok(());
                }
                "what is not listed is asked about there, and refused here"
            }
            "requireHostMatch" => "server names and hosts are always held to the name looked up",
            "deniedDomainReasons" => "only texts; a refusal here says its reason and rule",
            "httpProxyPort" | "socksProxyPort" => {
                "programs need no proxy setting here; what that proxy refuses by itself is not known"
            }
            "tlsTerminate" => "nothing is decrypted here",
            "allowPlaintextHeaderSet" | "stripResponseHeaders" | "ambiguousRequestTarget" => {
                "requests and answers pass unchanged"
            }
            "allowMachLookup" => "not about network",
            _ if may_close(key, node) => {
                let message = format!("{key} is no key that is known, and may close something");
                return Err(self.failed(line, message, HOW_TO_CLOSE));
            }
            _ => "this key is not known",
        };
        let place = self.place(line);
        self.page.leave_out(&place, format!("{key}: {why}"));
        Ok(())
    }

    /// Addresses that no name may resolve to. There an address that is allowed by itself is excepted;
    /// here a deny wins.
    fn denied_addresses(&mut self, entry: &Entry) -> Result<(), ConfigError> {
        let Some(list) = entry.node.list() else {
            return Err(self.no_list(entry));
        };
        for node in list {
            let place = self.place(node.line);
            let block = node.text().and_then(|text| {
                let (address, prefix) = match text.split_once('/') {
                    Some((address, prefix)) => (address, Some(prefix)),
                    None => (text, None),
                };
                let address = address.split_once('%').map_or(address, |(address, _)| address);
                match prefix {
                    Some(prefix) => format!("{address}/{prefix}").parse().ok(),
                    None => address.parse().map(std::net::IpAddr::into).ok(),
                }
            });
            let Some(block) = block else {
                let message = "this is neither an address nor a block of addresses";
                return Err(self.failed(node.line, message, "write it as \"10.0.0.0/8\""));
            };
            let pattern = Pattern::block(block);
            let rule = Rule::new(Action::Deny, None, true, &place);
            self.page.rule("", "addresses", &pattern.to_string(), rule);
        }
        Ok(())
    }

    /// A proxy to leave by.
    fn parent(&mut self, entry: &Entry) -> Result<(), ConfigError> {
        let (mut http, mut https) = (None, None);
        for entry in self.table(entry)? {
            let place = self.place(entry.line);
            match entry.key.as_str() {
                "http" => http = Some((self.text(entry)?, place)),
                "https" => https = Some((self.text(entry)?, place)),
                "noProxy" => {
                    let list = self.text(entry)?.split(',').map(|host| quoted(host.trim()));
                    let list = format!("[{}]", list.collect::<Vec<_>>().join(", "));
                    self.page.set("", "upstream", "no_proxy", list, &place);
                }
                key => self.page.leave_out(&place, format!("parentProxy.{key} is not known")),
            }
        }
        if let (Some((one, place)), Some((other, _))) = (&http, &https)
            && one != other
        {
            self.page.leave_out(place, "parentProxy.http: there is one proxy here, that of https");
        }
        if let Some((url, place)) = https.or(http) {
            self.page.set("", "upstream", "url", quoted(url), &place);
        }
        Ok(())
    }

    /// Another proxy judges the requests of these hosts: without it they are closed.
    fn mitm(&mut self, entry: &Entry) -> Result<(), ConfigError> {
        let place = self.place(entry.line);
        self.page.lose(
            &place,
            "mitmProxy: what that proxy lets pass is not known, and nothing is led to it; its hosts \
             are denied",
        );
        match get(self.table(entry)?, "domains") {
            Some(domains) => {
                for (text, place) in self.texts(domains)? {
                    patterns::deny(self.page, "", text, Dialect::Runtime, &place);
                }
            }
            None => self.page.deny_all("", &place),
        }
        Ok(())
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.source.name)
    }

    fn failed(&self, line: usize, message: impl Into<String>, suggestion: &str) -> ConfigError {
        failed(self.source.name, line, message, suggestion)
    }

    fn table<'e>(&self, entry: &'e Entry) -> Result<&'e [Entry], ConfigError> {
        let message = format!("{} is no object", entry.key);
        let error = || self.failed(entry.line, message, "write it as {\"key\": ...}");
        entry.node.table().ok_or_else(error)
    }

    fn text<'e>(&self, entry: &'e Entry) -> Result<&'e str, ConfigError> {
        let error = || self.failed(entry.line, format!("{} is no text", entry.key), "write a text");
        entry.node.text().ok_or_else(error)
    }

    fn boolean(&self, entry: &Entry) -> Result<bool, ConfigError> {
        let message = format!("{} is neither true nor false", entry.key);
        let error = || self.failed(entry.line, message, "write true or false, without quotes");
        entry.node.boolean().ok_or_else(error)
    }

    fn no_list(&self, entry: &Entry) -> ConfigError {
        let message = format!("{} is no list", entry.key);
        self.failed(entry.line, message, "write it as [\"example.com\"]")
    }

    /// A list of texts, each with its place.
    fn texts<'e>(&self, entry: &'e Entry) -> Result<Vec<(&'e str, String)>, ConfigError> {
        let list = entry.node.list().ok_or_else(|| self.no_list(entry))?;
        let text = |node: &'e Node| match node.text() {
            Some(text) => Ok((text, self.place(node.line))),
            None => {
                let message = format!("an entry of {} is no text", entry.key);
                Err(self.failed(node.line, message, "write each as a text"))
            }
        };
        list.iter().map(text).collect()
    }
}
