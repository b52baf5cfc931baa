//! Every key of a policy file, in one table: what the reader knows, what the JSON Schema says, and
//! what the reference lists.

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// The file itself.
    Top,
    /// `[network]`, also of a profile.
    Network,
    /// A rule of `[network.domains]` or `[network.addresses]` in its long form.
    Rule,
    /// `[network.dns]`.
    Dns,
    /// `[network.upstream]`.
    Upstream,
    /// `[profiles.NAME]`.
    Profile,
    /// `[[attach]]`.
    Attach,
}

impl Table {
    /// Every table, in the order of the reference.
    pub const ALL: [Self; 7] = [
        Self::Top,
        Self::Network,
        Self::Rule,
        Self::Dns,
        Self::Upstream,
        Self::Profile,
        Self::Attach,
    ];

    /// As a message calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Top => "the file",
            Table::Network => "[network]",
            Table::Rule => "a rule",
            Table::Dns => "[network.dns]",
            Table::Upstream => "[network.upstream]",
            Table::Profile => "[profiles.NAME]",
            Table::Attach => "[[attach]]",
        }
    }

    /// Its keys.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.table == self)
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text; what it has to be stands in the key's text.
    Text,
    /// A time: a number with `ms`, `s`, `m` or `h`.
    Time,
    /// A list of texts; empty or not.
    Texts {
        /// Whether it may be empty.
        empty: bool,
    },
    /// A list of words, at least one.
    Words(&'static [&'static str]),
    /// A list of ports, at least one.
    Ports,
    /// Rules by pattern.
    Rules,
    /// `"allow"` or `"deny"` by unix socket.
    UnixRules,
    /// Lists of DNS servers by domain.
    Servers,
    /// A table of keys.
    Table(Table),
    /// Such tables by name.
    Tables(Table),
    /// A list of such tables.
    List(Table),
}

