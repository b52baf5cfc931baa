//! Unix sockets: which of them a policy names.
use std::{fmt, path::Path};

use super::{Action, Origin, PatternError, rule::cite};

/// Most bytes of a name: `sun_path` has 108, one of which is a NUL.
const LONGEST: usize = 107;

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
        if text.contains('\0') {
            return Err(PatternError::new(
                "a unix socket has no NUL",
                "write \"@name\" for abstract ones",
            ));
        }
        let (name, is_abstract) = match text.strip_prefix('@') {
            Some(name) => (name, true),
            None => (text, false),
        };
        if name.is_empty() {
            return Err(PatternError::new(
                "this names no unix socket",
                "write an absolute path, or \"@name\" for an abstract one",
            ));
        }
        if name.len() > LONGEST {
            return Err(PatternError::new(
                format!("the name of a unix socket has at most {LONGEST} bytes"),
                "write a shorter one",
            ));
        }
        if is_abstract {
            return Ok(Self::Abstract(name.into()));
        }
        if !name.starts_with('/') {
            return Err(PatternError::new(
                format!("{name:?} is not an absolute path"),
                "write it from / on, or \"@name\" for an abstract one",
            ));
        }
        let plain = name.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
        if !plain {
            return Err(PatternError::new(
                format!("{name:?} has empty, `.` or `..` parts"),
                "write the path that is meant",
            ));
        }
        Ok(Self::Path(Path::new(name).into()))
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

/// `/run/a.sock (policy.toml:4)`.
impl fmt::Display for UnixRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cite(f, &self.text, &self.origin)
    }
}
