//! The standard streams, which the command is handed as they are.

use egress_common::device::{DeviceKey, access};

use crate::{kernel::Devices, sys};

/// Why the command may not be handed one of them.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// A way around the policy.
    #[error(
        "{name} is {what}, by which the command could get around the policy; give it a pipe or a file \
         instead (`cat | egress run ... | cat`)"
    )]
    Unsafe {
        /// Which one.
        name: &'static str,
        /// What it is.
        what: &'static str,
    },
    /// A device that the command may not open either.
    #[error(
        "{name} is the device {major}:{minor}, which is a network or unknown to this kernel; give it a \
         pipe or a file instead (docs/devices.md)"
    )]
    Device {
        /// Which one.
        name: &'static str,
        /// Its driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
    },
}

/// Whether they are nothing that leads around the policy.
///
/// # Errors
/// The first that is.
pub fn check_stdio() -> Result<(), StdioError> {
    match sys::descriptors::unsafe_stdio() {
        Some((name, what)) => Err(StdioError::Unsafe { name, what }),
        None => Ok(()),
    }
}

/// Whether they are no devices that the command may not open.
///
/// # Errors
/// The first that is.
pub fn check_stdio_devices(devices: &Devices) -> Result<(), StdioError> {
    let refused = |(_, device): &(&str, DeviceKey)| !devices.allows(*device, access::READ);
    match sys::descriptors::devices_of_stdio().into_iter().find(refused) {
        Some((name, DeviceKey { major, minor, .. })) => {
            Err(StdioError::Device { name, major, minor })
        }
        None => Ok(()),
    }
}
