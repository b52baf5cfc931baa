//! Whose rights the command gets.

use std::{
    ffi::{CString, OsStr},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

use nix::unistd::{Gid, Group, Uid, User as Account, getgrouplist};

/// A user of the host, looked up outside of the sandbox: whoever answers (a directory service) may be hidden
/// in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// Every group that it is in, its own too.
    pub groups: Vec<Gid>,
    /// Login name, for the environment; the number of a user who has none.
    pub name: CString,
    /// Home directory; `/` of a user who has none.
    pub home: PathBuf,
}

/// Why a user cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such user.
    #[error("no user {0:?} on this system; `--user` takes a login name, a number, or UID:GID")]
    Unknown(String),
    /// A number that no user can have, or the kernel takes for "unchanged" (setresuid(2)).
    #[error(
        "{0:?}: user and group ids go up to 4294967294; write `--user 4242` or `--user 4242:4242`"
    )]
    OutOfRange(String),
    /// The number of a user without a name is a group's by chance.
    #[error(
        "no user has the number {uid}, and the group of this number is {group:?}, with rights of its own; say \
         which group it is to be: `--user {uid}:GID`"
    )]
    GroupOfOthers {
        /// The user's number.
        uid: u32,
        /// Whose group it is.
        group: String,
    },
    /// An id that the processes have which serve sandboxes.
    #[error(
        "user and group ids from {FIRST_WORKER} to {LAST_WORKER} are those of egress's own processes, which no command \
         may share; choose another: `--user 4242`"
    )]
    Workers,
    /// The user database could not be read.
    #[error("look up the user {0:?}")]
    Lookup(String, #[source] nix::Error),
}

/// The first user id that a process has which serves a sandbox: the ids are nobody's by systemd's table of users
/// (<https://systemd.io/UIDS-GIDS/>, "unused" from 1879048192 to 2147352575).
pub const FIRST_WORKER: u32 = 0x7e67_0000;
/// The last one.
pub const LAST_WORKER: u32 = FIRST_WORKER + 0xffff;

fn is_workers(id: u32) -> bool {
    (FIRST_WORKER..=LAST_WORKER).contains(&id)
}

impl User {
    /// Who runs the command: `--user`, else who called sudo, else nobody else than root.
    ///
    /// # Errors
    /// When there is no such user. A number needs no entry in the user database.
    pub fn choose(flag: Option<&str>, sudo_uid: Option<&str>) -> Result<Option<Self>, UserError> {
        match flag.or(sudo_uid) {
            Some(wanted) => {
                let found = Self::find(wanted)?;
                let groups = found.groups.iter().chain([&found.gid]).map(|group| group.as_raw());
                let is_ours = groups.chain([found.uid.as_raw()]).any(is_workers);
                if is_ours { Err(UserError::Workers) } else { Ok(Some(found)) }
            }
            None => Ok(None),
        }
    }

    /// Sets what programs ask their environment for: HOME, USER, LOGNAME.
    pub fn name_in(&self, command: &mut std::process::Command) {
        let name = OsStr::from_bytes(self.name.to_bytes());
        command.env("HOME", &self.home).env("USER", name).env("LOGNAME", name);
    }

    fn find(wanted: &str) -> Result<Self, UserError> {
        let (user, group) = match wanted.split_once(':') {
            Some((user, group)) => (user, Some(Gid::from_raw(number(group, wanted)?))),
            None => (wanted, None),
        };
        let is_number = !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_digit());
        let lookup = |errno| UserError::Lookup(wanted.to_owned(), errno);
        let unknown = || UserError::Unknown(wanted.to_owned());
        if !is_number {
            let account = Account::from_name(user).map_err(lookup)?.ok_or_else(unknown)?;
            return Self::of(account, group, wanted);
        }
        let uid = number(user, wanted)?;
        match Account::from_uid(Uid::from_raw(uid)).map_err(lookup)? {
            Some(account) => Self::of(account, group, wanted),
            None => Self::nameless(uid, group),
        }
    }

    fn of(account: Account, group: Option<Gid>, wanted: &str) -> Result<Self, UserError> {
        let unknown = |_| UserError::Unknown(wanted.to_owned());
        let name = CString::new(account.name).map_err(unknown)?;
        let gid = group.unwrap_or(account.gid);
        let groups = match group {
            // As containers have it: who names one gets no others.
            Some(group) => vec![group],
            None => getgrouplist(&name, gid)
                .map_err(|errno| UserError::Lookup(wanted.to_owned(), errno))?,
        };
        Ok(Self { uid: account.uid, gid, groups, name, home: account.dir })
    }

    /// Without an entry there is no group to be read; one of the same number is taken, unless it is
    /// somebody's already: that may be the group of Docker's socket.
    fn nameless(uid: u32, group: Option<Gid>) -> Result<Self, UserError> {
        let name = uid.to_string();
        let gid = match group {
            Some(group) => group,
            None => match Group::from_gid(Gid::from_raw(uid)) {
                Ok(None) => Gid::from_raw(uid),
                Ok(Some(group)) => return Err(UserError::GroupOfOthers { uid, group: group.name }),
                Err(errno) => return Err(UserError::Lookup(name, errno)),
            },
        };
        let name = CString::new(name).map_err(|_| UserError::Unknown(uid.to_string()))?;
        Ok(Self { uid: Uid::from_raw(uid), gid, groups: vec![gid], name, home: "/".into() })
    }
}

