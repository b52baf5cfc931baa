//! Unix sockets: which of them a policy names.
use std::{fmt, path::Path};

use super::{Action, Origin, PatternError};

/// The address of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnixAddress {
    /// An absolute path, without `.`, `..`, doubled or trailing slashes. Links in it are resolved
    /// by whoever may ask the file system.
    Path(Box<Path>),
    /// An abstract name, written `"@name"`, without its leading NUL.
    Abstract(Box<str>),
}

impl UnixAddress {
    /// A key of `[network.unix_sockets]`, or what stands after `unix:` in a target.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if let Some(name) = text.strip_prefix('@') {
            return Ok(Self::Abstract(name.into()));
        }
        Ok(Self::Path(Path::new(text).into()))
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnixAddress::Path(path) => path.display().fmt(f),
            UnixAddress::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// One line of `[network.unix_sockets]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixRule {
    /// As the user wrote it.
    pub text: String,
    /// Parsed.
    pub address: UnixAddress,
    /// Allow or deny.
    pub action: Action,
    /// Where.
    pub origin: Origin,
}
