//! What the parent and the sandbox's init say to each other, over a socket that nobody else has: JSON with
//! its length before it.

use std::{
    ffi::{CString, OsString},
    io::{self, Read, Write},
};

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{capabilities::Capabilities, command::Command, note::Note, user::User};
use crate::sys::inherited::Inherited;

/// Bytes of a message: the kernel takes 6 MiB of arguments and environment (execve(2)), and JSON writes a
/// byte as up to four.
const LONGEST: u32 = 32 << 20;

/// The first message: what to prepare, and what to execute at last. The environment and the working directory
/// are the process's own.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spec {
    /// The directory of the sandbox's cgroup.
    pub(super) cgroup: OsString,
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    pub(super) user: Option<Account>,
    pub(super) capabilities: Capabilities,
    /// For the command, not for the init.
    pub(super) inherited: Inherited,
}

/// [`User`] on its way.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    name: CString,
    home: OsString,
}

/// What the parent says next, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// Prove that the path works.
    Probe,
    /// Start the command.
    Start,
    /// It was heard that the command stands.
    Heard,
    /// The same, and the command may go on.
    Continue,
}

/// What the init answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// The path works. What there is to be told before the command starts.
    Probed(Vec<Note>),
    /// The command runs.
    Started,
    /// The command stands, by its id there; told once until it is heard.
    Stopped(i32),
    /// Nothing runs, and the init has ended.
    Failed {
        /// Exit code of the run.
        code: u8,
        /// What failed and why.
        text: String,
    },
}

impl Spec {
    pub(super) fn new(cgroup: OsString, command: &Command) -> Self {
        let Command { program, arguments, user, capabilities } = command.clone();
        let inherited = Inherited::of_this_process();
        Self { cgroup, program, arguments, user: user.map(Account::from), capabilities, inherited }
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        let User { uid, gid, groups, name, home } = user;
        let groups = groups.into_iter().map(Gid::as_raw).collect();
        Self { uid: uid.as_raw(), gid: gid.as_raw(), groups, name, home: home.into() }
    }
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        let Account { uid, gid, groups, name, home } = account;
        let groups = groups.into_iter().map(Gid::from_raw).collect();
        Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups, name, home: home.into() }
    }
}

/// # Errors
/// When it is longer than the reader takes, or the other end is gone.
pub(super) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).ok().filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| io::Error::from_raw_os_error(libc::E2BIG))?;
    to.write_all(&[&length.to_le_bytes(), text.as_slice()].concat())
}

/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] when the other end is gone, [`io::ErrorKind::InvalidData`] for anything but
/// a message of this kind.
pub(super) fn receive<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<M> {
    let mut length = [0; size_of::<u32>()];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = Vec::new();
    // Grows with what arrives, whatever the length says.
    from.take(u64::from(length)).read_to_end(&mut text)?;
    if u32::try_from(text.len()) != Ok(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn sent(message: &impl Serialize) -> Vec<u8> {
        let mut bytes = Vec::new();
        send(&mut bytes, message).unwrap();
        bytes
    }

    fn refused<M: DeserializeOwned + std::fmt::Debug>(bytes: &[u8]) -> io::ErrorKind {
        receive::<M>(&mut &bytes[..]).unwrap_err().kind()
    }

    #[test]
    fn every_byte_of_a_command_arrives() {
        let all: Vec<u8> = (1..=255).collect();
        let user = User {
            uid: Uid::from_raw(7),
            gid: Gid::from_raw(8),
            groups: vec![Gid::from_raw(8), Gid::from_raw(u32::MAX - 1)],
            name: CString::new(all.clone()).unwrap(),
            home: OsString::from_vec(all.clone()).into(),
        };
        let command = Command {
            program: OsString::from_vec(all.clone()),
            arguments: vec![OsString::new(), OsString::from_vec(all.clone()), "\n".into()],
            user: Some(user.clone()),
            capabilities: Capabilities::Container,
        };
        let spec = Spec::new(OsString::from_vec(all), &command);
        let arrived: Spec = receive(&mut &sent(&spec)[..]).unwrap();
        assert_eq!(arrived, spec);
        assert_eq!(User::from(arrived.user.unwrap()), user);
    }

    #[test]
    fn messages_stand_one_behind_the_other() {
        let bytes = [sent(&Order::Probe), sent(&Order::Start)].concat();
        let mut rest = &bytes[..];
        assert_eq!(receive::<Order>(&mut rest).unwrap(), Order::Probe);
        assert_eq!(receive::<Order>(&mut rest).unwrap(), Order::Start);
        assert_eq!(refused::<Order>(rest), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_cut_short_or_no_message_is_refused() {
        let whole = sent(&Report::Failed { code: 125, text: "no\nway".to_owned() });
        for length in 0..whole.len() {
            assert_eq!(refused::<Report>(&whole[..length]), io::ErrorKind::UnexpectedEof);
        }
        assert_eq!(refused::<Order>(&whole), io::ErrorKind::InvalidData);
        assert_eq!(refused::<Order>(&[1, 0, 0, 0, b'{']), io::ErrorKind::InvalidData);
        // With something behind it, inside of its length.
        assert_eq!(refused::<Order>(b"\x0b\0\0\0\"Probe\" true"), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_length_beyond_the_bound_is_not_waited_for() {
        assert_eq!(refused::<Order>(&[0xff; 8]), io::ErrorKind::InvalidData);
        let long = "x".repeat(LONGEST as usize);
        let error = send(&mut Vec::new(), &long).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::E2BIG));
    }
}
