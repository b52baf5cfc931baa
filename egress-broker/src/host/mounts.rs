//! The mount table of this process (proc_pid_mountinfo(5)).
//!
//! In bytes, not text: a name may be anything but NUL, and one of another encoding must not keep
//! every sandbox from starting.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::{
        fd::AsRawFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

/// Where the kernel shows it.
const TABLE: &str = "/proc/self/mountinfo";

/// A line of the mount table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The kernel's number of this mount, which no other live one has.
    pub id: u64,
    /// `major:minor` of the file system, as `st_dev` has it.
    pub device: OsString,
    /// What of the file system is mounted.
    pub root: OsString,
    /// Where. The path need not lead there: another mount may lie over it, or over a directory above.
    pub point: PathBuf,
    /// The file system's type.
    pub kind: OsString,
}

impl Mount {
    /// Whether the path of its mount point leads to this mount, and not to one that lies over it or
    /// to nothing at all.
    ///
    /// # Errors
    /// Where neither can be told; the caller has to take it for reachable.
    pub fn is_seen(&self) -> io::Result<bool> {
        Ok(mount_at(&self.point)? == Some(self.id))
    }
}

/// The number of the mount that a path leads to; none where it leads nowhere.
///
/// # Errors
/// Where neither can be told.
pub fn mount_at(path: &Path) -> io::Result<Option<u64>> {
    // O_PATH neither opens a device nor wakes an automounter.
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = match open(path, flags, Mode::empty()) {
        Ok(opened) => opened,
        // Gone; or a parent is another file now; or a dead FUSE server's, which leads nowhere.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENOTCONN) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", opened.as_raw_fd()))?;
    let id = about.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    let id = id.and_then(|id| id.trim().parse().ok());
    id.map(Some).ok_or_else(|| io::Error::other("the kernel does not tell a file's mount"))
}

/// Reads the table of this process's mount namespace: a later mount at a point hides an earlier one.
///
/// # Errors
/// When it cannot be read: /proc is not mounted.
pub fn mounts() -> io::Result<Vec<Mount>> {
    Ok(parse(&fs::read(TABLE)?).collect())
}

/// The lines of a mount table; those that are none are left out.
pub fn parse(table: &[u8]) -> impl Iterator<Item = Mount> + '_ {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        // Fields, a lone dash, then the type. Blanks in names are escaped.
        let mut fields = line.split(|byte| *byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let device = OsStr::from_bytes(fields.nth(1)?).to_owned();
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        fields.find(|field| *field == b"-")?;
        let kind = unescape(fields.next()?);
        Some(Mount { id, device, root, point: point.into(), kind })
    })
}

/// A mount point of a file system type, whole, of which `is_there` says that its path leads there
/// (another mount may lie over it): `usual` if that is one, else the first.
pub fn mount_of(
    mounts: &[Mount],
    wanted: &str,
    usual: &str,
    is_there: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let whole = |mount: &&Mount| mount.kind == wanted && mount.root == "/";
    let points = mounts.iter().filter(whole).map(|mount| mount.point.as_path());
    let mut all = points.filter(|point| is_there(point));
    let first = all.next()?;
    let usual = Path::new(usual);
    let chosen =
        if first == usual { first } else { all.find(|point| *point == usual).unwrap_or(first) };
    Some(chosen.to_owned())
}

/// The table writes white space and the backslash as `\` and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match escaped(rest) {
            Some(byte) => (byte, rest.get(4..).unwrap_or_default()),
            None => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes)
}

fn escaped(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"\\")?.get(..3)?;
    digits.iter().try_fold(0_u8, |value, digit| {
        let digit = matches!(digit, b'0'..=b'7').then_some(digit - b'0')?;
        value.checked_mul(8)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(table: &[u8]) -> Vec<Vec<u8>> {
        parse(table).map(|mount| mount.point.into_os_string().into_vec()).collect()
    }

    #[test]
    fn finds_cgroup2_on_a_hybrid_host() {
        let table = b"30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                     31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                     32 30 0:28 /a /mnt/with\\040space rw shared:4 - bpf bpf rw\n\
                     33 30 0:28 / /mnt/with\\040space rw shared:4 - bpf bpf rw\n\
                     34 30 0:28 / /usual rw shared:4 master:7 - bpf bpf rw\n";
        let mounts: Vec<_> = parse(table).collect();
        let of = |kind, usual: &str| mount_of(&mounts, kind, usual, |_| true);
        assert_eq!(of("cgroup2", "/none"), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(of("bpf", "/none"), Some("/mnt/with space".into()));
        assert_eq!(of("bpf", "/usual"), Some("/usual".into()));
        assert_eq!(of("btrfs", "/none"), None);
        let uncovered = |point: &Path| point == Path::new("/usual");
        assert_eq!(mount_of(&mounts, "bpf", "/none", uncovered), Some("/usual".into()));
        assert_eq!((mounts[2].id, mounts[2].root.as_os_str()), (32, OsStr::new("/a")));
        assert_eq!(mounts[2].device, "0:28");
    }

    #[test]
    fn names_may_be_of_any_bytes() {
        let table = b"1 1 0:1 / /a\xff\xfe rw - tmpfs t rw\n\
                      2 1 0:1 / /line\\012break\\011tab\\134end rw - tmpfs t rw\n\
                      3 1 0:1 / /\\134040 rw - tmpfs t rw\n\
                      4 1 0:1 / /short\\04 rw - tmpfs t rw\n\
                      5 1 0:1 / /\\777 rw - tmpfs t rw\n\
                      6 1 0:1 / /a\\040-\\040b rw - tmpfs t rw\n";
        let expected: [&[u8]; 6] = [
            b"/a\xff\xfe",
            b"/line\nbreak\ttab\\end",
            b"/\\040",
            b"/short\\04",
            b"/\\777",
            b"/a - b",
        ];
        assert_eq!(points(table), expected);
    }

    #[test]
    fn what_is_no_line_is_left_out() {
        for table in
            ["", "\n", "1", "1 2 3 4 5 6", "x 1 0:1 / /a rw - tmpfs t rw", "1 1 0:1 / /a -"]
        {
            assert!(parse(table.as_bytes()).next().is_none(), "{table:?}");
        }
    }

    #[test]
    fn the_root_is_seen_and_what_is_hidden_is_not() {
        let mounts = mounts().unwrap();
        let roots: Vec<_> = mounts.iter().filter(|mount| mount.point == Path::new("/")).collect();
        // A plain chroot has none.
        if let Some(last) = roots.last() {
            assert!(last.is_seen().unwrap());
            let covered = Mount { id: u64::MAX, ..(*last).clone() };
            assert!(!covered.is_seen().unwrap());
            let gone = Mount { point: "/no/such/place".into(), ..(*last).clone() };
            assert!(!gone.is_seen().unwrap());
        }
    }
}
