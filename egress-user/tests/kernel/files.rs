//! The machine's own files: what the command could have written is not believed.
//!
//! `/etc/resolv.conf` stands here in a mount namespace of its own; the host's is not touched.
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::{fs, path::PathBuf};

use super::SITE;
use super::support::{Client, Finished, NAME_SERVER, World};

/// A name server that the program would like to be asked, and that gives the same answers.
const CHOSEN: &str = "8.8.8.8";

/// Whom a program runs as that is not root.
const NOBODY: u32 = 65_534;

/// Asks for two names, the second one after resolv.conf has been written, and late enough to have been looked at again.
fn lookups(write: &str) -> String {
    format!(
        "getent ahostsv4 first.test >/dev/null; echo first; {write}; \
         for n in 1 2 3 4 5 6 7 8 9 10 11 12; do getent ahostsv4 later$n.test >/dev/null; sleep 0.2; done; echo done"
    )
}

fn world() -> World {
    let mut world = World::new().site("allowed.test", SITE).record("first.test", &[SITE]);
    for number in 1..=12 {
        world = world.record(&format!("later{number}.test"), &[SITE]);
    }
    world.build()
}

/// A directory tree of root's in which resolv.conf stands: `top/etc/resolv.conf`, in place of /etc.
struct Etc<'w> {
    world: &'w World,
    top: PathBuf,
}

impl<'w> Etc<'w> {
    fn new(world: &'w World, name: &str) -> Self {
        let top = world.path(name);
        let etc = top.join("etc");
        fs::create_dir_all(&etc).unwrap();
        fs::create_dir(top.join("own")).unwrap();
        chown(top.join("own"), Some(NOBODY), Some(NOBODY)).unwrap();
        // What programs look up in /etc besides.
        for file in ["passwd", "group", "nsswitch.conf", "hosts"] {
            fs::copy(PathBuf::from("/etc").join(file), etc.join(file)).unwrap();
        }
        let etc = Self { world, top };
        etc.write(&format!("nameserver {NAME_SERVER}\n"));
        etc
    }

    fn conf(&self) -> PathBuf {
        self.top.join("etc/resolv.conf")
    }

    fn write(&self, text: &str) {
        let new = self.top.join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(new, self.conf()).unwrap();
    }

    fn client(&self, options: &[&str]) -> Client<'w> {
        let options: Vec<_> = ["--allow", "*.test"].iter().chain(options).copied().collect();
        self.world.egress(&options).unmounted().mount(&self.top.join("etc"), "/etc")
    }
}

/// How many questions came to the server that the program has chosen.
fn asked_chosen(world: &World) -> usize {
    let chosen = CHOSEN.parse::<std::net::IpAddr>().unwrap();
    world.queries().iter().filter(|query| query.server == chosen).count()
}

