//! Whether a program with a user namespace and a network of its own could put a device into another network.
//!
//! A pair of devices (veth, vxcan, netkit) is made at once, and the second may be put into the network of any
//! process. Kernels before the middle of 2026 do not ask for rights there (CVE-2026-31692): such a pair would be
//! a cable from a sandbox into the machine's network, past every hook of sockets.

use std::io;

use nix::{errno::Errno, sys::wait::waitpid, unistd::Pid};

/// What the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerDevices {
    /// It asks for rights over both networks.
    Guarded,
    /// It does not.
    Open,
    /// No user namespace could be made to ask from, or the kernel gave no answer.
    Unknown,
}

// What the child that asks ends with.
const GUARDED: i32 = 0;
const OPEN: i32 = 1;
const NOT_ASKED: i32 = 2;

/// Asks the kernel, by a child in namespaces of its own. Nothing is made: the peer's name is `lo`, which is taken
/// in every network, and rights are asked for first.
///
/// # Errors
/// What fork gives.
pub fn peer_devices() -> io::Result<PeerDevices> {
    let request = request(std::process::id());
    // SAFETY: the child makes system calls on values that were made before, and ends; it allocates nothing.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            let answer = ask(&request);
            // SAFETY: ends this process, which has nothing to tidy.
            unsafe { libc::_exit(answer) }
        }
        child => Pid::from_raw(child),
    };
    loop {
        return Ok(match waitpid(child, None) {
            Err(Errno::EINTR) => continue,
            Ok(nix::sys::wait::WaitStatus::Exited(_, GUARDED)) => PeerDevices::Guarded,
            Ok(nix::sys::wait::WaitStatus::Exited(_, OPEN)) => PeerDevices::Open,
            _ => PeerDevices::Unknown,
        });
    }
}

/// In the child.
fn ask(request: &[u8]) -> i32 {
    let mut answer = [0_u8; 256];
    // SAFETY: integers, and live buffers with their lengths.
    let received = unsafe {
        if libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) != 0 {
            return NOT_ASKED;
        }
        let socket = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE);
        // A socket without a peer sends to the kernel.
        if socket < 0 || libc::send(socket, request.as_ptr().cast(), request.len(), 0) < 0 {
            return NOT_ASKED;
        }
        libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0)
    };
    // struct nlmsghdr, then the error of struct nlmsgerr (linux/netlink.h).
    match answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes) {
        Some(error) if received >= 20 => {
            if error == -libc::EPERM {
                GUARDED
            } else {
                OPEN
            }
        }
        _ => NOT_ASKED,
    }
}

/// RTM_NEWLINK of a veth whose peer is called `lo` and lies in the network of this process (linux/rtnetlink.h,
/// linux/if_link.h, linux/veth.h).
fn request(process: u32) -> Vec<u8> {
    const IFLA_IFNAME: u16 = 3;
    const IFLA_LINKINFO: u16 = 18;
    const IFLA_NET_NS_PID: u16 = 19;
    const IFLA_INFO_KIND: u16 = 1;
    const IFLA_INFO_DATA: u16 = 2;
    const VETH_INFO_PEER: u16 = 1;
    const RTM_NEWLINK: u16 = 16;
    // NLM_F_REQUEST, ACK, EXCL, CREATE.
    const FLAGS: u16 = 0x1 | 0x4 | 0x200 | 0x400;
    // struct ifinfomsg.
    const LINK: [u8; 16] = [0; 16];

    let name = attribute(IFLA_IFNAME, b"lo\0");
    let network = attribute(IFLA_NET_NS_PID, &process.to_ne_bytes());
    let peer = attribute(VETH_INFO_PEER, &[LINK.as_slice(), &name, &network].concat());
    let data = attribute(IFLA_INFO_DATA, &peer);
    let info = attribute(IFLA_LINKINFO, &[attribute(IFLA_INFO_KIND, b"veth"), data].concat());
    let length = 16 + LINK.len() + info.len();
    let head = [
        u32::try_from(length).unwrap_or(0).to_ne_bytes().as_slice(),
        &RTM_NEWLINK.to_ne_bytes(),
        &FLAGS.to_ne_bytes(),
        &[0; 8],
    ]
    .concat();
    [head.as_slice(), &LINK, &info].concat()
}

/// Length, kind, value, filled up to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(0);
    let mut bytes = [length.to_ne_bytes().as_slice(), &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_of_the_length_that_it_says() {
        let request = request(7);
        assert_eq!(u32::from_ne_bytes(request[..4].try_into().unwrap()) as usize, request.len());
        assert_eq!(request.len() % 4, 0);
        assert!(request.windows(4).any(|word| word == b"veth"));
    }
}