impl Kind {
    /// As the reference calls it.
    pub fn text(self) -> String {
        let words = |list: &[&str]| {
            list.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or ")
        };
        match self {
            Kind::Boolean => "boolean".to_owned(),
            Kind::Word(list) => words(list),
            Kind::Text => "text".to_owned(),
            Kind::Time => "time".to_owned(),
            Kind::Texts { .. } => "list of texts".to_owned(),
            Kind::Words(list) => format!("list of {}", words(list)),
            Kind::Ports => "list of ports (1 to 65535)".to_owned(),
            Kind::Rules => "rules by pattern".to_owned(),
            Kind::UnixRules => "actions by socket".to_owned(),
            Kind::Servers => "lists of servers by domain".to_owned(),
            Kind::Table(table) | Kind::Tables(table) => format!("table, see {}", table.name()),
            Kind::List(_) => "list of tables".to_owned(),
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands.
    pub table: Table,
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What holds where it is not written, as it would be written; empty where nothing does.
    pub default: &'static str,
    /// What it means, with its limits; one or two sentences.
    pub text: &'static str,
    /// A line that has it.
    pub example: &'static str,
}

impl Key {
    /// Whether its table cannot be without it.
    pub fn is_needed(&self) -> bool {
        match self.table {
            Table::Rule => self.name == "action",
            Table::Attach => true,
            Table::Top | Table::Network | Table::Dns | Table::Upstream | Table::Profile => false,
        }
    }
}

/// Keys that had another name: the table, the old word, the new one.
const FORMER: [(Table, &str, &str); 1] = [(Table::Rule, "path", "via")];

/// What a key of this table is called now that was called so.
pub(super) fn renamed(table: Table, name: &str) -> Option<&'static str> {
    let former = FORMER.iter().find(|(of, old, _)| *of == table && *old == name)?;
    Some(former.2)
}

const fn key(
    table: Table,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    text: &'static str,
    example: &'static str,
) -> Key {
    Key { table, name, kind, default, text, example }
}

/// Every key, table by table.
#[rustfmt::skip]
pub const KEYS: &[Key] = {
    use Kind::{Boolean, List, Ports, Rules, Servers, Tables, Text, Texts, Time, UnixRules, Word, Words};
    use Table::{Attach, Dns, Network, Profile, Rule, Top, Upstream};
    &[
        key(Top, "network", Kind::Table(Network), "", "The policy.", "[network]"),
        key(Top, "profiles", Tables(Profile), "", "Policies by name; `--profile` picks one.", "[profiles.ci]"),
        key(Top, "default_profile", Text, "\"default\"", "The profile that is taken where none is named; `default` is `[network]`.", "default_profile = \"ci\""),
        key(Top, "attach", List(Attach), "", "Which cgroups of a machine get which profile. `egress run` does not read it.", "[[attach]]"),

        key(Network, "network_access", Boolean, "true", "`false` gives no network at all, whatever follows.", "network_access = false"),
        key(Network, "enabled", Boolean, "true", "The filter. `false` would leave the command unrestricted, and `egress run` refuses to start so.", "enabled = true"),
        key(Network, "mode", Word(&["full", "limited"]), "\"full\"", "`\"limited\"` lets GET, HEAD and OPTIONS of plain HTTP pass, and nothing that cannot be read.", "mode = \"limited\""),
        key(Network, "allow_local_binding", Boolean, "false", "`true` opens local and private destinations to whatever the rules allow.", "allow_local_binding = true"),
        key(Network, "allow_own_loopback", Boolean, "false", "Reach loopback listeners that this same sandbox opened.", "allow_own_loopback = true"),
        key(Network, "allow_inbound", Boolean, "false", "Answer connections that others open to this sandbox's listeners.", "allow_inbound = true"),
        key(Network, "allow_upstream_proxy", Boolean, "true", "Take a proxy to leave by from the environment.", "allow_upstream_proxy = false"),
        key(Network, "enable_socks5", Boolean, "true", "The explicit SOCKS5 listener.", "enable_socks5 = false"),
        key(Network, "enable_socks5_udp", Boolean, "true", "UDP ASSOCIATE at that listener.", "enable_socks5_udp = false"),
        key(Network, "proxy_url", Text, "\"http://127.0.0.1:3128\"", "Where the explicit HTTP listener listens; port 0 is any free port.", "proxy_url = \"http://127.0.0.1:0\""),
        key(Network, "socks_url", Text, "\"socks5h://127.0.0.1:8081\"", "Where the explicit SOCKS5 listener listens; a taken port falls back to a free one.", "socks_url = \"socks5h://127.0.0.1:0\""),
        key(Network, "proxy_env", Boolean, "false", "Set proxy variables for the command; nothing needs them.", "proxy_env = true"),
        key(Network, "dangerously_allow_non_loopback_proxy", Boolean, "false", "Let the explicit listeners listen beyond loopback.", "dangerously_allow_non_loopback_proxy = true"),
        key(Network, "dangerously_allow_all_unix_sockets", Boolean, "false", "Every unix socket that no rule denies may be reached.", "dangerously_allow_all_unix_sockets = true"),
        key(Network, "unix_enforcement", Word(&["required", "off"]), "\"required\"", "`\"off\"`: start also where the kernel cannot hold the rules for unix sockets.", "unix_enforcement = \"off\""),
        key(Network, "ech", Word(&["refuse", "allow"]), "\"refuse\"", "`\"allow\"` lets Encrypted ClientHello pass; only its outer name is checked then.", "ech = \"allow\""),
        key(Network, "drain", Time, "\"30s\"", "After the command's end, what it wrote is still delivered; a connection whose receiver takes nothing for this long is given up. `\"0s\"` gives up at once.", "drain = \"2m\""),
        key(Network, "presets", Texts { empty: true }, "[]", "Lists of rules that come with egress; `egress policy presets` shows them.", "presets = [\"common-dependencies\"]"),
        key(Network, "managed_allowed_domains_only", Boolean, "false", "In `requirements.toml` only: what lower layers allow must be covered by a rule of that file.", "managed_allowed_domains_only = true"),
        key(Network, "domains", Rules, "", "Rules for names: `example.com`, `*.example.com` (below), `**.example.com` (both), `*` (every public host).", "\"**.example.com\" = \"allow\""),
        key(Network, "addresses", Rules, "", "Rules for addresses and CIDR blocks, IPv4 and IPv6.", "\"10.20.0.0/16\" = { action = \"allow\", ports = [5432] }"),
        key(Network, "unix_sockets", UnixRules, "", "Absolute paths, or `@name` for abstract ones.", "\"/run/postgresql/.s.PGSQL.5432\" = \"allow\""),
        key(Network, "dns", Kind::Table(Dns), "", "How names are looked up.", "[network.dns]"),
        key(Network, "upstream", Kind::Table(Upstream), "", "A proxy to leave by.", "[network.upstream]"),

        key(Rule, "action", Word(&["allow", "deny"]), "", "Needed. A deny wins over every allow, and takes no options.", "action = \"allow\""),
        key(Rule, "ports", Ports, "every port", "Ports that it opens.", "ports = [22, 443]"),
        key(Rule, "transport", Words(&["tcp", "udp"]), "TCP for names, both for addresses", "Transports that it opens.", "transport = [\"tcp\"]"),
        key(Rule, "protocol", Word(&["any"]), "TLS and HTTP", "`\"any\"` lets other payloads pass on ports 80, 443, 8080 and 8443.", "protocol = \"any\""),
        key(Rule, "methods", Texts { empty: false }, "every method", "Methods of plain HTTP requests, case-sensitive. TLS is refused then, as nothing can be read in it.", "methods = [\"GET\", \"HEAD\"]"),
        key(Rule, "paths", Texts { empty: false }, "every path", "Prefixes of the paths of plain HTTP requests, each up to a `/`. Dot segments and escaped slashes match none.", "paths = [\"/openai/\"]"),
        key(Rule, "via", Word(&["kernel", "proxy"]), "what suits the port", "The way of the bytes: judged in the kernel and straight out, or through the proxy (docs/kernel-path.md).", "via = \"proxy\""),

        key(Dns, "servers", Texts { empty: false }, "[\"system\"]", "Asked in this order: `system`, an address, `tls://ADDRESS#NAME` or `https://ADDRESS/PATH#NAME`.", "servers = [\"tls://9.9.9.9#dns.quad9.net\"]"),
        key(Dns, "forward", Servers, "", "Servers of single domains and all below them; the longest domain wins.", "forward = { \"corp.example\" = [\"10.0.0.53\"] }"),
        key(Dns, "timeout", Time, "\"2s\"", "For one lookup; above 0, at most a year.", "timeout = \"5s\""),
        key(Dns, "min_ttl", Time, "\"5m\"", "A pin lives at least this long.", "min_ttl = \"1m\""),
        key(Dns, "max_ttl", Time, "\"1h\"", "A pin lives at most this long, unless a connection made under it lives longer.", "max_ttl = \"30m\""),
        key(Dns, "record_types", Texts { empty: true }, "[]", "Types answered beyond A, AAAA, HTTPS, SVCB and PTR of pins: a name, or `TYPE` and a number.", "record_types = [\"TXT\", \"SRV\"]"),
        key(Dns, "refusal", Word(&["nxdomain", "refused"]), "\"nxdomain\"", "How refused names are answered.", "refusal = \"refused\""),
        key(Dns, "dnssec", Boolean, "false", "Validate answers; what does not validate has failed.", "dnssec = true"),

        key(Upstream, "url", Text, "", "`http://`, `https://`, `socks5://` or `socks5h://`, with user and password or without.", "url = \"http://proxy.corp.example:3128\""),
        key(Upstream, "no_proxy", Texts { empty: true }, "[]", "Names, `.suffixes`, addresses and blocks that are dialled directly.", "no_proxy = [\".corp.example\"]"),
        key(Upstream, "resolve", Word(&["local", "proxy"]), "\"local\"", "Who looks names up.", "resolve = \"proxy\""),

        key(Profile, "extends", Text, "", "Another profile, or `default` for `[network]`. Without it only denies and requirements are inherited.", "extends = \"default\""),
        key(Profile, "network", Kind::Table(Network), "", "As [network].", "[profiles.ci.network]"),

        key(Attach, "cgroup", Text, "", "Needed. A path below the cgroup root; `*` stands for any text without a slash.", "cgroup = \"/system.slice/docker-*.scope\""),
        key(Attach, "profile", Text, "", "Needed. The profile that it gets.", "profile = \"ci\""),
    ]
};
