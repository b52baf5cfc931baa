//! landlock_create_ruleset(2), asked for its version: the landlock crate keeps that to itself.

use std::io;

/// The argument by which the call answers with its version instead of making a ruleset.
const CREATE_RULESET_VERSION: u32 = 1;

/// The Landlock ABI of the running kernel, from 1 on.
///
/// # Errors
/// ENOSYS where the kernel was built without Landlock, EOPNOTSUPP where it was switched off at boot.
pub fn abi() -> io::Result<u32> {
    // SAFETY: with this flag the kernel reads no attributes: null and a size of 0 are what it asks for.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    if version < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(u32::try_from(version).unwrap_or(0))
    }
}
