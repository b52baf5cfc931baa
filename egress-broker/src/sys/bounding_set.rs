//! The bounding set of capabilities, by their numbers: a kernel may know more of them than a crate has names for.

use std::io;

/// The kernel keeps 64 bits (linux/capability.h, kernel_cap_t).
const MOST: u8 = 64;

/// Takes from this thread's bounding set whatever `is_kept` does not name, to the last that the kernel knows.
///
/// # Errors
/// EPERM without CAP_SETPCAP.
pub fn keep(is_kept: impl Fn(u8) -> bool) -> io::Result<()> {
    for number in 0..MOST {
        // SAFETY: prctl takes integers here, and no pointer.
        match unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number), 0, 0, 0) } {
            0 => continue,
            1 if is_kept(number) => continue,
            1 => {}
            // EINVAL: this kernel's last one has been passed.
            _ => return Ok(()),
        }
        // SAFETY: as above.
        let dropped =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        if dropped != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
