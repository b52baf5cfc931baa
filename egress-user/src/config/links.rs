//! Unix sockets by the socket that is meant: links are resolved, so that two spellings of one
//! socket are one.
use std::path::{Path, PathBuf};

use crate::policy::UnixAddress;

/// The address with the links of its path resolved, as far as the path exists now. What does not
/// exist stays as it is written: a socket that is made later is made where its folder leads.
pub fn resolve_links(address: UnixAddress) -> UnixAddress {
    match address {
        UnixAddress::Path(path) => UnixAddress::Path(resolved(&path).into()),
        UnixAddress::Abstract(_) => address,
    }
}

fn resolved(path: &Path) -> PathBuf {
    if let Ok(whole) = path.canonicalize() {
        return whole;
    }
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => resolved(folder).join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_socket_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, folder.path().join("link")).unwrap();
        std::fs::write(real.join("a.sock"), "").unwrap();
        std::os::unix::fs::symlink(real.join("a.sock"), folder.path().join("b.sock")).unwrap();
        let spelt = |name: &str| resolve_links(UnixAddress::Path(folder.path().join(name).into()));
        let meant = UnixAddress::Path(real.join("a.sock").into());
        assert_eq!((spelt("link/a.sock"), spelt("b.sock")), (meant.clone(), meant));
        assert_eq!(spelt("link/later.sock"), UnixAddress::Path(real.join("later.sock").into()));
        let name = UnixAddress::Abstract("bus".into());
        assert_eq!(resolve_links(name.clone()), name);
    }
}
