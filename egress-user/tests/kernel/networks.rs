//! Networks of the program's own: where the kernel lets devices out of them, there are none.
use super::capabilities::CONTAINER;
use super::support::{EGRESS, PYTHON, World, skip};
use super::{ALLOWED, two_sites};

const NOBODY: &[&str] = &["--allow", "allowed.test", "--user", "nobody"];

/// Why a test of such a network was not tried.
pub(super) const NONE: &str = "programs can make no network namespace: this kernel would let one have a device in the machine's";

/// Whether a program may make a network at all: where the kernel would let it have a device in another one, it may
/// not. Hosts may forbid user namespaces besides.
pub(super) fn can_be_made(world: &World) -> bool {
    let made = "unshare -Urn true && echo made; true";
    world.egress(NOBODY).shell(made).text().contains("made")
}

#[test]
#[ignore = "kernel: needs root"]
fn they_are_made_only_where_the_kernel_guards_the_machines() {
    let world = two_sites();
    let is_open = world.direct().run([EGRESS, "doctor"]).text().contains("CVE-2026-31692");
    // By unshare(2) at once and one behind the other, and by clone(2), which clone3(2) falls back to.
    let clone = format!("{PYTHON} -c {CLONE:?}");
    let attempts = ["unshare -Urn true", "unshare -Ur unshare -n true", &clone];
    let mut made = Vec::new();
    for options in [ALLOWED, NOBODY, CONTAINER] {
        for attempt in attempts {
            let out = world.egress(options).shell(&format!("{attempt} && echo made; true"));
            let is_made = out.text().contains("made");
            assert!(
                !(is_made && is_open),
                "{options:?} {attempt}: this kernel does not guard\n{out}"
            );
            made.push(is_made);
        }
        // Into the machine's own nobody puts a device by being root of a user namespace.
        let device = "unshare -Ur ip link add v0 type dummy && echo made; true";
        let out = world.egress(options).shell(device);
        assert!(!out.text().contains("made"), "{options:?}\n{out}");
    }
    // Root without capabilities maps no user; but none of the attempts is one that nobody could make.
    let can = |at: usize| made.iter().skip(at).step_by(attempts.len()).any(|made| *made);
    let able: Vec<_> = (0..attempts.len()).map(can).collect();
    assert!(able == [true; 3] || able == [false; 3], "{able:?}");
    if !is_open && able == [false; 3] {
        skip("this machine allows no user namespaces");
    }
}

/// A child in a user namespace and a network of its own, by the C library's clone(3).
const CLONE: &str = "import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True); \
    stack = ctypes.create_string_buffer(1 << 20); \
    run = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: 0); \
    child = libc.clone(run, ctypes.c_void_p(ctypes.addressof(stack) + (1 << 20) - 64), 0x50000000 | 17, None); \
    sys.exit(child < 0 or os.waitpid(child, 0)[1] != 0)";
