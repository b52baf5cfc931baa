//! `docs/troubleshooting.md`: what it says that programs print under each refusal, they print.
//!
//! Each row of the page is what a program said here, the reason that the summary gives beside it, and
//! what helps. Programs that are not installed are passed over, and said to be.
use std::process::Command;

use super::support::{Answer, PYTHON, World, skip};
use super::{OTHER, PRIVATE, SITE};

const PAGE: &str = include_str!("../../../docs/troubleshooting.md");

struct Symptom {
    program: &'static str,
    policy: &'static str,
    command: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    /// What the program prints, and the page says.
    says: &'static str,
    reason: &'static str,
}

const ALLOWED: &str = "[network.domains]\n\"allowed.test\" = \"allow\"\n";

const BROKEN: &str = "[network.domains]\n\"broken.test\" = \"allow\"\n";
const LOOK_UP: &str = "import socket; socket.getaddrinfo('broken.test', 80)";
const TEMPORARY: &str = "socket.gaierror: [Errno -3] Temporary failure in name resolution";

const fn row(
    policy: &'static str,
    command: &'static [&'static str],
    says: &'static str,
    reason: &'static str,
) -> Symptom {
    Symptom { program: command[0], policy, command, env: &[], says, reason }
}

const JAVA: &str = "import java.net.*; public class Get { public static void main(String[] a) throws Exception \
    { new URI(a[0]).toURL().openStream(); } }";

/// Without the machine's own sources, and with nothing that only root may write.
const APT: &str = "apt-get -o Dir::Etc::SourceList=$PWD/apt/x.list -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists=$PWD/lists -o Dir::Cache=$PWD/cache -o APT::Sandbox::User=root \
    -o Acquire::Retries=0 update";
const PING: &str = "ping: needs capabilities, which no program in a sandbox has";

