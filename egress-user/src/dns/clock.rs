//! CLOCK_BOOTTIME: the clock of pins, in the kernel and here.

/// Nanoseconds since boot, sleep included.
pub fn boottime_ns() -> u64 {
    let Ok(now) = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME) else { return 0 };
    let (Ok(seconds), Ok(nanoseconds)) =
        (u64::try_from(now.tv_sec()), u64::try_from(now.tv_nsec()))
    else {
        return 0;
    };
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
