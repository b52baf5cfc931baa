//! The forms of a target.
use std::str::FromStr;

use anyhow::{anyhow, bail};
use egress_user::policy::{Host, HostError, Transport};

/// What is asked about. A host that is none is a refusal, not an error of the command line.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) host: Result<Host, HostError>,
    /// As written.
    pub(super) host_text: String,
    pub(super) port: u16,
    pub(super) transport: Transport,
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if text.starts_with("unix:") {
            bail!("{text:?}: rules for unix sockets are not built yet");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Self::of_authority(text, Transport::Tcp, None);
        };
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" => Self::of_authority(rest, Transport::Tcp, None),
            "udp" => Self::of_authority(rest, Transport::Udp, None),
            "http" => Self::of_authority(authority(rest), Transport::Tcp, Some(80)),
            "https" => Self::of_authority(authority(rest), Transport::Tcp, Some(443)),
            _ => bail!("{text:?}: write host:port, tcp://, udp://, http:// or https://"),
        }
    }
}

impl Target {
    fn of_authority(
        text: &str,
        transport: Transport,
        default_port: Option<u16>,
    ) -> anyhow::Result<Self> {
        // An address is one as a whole: `::1:443` has no port.
        if let (whole @ Ok(_), Some(port)) = (Host::parse(text), default_port) {
            return Ok(Self { host: whole, host_text: text.to_owned(), port, transport });
        }
        if let Ok(host) = Host::parse(text) {
            return Err(match host {
                Host::Address(address) if address.is_ipv6() => {
                    anyhow!("{text:?} has no port; write [{address}]:443")
                }
                Host::Address(_) | Host::Name(_) => {
                    anyhow!("{text:?} has no port; write {host}:443")
                }
            });
        }
        let with_port = text
            .rsplit_once(':')
            .filter(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
        match (with_port, default_port) {
            (Some((host_text, port)), _) => {
                let port = port.parse().map_err(|_| anyhow!("{port} is no port of 0 to 65535"))?;
                let (host, host_text) = (Host::parse(host_text), host_text.to_owned());
                Ok(Self { host, host_text, port, transport })
            }
            (None, Some(port)) => {
                Ok(Self { host: Host::parse(text), host_text: text.to_owned(), port, transport })
            }
            (None, None) => bail!("{text:?} is no target; write host:port or [address]:port"),
        }
    }
}

/// What stands before the path of a URL, and before a method after it.
fn authority(rest: &str) -> &str {
    rest.split(|c: char| "/?#".contains(c) || c.is_ascii_whitespace()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, u16, Transport)> {
        let Target { host, port, transport, .. } = text.parse::<Target>().ok()?;
        Some((host.map_or_else(|_| "invalid".to_owned(), |host| host.to_string()), port, transport))
    }

    #[test]
    fn every_form_is_read() {
        let tcp = |host: &str, port| Some((host.to_owned(), port, Transport::Tcp));
        for (text, expected) in [
            ("a.test:443", tcp("a.test", 443)),
            ("tcp://[::1]:22", tcp("::1", 22)),
            ("udp://a.test:53", Some(("a.test".to_owned(), 53, Transport::Udp))),
            ("http://a.test/b:c@d HEAD", tcp("a.test", 80)),
            ("HTTPS://a.test:8443?x", tcp("a.test", 8443)),
            ("https://[2606::1]", tcp("2606::1", 443)),
            ("https://good.test@evil.test/", tcp("invalid", 443)),
            // Browsers and RFC 3986 read two different hosts here.
            ("https://good.test\\@evil.test/", tcp("invalid", 443)),
            ("[evil.com]:443", tcp("invalid", 443)),
            (".a.test:443", tcp("invalid", 443)),
            (":443", tcp("invalid", 443)),
            ("a.test:0", tcp("a.test", 0)),
            ("a.test", None),
            ("::1", None),
            ("a.test:", None),
            ("a.test:99999", None),
            ("a.test:+1", None),
            ("ftp://a.test", None),
            ("unix:/run/a.sock", None),
            ("", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
