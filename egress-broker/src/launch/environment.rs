//! Variables of the caller's that mean nothing to the command, as what they name is not handed on: a descriptor
//! that is closed, the server of a terminal multiplexer that is hidden. A program that believed them would take
//! another file for its own, or give up.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    os::{
        fd::RawFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
};

/// What is to become of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) name: OsString,
    /// None = it is unset.
    pub(super) value: Option<OsString>,
}

/// How a variable names descriptors.
#[derive(Clone, Copy)]
enum Form {
    /// A decimal number.
    Number,
    /// How many there are from 3 on (sd_listen_fds(3)).
    CountFrom3,
    /// Numbers with blanks between them.
    Numbers,
}

/// Variables that name descriptors, and those that mean nothing without them.
const NAMING: [(&str, Form, &[&str]); 6] = [
    // Node's channel to its parent (child_process.fork).
    ("NODE_CHANNEL_FD", Form::Number, &["NODE_CHANNEL_SERIALIZATION_MODE"]),
    // Sockets of a service (systemd).
    ("LISTEN_FDS", Form::CountFrom3, &["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES"]),
    ("UPSTART_FDS", Form::Numbers, &[]),
    // The connection to a display.
    ("WAYLAND_SOCKET", Form::Number, &[]),
    ("BASH_XTRACEFD", Form::Number, &[]),
    // Git's trace, where it is a number; elsewhere it is a path, or 1 for stderr.
    ("GIT_TRACE", Form::Number, &[]),
];

/// Where make's flags are, and cargo's.
const FLAGS: [&str; 3] = ["MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS"];

/// What stands in them before the descriptors of the job server: `R,W`, from make 4.2 on and before.
const JOB_SERVER: [&str; 2] = ["--jobserver-auth=", "--jobserver-fds="];

/// What tmux says to its panes: the socket of its server, and which of them it is.
const TMUX: [&str; 2] = ["TMUX", "TMUX_PANE"];

/// What of these variables names descriptors that were open and are not handed on.
pub(super) fn of_descriptors(
    get: impl Fn(&str) -> Option<OsString>,
    closed: &BTreeSet<RawFd>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, form, companions) in NAMING {
        let Some(value) = get(name) else { continue };
        if form.names(&value).iter().any(|number| closed.contains(number)) {
            let set = |name: &&str| get(name).is_some();
            let names = std::iter::once(name).chain(companions.iter().copied().filter(set));
            changes.extend(names.map(unset));
        }
    }
    for name in FLAGS {
        let Some(value) = get(name) else { continue };
        if let Some(rest) = without_job_server(&value, closed) {
            changes.push(Change { name: name.into(), value: Some(rest) });
        }
    }
    changes
}

/// The socket that `TMUX` names.
pub(super) fn tmux_socket(value: &OsStr) -> &OsStr {
    OsStr::from_bytes(value.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default())
}

/// For a command from which the server of tmux is hidden: with these tmux starts none inside of another.
pub(super) fn of_tmux() -> Vec<Change> {
    TMUX.map(unset).to_vec()
}

fn unset(name: &str) -> Change {
    Change { name: name.into(), value: None }
}

impl Form {
    fn names(self, value: &OsStr) -> Vec<RawFd> {
        let Some(value) = value.to_str() else { return Vec::new() };
        let number = |word: &str| word.parse::<RawFd>().ok();
        match self {
            Self::Number => number(value).into_iter().collect(),
            Self::Numbers => value.split_ascii_whitespace().filter_map(number).collect(),
            // No process has more descriptors than this, whatever the variable says.
            Self::CountFrom3 => (3..=RawFd::from(i16::MAX))
                .take(number(value).and_then(|count| usize::try_from(count).ok()).unwrap_or(0))
                .collect(),
        }
    }
}

