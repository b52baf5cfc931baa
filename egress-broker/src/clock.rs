//! The clock of pins: the kernel side compares expiries with `bpf_ktime_get_boot_ns`.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_BOOTTIME, which goes on during suspend.
///
/// `u64::MAX` if the kernel had no such clock (every kernel since 2.6.39 has): then every pin
/// that ends has ended, so nothing is opened.
pub fn boottime_ns() -> u64 {
    let Ok(now) = clock_gettime(ClockId::CLOCK_BOOTTIME) else { return u64::MAX };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(u64::MAX);
    let nanoseconds = u64::try_from(now.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::boottime_ns;

    #[test]
    fn never_goes_back() {
        let earlier = boottime_ns();
        assert!(earlier > 0 && earlier < u64::MAX);
        assert!(boottime_ns() >= earlier);
    }
}
