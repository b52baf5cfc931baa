use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::PathBuf,
    process::Command,
};

use super::*;

const UID: u32 = 65_533;
const GID: u32 = 65_532;
const GROUP: u32 = 65_531;

fn command() -> Writer {
    Writer::User {
        uid: Uid::from_raw(UID),
        gid: Gid::from_raw(GID),
        groups: vec![Gid::from_raw(GID), Gid::from_raw(GROUP)],
        handed: Vec::new(),
    }
}

/// `top/etc/resolv.conf`, of root and closed to others, in a directory that is, too.
struct Files {
    _top: tempfile::TempDir,
    etc: PathBuf,
    conf: PathBuf,
    /// A directory of the user's.
    own: PathBuf,
}

impl Files {
    fn new() -> Self {
        // Not below /tmp, which everybody may write.
        let top = tempfile::tempdir_in("/var/lib").unwrap();
        fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
        let (etc, own) = (top.path().join("etc"), top.path().join("own"));
        fs::create_dir(&etc).unwrap();
        fs::create_dir(&own).unwrap();
        chown(&own, Some(UID), Some(GID)).unwrap();
        let conf = etc.join("resolv.conf");
        fs::write(&conf, "nameserver 192.0.2.1").unwrap();
        Self { _top: top, etc, conf, own }
    }

    fn can_write(&self) -> bool {
        command().could_write(&Traced::open(&self.conf).unwrap())
    }
}

/// These need a user to become.
fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: needs root");
    }
    is_root
}

#[test]
fn what_root_keeps_for_itself_is_believed() {
    if !is_root() {
        return;
    }
    let files = Files::new();
    assert!(!files.can_write());
    let traced = Traced::open(&files.conf).unwrap();
    assert!(Writer::Root.could_write(&traced), "root may write everything");
    let root = Writer::User {
        uid: Uid::from_raw(0),
        gid: Gid::from_raw(0),
        groups: Vec::new(),
        handed: Vec::new(),
    };
    assert!(root.could_write(&traced));
    assert!(!Writer::Nobody.could_write(&traced));
    // The caller is as it was.
    fs::write(&files.conf, "by root").unwrap();
}

#[test]
fn a_file_that_it_was_handed_is_not_believed() {
    if !is_root() {
        return;
    }
    let files = Files::new();
    let handed = |path: &PathBuf| {
        let file = fs::File::open(path).unwrap();
        let id = FileId::of(&file).unwrap();
        let Writer::User { uid, gid, groups, .. } = command() else { panic!("a user") };
        Writer::User { uid, gid, groups, handed: vec![id] }
    };
    let traced = Traced::open(&files.conf).unwrap();
    assert!(handed(&files.conf).could_write(&traced));
    let other = files.etc.join("other");
    fs::write(&other, "").unwrap();
    assert!(!handed(&other).could_write(&traced));
    // By whatever name it is found.
    fs::rename(&other, &files.conf).unwrap();
    assert!(handed(&files.conf).could_write(&Traced::open(&files.conf).unwrap()));
    assert!(!command().could_write(&Traced::open(&files.conf).unwrap()));
}

#[test]
fn every_right_to_write_is_seen() {
    if !is_root() {
        return;
    }
    type Change = fn(&Files);
    let changes: [(&str, Change); 13] = [
        ("its own file", |f| chown(&f.conf, Some(UID), None).unwrap()),
        ("its own file, which it may not write yet", |f| {
            chown(&f.conf, Some(UID), None).unwrap();
            mode(&f.conf, 0o444);
        }),
        ("a file of its own group", |f| group(&f.conf, GID, 0o664)),
        ("a file of a group that it is in besides", |f| group(&f.conf, GROUP, 0o664)),
        ("a file of everybody's", |f| mode(&f.conf, 0o646)),
        ("its own directory", |f| chown(&f.etc, Some(UID), None).unwrap()),
        ("a directory of a group's", |f| group(&f.etc, GROUP, 0o775)),
        ("a directory of everybody's, where each keeps its own", |f| mode(&f.etc, 0o1777)),
        ("a directory further up", |f| mode(f.etc.parent().unwrap(), 0o757)),
        ("a link into its own directory", |f| {
            fs::rename(&f.conf, f.own.join("conf")).unwrap();
            symlink("../own/conf", &f.conf).unwrap();
        }),
        ("a link through its own directory", |f| {
            symlink(&f.etc, f.own.join("etc")).unwrap();
            fs::rename(&f.conf, f.etc.join("conf")).unwrap();
            symlink("../own/etc/conf", &f.conf).unwrap();
        }),
        ("a way through its own directory and out again", |f| {
            fs::rename(&f.conf, f.etc.join("conf")).unwrap();
            symlink("../own/../etc/conf", &f.conf).unwrap();
        }),
        ("another name of a file of its own", |f| {
            let own = f.own.join("conf");
            fs::write(&own, "nameserver 192.0.2.9").unwrap();
            chown(&own, Some(UID), Some(GID)).unwrap();
            fs::remove_file(&f.conf).unwrap();
            fs::hard_link(own, &f.conf).unwrap();
        }),
    ];
    for (what, change) in changes {
        let files = Files::new();
        assert!(!files.can_write());
        change(&files);
        assert!(files.can_write(), "{what}");
    }
}

#[test]
fn access_lists_count() {
    if !is_root() {
        return;
    }
    for on_file in [true, false] {
        let files = Files::new();
        let on = if on_file { &files.conf } else { &files.etc };
        if !access_list(on, 7) {
            eprintln!("skipped: no python3 here, or no access lists");
            return;
        }
        assert!(files.can_write());
        assert!(access_list(on, 5));
        assert!(!files.can_write(), "a list that gives nothing");
    }
}

/// Gives the user these rights by an access list (acl(5)), the way that setfacl would.
fn access_list(path: &Path, rights: u16) -> bool {
    let script = "import os, struct, sys\n\
        path, uid, rights = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])\n\
        none = 0xffffffff\n\
        rows = [(1, 7, none), (2, rights, uid), (4, 5, none), (16, 7, none), (32, 5, none)]\n\
        data = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *row) for row in rows)\n\
        os.setxattr(path, 'system.posix_acl_access', data)";
    let arguments = [UID.to_string(), rights.to_string()];
    let command = Command::new("python3").args(["-c", script]).arg(path).args(arguments).status();
    command.is_ok_and(|status| status.success())
}

#[test]
fn groups_that_it_is_not_in_give_nothing() {
    if !is_root() {
        return;
    }
    let files = Files::new();
    group(&files.conf, GROUP + 10, 0o660);
    group(&files.etc, GROUP + 10, 0o770);
    assert!(!files.can_write());
}

#[test]
fn only_regular_files_are_opened_and_links_end() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink(at("loop"), at("loop")).unwrap();
    nix::unistd::mkfifo(&at("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
    fs::create_dir(at("folder")).unwrap();
    fs::write(at("file"), "x").unwrap();
    for name in ["loop", "pipe", "folder", "none", "file/below"] {
        assert!(Traced::open(&at(name)).is_err(), "{name}");
    }
    symlink("./folder/../file", at("link")).unwrap();
    let way = Traced::open(&at("link")).unwrap().way.len();
    assert!(way >= 4, "{way}");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn group(path: &Path, group: u32, bits: u32) {
    chown(path, None, Some(group)).unwrap();
    mode(path, bits);
}
