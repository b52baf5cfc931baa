//! Where no sandbox can be made, the message says which place it is and what to do there.
use super::support::{Client, EGRESS, Finished, PYTHON, World, cgroup2};

/// Docker's default set, as setpriv(1) takes it.
const DEFAULT_CAPABILITIES: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
    +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

/// Claims that nothing was started, and that one message has all of these words and none of those.
#[track_caller]
fn says<'w>(client: Client<'w>, words: &[&str], not: &[&str]) -> Finished<'w> {
    let out = client.run(["echo", "started"]);
    out.exited(125).printed("");
    let last = out.complaints().lines().last().unwrap_or_default().to_owned();
    for word in words {
        assert!(last.contains(word), "{word}\n{out}");
    }
    for word in not {
        assert!(!last.contains(word), "{word}\n{out}");
    }
    out
}

/// What else could be meant.
const OTHERS: [&str; 6] =
    ["container", "inside of an `egress run`", "bpffs", "cgroup v2", "lockdown", "user namespace"];

/// [`OTHERS`] but for these.
fn others<'a>(but: &'a [&'a str]) -> Vec<&'static str> {
    OTHERS.into_iter().filter(|other| !but.contains(other)).collect()
}

#[test]
#[ignore = "kernel: needs root"]
fn a_container_with_default_capabilities() {
    let world = World::new().build();
    let set =
        format!("set -- setpriv --bounding-set={DEFAULT_CAPABILITIES} --inh-caps=-all \"$@\"");
    let words = ["CAP_BPF, CAP_NET_ADMIN, CAP_SYS_ADMIN", "container", "--privileged"];
    says(world.egress(&[]).after(&set), &words, &others(&["container"]));
    // One of them alone is named alone.
    let less = "set -- setpriv --bounding-set=-setgid --inh-caps=-setgid \"$@\"";
    says(world.egress(&[]).after(less), &["lacks CAP_SETGID,"], &["CAP_BPF"]);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_rootless_container() {
    let world = World::new().build();
    let words = ["user namespace", "rootless", "machine's own root"];
    let client = world.egress(&[]).after("set -- unshare -Ur \"$@\"");
    says(client, &words, &others(&["user namespace", "container"]));
}

#[test]
#[ignore = "kernel: needs root"]
fn a_run_within_a_run() {
    let world = World::new().build();
    let container: &[&str] = &["--capabilities", "container"];
    for options in [&[][..], &["--user", "nobody"], container] {
        let out = world.egress(options).run([EGRESS, "run", "--", "echo", "started"]);
        out.exited(125).printed("").complained("inside of an `egress run`");
        assert!(!out.complaints().contains("sudo"), "{out}");
        let doctor = world.egress(options).run([EGRESS, "doctor"]);
        doctor.exited(1).said("missing  place            inside of an `egress run`");
        let inner = [EGRESS, "run", "--capabilities", "container", "--", "echo", "started"];
        world.egress(container).run(inner).exited(125).complained("inside of an `egress run`");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn no_cgroup_v2() {
    let world = World::new().build();
    let line = "umount -R /sys/fs/cgroup";
    says(
        world.egress(&[]).after(line),
        &["no cgroup v2 is mounted", "mount -t cgroup2"],
        &["container"],
    );
    let read_only = format!("mount -o remount,bind,ro {}", cgroup2().display());
    let words = ["cgroup v2 is mounted read-only", "as in a container", "remount,rw"];
    says(world.egress(&[]).after(&read_only), &words, &others(&["container", "cgroup v2"]));
}

#[test]
#[ignore = "kernel: needs root"]
fn no_bpffs() {
    let world = World::new().build();
    let away =
        "while umount -t bpf -a 2>/dev/null && grep -q ' bpf ' /proc/self/mounts; do :; done";
    // None is no obstacle: there is one of its own then.
    world.egress(&[]).after(away).run(["echo", "started"]).succeeded().printed("started\n");
    let read_only = format!("{away}; mount -t tmpfs -o ro none /run");
    let words = ["no bpffs is mounted", "mount -t bpf bpf /sys/fs/bpf", "/run writable"];
    says(world.egress(&[]).after(&read_only), &words, &others(&["bpffs", "container"]));
}

/// Python that has bpf(2) refused to what it executes (linux/filter.h; 321 and 280 are its numbers).
const WITHOUT_BPF: &str = "import ctypes, os, struct, sys\n\
    number = {'x86_64': 321, 'aarch64': 280}[os.uname().machine]\n\
    code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)]\n\
    code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *i) for i in code))\n\
    filter = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 4, ctypes.addressof(code)))\n\
    assert ctypes.CDLL(None).prctl(22, 2, filter) == 0\n\
    os.execvp(sys.argv[1], sys.argv[1:])";

#[test]
#[ignore = "kernel: needs root"]
fn bpf_is_refused() {
    let world = World::new().build();
    world.file("without_bpf.py", WITHOUT_BPF);
    let filter = format!("set -- {PYTHON} without_bpf.py \"$@\"");
    let words = ["seccomp filter", "seccomp=unconfined", "not permitted"];
    // Where the machine says nothing of lockdown.
    let unlocked = "{ umount /sys/kernel/security; true; } 2>/dev/null";
    let client = world.egress(&[]).after(&format!("{unlocked}; {filter}"));
    says(client, &words, &others(&["container"]));
    let locked = "mount -t tmpfs none /sys/kernel/security && \
                  echo 'none integrity [confidentiality]' > /sys/kernel/security/lockdown";
    let client = world.egress(&[]).after(&format!("{unlocked}; {locked} && {filter}"));
    says(
        client,
        &["lockdown is `confidentiality`", "lockdown=none"],
        &others(&["container", "lockdown"]),
    );
    // A machine that is locked, and lets programs load, is as good as any.
    let client = world.egress(&[]).after(&format!("{unlocked}; {locked}"));
    client.run(["echo", "started"]).succeeded().printed("started\n");
}
