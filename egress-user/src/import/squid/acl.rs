//! The lists that `acl` lines make.
use std::path::Path;

use ipnet::IpNet;

use super::Word;
use crate::{
    config::ConfigError,
    import::{Source, failed},
    policy::{PortRange, PortSet},
};

/// A list, of what it is about.
#[derive(Clone, Debug)]
pub(super) enum Acl {
    /// Whatever is asked for.
    All,
    /// `dstdomain`: names as they stand, each with its place.
    Domains(Vec<(String, String)>),
    /// `dst`.
    Addresses(Vec<(IpNet, String)>),
    Ports(PortSet),
    /// `method`: whether CONNECT is among them.
    Method(bool),
    /// Who asks.
    Client,
    /// Of a type that is not about the target, or not one that can be said.
    Other(String),
}

/// Types that are about who asks.
const CLIENT: [&str; 17] = [
    "src",
    "srcdomain",
    "srcdom_regex",
    "src_as",
    "proxy_auth",
    "proxy_auth_regex",
    "ext_user",
    "ident",
    "ident_regex",
    "user_cert",
    "ca_cert",
    "arp",
    "eui64",
    "myip",
    "myport",
    "myportname",
    "localip",
];

impl Acl {
    /// What squid has without a line.
    pub(super) fn of_squid(name: &str) -> Option<Self> {
        let blocks = |list: &[&str]| {
            let block = |text: &&str| Some((text.parse().ok()?, "squid".to_owned()));
            Some(Self::Addresses(list.iter().filter_map(block).collect()))
        };
        match name {
            "all" => Some(Self::All),
            "localhost" => Some(Self::Client),
            "to_localhost" => blocks(&["127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128"]),
            "to_linklocal" => blocks(&["169.254.0.0/16", "fe80::/10"]),
            // Squid's own pages, which no tunnel leads to.
            "manager" => Some(Self::Method(false)),
            "CONNECT" => Some(Self::Method(true)),
            _ => None,
        }
    }

    pub(super) fn parse(
        kind: &str,
        values: &[Word],
        source: Source<'_>,
        line: usize,
        lists: &[Source<'_>],
    ) -> Result<Self, ConfigError> {
        let place = format!("{}:{line}", source.name);
        let mut texts = Vec::new();
        let values = values.iter().filter(|word| !matches!(word.text.as_str(), "-n" | "--" | "-i"));
        for word in values {
            if !word.is_quoted {
                texts.push((word.text.clone(), place.clone()));
                continue;
            }
            let file = Path::new(&word.text).file_name();
            let list = lists.iter().find(|list| Path::new(list.name).file_name() == file);
            let Some(list) = list else {
                let message = format!("what {:?} lists is not known", word.text);
                return Err(failed(source.name, line, message, "give that file as well"));
            };
            for (at, entry) in list.text.lines().enumerate() {
                let entry = entry.split('#').next().unwrap_or_default().trim();
                if !entry.is_empty() {
                    texts.push((entry.to_owned(), format!("{}:{}", list.name, at + 1)));
                }
            }
        }
        Ok(match kind {
            "dstdomain" => Self::Domains(texts),
            "dst" => {
                let mut blocks = Vec::new();
                for (text, place) in texts {
                    match block(&text) {
                        Some(block) => blocks.push((block, place)),
                        None => return Ok(Self::Other(format!("dst {text}"))),
                    }
                }
                Self::Addresses(blocks)
            }
            "port" => {
                let mut ports = PortSet::only([]);
                for (text, _) in texts {
                    let Some(more) = PortRange::parse(&text) else {
                        let message = format!("{text:?} is no port");
                        return Err(failed(source.name, line, message, "write 443, or 1024-65535"));
                    };
                    ports = ports.union(&PortSet::of([more]));
                }
                Self::Ports(ports)
            }
            "method" => Self::Method(texts.iter().any(|(text, _)| text == "CONNECT")),
            kind if CLIENT.contains(&kind) => Self::Client,
            kind => Self::Other(kind.to_owned()),
        })
    }

    /// Another line of the same name.
    pub(super) fn add(&mut self, more: Self) -> Result<(), String> {
        match (self, more) {
            (Self::Domains(texts), Self::Domains(more)) => texts.extend(more),
            (Self::Addresses(blocks), Self::Addresses(more)) => blocks.extend(more),
            (Self::Ports(ports), Self::Ports(more)) => *ports = more.union(ports),
            (Self::Method(connects), Self::Method(more)) => *connects |= more,
            (Self::Client, Self::Client) | (Self::Other(_), Self::Other(_)) => {}
            // What is not known of one line is not known of both.
            (standing @ Self::Addresses(_), Self::Other(kind)) => *standing = Self::Other(kind),
            (Self::Other(_), Self::Addresses(_)) => {}
            _ => return Err("an acl of two types".to_owned()),
        }
        Ok(())
    }
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0` or an address.
fn block(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(address.into());
    }
    match text.split_once('/') {
        Some((address, mask)) if mask.contains('.') => {
            IpNet::with_netmask(address.parse().ok()?, mask.parse().ok()?)
                .ok()
                .map(|net| net.trunc())
        }
        _ => text.parse::<IpNet>().ok().map(|net| net.trunc()),
    }
}
