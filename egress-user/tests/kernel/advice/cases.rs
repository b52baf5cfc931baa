//! What is refused, each for one reason and with another kind of advice, and how it is told that the target is reached.
use crate::support::PYTHON;
use crate::{SITE, SITE_V6};

/// By what a case has reached its target.
#[derive(Clone, Copy)]
pub(super) enum Reached {
    /// Standard output has this.
    Said(&'static str),
    /// Bytes came to this port of [`SITE`].
    Bytes(u16),
    /// It is not: no line of a policy helps, and these words say so.
    Never(&'static str),
}

pub(super) struct Case {
    pub(super) reason: &'static str,
    pub(super) policy: &'static str,
    pub(super) flags: &'static [&'static str],
    /// `{port}` is that of the client's own service.
    pub(super) command: &'static [&'static str],
    pub(super) reached: Reached,
}

const fn curl(
    reason: &'static str,
    policy: &'static str,
    command: &'static [&'static str],
) -> Case {
    Case { reason, policy, flags: &[], command, reached: Reached::Said("path=/x") }
}

const fn python(
    reason: &'static str,
    policy: &'static str,
    command: &'static [&'static str],
) -> Case {
    curl(reason, policy, command)
}

/// A request of the first address of a name: `LOOKED_UP,... NAME PORT SERVER_NAME HOST`; `plain` is no TLS, `-` no
/// server name.
const CLAIM: &str = "import socket, ssl, sys\n\
    for name in sys.argv[1].split(','):\n  \
      try: socket.getaddrinfo(name, 443)\n  \
      except OSError: pass\n\
    s = socket.create_connection((sys.argv[2], int(sys.argv[3])), 60)\n\
    if sys.argv[4] != 'plain':\n  \
      name = None if sys.argv[4] == '-' else sys.argv[4]\n  \
      s = ssl._create_unverified_context().wrap_socket(s, server_hostname=name)\n\
    s.sendall(b'GET /x HTTP/1.1\\r\\nHost: %b\\r\\nConnection: close\\r\\n\\r\\n' % sys.argv[5].encode())\n\
    while (data := s.recv(65536)): print(data.decode(), end='')";
/// What is neither TLS nor HTTP, to a port of a name.
const OPAQUE: &str = "import socket, sys\n\
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60); s.sendall(b'\\0hello'); s.recv(1)";
/// The first words of a server that speaks first.
const GREETED: &str = "import socket, sys\n\
    print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 60).recv(8).decode())";
/// Lookups of so many names, none of them kept, at once.
const LOOKUPS: &str = "import socket\n\
    for name in ['allowed', 'shared', 'refused', 'third', 'six', 'alias', 'more']:\n  \
      socket.getaddrinfo(name + '.test', 443, socket.AF_INET if name != 'six' else socket.AF_INET6)\n\
    print('all answered')";

const ALLOWED: &str = "[network.domains]\n\"allowed.test\" = \"allow\"\n";
const LIMITED: &str =
    "[network]\nmode = \"limited\"\n[network.domains]\n\"allowed.test\" = \"allow\"\n";
const GET_ALONE: &str =
    "[network.domains]\n\"allowed.test\" = { action = \"allow\", methods = [\"GET\"] }\n";
const OPEN_ALONE: &str =
    "[network.domains]\n\"allowed.test\" = { action = \"allow\", paths = [\"/open/\"] }\n";
const TLS_ALONE: &str =
    "[network.domains]\n\"allowed.test\" = { action = \"allow\", ports = [443] }\n";
const WIDE: &str = "[network.domains]\n\"**.test\" = \"allow\"\n";
const WIDE_NAME: &str =
    "[network.domains]\n\"*.allowed.test\" = \"allow\"\n\"allowed.test\" = \"allow\"\n";
/// Two names of one address, and a port that only one of them opens.
const TWO_NAMES: &str = "[network.domains]\n\"allowed.test\" = { action = \"allow\", ports = [443] }\n\
    \"shared.test\" = { action = \"allow\", ports = [80, 8443] }\n";
const PRESET: &str = "[network]\npresets = [\"common-dependencies\"]\n";

/// A page of `allowed.test`, by HTTP.
const GET: &[&str] = &["curl", "-sS", "http://allowed.test/x"];
/// The same by TLS.
const GET_TLS: &[&str] = &["curl", "-sS", "https://allowed.test/x"];
const HOSTLESS: &[&str] = &[
    "sh",
    "-c",
    "getent ahosts shared.test >/dev/null; curl -sS -0 -H Host: http://allowed.test/x",
];
const PUT: &[&str] = &["curl", "-sS", "-X", "PUT", "http://allowed.test/x"];
const ECH: &[&str] =
    &[PYTHON, "hellos.py", SITE, "443", "allowed.test", "lookup=allowed.test", "grease"];

