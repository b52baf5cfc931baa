//! File systems by their magic numbers, as fstatfs(2) gives them (linux/magic.h, or the file system's own
//! source): those whose files are handles, and those whose files are data.

use std::os::fd::{BorrowedFd, RawFd};

use nix::sys::statfs::{Statfs, fstatfs};

/// File systems whose files are not data but handles on the kernel or on other processes.
const OF_KERNEL: [u64; 24] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0xde5e_81e4, // efivarfs
    0x6165_676c, // pstore
    0x6e73_6673, // nsfs
    0x5049_4446, // pidfs
    0x0904_1934, // anonymous inodes
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x4249_4e4d, // binfmt_misc
    0x6759_6969, // rpc_pipefs
    0x6e66_7364, // nfsd
    0x6573_5543, // fusectl
    0x0765_5821, // resctrl
    0xabba_1974, // xenfs
    0x6c6f_6f70, // binder
    0x1980_0202, // mqueue
];

/// tmpfs, of which the kernel also makes shared memory, and /dev.
pub(super) const TMPFS: u64 = 0x0102_1994;

/// File systems whose regular files are data and nothing else. FUSE and 9p are none: a program serves them,
/// and what it does at a write is its own affair.
const OF_DATA: [u64; 30] = [
    TMPFS,
    0x8584_58f6, // ramfs
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0xca45_1a4e, // bcachefs
    0x3153_464a, // jfs
    0x5265_4973, // reiserfs
    0x3434,      // nilfs2
    0x794c_7630, // overlayfs
    0x6175_6673, // aufs
    0xf15f,      // ecryptfs
    0x4d44,      // fat
    0x2011_bab0, // exfat
    0x5346_544e, // ntfs
    0x7366_746e, // ntfs3
    0x482b,      // hfsplus
    0x9660,      // iso9660
    0x1501_3346, // udf
    0x7371_7368, // squashfs
    0xe0f5_e1e2, // erofs
    0x6969,      // nfs
    0xff53_4d42, // cifs
    0xfe53_4d42, // smb2
    0x00c3_6400, // ceph
    0x0116_1970, // gfs2
    0x7461_636f, // ocfs2
    0x5346_414f, // afs
];

/// Whether its files are handles; what cannot be told is taken for one.
pub(super) fn is_of_kernel(descriptor: RawFd) -> bool {
    of(descriptor).is_none_or(|kind| OF_KERNEL.contains(&kind))
}

/// Whether files of such a file system are data.
pub(super) fn is_of_data(kind: u64) -> bool {
    OF_DATA.contains(&kind)
}

/// The magic number of the file system that an open file is in; none where the kernel does not tell.
pub(super) fn of(descriptor: RawFd) -> Option<u64> {
    // SAFETY: borrowed for this one call.
    let stat = fstatfs(unsafe { BorrowedFd::borrow_raw(descriptor) });
    stat.ok().map(|stat| magic(&stat))
}

/// The number has another type on every platform.
#[allow(clippy::unnecessary_cast, reason = "the type differs by platform")]
fn magic(stat: &Statfs) -> u64 {
    u64::from(stat.filesystem_type().0 as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_system_is_of_both_kinds() {
        assert_eq!(OF_DATA.iter().find(|kind| OF_KERNEL.contains(kind)), None);
    }

    #[test]
    fn numbers_stand_once() {
        let mut all = [&OF_DATA[..], &OF_KERNEL[..]].concat();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