/// Claims that the program's choice was not followed, and that all its names were found all the same.
#[track_caller]
fn not_followed(world: &World, out: &Finished<'_>) {
    out.succeeded().said("done");
    assert_eq!(asked_chosen(world), 0, "the program's name server was asked\n{out}");
    world.asked_for("later12.test");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn a_command_that_runs_as_root_does_not_choose_our_name_server() {
    let world = world();
    let chosen = format!("nameserver {CHOSEN}");
    let ways = [
        format!("echo {chosen} > /etc/resolv.conf"),
        format!("echo {chosen} > /etc/n; mv /etc/n /etc/resolv.conf"),
        format!("rm /etc/resolv.conf; echo {chosen} > /etc/own; ln -s own /etc/resolv.conf"),
        format!("echo {chosen} > /etc/n; rm /etc/resolv.conf; ln /etc/n /etc/resolv.conf"),
        format!("echo {chosen} >> /etc/resolv.conf; sed -i /{NAME_SERVER}/d /etc/resolv.conf"),
        format!(
            "cp -p /etc/resolv.conf /etc/n; echo {chosen} > /etc/n; touch -r /etc/resolv.conf /etc/n; mv /etc/n /etc/resolv.conf; chmod 444 /etc/resolv.conf"
        ),
    ];
    for (number, write) in ways.iter().enumerate() {
        let etc = Etc::new(&world, &format!("root{number}"));
        let out = etc.client(&[]).shell(&lookups(write));
        not_followed(&world, &out);
        assert!(
            fs::read_to_string(etc.conf()).unwrap().contains(CHOSEN),
            "{write}: it was written"
        );
        out.complained("/etc/resolv.conf has changed and was not read again");
    }
    // Without the filter whoever writes the file chooses who is asked.
    let etc = Etc::new(&world, "direct");
    let command = lookups(&ways[0]);
    let direct = world.direct().unmounted().mount(&etc.top.join("etc"), "/etc");
    direct.shell(&command).succeeded();
    assert!(asked_chosen(&world) > 0, "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_change_that_the_command_could_not_have_made_counts() {
    let world = world();
    let etc = Etc::new(&world, "believed");
    let client = etc.client(&["--user", "nobody"]).idle_stdin();
    let running = client.start(["sh", "-c", &lookups("read go")]);
    running.says("first");
    etc.write(&format!("nameserver {CHOSEN}\n"));
    running.tell("go");
    running.finish().succeeded().said("done");
    assert!(asked_chosen(&world) > 0, "the machine's new name server is not asked\n{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_user_that_may_write_the_file_or_its_way_does_not_choose_either() {
    let world = world();
    let chosen = format!("nameserver {CHOSEN}");
    type Prepare = fn(&Etc<'_>);
    let cases: [(&str, Prepare, String); 7] = [
        (
            "own file",
            |etc| chown(etc.conf(), Some(NOBODY), None).unwrap(),
            format!("echo {chosen} > /etc/resolv.conf"),
        ),
        (
            "own file, closed to itself",
            |etc| {
                chown(etc.conf(), Some(NOBODY), None).unwrap();
                fs::set_permissions(etc.conf(), fs::Permissions::from_mode(0o444)).unwrap();
            },
            format!(
                "chmod 644 /etc/resolv.conf; echo {chosen} > /etc/resolv.conf; chmod 444 /etc/resolv.conf"
            ),
        ),
        (
            "file of its group",
            |etc| {
                chown(etc.conf(), None, Some(NOBODY)).unwrap();
                fs::set_permissions(etc.conf(), fs::Permissions::from_mode(0o664)).unwrap();
            },
            format!("echo {chosen} > /etc/resolv.conf"),
        ),
        (
            "own directory",
            |etc| chown(etc.top.join("etc"), Some(NOBODY), None).unwrap(),
            format!("echo {chosen} > /etc/n; mv -f /etc/n /etc/resolv.conf"),
        ),
        (
            "a link into its own directory",
            |etc| {
                fs::create_dir(etc.top.join("etc/own")).unwrap();
                fs::rename(etc.conf(), etc.top.join("etc/own/conf")).unwrap();
                symlink("own/conf", etc.conf()).unwrap();
                chown(etc.top.join("etc/own"), Some(NOBODY), None).unwrap();
            },
            format!("echo {chosen} > /etc/own/n; mv -f /etc/own/n /etc/own/conf"),
        ),
        (
            "a link through a directory of its own, which it puts another in the place of",
            |etc| {
                fs::create_dir_all(etc.top.join("etc/own/inner")).unwrap();
                fs::rename(etc.conf(), etc.top.join("etc/own/inner/conf")).unwrap();
                symlink("own/inner/conf", etc.conf()).unwrap();
                chown(etc.top.join("etc/own"), Some(NOBODY), None).unwrap();
            },
            format!(
                "mkdir /etc/own/other; echo {chosen} > /etc/own/other/conf; mv /etc/own/inner /etc/own/old; mv /etc/own/other /etc/own/inner"
            ),
        ),
        (
            "another name of its own file",
            |etc| {
                let own = etc.top.join("etc/theirs");
                fs::create_dir(&own).unwrap();
                let text = fs::read(etc.conf()).unwrap();
                fs::write(own.join("conf"), text).unwrap();
                fs::remove_file(etc.conf()).unwrap();
                fs::hard_link(own.join("conf"), etc.conf()).unwrap();
                chown(own.join("conf"), Some(NOBODY), None).unwrap();
            },
            format!("echo {chosen} > /etc/theirs/conf"),
        ),
    ];
    for (number, (what, prepare, write)) in cases.iter().enumerate() {
        let etc = Etc::new(&world, &format!("user{number}"));
        prepare(&etc);
        let out = etc.client(&["--user", "nobody"]).shell(&lookups(write));
        not_followed(&world, &out);
        assert!(
            fs::read_to_string(etc.conf()).unwrap().contains(CHOSEN),
            "{what}: it was written\n{out}"
        );
        out.complained("was not read again");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_file_that_was_handed_to_the_command_is_not_believed_either() {
    let world = world();
    let open = |etc: &Etc<'_>| {
        let options = fs::OpenOptions::new().read(true).write(true).open(etc.conf());
        options.expect("open resolv.conf")
    };
    let chosen = format!("nameserver {CHOSEN}");
    for (number, to) in [(6, "&6"), (1, "&1")] {
        let etc = Etc::new(&world, &format!("handed{number}"));
        let lookups = lookups(&format!("echo '{chosen}' >{to}")).replace("echo first; ", "");
        let client = etc.client(&["--user", "nobody"]).pass(open(&etc), number);
        client.shell(&lookups.replace("; echo done", "")).succeeded();
        let text = fs::read_to_string(etc.conf()).unwrap();
        assert!(text.contains(CHOSEN), "{to}: it was written");
        assert_eq!(asked_chosen(&world), 0, "{to}: the program's name server was asked");
    }
    // One that it may read alone is as good as none.
    let etc = Etc::new(&world, "to-read");
    let client = etc.client(&["--user", "nobody"]).idle_stdin();
    let client = client.pass(fs::File::open(etc.conf()).expect("open resolv.conf"), 5);
    let running = client.start(["sh", "-c", &lookups("read go")]);
    running.says("first");
    etc.write(&format!("nameserver {CHOSEN}\n"));
    running.tell("go");
    running.finish().succeeded().said("done");
    assert!(asked_chosen(&world) > 0, "the machine's new name server is not asked\n{world}");
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn nothing_is_read_behind_the_start_that_root_could_have_written() {
    let world = world();
    // Everything that libraries might read late is broken while the command runs; the lookups go on.
    let etc = Etc::new(&world, "others");
    let broken = "for f in hosts nsswitch.conf passwd group host.conf services localtime gai.conf; do \
                  echo '8.8.8.8 later1.test' > /etc/$f; done; \
                  for n in 1 2 3 4 5 6 7 8 9 10 11 12; do dig +short later$n.test; done; echo done";
    let out = etc.client(&[]).shell(broken);
    out.succeeded().said("done");
    assert_eq!(out.text().matches(SITE).count(), 12, "{out}");
    assert_eq!(asked_chosen(&world), 0, "{out}");
    world.asked_for("later12.test");
}
