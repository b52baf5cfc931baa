//! Whose rights the command gets.

use std::{ffi::CString, io, path::PathBuf};

use nix::unistd::{Gid, Uid, User as Account, getgrouplist};

use crate::{host::Writer, sys::handed::writable_files};

/// A user of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: Uid,
    /// Primary group.
    pub gid: Gid,
    /// Login name, for the supplementary groups and the environment.
    pub name: CString,
    /// Home directory.
    pub home: PathBuf,
}

/// Why a user cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such user.
    #[error("no user {0:?} on this system; `--user` takes a login name or a number")]
    Unknown(String),
    /// The user database could not be read.
    #[error("look up the user {0:?}")]
    Lookup(String, #[source] nix::Error),
}

impl User {
    /// Who runs the command: `--user`, else who called sudo, else nobody else than root.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn choose(flag: Option<&str>, sudo_uid: Option<&str>) -> Result<Option<Self>, UserError> {
        match flag.or(sudo_uid) {
            Some(wanted) => Self::find(wanted).map(Some),
            None => Ok(None),
        }
    }

    /// Who the command is to the machine's files: this user, in the groups that initgroups(3) gives and with
    /// the files that this process hands it, or root.
    ///
    /// # Errors
    /// When the group database, or the list of open files, cannot be read.
    pub fn writer(user: Option<&Self>) -> io::Result<Writer> {
        let Some(user) = user.filter(|user| !user.uid.is_root()) else { return Ok(Writer::Root) };
        let groups = getgrouplist(&user.name, user.gid)?;
        let handed = writable_files()?;
        Ok(Writer::User { uid: user.uid, gid: user.gid, groups, handed })
    }

    fn find(wanted: &str) -> Result<Self, UserError> {
        let account = match wanted.parse::<u32>() {
            Ok(number) => Account::from_uid(Uid::from_raw(number)),
            Err(_) => Account::from_name(wanted),
        };
        let account = account
            .map_err(|errno| UserError::Lookup(wanted.to_owned(), errno))?
            .ok_or_else(|| UserError::Unknown(wanted.to_owned()))?;
        let name = CString::new(account.name).map_err(|_| UserError::Unknown(wanted.to_owned()))?;
        Ok(Self { uid: account.uid, gid: account.gid, name, home: account.dir })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_sudo() {
        let user = User::choose(Some("root"), Some("65534")).unwrap().unwrap();
        assert!(user.uid.is_root());
        assert_eq!(User::choose(None, None).unwrap(), None);
    }

    #[test]
    fn names_an_unknown_user() {
        let error = User::choose(Some("no-such-user-here"), None).unwrap_err();
        assert!(error.to_string().contains("no-such-user-here"));
    }
}
