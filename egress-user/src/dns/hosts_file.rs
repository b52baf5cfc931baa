//! The machine's hosts file: names that libc resolves by itself, asking nobody.
//!
//! It is read once, before the command exists, and counts as it was then: a command that may write it could
//! otherwise choose where a name leads. Its entries are answers like any other, to be judged.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
    net::IpAddr,
    path::Path,
};

use super::upstream::MAX_ADDRESSES;
use crate::policy::{Answer, Name};

/// Where libc looks.
pub const HOSTS: &str = "/etc/hosts";

/// Bytes that are read of it; lists of blocked hosts have some 10 MiB. What stands behind is left out.
const MOST_BYTES: u64 = 32 << 20;

/// TTL of what it says, in seconds: there is nobody to ask again.
pub(super) const HOSTS_TTL: u32 = 3600;

/// Names of one address that are remembered as such: lists of blocked hosts give one to all.
const MOST_NAMES: usize = 8;

/// Names with the addresses that a hosts file gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostsFile {
    entries: HashMap<Name, Vec<IpAddr>>,
    by_address: HashMap<IpAddr, Vec<Name>>,
}

impl HostsFile {
    /// Reads it, once. A machine without one has no entries.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut text)?;
        Ok(Self::parse(&text))
    }

    /// The entries of such a text: an address and names in each line, a comment behind `#`. What is neither is
    /// left out, as libc does. `localhost` is, too: what it stands for is fixed.
    pub fn parse(text: &[u8]) -> Self {
        let mut file = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            let Ok(line) = str::from_utf8(line) else { continue };
            let mut words = line.split_ascii_whitespace();
            let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
            let Some(address) = address.map(|address| address.to_canonical()) else { continue };
            for name in words.filter_map(|word| Name::parse(word).ok()) {
                if name.is_localhost() {
                    continue;
                }
                file.add(name, address);
            }
        }
        file
    }

    fn add(&mut self, name: Name, address: IpAddr) {
        let names = self.by_address.entry(address).or_default();
        if names.len() < MOST_NAMES && !names.contains(&name) {
            names.push(name.clone());
        }
        let addresses = self.entries.entry(name).or_default();
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    /// What a lookup of the name gives; none where the file does not have it.
    pub fn answer(&self, name: &Name) -> Option<Answer> {
        let addresses = self.entries.get(name)?.clone();
        Some(Answer::Found { chain: Vec::new(), addresses })
    }

    /// The names that lead somewhere, in no order: lists of blocked hosts have 100,000 that do not.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let leads = |addresses: &[IpAddr]| !addresses.iter().all(IpAddr::is_unspecified);
        self.entries.iter().filter(move |(_, addresses)| leads(addresses)).map(|(name, _)| name)
    }

    /// The first names that it gives the address to.
    pub fn names_of(&self, address: IpAddr) -> &[Name] {
        self.by_address.get(&address.to_canonical()).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::support::{address, name};

    fn of(text: &str, host: &str) -> Option<Vec<IpAddr>> {
        match HostsFile::parse(text.as_bytes()).answer(&name(host))? {
            Answer::Found { addresses, .. } => Some(addresses),
            _ => None,
        }
    }

    #[test]
    fn every_line_of_a_name_counts() {
        let text = "# 10.0.0.9 comment.test\n10.0.0.1\ta.test  B.Test. # more\n\n\
                    2001:db8::1 a.test\n::ffff:10.0.0.1 a.test\r\n10.0.0.2 c.test\r\n";
        assert_eq!(of(text, "a.test"), Some(vec![address("10.0.0.1"), address("2001:db8::1")]));
        assert_eq!(of(text, "b.test"), Some(vec![address("10.0.0.1")]));
        assert_eq!(of(text, "c.test"), Some(vec![address("10.0.0.2")]));
        assert_eq!(of(text, "comment.test"), None);
        let file = HostsFile::parse(text.as_bytes());
        assert_eq!(file.names_of(address("10.0.0.1")), [name("a.test"), name("b.test")]);
    }

    #[test]
    fn what_libc_does_not_read_is_left_out() {
        let text = b"127.0.0.1 localhost\nlocalhost 10.0.0.1\n10.0.0.256 a.test\n0x7f.1 b.test\n\
                     10.0.0.1 \xff\n10.0.0.1 bad..name good.test\n10.0.0.1";
        let file = HostsFile::parse(text);
        assert_eq!(file.names().collect::<Vec<_>>(), [&name("good.test")]);
    }

    #[test]
    fn a_machine_may_have_none() {
        assert_eq!(HostsFile::read(Path::new("/nonexistent")).unwrap(), HostsFile::default());
        assert!(HostsFile::read(Path::new("/")).is_err());
    }
}
