//! The seccomp filter of sandboxed programs: what no cgroup hook sees.
//!
//! AF_VSOCK reaches the hypervisor, AF_ALG and others the kernel's less-trodden paths; none of them
//! passes a cgroup/inet hook. io_uring makes sockets without the socket(2) system call, so it is
//! absent here. Keyrings know no namespaces, and a key that is asked for makes the kernel run a
//! helper outside the sandbox, which looks names up (`dns_resolver`). A terminal that is shared with
//! the caller's shell takes input from TIOCSTI, which the shell would then execute outside. An open
//! tun device becomes a network with TUNSETIFF. Where the kernel would let a network of the program's own have a
//! cable into the machine's ([`super::peer_devices`]), it can make none. The filter never looks at pointers, and decides alone.

use std::io;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW,
    SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, sock_filter, sock_fprog,
};

#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_00b7;

/// System calls of the x32 ABI carry this bit and the x86-64 architecture.
pub(super) const X32_BIT: u32 = 0x4000_0000;

// Offsets into struct seccomp_data; arguments are 64 bits, little-endian on both architectures.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCH: u32 = 4;
pub(super) const ARGUMENT_0: u32 = 16;
const ARGUMENT_1: u32 = 24;
const ARGUMENT_2: u32 = 32;

/// Requests of ioctl(2) that are refused.
const REFUSED_REQUESTS: [u32; 10] = [
    // Written into a terminal's input: TIOCSTI, and TIOCLINUX, which pastes.
    0x5412,
    0x541c,
    // An open descriptor of the device, passed in by a helper outside, becomes a network only by these:
    // TUNSETIFF and TUNSETQUEUE (linux/if_tun.h; tap and macvtap too),
    0x4004_54ca,
    0x4004_54d9,
    // PPPIOCNEWUNIT, PPPIOCATTACH, PPPIOCATTCHAN (linux/ppp-ioctl.h),
    0xc004_743e,
    0x4004_743d,
    0x4004_7438,
    // VHOST_NET_SET_BACKEND, VHOST_VSOCK_SET_GUEST_CID, VHOST_VSOCK_SET_RUNNING (linux/vhost.h).
    0x4008_af30,
    0x4008_af60,
    0x4004_af61,
];

/// Absent calls, as in a kernel without them.
const ABSENT: [libc::c_long; 6] = [
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
];

/// Installs the filter for this thread and all that it will execute. Needs no_new_privs, or CAP_SYS_ADMIN.
///
/// # Errors
/// What seccomp(2) gives.
pub fn install(may_make_networks: bool) -> io::Result<()> {
    load(&program(may_make_networks)?, 0)
}

/// Installs a program for the calling thread, with flags of seccomp(2).
pub(super) fn load(program: &[sock_filter], flags: libc::c_ulong) -> io::Result<()> {
    let filter = sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program; it lives until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::from_ref(&filter),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(clippy::cast_possible_truncation, reason = "opcodes of classic BPF fit 16 bits")]
fn program(may_make_networks: bool) -> io::Result<Vec<sock_filter>> {
    let load = |offset| instruction((BPF_LD | BPF_W | BPF_ABS) as u16, 0, 0, offset);
    let answer = |value| instruction((BPF_RET | BPF_K) as u16, 0, 0, value);
    // Falls to the next instruction when equal, else skips `skip`.
    let unless = |value, skip| instruction((BPF_JMP | BPF_JEQ | BPF_K) as u16, 0, skip, value);
    // Skips `skip` when equal.
    let when = |value, skip| instruction((BPF_JMP | BPF_JEQ | BPF_K) as u16, skip, 0, value);
    let errno = |errno: i32| SECCOMP_RET_ERRNO | errno.cast_unsigned();
    let number = |call: libc::c_long| u32::try_from(call).map_err(io::Error::other);

    let mut program =
        vec![load(ARCH), when(NATIVE_ARCH, 1), answer(SECCOMP_RET_KILL_PROCESS), load(NUMBER)];
    if cfg!(target_arch = "x86_64") {
        program.push(instruction((BPF_JMP | BPF_JGE | BPF_K) as u16, 0, 1, X32_BIT));
        program.push(answer(SECCOMP_RET_KILL_PROCESS));
    }
    for call in ABSENT {
        program.push(unless(number(call)?, 1));
        program.push(answer(errno(libc::ENOSYS)));
    }
    if !may_make_networks {
        // Its flags are behind a pointer; the C library goes on with clone(2) where it is absent.
        program.push(unless(number(libc::SYS_clone3)?, 1));
        program.push(answer(errno(libc::ENOSYS)));
        for call in [libc::SYS_unshare, libc::SYS_clone] {
            program.push(unless(number(call)?, 4));
            program.push(load(ARGUMENT_0));
            let network = libc::CLONE_NEWNET.cast_unsigned();
            program.push(instruction((BPF_JMP | BPF_JSET | BPF_K) as u16, 0, 1, network));
            program.push(answer(errno(libc::EPERM)));
            program.push(answer(SECCOMP_RET_ALLOW));
        }
    }
    // The kernel takes the low half of the request, which is all that is compared here.
    let requests = u8::try_from(REFUSED_REQUESTS.len()).map_err(io::Error::other)?;
    program.push(unless(number(libc::SYS_ioctl)?, requests + 3));
    program.push(load(ARGUMENT_1));
    for (request, left) in REFUSED_REQUESTS.into_iter().zip((1..=requests).rev()) {
        program.push(when(request, left));
    }
    program.push(answer(SECCOMP_RET_ALLOW));
    program.push(answer(errno(libc::EPERM)));
    // socket and socketpair: families AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK's ROUTE.
    program.push(when(number(libc::SYS_socket)?, 2));
    program.push(when(number(libc::SYS_socketpair)?, 1));
    program.push(answer(SECCOMP_RET_ALLOW));
    program.push(load(ARGUMENT_0));
    program.push(when(libc::AF_UNIX.cast_unsigned(), 6));
    program.push(when(libc::AF_INET.cast_unsigned(), 5));
    program.push(when(libc::AF_INET6.cast_unsigned(), 4));
    program.push(unless(libc::AF_NETLINK.cast_unsigned(), 2));
    program.push(load(ARGUMENT_2));
    program.push(when(libc::NETLINK_ROUTE.cast_unsigned(), 1));
    program.push(answer(errno(libc::EPROTONOSUPPORT)));
    program.push(answer(SECCOMP_RET_ALLOW));
    Ok(program)
}

