//! A sandbox's own loopback: its programs reach each other's sockets as without the filter, and nobody is told.
use super::support::{Finished, PYTHON, World, skip};
use super::{ALLOWED, two_sites};

/// What has to be as without the filter.
const STORIES: [&str; 14] = [
    "web",
    "spellings",
    "names",
    "unbound",
    "reused",
    "forked",
    "speaks_first",
    "closes_first",
    "fast_open",
    "crowd",
    "large",
    "shared_port",
    "datagrams",
    "nobody",
];

fn told<'a>(stories: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    [PYTHON, "loopback.py"].into_iter().chain(stories).collect()
}

#[test]
#[ignore = "kernel: needs root"]
pub(super) fn programs_of_a_sandbox_reach_each_other() {
    let world = two_sites();
    let direct = world.direct().run(told(STORIES));
    let out = world.egress(ALLOWED).run(told(STORIES));
    for story in STORIES {
        direct.probe(story, &["ok"]);
        out.probe(story, &["ok"]);
    }
    assert!(!out.complaints().contains("refused"), "{out}");
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
fn another_users_servers_and_clients_do_so_too() {
    let world = two_sites();
    let options = ["--user", "nobody", "--allow", "allowed.test"];
    let out = world.egress(&options).run(told(STORIES));
    for story in STORIES {
        out.probe(story, &["ok"]);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_server_of_another_program_is_reached_by_curl() {
    let world = two_sites();
    let out = world.egress(&[]).shell(
        "python3 -u -m http.server --bind 127.0.0.1 0 > log 2> /dev/null & \
         until port=$(grep -o 'port [0-9]*' log); do :; done; \
         curl -sS http://127.0.0.1:${port#port }/base.py | cmp - base.py && echo same; kill $!",
    );
    out.succeeded().printed("same\n");
    assert!(!out.complaints().contains("refused"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn postgres_inside_is_reached_by_psql() {
    let world = two_sites();
    let there =
        world.direct().shell("ls /usr/lib/postgresql/*/bin/initdb && id -u postgres && which psql");
    if there.status.code() != Some(0) {
        return skip("PostgreSQL is not installed: apt-get install postgresql postgresql-client");
    }
    let story = "set -e; cd /; D=$(mktemp -d); B=$(ls -d /usr/lib/postgresql/*/bin | tail -1)\n\
        $B/initdb -D $D/data -A trust --no-sync > $D/log\n\
        $B/pg_ctl -D $D/data -l $D/log -w -o \"-F -h 127.0.0.1 -k ''\" start > /dev/null\n\
        psql -qAt -h 127.0.0.1 -d postgres -c 'select 6 * 7' -c 'create table t (n int)'\n\
        seq 20000 | psql -qAt -h localhost -d postgres -c 'copy t from stdin' -c 'select sum(n) from t'\n\
        $B/pg_ctl -D $D/data -m immediate stop > /dev/null; rm -r $D";
    let out = world.egress(&["--user", "postgres", "--allow", "localhost"]).shell(story);
    out.succeeded().printed("42\n200010000\n");
    let out =
        world.egress(&["--user", "postgres"]).shell(&story.replace("-h localhost", "-h 127.0.0.1"));
    out.succeeded().printed("42\n200010000\n");
    assert!(!out.complaints().contains("refused"), "{out}");
}

fn refused(out: &Finished<'_>, stories: &[&str]) {
    for story in stories {
        out.probe(story, &["EPERM"]);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn it_is_closed_where_the_policy_says_so() {
    let world = two_sites();
    let stories = ["unbound", "forked", "large", "shared_port"];
    for key in ["network.allow_own_loopback=false", "network.network_access=false"] {
        let out = world.egress(&["--set", key]).run(told(stories));
        refused(&out, &stories);
    }
    // A deny wins, and only of what it names.
    let out = world.egress(&["--deny", "127.0.0.0/8"]).run(told(stories));
    refused(&out, &stories);
    out.complained("denied");
    let out = world.egress(&["--deny", "127.0.0.1"]).run(told(["speaks_first", "names", "forked"]));
    out.probe("speaks_first", &["ok"]).probe("names", &["ok"]).probe("forked", &["EPERM"]);
    // The same of datagrams.
    let out = world.egress(&["--deny", "127.0.0.0/8", "--deny", "::1"]).run(told(["datagrams"]));
    out.probe("datagrams", &["EPERM"]);
    let out = world.egress(&["--deny", "127.0.0.0/8"]).run(told(["associated"]));
    out.probe("associated", &["EPERM"]);
    world.egress(&[]).run(told(["associated"])).probe("associated", &["ok"]);
}

#[test]
#[ignore = "kernel: needs root"]
fn it_is_there_in_a_namespace_of_the_programs_own() {
    let world = World::new().build();
    let stories = "spellings forked datagrams";
    let line =
        format!("unshare -Urn sh -c 'ip link set lo up && exec {PYTHON} loopback.py {stories}'");
    if world.direct().shell(&line).status.code() != Some(0) {
        return skip("this kernel makes no user and network namespaces");
    }
    let out = world.egress(&["--user", "nobody"]).shell(&line);
    if out.status.code() != Some(0) && out.complaints().contains("unshare") {
        return skip("no network namespaces are made inside on this kernel");
    }
    for story in stories.split(' ') {
        out.probe(story, &["ok"]);
    }
}