const SYMPTOMS: &[Symptom] = &[
    // A name that no rule allows.
    row(
        ALLOWED,
        &["curl", "-sS", "https://refused.test/"],
        "curl: (6) Could not resolve host: refused.test",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &["wget", "-T10", "-t1", "https://refused.test/"],
        "wget: unable to resolve host address",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &["git", "ls-remote", "https://refused.test/x"],
        "fatal: unable to access 'https://refused.test/x/': Could not resolve host: refused.test",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &[
            "npm",
            "view",
            "x",
            "--registry=http://refused.test/",
            "--fetch-retries=0",
            "--cache=npm",
        ],
        "npm error code ENOTFOUND",
        "not_allowed",
    ),
    Symptom {
        env: &[("PIP_CONFIG_FILE", "/dev/null"), ("PIP_FIND_LINKS", "")],
        ..row(
            ALLOWED,
            &[
                "pip",
                "download",
                "x",
                "--no-deps",
                "--retries=0",
                "-i",
                "https://refused.test/",
                "--no-cache-dir",
            ],
            "ERROR: Could not find a version that satisfies the requirement",
            "not_allowed",
        )
    },
    Symptom {
        env: &[("GOPROXY", "http://refused.test"), ("GOSUMDB", "off"), ("GOTOOLCHAIN", "local")],
        ..row(
            ALLOWED,
            &["go", "list", "-m", "a.test/x@latest"],
            "dial tcp: lookup refused.test",
            "not_allowed",
        )
    },
    Symptom {
        program: "requests",
        ..row(
            ALLOWED,
            &["python3", "-c", "import requests; requests.get('https://refused.test/')"],
            "Failed to resolve 'refused.test'",
            "not_allowed",
        )
    },
    row(
        ALLOWED,
        &[
            "node",
            "-e",
            "fetch('https://refused.test/').catch(e => console.error(e.cause.message))",
        ],
        "getaddrinfo ENOTFOUND refused.test",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &[PYTHON, "-c", "import urllib.request as u; u.urlopen('https://refused.test/')"],
        "<urlopen error [Errno -2] Name or service not known>",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &["ssh", "-o", "BatchMode=yes", "refused.test"],
        "ssh: Could not resolve hostname refused.test: Name or service not known",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &["psql", "-h", "refused.test", "-c", "select 1"],
        "psql: error: could not translate host name \"refused.test\" to address: Name or service not known",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &["java", "Get.java", "https://refused.test/"],
        "java.net.UnknownHostException: refused.test",
        "not_allowed",
    ),
    Symptom {
        program: "apt-get",
        ..row(ALLOWED, &["sh", "-c", APT], "Could not resolve 'refused.test'", "not_allowed")
    },
    // An address that nothing opens.
    row(
        ALLOWED,
        &["curl", "-sS", "http://93.184.216.35/"],
        "curl: (7) Failed to connect to 93.184.216.35 port 80",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &[
            "node",
            "-e",
            "fetch('http://93.184.216.35/').catch(e => console.error(e.cause.message))",
        ],
        "connect EPERM 93.184.216.35:80",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &[PYTHON, "-c", "import socket; socket.create_connection(('93.184.216.35', 80))"],
        "PermissionError: [Errno 1] Operation not permitted",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &["ssh", "-o", "BatchMode=yes", "93.184.216.35"],
        "ssh: connect to host 93.184.216.35 port 22: Operation not permitted",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &["psql", "-h", "93.184.216.35", "-c", "select 1"],
        "port 5432 failed: Operation not permitted",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &["java", "Get.java", "http://93.184.216.35/"],
        "java.net.SocketException: Operation not permitted",
        "not_allowed",
    ),
    row(
        ALLOWED,
        &[
            PYTHON,
            "-c",
            "import socket as s; s.socket(type=s.SOCK_DGRAM).sendto(b'x', ('93.184.216.34', 443))",
        ],
        "PermissionError: [Errno 1] Operation not permitted",
        "protocol_not_allowed",
    ),
    // Not started at all, and so without a summary.
    row(ALLOWED, &["ping", "-c1", "-W2", "93.184.216.34"], PING, ""),
    // A port that the rule does not open; an allowed name that leads inside; the machine itself.
    row(
        "[network.domains]\n\"allowed.test\" = { action = \"allow\", ports = [443] }\n",
        &["curl", "-sS", "http://allowed.test/"],
        "curl: (7) Failed to connect to allowed.test port 80",
        "port_not_allowed",
    ),
    row(
        "[network.domains]\n\"inside.test\" = \"allow\"\n",
        &["curl", "-sS", "http://inside.test/"],
        "curl: (6) Could not resolve host: inside.test",
        "not_allowed_local",
    ),
    row(
        ALLOWED,
        &["curl", "-sS", "http://127.0.0.1:8080/"],
        "curl: (7) Failed to connect to 127.0.0.1 port 8080",
        "not_allowed_local",
    ),
    row(
        BROKEN,
        &["curl", "-sS", "http://broken.test/"],
        "curl: (6) Could not resolve host: broken.test",
        "dns_failed",
    ),
    row(BROKEN, &[PYTHON, "-c", LOOK_UP], TEMPORARY, "dns_failed"),
    row(
        BROKEN,
        &["node", "-e", "fetch('http://broken.test/').catch(e => console.error(e.cause.message))"],
        "getaddrinfo EAI_AGAIN broken.test",
        "dns_failed",
    ),
    row(
        BROKEN,
        &["getent", "hosts", "broken.test"],
        "broken.test (93.184.216.53 answered SERVFAIL)",
        "dns_failed",
    ),
    row(
        "[network.domains]\n\"blocked.test\" = \"allow\"\n",
        &["curl", "-sS", "http://blocked.test/"],
        "curl: (6) Could not resolve host: blocked.test",
        "not_allowed_local",
    ),
    // Rights, and what is not started.
    row(
        ALLOWED,
        &["chown", "nobody", "Get.java"],
        "chown: changing ownership of 'Get.java': Operation not permitted",
        "",
    ),
    row(
        ALLOWED,
        &["su", "nobody", "-s", "/bin/true"],
        "su: cannot set groups: Operation not permitted",
        "",
    ),
    Symptom {
        program: "true",
        ..row(
            ALLOWED,
            &["/no/such/path"],
            "egress: /no/such/path: command not found, or the interpreter in its first line",
            "",
        )
    },
    row("[network]\nproxy_env = true\n", &["true"], "proxy_env is not built yet; remove it", ""),
    // Another name at the same address.
    row(
        ALLOWED,
        &[
            "curl",
            "-sS",
            "--connect-to",
            "shared.test:443:allowed.test:443",
            "https://shared.test/",
        ],
        "curl: (35) Recv failure: Software caused connection abort",
        "sni_mismatch",
    ),
    row(
        ALLOWED,
        &["curl", "-sS", "-H", "Host: shared.test", "http://allowed.test/"],
        "egress refused http shared.test at",
        "host_mismatch",
    ),
    // Requests.
    row(
        "[network.domains]\n\"allowed.test\" = { action = \"allow\", methods = [\"GET\"] }\n",
        &["curl", "-sS", "-X", "PUT", "http://allowed.test/x"],
        "egress refused http PUT allowed.test/x at",
        "method_not_allowed",
    ),
    row(
        "[network.domains]\n\"allowed.test\" = { action = \"allow\", paths = [\"/open/\"] }\n",
        &["curl", "-sS", "http://allowed.test/x"],
        "egress refused http GET allowed.test/x at",
        "path_not_allowed",
    ),
    row(
        "[network]\nmode = \"limited\"\n[network.domains]\n\"allowed.test\" = \"allow\"\n",
        &["curl", "-sS", "https://allowed.test/"],
        "curl: (35) Recv failure: Connection reset by peer",
        "inspection_required",
    ),
    row(
        "[network]\nnetwork_access = false\n",
        &["curl", "-sS", "https://allowed.test/"],
        "curl: (6) Could not resolve host: allowed.test",
        "network_disabled",
    ),
    Symptom {
        env: &[("http_proxy", "http://allowed.test:8443")],
        ..row(
            ALLOWED,
            &["curl", "-sS", "-p", "http://refused.test/"],
            "http_proxy leads programs to the proxy allowed.test:8443",
            "protocol_not_allowed",
        )
    },
];

