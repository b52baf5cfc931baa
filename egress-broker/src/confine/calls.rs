//! Which system calls a role makes: found by tracing the kernel tests under glibc, with what musl does in its place. Who
//! needs one more finds it refused in the kernel's log (`type=1326`, with its number and the thread's name).

use libc::{c_int, c_long};

use super::Role;
use crate::sys::{
    allowlist::{Condition, Is, Rule},
    held_socket::SIOCOUTQNSD,
};

/// What every thread does: memory, waiting, ending, reading and writing what is open.
const COMMON: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_capget,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_geteuid,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// What connections and datagrams need besides. No listen(2): listeners are made before, where the sandbox is.
const NETWORK: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_pipe2,
    libc::SYS_shutdown,
    libc::SYS_splice,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
];

/// What a file is found, read and judged by.
const FILES: &[c_long] = &[
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_readlinkat,
    libc::SYS_setfsgid,
    libc::SYS_setfsuid,
    libc::SYS_setgroups,
    libc::SYS_statx,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];

/// What a program's socket is found by, besides [`FILES`]' way to a file.
const FINDING: &[c_long] = &[
    libc::SYS_getdents64,
    libc::SYS_getsockopt,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_readlinkat,
    libc::SYS_statx,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];

/// Flags of clone(2) by which pthread_create of glibc makes a thread, and musl's with the one more.
const THREADS: [c_int; 2] = [GLIBC_THREAD, GLIBC_THREAD | libc::CLONE_DETACHED];

const GLIBC_THREAD: c_int = libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID;

/// Elements of maps alone (linux/bpf.h): nothing is loaded, attached, pinned or found by its id. BPF_MAP_LOOKUP_ELEM,
/// BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_AND_DELETE_ELEM.
const ELEMENTS: [c_int; 5] = [1, 2, 3, 4, 21];

/// PR_SET_VMA (linux/prctl.h), by which glibc names its memory.
const PR_SET_VMA: c_int = 0x5356_4d41;

/// IPPROTO_TCP, IPPROTO_UDP, and 0 for the usual one: no MPTCP, no ICMP.
const PROTOCOLS: [c_int; 3] = [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP];

/// Level and option. None that attaches a program, marks, or chooses a device.
const OPTIONS: [(c_int, c_int); 13] = [
    (libc::SOL_SOCKET, libc::SO_LINGER),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_SNDBUF),
    (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    // SO_RCVTIMEO_NEW, which musl tries first where its time has more bits.
    (libc::SOL_SOCKET, 66),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_QUICKACK),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
    (libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK),
];

/// The calls that a role makes, by the process of now.
pub(super) fn of(role: Role) -> Vec<Rule> {
    let mut rules = Vec::new();
    match role {
        Role::Reader => {
            always(&mut rules, NETWORK);
            elements(&mut rules);
            either(
                &mut rules,
                libc::SYS_setsockopt,
                OPTIONS.map(|(level, option)| vec![(1, exactly(level)), (2, exactly(option))]),
            );
            for family in [libc::AF_INET, libc::AF_INET6] {
                for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
                    either(
                        &mut rules,
                        libc::SYS_socket,
                        PROTOCOLS.map(|protocol| {
                            vec![(0, exactly(family)), (1, of_kind(kind)), (2, exactly(protocol))]
                        }),
                    );
                }
            }
            netlink(&mut rules, libc::NETLINK_ROUTE);
            // Bytes on their way out, and the name of an interface (netdevice(7)).
            requests(
                &mut rules,
                &[libc::TIOCOUTQ, libc::FIONBIO, libc::FIONREAD, libc::SIOCGIFNAME],
            );
            commands(&mut rules, &[libc::F_SETPIPE_SZ, libc::F_GETPIPE_SZ]);
        }
        Role::Ender => {
            elements(&mut rules);
            netlink(&mut rules, libc::NETLINK_SOCK_DIAG);
        }
        Role::Files => {
            always(&mut rules, FILES);
            opening(&mut rules);
        }
        Role::Sockets => {
            always(&mut rules, FINDING);
            opening(&mut rules);
            let options =
                [libc::TCP_CORK, libc::TCP_REPAIR, libc::TCP_REPAIR_QUEUE, libc::TCP_USER_TIMEOUT];
            either(
                &mut rules,
                libc::SYS_setsockopt,
                options.map(|option| vec![(1, exactly(libc::IPPROTO_TCP)), (2, exactly(option))]),
            );
            requests(&mut rules, &[SIOCOUTQNSD]);
        }
    }
    common(&mut rules);
    rules
}