pub(super) const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "numbers of system calls"
)]
pub(super) mod tests {
    use super::*;
    use libc::{BPF_ALU, BPF_AND, BPF_JGT};

    /// A system call, as a filter sees it (`struct seccomp_data`).
    #[derive(Clone, Copy)]
    pub(in crate::sys) struct Call {
        pub(in crate::sys) arch: u32,
        pub(in crate::sys) number: u32,
        pub(in crate::sys) arguments: [u64; 6],
    }

    impl Call {
        /// One of the native ABI.
        pub(in crate::sys) fn new(number: libc::c_long, arguments: &[u64]) -> Self {
            let mut all = [0; 6];
            all[..arguments.len()].copy_from_slice(arguments);
            Self { arch: NATIVE_ARCH, number: number as u32, arguments: all }
        }
    }

    /// What a filter answers, by the rules of classic BPF (linux/filter.h) that ours use.
    pub(in crate::sys) fn answered(program: &[sock_filter], call: Call) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let taken = match u32::from(code) {
                op if op == BPF_RET | BPF_K => return k,
                op if op == BPF_LD | BPF_W | BPF_ABS => {
                    loaded = match k {
                        NUMBER => call.number,
                        ARCH => call.arch,
                        offset => call.arguments[(offset - ARGUMENT_0) as usize / 8] as u32,
                    };
                    continue;
                }
                op if op == BPF_ALU | BPF_AND | BPF_K => {
                    loaded &= k;
                    continue;
                }
                op if op == BPF_JMP | BPF_JEQ | BPF_K => loaded == k,
                op if op == BPF_JMP | BPF_JGE | BPF_K => loaded >= k,
                op if op == BPF_JMP | BPF_JGT | BPF_K => loaded > k,
                op if op == BPF_JMP | BPF_JSET | BPF_K => loaded & k != 0,
                op => panic!("operation {op}"),
            };
            at += usize::from(if taken { jt } else { jf });
        }
    }

    #[test]
    fn system_calls_of_other_abis_are_killed_whatever_they_are() {
        for program in [program(true).unwrap(), program(false).unwrap()] {
            let read = Call::new(libc::SYS_read, &[]);
            assert_eq!(answered(&program, read), SECCOMP_RET_ALLOW);
            // AUDIT_ARCH_I386 and AUDIT_ARCH_ARM (linux/audit.h).
            for arch in [0x4000_0003, 0x4000_0028] {
                assert_eq!(answered(&program, Call { arch, ..read }), SECCOMP_RET_KILL_PROCESS);
            }
            if cfg!(target_arch = "x86_64") {
                // x32 says the same architecture; its own numbers, from 512 on, carry the bit as well.
                for number in [0, libc::SYS_socket as u32, 512, 547] {
                    let call = Call { number: number | X32_BIT, ..read };
                    assert_eq!(answered(&program, call), SECCOMP_RET_KILL_PROCESS, "{number}");
                }
            }
        }
    }

    #[test]
    fn networks_can_be_made_only_where_the_kernel_guards_them() {
        let network = libc::CLONE_NEWNET as u64;
        let others =
            (libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::SIGCHLD) as u64;
        let (open, guarded) = (program(true).unwrap(), program(false).unwrap());
        let refused = SECCOMP_RET_ERRNO | libc::EPERM as u32;
        let answered =
            |program: &[sock_filter], call, first| answered(program, Call::new(call, &[first]));
        for call in [libc::SYS_unshare, libc::SYS_clone] {
            for flags in [network, network | others] {
                assert_eq!(answered(&open, call, flags), SECCOMP_RET_ALLOW);
                assert_eq!(answered(&guarded, call, flags), refused);
            }
            assert_eq!(answered(&guarded, call, others), SECCOMP_RET_ALLOW);
        }
        assert_eq!(answered(&open, libc::SYS_clone3, 0), SECCOMP_RET_ALLOW);
        let absent = SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        assert_eq!(answered(&guarded, libc::SYS_clone3, 0), absent);
        // All else is as it was.
        for program in [&open, &guarded] {
            let socket = |family: libc::c_int| answered(program, libc::SYS_socket, family as u64);
            assert_eq!(socket(libc::AF_INET), SECCOMP_RET_ALLOW);
            assert_ne!(socket(libc::AF_PACKET), SECCOMP_RET_ALLOW);
            assert_eq!(answered(program, libc::SYS_io_uring_setup, 0), absent);
            assert_eq!(answered(program, libc::SYS_read, network), SECCOMP_RET_ALLOW);
        }
    }
}