fn is_installed(program: &str) -> bool {
    let works =
        |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    match program {
        "requests" => works(Command::new("python3").args(["-c", "import requests"])),
        program => works(Command::new("sh").args(["-c", &format!("command -v {program}")])),
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn programs_print_what_the_page_says() {
    let world = World::new()
        .site("allowed.test", SITE)
        .site("refused.test", OTHER)
        .record("shared.test", &[SITE])
        .record("inside.test", &[PRIVATE])
        .record("blocked.test", &["0.0.0.0"])
        .answers("broken.test", Answer::Failure)
        .build();
    world.file("Get.java", JAVA);
    for folder in
        ["apt", "lists", "lists/partial", "cache", "cache/archives", "cache/archives/partial"]
    {
        std::fs::create_dir_all(world.path(folder)).unwrap();
    }
    world.file("apt/x.list", "deb [trusted=yes] http://refused.test/debian stable main\n");
    // Where nobody listens, own loopback is open, and nothing is refused.
    let _host = world
        .client_netns()
        .enter(|| std::net::TcpListener::bind(("127.0.0.1", 8080)).expect("listen outside"));
    let mut wrong = String::new();
    for Symptom { program, policy, command, env, says, reason } in SYMPTOMS {
        if !is_installed(program) {
            skip(&format!("{program} is not installed"));
            continue;
        }
        let file = world.policy(policy);
        let mut client = world.egress(&file.options());
        for (key, value) in *env {
            client = client.env(key, value);
        }
        let out = client.run(command.iter().copied());
        let printed = out.text() + &out.complaints();
        let has_reason = reason.is_empty() || printed.contains(&format!(": {reason}"));
        if !printed.contains(says) || !has_reason {
            wrong.push_str(&format!("== {says} ({reason})\n{command:?}\n{printed}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_page_has_every_symptom_and_no_other() {
    let rows = PAGE.lines().filter(|line| line.starts_with("| ") && line.contains("| `"));
    let mut said: Vec<(&str, &str)> = rows
        .map(|line| {
            let mut cells = line.split('|').skip(2).map(|cell| cell.trim().trim_matches('`'));
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect();
    let mut tried: Vec<_> = SYMPTOMS.iter().map(|symptom| (symptom.says, symptom.reason)).collect();
    said.sort_unstable();
    tried.sort_unstable();
    assert_eq!(said, tried);
}
