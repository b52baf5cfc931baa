//! mount_setattr(2).

use std::{ffi::CString, io, os::unix::ffi::OsStrExt, path::Path};

/// Makes a mount and everything below it read-only. In a mount namespace of its own and without
/// CAP_SYS_ADMIN over it, the sandbox cannot undo this.
///
/// # Errors
/// What mount_setattr gives (Linux 5.12).
pub fn read_only_recursively(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is terminated and the kernel reads exactly the given size of a live record.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            std::ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
