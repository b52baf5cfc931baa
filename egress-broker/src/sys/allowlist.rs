//! A seccomp filter that lets through what is listed, and nothing else: for threads of our own.
//!
//! Two programs. The one in front kills what comes by another ABI, x32 too, whose calls carry the native
//! architecture; and it answers clone3(2), whose flags are behind a pointer, and calls that are newer than this
//! list as a kernel without them does, so that a C library goes on with the older call. The other one is the list:
//! all else gets EPERM and a line in the kernel's log. Not the process's death: a C library that tries something
//! new must not end every sandbox, and what is refused is refused either way.
//!
//! What is allowed whatever its arguments are costs nothing: the kernel finds that out when the filter is
//! installed, and does not run it for these calls (Linux 5.11). The others come first in the program.

use std::io;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K, BPF_LD,
    BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, sock_filter,
};

use super::seccomp::{ARCH, ARGUMENT_0, NATIVE_ARCH, NUMBER, X32_BIT, instruction, load};

/// The newest call that this list knows of: file_setattr(2) of Linux 6.17. From 424 on numbers are the same on every
/// architecture.
const NEWEST: u32 = 469;

/// What has to hold of an argument: of its low half, which is all that the kernel takes of those that are asked
/// about here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// It is this.
    Exactly(u32),
    /// None of these bits is set.
    Without(u32),
    /// Of the bits of the first, exactly those of the second are set.
    Masked(u32, u32),
}

/// Something that has to hold of a call: which argument, from 0 on, and what of it.
pub type Condition = (u8, Is);

/// A system call that passes where all of its conditions hold. Of several with the same number any may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number.
    pub call: libc::c_long,
    /// None: whatever its arguments are.
    pub conditions: Vec<Condition>,
}

/// Installs the filter for the calling thread and all that it starts. Needs no_new_privs, or CAP_SYS_ADMIN.
///
/// # Errors
/// What seccomp(2) gives.
pub fn install(rules: &[Rule]) -> io::Result<()> {
    // This one first: the list does not let another be installed behind it.
    load(&front()?, 0)?;
    load(&list(rules)?, libc::SECCOMP_FILTER_FLAG_LOG)
}

