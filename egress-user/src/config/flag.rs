//! `--allow`, `--deny` and `--set`.
use super::{ConfigError, ConfigErrors};
use crate::policy::{
    Action, Host, Origin, Pattern, PatternError, PortRange, PortSet, Rule, RuleOptions,
};

/// What the command line says; it belongs to the user's layer.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// Each `--allow`: a name pattern, an address or a block, with `:port[,port]` or without; a port may be a range.
    pub allow: Vec<String>,
    /// Each `--deny`: the same, without ports.
    pub deny: Vec<String>,
    /// Each `--set`: `KEY=VALUE`, a key with dots and a value of TOML, or a text without quotes.
    pub set: Vec<String>,
    /// `--profile`; none is the `default_profile` of the files, and `default` is `[network]`.
    pub profile: Option<String>,
}

impl Flags {
    /// The rules of `--allow` and `--deny`, or every flag that is none.
    pub fn rules(&self) -> Result<Vec<Rule>, ConfigErrors> {
        let mut rules = Vec::new();
        let mut errors = ConfigErrors::default();
        for (action, flag, texts) in
            [(Action::Allow, "--allow", &self.allow), (Action::Deny, "--deny", &self.deny)]
        {
            for text in texts {
                match parse(text, action) {
                    Ok((pattern, ports)) => {
                        let options = RuleOptions { ports, ..RuleOptions::default() };
                        let origin = Origin::new(flag, None);
                        let text = text.clone();
                        rules.push(Rule { text, pattern, action, options, origin });
                    }
                    Err(PatternError { message, suggestion }) => {
                        let file = format!("{flag} {text:?}");
                        errors.push(ConfigError { file, place: None, message, suggestion });
                    }
                }
            }
        }
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }
}

fn parse(text: &str, action: Action) -> Result<(Pattern, PortSet), PatternError> {
    let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let (host, ports) = split_ports(text);
    let pattern = match host.contains('/') && !host.contains("://") {
        // In brackets or not, as with an address.
        true => match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(block) => parse_block(block),
            None => parse_block(host),
        },
        false => Pattern::parse_domain(host, action).map_err(|error| in_flag_form(host, error)),
    }?;
    let Some(ports) = ports else { return Ok((pattern, PortSet::All)) };
    if action == Action::Deny {
        return Err(PatternError::new(
            "a deny closes every port",
            format!("write --deny {host}, or allow only the ports that are wanted"),
        ));
    }
    let ports: Option<Vec<PortRange>> = ports.split(',').map(PortRange::parse).collect();
    match ports {
        Some(ports) => Ok((pattern, PortSet::of(ports))),
        None => Err(PatternError::new(
            "a port is a number of 1 to 65535, or a range of them",
            format!("write --allow {host}:443 or --allow {host}:80,8000-8010"),
        )),
    }
}

/// The last colon begins the ports, unless it is one of an address or of a block.
fn split_ports(text: &str) -> (&str, Option<&str>) {
    let whole = matches!(Host::parse(text), Ok(Host::Address(_)));
    let after_colon = text.rsplit_once(':').filter(|(host, ports)| {
        // `2001:db8::/32` has none, `2001:db8::/32:443` has; `https://a.test` is for the patterns
        // to refuse.
        !whole && !ports.contains(['/', ']']) && !host.is_empty()
    });
    match after_colon {
        Some((host, ports)) => (host, Some(ports)),
        None => (text, None),
    }
}

fn parse_block(text: &str) -> Result<Pattern, PatternError> {
    // Names with a slash are paths to whoever wrote them.
    match text.split_once('/') {
        Some((host, _)) if !matches!(Host::parse(host), Ok(Host::Address(_))) => {
            Err(PatternError::new(format!("{text:?} has a path"), format!("write {host:?} alone")))
        }
        _ => Pattern::parse_address(text),
    }
}

/// What the patterns suggest is a line of a file; on the command line it is shorter.
fn in_flag_form(host: &str, error: PatternError) -> PatternError {
    let Some((_, rest)) = host.split_once("://") else { return error };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    PatternError { suggestion: format!("write {authority:?}"), ..error }
}