/// Files, for reading alone. openat2(2) has its flags behind a pointer, and is not used.
fn opening(rules: &mut Vec<Rule>) {
    let writing = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC;
    let reading = Is::Without(bits(writing));
    either(rules, libc::SYS_openat, [vec![(2, reading)]]);
    #[cfg(target_arch = "x86_64")]
    either(rules, libc::SYS_open, [vec![(1, reading)]]);
}

fn common(rules: &mut Vec<Rule>) {
    always(rules, COMMON);
    // No memory that can be executed.
    let data = [vec![(2, Is::Without(bits(libc::PROT_EXEC)))]];
    either(rules, libc::SYS_mmap, data.clone());
    either(rules, libc::SYS_mprotect, data);
    // Threads, and no processes or namespaces.
    either(rules, libc::SYS_clone, THREADS.map(|flags| vec![(0, exactly(flags))]));
    // abort(3), for itself; musl's ends by an invalid instruction where it may not signal.
    let own = std::process::id();
    either(rules, libc::SYS_tgkill, [vec![(0, Is::Exactly(own))]]);
    let options = [libc::PR_SET_NAME, PR_SET_VMA, libc::PR_GET_NO_NEW_PRIVS];
    either(rules, libc::SYS_prctl, options.map(|option| vec![(0, exactly(option))]));
    commands(
        rules,
        &[libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC],
    );
}

fn always(rules: &mut Vec<Rule>, calls: &[c_long]) {
    rules.extend(calls.iter().map(|call| Rule { call: *call, conditions: Vec::new() }));
}

fn either(rules: &mut Vec<Rule>, call: c_long, ways: impl IntoIterator<Item = Vec<Condition>>) {
    rules.extend(ways.into_iter().map(|conditions| Rule { call, conditions }));
}

fn elements(rules: &mut Vec<Rule>) {
    either(rules, libc::SYS_bpf, ELEMENTS.map(|command| vec![(0, exactly(command))]));
}

fn netlink(rules: &mut Vec<Rule>, protocol: c_int) {
    let family = (0, exactly(libc::AF_NETLINK));
    either(rules, libc::SYS_socket, [vec![family, (2, exactly(protocol))]]);
}

fn commands(rules: &mut Vec<Rule>, commands: &[c_int]) {
    either(rules, libc::SYS_fcntl, commands.iter().map(|one| vec![(1, exactly(*one))]));
}

/// The kernel takes the low half of a request of ioctl(2).
#[expect(clippy::cast_possible_truncation, reason = "the kernel takes the low half")]
fn requests(rules: &mut Vec<Rule>, requests: &[libc::Ioctl]) {
    either(rules, libc::SYS_ioctl, requests.iter().map(|one| vec![(1, Is::Exactly(*one as u32))]));
}

fn exactly(value: c_int) -> Is {
    Is::Exactly(value.cast_unsigned())
}

/// A type of socket, without SOCK_NONBLOCK and SOCK_CLOEXEC.
fn of_kind(kind: c_int) -> Is {
    Is::Masked(0xf, kind.cast_unsigned())
}

fn bits(flags: c_int) -> u32 {
    flags.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nobody may do who reads foreign bytes, whatever its arguments.
    const NEVER: &[c_long] = &[
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_mount,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_open_tree,
        libc::SYS_mount_setattr,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_setns,
        libc::SYS_unshare,
        libc::SYS_clone3,
        libc::SYS_name_to_handle_at,
        libc::SYS_open_by_handle_at,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_seccomp,
        libc::SYS_capset,
        libc::SYS_setuid,
        libc::SYS_reboot,
        libc::SYS_listen,
        libc::SYS_memfd_create,
    ];

    #[test]
    fn no_list_has_a_call_that_leads_out() {
        for role in Role::ALL {
            let rules = of(role);
            for never in NEVER {
                assert!(rules.iter().all(|rule| rule.call != *never), "{role:?}: {never}");
            }
            // What others have open is taken by one role alone, which reads nothing of what it says.
            for taking in [libc::SYS_pidfd_getfd, libc::SYS_pidfd_open] {
                let takes = rules.iter().any(|rule| rule.call == taking);
                assert_eq!(takes, role == Role::Sockets, "{role:?}: {taking}");
            }
        }
    }

    #[test]
    fn files_are_opened_by_nobody_but_who_is_there_for_it() {
        let opening = [libc::SYS_openat, libc::SYS_openat2, libc::SYS_statx, libc::SYS_readlinkat];
        for role in [Role::Reader, Role::Ender] {
            let rules = of(role);
            assert!(rules.iter().all(|rule| !opening.contains(&rule.call)), "{role:?}");
        }
    }
}