/// Make's flags without the job server; none where its descriptors are handed on, or it has a name
/// (`fifo:PATH`).
fn without_job_server(flags: &OsStr, closed: &BTreeSet<RawFd>) -> Option<OsString> {
    let is_lost = |word: &[u8]| {
        let word = str::from_utf8(word).ok()?;
        let pair = JOB_SERVER.iter().find_map(|start| word.strip_prefix(start))?;
        let (read, write) = pair.split_once(',')?;
        let numbers = [read.parse::<RawFd>().ok()?, write.parse().ok()?];
        numbers.iter().any(|number| closed.contains(number)).then_some(())
    };
    let words: Vec<&[u8]> = flags.as_bytes().split(|byte| *byte == b' ').collect();
    let kept: Vec<&[u8]> = words.iter().copied().filter(|word| is_lost(word).is_none()).collect();
    (kept.len() < words.len()).then(|| OsString::from_vec(kept.join(&b' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(variables: &[(&str, &str)], closed: &[RawFd]) -> Vec<(String, Option<String>)> {
        let get = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| OsString::from(*value))
        };
        let text = |word: OsString| word.into_string().unwrap();
        of_descriptors(get, &closed.iter().copied().collect())
            .into_iter()
            .map(|Change { name, value }| (text(name), value.map(text)))
            .collect()
    }

    fn unset(variables: &[(&str, &str)], closed: &[RawFd]) -> Vec<String> {
        let changes = changes(variables, closed);
        assert!(changes.iter().all(|(_, value)| value.is_none()), "{changes:?}");
        changes.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_variable_goes_with_the_descriptor_that_it_names() {
        let node = [("NODE_CHANNEL_FD", "3"), ("NODE_CHANNEL_SERIALIZATION_MODE", "json")];
        assert_eq!(unset(&node, &[3]), ["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"]);
        assert_eq!(unset(&node[..1], &[3]), ["NODE_CHANNEL_FD"]);
        assert_eq!(unset(&node, &[4]), [""; 0]);
        assert_eq!(unset(&[("WAYLAND_SOCKET", "7"), ("BASH_XTRACEFD", "7")], &[7]).len(), 2);
        assert_eq!(unset(&[("UPSTART_FDS", "4 9")], &[9]), ["UPSTART_FDS"]);
    }

    #[test]
    fn sockets_of_a_service_are_counted_from_three() {
        let service = [("LISTEN_FDS", "2"), ("LISTEN_PID", "1"), ("LISTEN_FDNAMES", "a:b")];
        let all = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];
        assert_eq!(unset(&service, &[3]), all);
        assert_eq!(unset(&service, &[4]), all);
        assert_eq!(unset(&service, &[5, 2]), [""; 0]);
        for count in ["0", "-1", "", "x", "99999999999"] {
            assert_eq!(unset(&[("LISTEN_FDS", count)], &[3]), [""; 0], "{count}");
        }
        assert_eq!(unset(&[("LISTEN_FDS", "2147483647")], &[3]), ["LISTEN_FDS"]);
    }

    #[test]
    fn what_is_no_number_is_left_alone() {
        for value in ["", "/tmp/trace", "1", "true", "3x", "\u{ff13}"] {
            assert_eq!(changes(&[("GIT_TRACE", value)], &[3]), [], "{value}");
        }
    }

    #[test]
    fn a_job_server_of_pipes_stays() {
        let flags = [("MAKEFLAGS", " -j4 --jobserver-auth=3,4 -- X=1")];
        assert_eq!(changes(&flags, &[5]), []);
        assert_eq!(changes(&[("MAKEFLAGS", "-j4 --jobserver-auth=fifo:/tmp/3,4")], &[3, 4]), []);
        assert_eq!(changes(&[("MAKEFLAGS", "-k")], &[3]), []);
    }

    #[test]
    fn a_job_server_that_is_closed_is_not_named() {
        let flags = |flags| changes(&[("CARGO_MAKEFLAGS", flags)], &[3]);
        let left = |rest: &str| vec![("CARGO_MAKEFLAGS".to_owned(), Some(rest.to_owned()))];
        assert_eq!(
            flags("-j --jobserver-fds=3,4 --jobserver-auth=3,4 -- X=a b"),
            left("-j -- X=a b")
        );
        assert_eq!(flags("--jobserver-auth=7,3"), left(""));
    }

    #[test]
    fn tmux_names_its_socket_first() {
        assert_eq!(tmux_socket("/tmp/tmux-0/default,12,0".as_ref()), "/tmp/tmux-0/default");
        assert_eq!(tmux_socket("".as_ref()), "");
    }
}