/// Whether a filter of this kind is in force for the calling thread: getppid(2), which cannot fail, does.
pub fn is_installed() -> bool {
    // SAFETY: takes nothing.
    let parent = unsafe { libc::syscall(libc::SYS_getppid) };
    parent < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

fn front() -> io::Result<Vec<sock_filter>> {
    let mut program = vec![
        get(ARCH),
        jump(BPF_JEQ, NATIVE_ARCH, 1, 0),
        answer(SECCOMP_RET_KILL_PROCESS),
        get(NUMBER),
    ];
    if cfg!(target_arch = "x86_64") {
        program.extend([jump(BPF_JGE, X32_BIT, 0, 1), answer(SECCOMP_RET_KILL_PROCESS)]);
    }
    program.extend([
        jump(BPF_JEQ, number(libc::SYS_clone3)?, 1, 0),
        jump(BPF_JGT, NEWEST, 0, 1),
        answer(errno(libc::ENOSYS)),
        // By which it is known to be in force, without a line in the log.
        jump(BPF_JEQ, number(libc::SYS_getppid)?, 0, 1),
        answer(errno(libc::EPERM)),
        answer(SECCOMP_RET_ALLOW),
    ]);
    Ok(program)
}

fn list(rules: &[Rule]) -> io::Result<Vec<sock_filter>> {
    let mut program = vec![
        get(ARCH),
        jump(BPF_JEQ, NATIVE_ARCH, 1, 0),
        answer(SECCOMP_RET_KILL_PROCESS),
        get(NUMBER),
        // The other program's.
        jump(BPF_JEQ, number(libc::SYS_clone3)?, 2, 0),
        jump(BPF_JEQ, number(libc::SYS_getppid)?, 1, 0),
        jump(BPF_JGT, NEWEST, 0, 1),
        answer(SECCOMP_RET_ALLOW),
    ];
    let (always, sometimes): (Vec<_>, Vec<_>) =
        rules.iter().partition(|rule| rule.conditions.is_empty());
    let mut calls: Vec<_> = sometimes.iter().map(|rule| rule.call).collect();
    // Each once, in the order of the list.
    let mut seen = std::collections::BTreeSet::new();
    calls.retain(|call| seen.insert(*call));
    for call in calls {
        let ways = sometimes.iter().filter(|rule| rule.call == call);
        let mut block: Vec<_> = ways.flat_map(|rule| way(&rule.conditions)).collect();
        block.push(answer(errno(libc::EPERM)));
        let past = u8::try_from(block.len()).map_err(io::Error::other)?;
        program.push(jump(BPF_JEQ, number(call)?, 0, past));
        program.extend(block);
    }
    for rule in always {
        program.push(jump(BPF_JEQ, number(rule.call)?, 0, 1));
        program.push(answer(SECCOMP_RET_ALLOW));
    }
    program.push(answer(errno(libc::EPERM)));
    Ok(program)
}

/// Lets the call pass where all of these hold, and goes on behind it otherwise.
fn way(conditions: &[Condition]) -> Vec<sock_filter> {
    let mut reversed = vec![answer(SECCOMP_RET_ALLOW)];
    for (argument, is) in conditions.iter().rev() {
        // At most six conditions of three instructions each.
        let past = u8::try_from(reversed.len()).unwrap_or(u8::MAX);
        match *is {
            Is::Exactly(value) => reversed.push(jump(BPF_JEQ, value, 0, past)),
            Is::Without(bits) => reversed.push(jump(BPF_JSET, bits, past, 0)),
            Is::Masked(mask, value) => {
                reversed.push(jump(BPF_JEQ, value, 0, past));
                reversed.push(and(mask));
            }
        }
        reversed.push(get(ARGUMENT_0 + 8 * u32::from(*argument)));
    }
    reversed.reverse();
    reversed
}

fn number(call: libc::c_long) -> io::Result<u32> {
    u32::try_from(call).map_err(io::Error::other)
}

const fn errno(errno: i32) -> u32 {
    SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

#[expect(clippy::cast_possible_truncation, reason = "opcodes of classic BPF fit 16 bits")]
const fn get(offset: u32) -> sock_filter {
    instruction((BPF_LD | BPF_W | BPF_ABS) as u16, 0, 0, offset)
}

#[expect(clippy::cast_possible_truncation, reason = "opcodes of classic BPF fit 16 bits")]
const fn and(mask: u32) -> sock_filter {
    instruction((BPF_ALU | BPF_AND | BPF_K) as u16, 0, 0, mask)
}

#[expect(clippy::cast_possible_truncation, reason = "opcodes of classic BPF fit 16 bits")]
const fn answer(value: u32) -> sock_filter {
    instruction((BPF_RET | BPF_K) as u16, 0, 0, value)
}

/// Skips so many instructions when the comparison holds, and so many when it does not.
#[expect(clippy::cast_possible_truncation, reason = "opcodes of classic BPF fit 16 bits")]
const fn jump(comparison: u32, value: u32, when: u8, unless: u8) -> sock_filter {
    instruction((BPF_JMP | comparison | BPF_K) as u16, when, unless, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::seccomp::tests::{Call, answered};

    const REFUSED: u32 = errno(libc::EPERM);

    fn rule(call: libc::c_long, conditions: &[Condition]) -> Rule {
        Rule { call, conditions: conditions.to_vec() }
    }

    fn rules() -> Vec<Rule> {
        let tcp = [(0, Is::Exactly(2)), (1, Is::Masked(0xf, 1)), (2, Is::Without(!6))];
        vec![
            rule(libc::SYS_read, &[]),
            rule(libc::SYS_socket, &tcp),
            rule(libc::SYS_socket, &[(0, Is::Exactly(16)), (2, Is::Exactly(4))]),
            rule(libc::SYS_mmap, &[(2, Is::Without(4))]),
        ]
    }

    #[test]
    fn what_is_listed_passes_and_nothing_else() {
        let list = list(&rules()).unwrap();
        let is_let = |call, arguments: &[u64]| {
            let answer = answered(&list, Call::new(call, arguments));
            assert!([SECCOMP_RET_ALLOW, REFUSED].contains(&answer), "{answer:#x}");
            answer == SECCOMP_RET_ALLOW
        };
        assert!(is_let(libc::SYS_read, &[7, 7, 7]));
        for number in (0..=i64::from(NEWEST)).filter(|number| {
            let theirs = [libc::SYS_clone3, libc::SYS_getppid];
            ![libc::SYS_read, libc::SYS_socket, libc::SYS_mmap].contains(number)
                && !theirs.contains(number)
        }) {
            assert!(!is_let(number, &[]), "{number}");
        }
        assert!(is_let(libc::SYS_socket, &[2, 1 | 0o2_000_000, 6]));
        assert!(is_let(libc::SYS_socket, &[2, 1, 0]));
        assert!(is_let(libc::SYS_socket, &[16, 3, 4]));
        for refused in [[2, 2, 6], [2, 1, 262], [10, 1, 6], [16, 1, 6], [40, 1, 0]] {
            assert!(!is_let(libc::SYS_socket, &refused), "{refused:?}");
        }
        assert!(is_let(libc::SYS_mmap, &[0, 4096, 3]));
        assert!(!is_let(libc::SYS_mmap, &[0, 4096, 5]));
    }

    #[test]
    fn the_one_in_front_kills_other_abis_and_answers_for_calls_that_are_not_there() {
        let (front, list) = (front().unwrap(), list(&rules()).unwrap());
        let read = Call::new(libc::SYS_read, &[]);
        let absent = errno(libc::ENOSYS);
        for (call, expected) in [
            (read, SECCOMP_RET_ALLOW),
            (Call { arch: 0x4000_0003, ..read }, SECCOMP_RET_KILL_PROCESS),
            (Call::new(libc::SYS_clone3, &[]), absent),
            (Call { number: NEWEST + 1, ..read }, absent),
            (Call::new(libc::SYS_getppid, &[]), REFUSED),
            // The list's, however it answers.
            (Call::new(libc::SYS_execve, &[]), SECCOMP_RET_ALLOW),
        ] {
            assert_eq!(answered(&front, call), expected, "{}", call.number);
        }
        // Where the one in front answers, the list leaves it to it: of two errnos the later one's would count.
        for number in [libc::SYS_clone3, libc::SYS_getppid, i64::from(NEWEST) + 1] {
            assert_eq!(answered(&list, Call::new(number, &[])), SECCOMP_RET_ALLOW);
        }
        if cfg!(target_arch = "x86_64") {
            for number in [X32_BIT, X32_BIT | 41, X32_BIT | 512] {
                let call = Call { number, ..read };
                assert_eq!(answered(&front, call), SECCOMP_RET_KILL_PROCESS);
            }
        }
    }
}
