//! What a script's firewall opens and closes by itself, beside lists of names.
use super::{
    super::{list::port_number, rules::Rule, tree::HOW_TO_CLOSE},
    File, failed,
    shell::Token,
};
use crate::{
    config::ConfigError,
    policy::{Action, Pattern},
};

/// What a command of a firewall does with what it is about.
pub(super) fn verdict(command: &[&str]) -> Option<Action> {
    let is = |words: &[&str]| command.iter().any(|word| words.contains(word));
    if is(&["DROP", "REJECT", "drop", "reject"]) {
        return Some(Action::Deny);
    }
    (is(&["ACCEPT", "accept"]) || command.get(1..3) == Some(&["add", "element"]))
        .then_some(Action::Allow)
}

impl File<'_, '_> {
    /// Rules of connections that go out, each told or, where it closes, carried.
    pub(super) fn firewall(&mut self, tokens: &[Token]) -> Result<(), ConfigError> {
        for (at, token) in tokens.iter().enumerate() {
            let is_command = matches!(token.word(), Some("iptables" | "ip6tables" | "ipset"));
            if !is_command {
                continue;
            }
            let command: Vec<_> = tokens.iter().skip(at).map_while(Token::word).collect();
            let place = self.place(token.line);
            if command.get(..2) == Some(&["ipset", "add"]) {
                self.set_entry(&command, &place);
                continue;
            }
            let is_out = command
                .windows(2)
                .any(|pair| matches!(pair, ["-A" | "-I" | "--append" | "--insert", "OUTPUT"]));
            if let Some(verdict) = verdict(&command).filter(|_| is_out) {
                self.rule(&command, verdict, token.line, &place)?;
            }
        }
        Ok(())
    }

    /// An address that is added as it stands; those of names are in variables.
    fn set_entry(&mut self, command: &[&str], place: &str) {
        let address = command.iter().find(|word| Pattern::parse_address(word).is_ok());
        if let Some(address) = address {
            let why = format!(
                "{address}: an address; write it in [network.addresses] if it is to be reached, or \
                 denied"
            );
            self.page.leave_out(place, why);
        }
    }

    fn rule(
        &mut self,
        command: &[&str],
        verdict: Action,
        line: usize,
        place: &str,
    ) -> Result<(), ConfigError> {
        let after = |names: &[&str]| {
            let at = command.iter().position(|word| names.contains(word))?;
            command.get(at + 1).copied()
        };
        let address = after(&["-d", "--destination", "--dst"]);
        let port = after(&["--dport", "--destination-port", "--dports"]);
        let is_set = command.contains(&"--match-set");
        match verdict {
            Action::Allow => {
                let why = match (address, port) {
                    _ if is_set || command.iter().any(|word| word.contains("ESTABLISHED")) => {
                        return Ok(());
                    }
                    (None, Some("53")) => {
                        "lookups go to egress, which looks up what is allowed".to_owned()
                    }
                    (None, Some(port)) => format!(
                        "port {port} of every host is not opened here; a name without \"ports\" has \
                         it, and hosts for it alone are written with ports = [{port}]"
                    ),
                    (None, None) if after(&["-o", "--out-interface"]) == Some("lo") => {
                        "loopback is not opened here; listeners of the same sandbox are reached \
                         anyway, and \"127.0.0.1\" with ports for those outside"
                            .to_owned()
                    }
                    (None, None) => {
                        "everything is not opened here; write \"*\" = \"allow\" if it is meant"
                            .to_owned()
                    }
                    (Some(address), _) => format!(
                        "{address}: an address; write it in [network.addresses] if it is to be reached"
                    ),
                };
                self.page.leave_out(place, why);
            }
            Action::Deny => match (address, port) {
                (Some(address), _) => {
                    let Ok(pattern) = Pattern::parse_address(address) else {
                        let message =
                            format!("{address:?} closes something, and is not known here");
                        return Err(failed(self.source.name, line, message, HOW_TO_CLOSE));
                    };
                    let rule = Rule::new(Action::Deny, None, true, place);
                    self.page.rule("", "addresses", &pattern.to_string(), rule);
                }
                (None, Some(port)) if !is_set => {
                    let Some(port) = port_number(port) else {
                        let message = format!("the port {port:?} is closed, and is not known here");
                        return Err(failed(self.source.name, line, message, HOW_TO_CLOSE));
                    };
                    self.page.closed_ports.insert(port, place.to_owned());
                }
                (None, _) if is_set => self.page.lose(
                    place,
                    "a set of addresses is closed; deny what is in it in [network.addresses]",
                ),
                // The end of the rules: what no line opens is refused here as well.
                _ => {}
            },
        }
        Ok(())
    }
}