fn number(digits: &str, wanted: &str) -> Result<u32, UserError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UserError::Unknown(wanted.to_owned()));
    }
    let number = digits.parse().ok().filter(|number| *number != u32::MAX);
    number.ok_or_else(|| UserError::OutOfRange(wanted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(wanted: &str) -> Result<User, UserError> {
        User::choose(Some(wanted), None).map(Option::unwrap)
    }

    #[test]
    fn the_flag_wins_over_sudo() {
        let user = User::choose(Some("root"), Some("65534")).unwrap().unwrap();
        assert!(user.uid.is_root());
        assert_eq!(User::choose(None, None).unwrap(), None);
    }

    #[test]
    fn names_an_unknown_user() {
        for wanted in ["no-such-user-here", "", ":", "4242:", "4242:wheel", "+4242", "-1", "0x10"] {
            let error = find(wanted).unwrap_err();
            assert!(matches!(error, UserError::Unknown(_)), "{wanted}: {error}");
            assert!(error.to_string().contains(wanted));
        }
    }

    #[test]
    fn a_number_needs_no_entry() {
        let user = find("424242").unwrap();
        assert_eq!((user.uid.as_raw(), user.gid.as_raw()), (424_242, 424_242));
        assert_eq!(user.groups, [user.gid]);
        assert_eq!((user.name.to_str(), user.home.to_str()), (Ok("424242"), Some("/")));
        let user = find("424242:7").unwrap();
        assert_eq!((user.gid.as_raw(), user.groups), (7, vec![Gid::from_raw(7)]));
    }

    #[test]
    fn a_group_of_others_is_not_joined_by_its_number() {
        let is_free = |gid: &u32| {
            let (gid, uid) = (Gid::from_raw(*gid), Uid::from_raw(*gid));
            Group::from_gid(gid).unwrap().is_some() && Account::from_uid(uid).unwrap().is_none()
        };
        // Debian has groups of its own without users: adm, tty, disk, shadow, audio.
        let Some(gid) = (1..100).find(is_free) else { return };
        let error = find(&gid.to_string()).unwrap_err();
        assert!(matches!(error, UserError::GroupOfOthers { .. }), "{error}");
        assert!(error.to_string().contains(&format!("--user {gid}:GID")), "{error}");
        assert_eq!(find(&format!("{gid}:{gid}")).unwrap().gid.as_raw(), gid);
    }

    #[test]
    fn a_group_that_is_named_is_the_only_one() {
        let user = find("root:7").unwrap();
        assert_eq!((user.uid.as_raw(), user.gid.as_raw()), (0, 7));
        assert_eq!(user.groups, [Gid::from_raw(7)]);
    }

    #[test]
    fn the_ids_of_our_own_processes_are_nobodys() {
        for id in [FIRST_WORKER, FIRST_WORKER + 7, LAST_WORKER] {
            for wanted in [id.to_string(), format!("4242:{id}"), format!("{id}:4242")] {
                let error = find(&wanted).unwrap_err();
                assert!(matches!(error, UserError::Workers), "{wanted}: {error}");
            }
        }
        for id in [FIRST_WORKER - 1, LAST_WORKER + 1] {
            assert_eq!(find(&id.to_string()).unwrap().uid.as_raw(), id);
        }
    }

    #[test]
    fn the_kernels_word_for_unchanged_is_no_user() {
        for wanted in ["4294967295", "4294967296", "1:4294967295", "99999999999999999999"] {
            let error = find(wanted).unwrap_err();
            assert!(matches!(error, UserError::OutOfRange(_)), "{wanted}: {error}");
        }
    }
}
