//! Cgroups: an owned one ends with all that is in it, when that is asked for; nothing of others' does.
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use egress_user::host::{Cgroup, Host};

use super::support::World;
use super::support::processes::eventually;

/// A process in a cgroup; killed at the end of the test.
struct Inmate(Child);

impl Inmate {
    fn of(cgroup: &Path) -> Self {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let child = child.expect("start cat");
        std::fs::write(cgroup.join("cgroup.procs"), child.id().to_string())
            .expect("move it to the cgroup");
        Self(child)
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("look after cat").is_none()
    }
}

impl Drop for Inmate {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A cgroup that a service manager could have made.
struct Service(PathBuf);

impl Service {
    fn new(host: &Host, name: &str) -> Self {
        let path = host.cgroup2.join(format!("egress-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).expect("make a cgroup");
        Self(path)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).ok();
    }
}

fn host() -> Host {
    Host::prepare().expect("find where sandboxes are made")
}

fn owned(host: &Host) -> Cgroup {
    Cgroup::create(&host.cgroup2, &host.pins).expect("make a cgroup")
}

#[test]
#[ignore = "kernel: needs root"]
fn an_owned_cgroup_ends_with_all_that_is_in_it() {
    let host = host();
    let cgroup = owned(&host);
    let (inner, outer) = (cgroup.inner(), cgroup.outer().to_owned());
    let mut first = Inmate::of(&inner);
    assert!(cgroup.kill(), "something is left");
    assert!(!first.is_alive() && outer.exists());
    let mut second = Inmate::of(&inner);
    assert!(cgroup.remove(), "something is left");
    assert!(!second.is_alive() && !outer.exists());
}

#[test]
#[ignore = "kernel: needs root"]
fn dropping_an_owned_cgroup_kills_nothing() {
    let host = host();
    let cgroup = owned(&host);
    let (inner, outer) = (cgroup.inner(), cgroup.outer().to_owned());
    let parent = std::fs::File::open(outer.parent().expect("egress's cgroup")).expect("open it");
    // Another test's run would sweep it when its lock is gone.
    let others_wait = nix::fcntl::Flock::lock(parent, nix::fcntl::FlockArg::LockExclusive);
    let mut inmate = Inmate::of(&inner);
    drop(cgroup);
    assert!(inmate.is_alive() && outer.exists());
    drop(others_wait);
    // An empty one leaves nothing.
    let cgroup = owned(&host);
    let outer = cgroup.outer().to_owned();
    drop(cgroup);
    assert!(!outer.exists());
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_held_of_others_is_neither_killed_nor_removed() {
    let host = host();
    let service = Service::new(&host, "held");
    let mut inmate = Inmate::of(&service.0);
    let cgroup = Cgroup::hold(&host.cgroup2, &service.0).expect("hold it");
    assert_eq!((cgroup.outer(), cgroup.inner()), (&*service.0, service.0.clone()));
    let again = Cgroup::hold(&host.cgroup2, &service.0);
    assert!(again.is_err(), "it is held twice");
    assert!(!cgroup.kill() && !cgroup.remove(), "it is said to be empty");
    drop(cgroup);
    assert!(inmate.is_alive() && service.0.exists());
    drop(inmate);
    let cgroup = Cgroup::hold(&host.cgroup2, &service.0).expect("hold it again");
    eventually("the cgroup is empty", || cgroup.kill());
    assert!(cgroup.remove() && service.0.exists());
}

#[test]
#[ignore = "kernel: needs root"]
fn nothing_of_a_dead_holder_is_swept_from_others() {
    let world = World::new().build();
    let host = host();
    let service = Service::new(&host, "swept");
    let mut inmate = Inmate::of(&service.0);
    let cgroup = Cgroup::hold(&host.cgroup2, &service.0).expect("hold it");
    // What a holder leaves that is killed: its place without a lock, and the pins of its programs.
    let place = host.cgroup2.join("egress").join(cgroup.name());
    drop(cgroup);
    std::fs::create_dir(&place).expect("make the place");
    let pins = host.pins.join(place.file_name().expect("a name"));
    std::fs::create_dir(&pins).expect("make the pins' directory");
    world.egress(&[]).run(["true"]).succeeded();
    assert!(inmate.is_alive() && place.exists() && pins.exists());
    std::fs::remove_dir(&pins).expect("remove the pins' directory");
    // The next holder takes the place.
    let cgroup = Cgroup::hold(&host.cgroup2, &service.0).expect("hold it");
    drop(cgroup);
    assert!(!place.exists());
}

#[test]
#[ignore = "kernel: needs root"]
fn only_a_cgroup_of_others_is_held_and_never_the_root() {
    let host = host();
    let own = owned(&host);
    let inner = own.inner();
    for path in [&*host.cgroup2, own.outer(), &inner, "/tmp".as_ref(), "/no/such/path".as_ref()] {
        let held = Cgroup::hold(&host.cgroup2, path);
        assert!(held.is_err(), "{} is held", path.display());
    }
}
