//! What the demo tries, and what should come of it. Words only: the test of the README reads them
//! as well, without root.

/// The policy of every attempt, from the repository's root.
pub(crate) const POLICY: &str = "examples/demo.toml";

/// The site that the policy allows.
pub(crate) const SITE: &str = "93.184.216.34";
/// A site that it does not allow.
pub(crate) const OTHER: &str = "93.184.216.35";
/// Where the SSH server is.
pub(crate) const SSH: &str = "93.184.216.36";
/// The private address that an allowed name leads to.
pub(crate) const PRIVATE: &str = "10.9.8.7";
/// A cloud's metadata service.
pub(crate) const METADATA: &str = "169.254.169.254";
/// A name server that nobody configured.
pub(crate) const FOREIGN_SERVER: &str = "8.8.8.8";

/// Programs that the attempts and their world need, and the Debian package of each. xtask has the
/// same list, to install them.
pub(crate) const TOOLS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("dig", "dnsutils"),
    ("getent", "libc-bin"),
    ("git", "git"),
    ("ip", "iproute2"),
    ("/usr/bin/python3", "python3"),
    ("ssh-keyscan", "openssh-client"),
];

/// Addresses at which nothing may arrive.
pub(crate) const TRIPWIRES: [&str; 4] = [OTHER, PRIVATE, METADATA, FOREIGN_SERVER];

/// Stands, in a command, for the port of the service on the client's own loopback.
pub(crate) const PORT: &str = "PORT";

/// One program under `egress run`.
pub(crate) struct Attempt {
    /// What is tried, as the table says it.
    pub(crate) tried: &'static str,
    /// What `egress check` is asked for the rule that allows it; none where nothing does.
    pub(crate) target: Option<&'static str>,
    /// The command, word by word.
    pub(crate) command: &'static [&'static str],
    /// What has to come of it.
    pub(crate) intended: Outcome,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What the program saw.
    pub(crate) happened: String,
    /// The rule that allows it, or the reason that `egress` gives.
    pub(crate) why: String,
    /// What the far side saw.
    pub(crate) arrived: String,
}

/// Attempts that the policy allows, and those that it does not.
pub(crate) fn all() -> Vec<Attempt> {
    let attempt = |tried, target, command, [happened, why, arrived]: [&str; 3]| Attempt {
        tried,
        target,
        command,
        intended: Outcome {
            happened: happened.to_owned(),
            why: why.to_owned(),
            arrived: arrived.to_owned(),
        },
    };
    const FETCH: &str = "import sys, urllib.request as u\n\
        print(u.urlopen(sys.argv[1], timeout=20).read().decode())";
    vec![
        attempt(
            "curl https://www.example.org/",
            Some("www.example.org:443"),
            &["curl", "-sS", "https://www.example.org/"],
            ["the page", "rule www.example.org", "request for www.example.org"],
        ),
        attempt(
            "python3 urllib http://www.example.org/",
            Some("www.example.org:80"),
            &["/usr/bin/python3", "-c", FETCH, "http://www.example.org/"],
            ["the page", "rule www.example.org", "request for www.example.org"],
        ),
        attempt(
            "git ls-remote https://git.example.org/",
            Some("git.example.org:443"),
            &["git", "ls-remote", "https://git.example.org/"],
            ["the branches", "rule git.example.org", "request for git.example.org"],
        ),
        attempt(
            "ssh-keyscan ssh.example.org",
            Some("ssh.example.org:22"),
            &["ssh-keyscan", "-T", "5", "-t", "ed25519", "ssh.example.org"],
            ["the banner", "rule ssh.example.org", "connection to port 22"],
        ),
        attempt(
            "dig www.example.org",
            Some("www.example.org:53"),
            &["dig", "+short", "www.example.org"],
            ["the address", "rule www.example.org", "lookup of www.example.org"],
        ),
        attempt(
            "curl https://www.example.com/",
            None,
            &["curl", "-sS", "https://www.example.com/"],
            ["no such name", "not_allowed", "nothing"],
        ),
        attempt(
            "getent hosts www.example.com",
            None,
            &["getent", "hosts", "www.example.com"],
            ["no such name", "not_allowed", "nothing"],
        ),
        attempt(
            "dig TXT stolen.example.com @8.8.8.8",
            None,
            &["dig", "+tries=1", "TXT", "stolen.example.com", "@8.8.8.8"],
            ["no such name", "not_allowed", "nothing"],
        ),
        attempt(
            "curl https://93.184.216.35/",
            None,
            &["curl", "-sSk", "https://93.184.216.35/"],
            ["refused at once", "not_allowed", "nothing"],
        ),
        attempt(
            "curl cdn.example.com, at www's address",
            None,
            &["curl", "-sSk", "--connect-to", "::www.example.org:443", "https://cdn.example.com/"],
            ["connection reset", "sni_mismatch", "lookup of www.example.org, 0 bytes"],
        ),
        attempt(
            "curl http://intranet.example.org/",
            None,
            &["curl", "-sS", "http://intranet.example.org/"],
            ["no such name", "not_allowed_local", "lookup of intranet.example.org, 0 bytes"],
        ),
        attempt(
            "curl http://169.254.169.254/",
            None,
            &["curl", "-sS", "http://169.254.169.254/"],
            ["refused at once", "not_allowed_local", "nothing"],
        ),
        attempt(
            "curl http://127.0.0.1:PORT/",
            None,
            &["curl", "-sS", "http://127.0.0.1:PORT/"],
            ["refused at once", "not_allowed_local", "nothing"],
        ),
        attempt(
            "python3 UDP to 93.184.216.34:443",
            None,
            &["/usr/bin/python3", "probe.py", "udp 93.184.216.34 443"],
            ["refused at once", "protocol_not_allowed", "nothing"],
        ),
        attempt(
            "python3 ping of 93.184.216.34",
            None,
            &["/usr/bin/python3", "probe.py", "ping 93.184.216.34"],
            ["refused at once", "protocol_not_allowed", "nothing"],
        ),
        attempt(
            "python3 raw socket to 93.184.216.34",
            None,
            &["/usr/bin/python3", "probe.py", "raw 93.184.216.34"],
            ["refused at once", "no capability", "nothing"],
        ),
    ]
}

/// What all of them together leave behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Packets at [`TRIPWIRES`].
    pub(crate) tripped: usize,
    /// Names that reached a name server, in the order of the alphabet.
    pub(crate) names: Vec<String>,
    /// How many of the attempts arrive when nothing holds them.
    pub(crate) unheld: usize,
}

/// The totals that have to come out.
pub(crate) fn totals() -> Totals {
    let names = ["git", "intranet", "ssh", "www"].map(|host| format!("{host}.example.org"));
    Totals { tripped: 0, names: names.into(), unheld: all().len() }
}