/// A connection to `allowed.test` that claims a server name and a host, with those looked up before.
macro_rules! claim {
    ($port:literal, $sni:literal, $host:literal) => {
        &[PYTHON, "-c", CLAIM, "shared.test,refused.test", "allowed.test", $port, $sni, $host]
    };
}

pub(super) const CASES: &[Case] = &[
    curl("not_allowed", "", GET),
    curl("not_allowed", "", GET_TLS),
    curl("not_allowed", ALLOWED, &["curl", "-sS", "https://six.test/x"]),
    curl("not_allowed", "", &["curl", "-sS", "http://93.184.216.34/x"]),
    curl("not_allowed", "", &["curl", "-sS", "http://[2606:2800:220:1::34]/x"]),
    curl("not_allowed", "", &["curl", "-sSk", "https://93.184.216.34:8443/x"]),
    // A name that stands in the hosts file, and its address without it.
    curl("not_allowed", ALLOWED, &["curl", "-sS", "http://listed.test/x"]),
    curl("not_allowed", ALLOWED, &["curl", "-sS", "http://93.184.216.36/x"]),
    python("not_allowed", ALLOWED, &[PYTHON, "-c", GREETED, "refused.test", "22"]).greeted(),
    curl("not_allowed", ALLOWED, &["curl", "-sS", "http://alias.test/x"]),
    curl("not_allowed", "", &["curl", "-sSk", "https://allowed.test:8443/x"]),
    curl("not_allowed", WIDE, &["curl", "-sS", "https://pypi.example/x"]),
    curl("not_allowed", "", &["curl", "-sSk", "https://[2606:2800:220:1::34]/x"]),
    curl("not_allowed", WIDE, &["curl", "-sS", "http://93.184.216.34/x"]),
    python("not_allowed", "", &[PYTHON, "-c", GREETED, SITE, "22"]).greeted(),
    python("not_allowed", "", &[PYTHON, "-c", GREETED, SITE_V6, "25"]).greeted(),
    curl("not_allowed_local", ALLOWED, &["curl", "-sS", "http://localhost:{port}/x"]),
    // Denies.
    curl("denied", WIDE, GET_TLS).with(&["--deny", "*.test"]),
    curl("denied", "[network.domains]\n\"*\" = \"allow\"\n\"**.test\" = \"deny\"\n", GET),
    curl("denied", WIDE, &["curl", "-sS", "https://six.test/x"])
        .with(&["--deny", "2606:2800:220:1::34"]),
    curl(
        "denied",
        "[network.domains]\n\"allowed.test\" = \"allow\"\n[network.addresses]\n\"93.184.216.34\" = \"deny\"\n",
        GET,
    ),
    curl("denied", "", &["curl", "-sS", "http://93.184.216.34/x"]).with(&[
        "--allow",
        "93.184.216.0/24",
        "--deny",
        "93.184.216.34",
    ]),
    curl(
        "denied",
        "[network.domains]\n\"**.test\" = \"allow\"\n\"allowed.test\" = \"deny\"\n",
        GET,
    ),
    curl("denied", ALLOWED, GET).with(&["--deny", "allowed.test"]),
    curl("denied", ALLOWED, GET).with(&["--deny", "93.184.216.32/28"]),
    curl("denied", "", &["curl", "-sS", "http://alias.test/x"]).with(&[
        "--allow",
        "alias.test",
        "--deny",
        "allowed.test",
    ]),
    curl(
        "denied",
        "[network.domains]\n\"*\" = \"allow\"\n[network.addresses]\n\"93.184.216.0/24\" = \"deny\"\n",
        &["curl", "-sS", "http://93.184.216.34/x"],
    ),
    // Addresses that are not public.
    curl(
        "not_allowed_local",
        "[network.domains]\n\"*\" = \"allow\"\n",
        &["curl", "-sS", "http://10.9.8.7/x"],
    ),
    curl("not_allowed_local", "", &["curl", "-sS", "http://169.254.169.254/x"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://[fd00:9::7]/x"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://[64:ff9b::10.9.8.7]/x"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://93.184.216.2:{port}/x"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://127.0.0.1:{port}/x"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://[::1]:{port}/x"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://0.0.0.0:{port}/x"]),
    curl(
        "not_allowed_local",
        "[network.domains]\n\"inside.test\" = \"allow\"\n",
        &["curl", "-sS", "http://inside.test/x"],
    ),
    curl("not_allowed_local", "", &["curl", "-sS", "http://inside.test/x"])
        .with(&["--allow", "inside.test:80"]),
    curl(
        "not_allowed_local",
        "[network.domains]\n\"*.test\" = { action = \"allow\", ports = [80] }\n",
        &["curl", "-sS", "http://inside.test/x"],
    ),
    curl(
        "not_allowed_local",
        "[network.domains]\n\"pair.test\" = \"allow\"\n",
        &["curl", "-sS", "http://pair.test/x"],
    ),
    curl("not_allowed_local", PRESET, &["curl", "-sS", "http://pypi.org/x"]),
    curl(
        "not_allowed_local",
        "[network.domains]\n\"own.test\" = \"allow\"\n",
        &["curl", "-sS", "http://own.test:{port}/x"],
    ),
    curl("not_allowed_local", WIDE, &["curl", "-sS", "http://deep.test/x"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://inside.test/x"]).with(&["--allow", "*"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://metadata.test/x"])
        .with(&["--allow", "metadata.test"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://listed-inside.test/x"])
        .with(&["--allow", "*.test"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://[2606:2800:220:1::2]:{port}/x"]),
    curl("not_allowed_local", "", &["curl", "-sS", "http://blocked.test/x"])
        .with(&["--allow", "blocked.test"])
        .never("the name server blocks blocked.test, as it answers 0.0.0.0"),
    // Ports.
    curl("port_not_allowed", TLS_ALONE, GET),
    curl("port_not_allowed", "", GET).with(&["--allow", "allowed.test:443"]),
    curl(
        "port_not_allowed",
        "[network.addresses]\n\"93.184.216.34\" = { action = \"allow\", ports = [443] }\n",
        &["curl", "-sS", "http://93.184.216.34/x"],
    ),
    curl("port_not_allowed", "", &["curl", "-sS", "http://93.184.216.34/x"])
        .with(&["--allow", "93.184.216.34:443"]),
    curl(
        "port_not_allowed",
        "[network.domains]\n\"**.test\" = { action = \"allow\", ports = [443] }\n",
        GET,
    ),
    curl("port_not_allowed", "", GET).with(&["--allow", "**.test:443"]),
    curl("port_not_allowed", "", &["curl", "-sS", "http://93.184.216.34/x"])
        .with(&["--allow", "93.184.216.0/24:443"]),
    curl("port_not_allowed", "", &["curl", "-sS", "http://[2606:2800:220:1::34]/x"])
        .with(&["--allow", "[2606:2800:220:1::34]:443"]),
    curl("port_not_allowed", PRESET, &["curl", "-sSk", "https://crates.io:8443/x"]),
    // What cannot be read.
    curl("inspection_required", LIMITED, GET_TLS),
    curl("inspection_required", GET_ALONE, GET_TLS),
    curl("inspection_required", OPEN_ALONE, GET_TLS),
    curl("inspection_required", ALLOWED, GET_TLS).with(&["--set", "network.mode=limited"]),
    curl(
        "inspection_required",
        "[network.domains]\n\"**.test\" = { action = \"allow\", methods = [\"GET\"], paths = [\"/\"] }\n",
        GET_TLS,
    ),
    opaque("protocol_not_allowed", ALLOWED, 80),
    opaque("protocol_not_allowed", OPEN_ALONE, 7000),
    opaque("protocol_not_allowed", ALLOWED, 7000).with(&["--set", "network.mode=limited"]),
    opaque("protocol_not_allowed", "", 80).with(&["--allow", "allowed.test"]),
    opaque("protocol_not_allowed", LIMITED, 7000),
    opaque("protocol_not_allowed", GET_ALONE, 7000),
    opaque("protocol_not_allowed", "[network.domains]\n\"**.test\" = \"allow\"\n", 80),
    python("protocol_not_allowed", ALLOWED, &[PYTHON, "probe.py", "udp 93.184.216.34 9999"])
        .never("no rule opens UDP but DNS; programs fall back to TCP"),
    // Names that are claimed.
    python("sni_mismatch", ALLOWED, claim!("443", "shared.test", "shared.test")),
    python("sni_mismatch", "", claim!("443", "shared.test", "shared.test"))
        .with(&["--allow", "allowed.test"]),
    python("sni_mismatch", TWO_NAMES, claim!("8443", "allowed.test", "allowed.test")),
    python("sni_mismatch", ALLOWED, claim!("443", "-", "allowed.test")),
    python("sni_mismatch", "", claim!("443", "-", "allowed.test"))
        .with(&["--allow", "allowed.test"]),
    python(
        "sni_mismatch",
        "[network.domains]\n\"*.test\" = \"allow\"\n",
        claim!("443", "refused.test", "refused.test"),
    ),
    python("sni_mismatch", WIDE_NAME, claim!("443", "shared.test", "shared.test")),
    python("sni_mismatch", TWO_NAMES, claim!("8443", "-", "shared.test")),
    curl(
        "host_mismatch",
        ALLOWED,
        &["curl", "-sS", "-H", "Host: shared.test", "http://allowed.test/x"],
    ),
    curl(
        "host_mismatch",
        "[network.domains]\n\"six.test\" = \"allow\"\n",
        &["curl", "-sS", "-H", "Host: six-shared.test", "http://six.test/x"],
    ),
    python("host_mismatch", ALLOWED, claim!("80", "plain", "shared.test")),
    python("host_mismatch", "", claim!("80", "plain", "shared.test"))
        .with(&["--allow", "allowed.test:80"]),
    // HTTP/1.0 that names no host, at an address of two names.
    curl("host_mismatch", "[network.domains]\n\"**.test\" = \"allow\"\n", HOSTLESS),
    curl("host_mismatch", "", HOSTLESS).with(&[
        "--allow",
        "allowed.test",
        "--allow",
        "shared.test",
    ]),
    // Encrypted hellos.
    Case { reached: Reached::Bytes(443), ..curl("ech_refused", ALLOWED, ECH) },
    Case { reached: Reached::Bytes(443), ..curl("ech_refused", "", ECH) }
        .with(&["--allow", "allowed.test:443"]),
    Case {
        reached: Reached::Bytes(443),
        ..curl("ech_refused", "[network.domains]\n\"**.test\" = \"allow\"\n", ECH)
    },
    // Requests.
    curl("method_not_allowed", ALLOWED, PUT).with(&["--set", "network.mode=limited"]),
    curl(
        "method_not_allowed",
        "[network.domains]\n\"*.test\" = { action = \"allow\", methods = [\"GET\", \"HEAD\"] }\n",
        &["curl", "-sS", "-d", "a", "http://allowed.test/x"],
    ),
    curl(
        "path_not_allowed",
        "[network.domains]\n\"*.test\" = { action = \"allow\", paths = [\"/a\", \"/b\"] }\n",
        &["curl", "-sS", "http://allowed.test/x?y=z"],
    ),
    curl("method_not_allowed", GET_ALONE, PUT),
    curl("method_not_allowed", LIMITED, PUT),
    curl("path_not_allowed", OPEN_ALONE, GET),
    curl(
        "path_not_allowed",
        OPEN_ALONE,
        &["curl", "-sS", "--path-as-is", "http://allowed.test/open/../x"],
    )
    .never("send the path without dot segments"),
    curl(
        "network_disabled",
        "[network]\nnetwork_access = false\n[network.domains]\n\"allowed.test\" = \"allow\"\n",
        GET,
    ),
    curl("network_disabled", ALLOWED, GET).with(&["--set", "network.network_access=false"]),
    Case {
        reached: Reached::Said("all answered"),
        ..curl(
            "rate_limited",
            "[network.domains]\n\"*.test\" = \"allow\"\n",
            &[PYTHON, "-c", LOOKUPS],
        )
    }
    .with(&["--set", "network.dns.queries_per_second=1"]),
    curl(
        "dns_failed",
        "[network.domains]\n\"broken.test\" = \"allow\"\n",
        &["curl", "-sS", "http://broken.test/x"],
    )
    .never("look at the name, and at the name servers"),
    curl("device_not_allowed", "", &["sh", "-c", "exec 3<>/dev/net/tun"])
        .never("no rule opens a device"),
];

const fn opaque(reason: &'static str, policy: &'static str, port: u16) -> Case {
    let command: &[&str] = match port {
        80 => &[PYTHON, "-c", OPAQUE, "allowed.test", "80"],
        _ => &[PYTHON, "-c", OPAQUE, "allowed.test", "7000"],
    };
    Case { reached: Reached::Bytes(port), ..curl(reason, policy, command) }
}

impl Case {
    const fn with(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    const fn greeted(self) -> Self {
        Self { reached: Reached::Said("SSH-2.0"), ..self }
    }

    const fn never(self, words: &'static str) -> Self {
        Self { reached: Reached::Never(words), ..self }
    }
}

/// Kinds that no case here gives.
pub(super) const NOT_HERE: &[(&str, &str)] = &[
    ("invalid_host", "the text is told what a name is: names_that_are_none, in dns_messages"),
    ("not_pinned", "the pin has to end first: pins"),
    ("rate_limited", "of other limits than that of questions: descriptors, pins"),
    ("unix_socket_not_allowed", "rules for unix sockets are not enforced yet"),
    ("approval_denied", "nobody is asked yet"),
    ("approval_timeout", "nobody is asked yet"),
];
