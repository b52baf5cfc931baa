//! The table itself.
use super::{Built, Key, Keys, Kind, Show, Table, key, rule_options as options};
use crate::{
    config::{value, values::Value},
    policy::Pattern,
};

/// Every key, table by table.
#[rustfmt::skip]
const LIST: &[Key] = {
    use Kind::{Boolean, List, Ports, Rules, Servers, Tables, Text, Texts, Time, UnixRules, Word, Words};
    use Table::{Attach, Dns, Network, Profile, Rule, Top, Upstream};
    &[
        key(Top, "network", Kind::Table(Network), "", "The policy.", "[network]"),
        key(Top, "profiles", Tables(Profile), "", "Policies by name; `--profile` picks one.", "[profiles.ci]"),
        key(Top, "default_profile", Text, "\"default\"", "The profile that is taken where none is named; `default` is `[network]`.", "default_profile = \"ci\""),
        key(Top, "attach", List(Attach), "", "Which cgroups of a machine get which profile. `egress run` does not read it.", "[[attach]]"),

        key(Network, "network_access", Boolean, "true", "`false` gives no network at all, whatever follows.", "network_access = false")
            .narrow(false),
        key(Network, "enabled", Boolean, "true", "The filter. `false` leaves the command unrestricted, and `egress run` starts it only with `--unrestricted`.", "enabled = true")
            .narrow(true),
        key(Network, "mode", Word(&["full", "limited"]), "\"full\"", "`\"limited\"` lets GET, HEAD and OPTIONS of plain HTTP pass, and nothing that cannot be read.", "mode = \"limited\"")
            .narrow_word("limited"),
        key(Network, "allow_local_binding", Boolean, "false", "`true` opens local and private destinations to whatever the rules allow.", "allow_local_binding = true")
            .narrow(false),
        key(Network, "allow_own_loopback", Boolean, "true", "Reach listeners on loopback, and datagram sockets there, that this same sandbox opened. A deny of the address still wins.", "allow_own_loopback = false")
            .narrow(false),
        key(Network, "allow_inbound", Boolean, "false", "Answer TCP connections that others open to this sandbox's listeners.", "allow_inbound = true")
            .narrow(false),
        key(Network, "allow_upstream_proxy", Boolean, "true", "Take a proxy to leave by from the environment.", "allow_upstream_proxy = false")
            .narrow(false),
        key(Network, "enable_socks5", Boolean, "true", "The explicit SOCKS5 listener.", "enable_socks5 = false")
            .narrow(false),
        key(Network, "enable_socks5_udp", Boolean, "true", "UDP ASSOCIATE at that listener.", "enable_socks5_udp = false")
            .narrow(false),
        key(Network, "proxy_url", Text, "\"http://127.0.0.1:3128\"", "Where the explicit HTTP listener listens; port 0 is any free port.", "proxy_url = \"http://127.0.0.1:0\"")
            .read_by(|it| value::proxy_url(it).map(Value::Listen)).shown(Show::Written).built(Built::Listener),
        key(Network, "socks_url", Text, "\"socks5h://127.0.0.1:8081\"", "Where the explicit SOCKS5 listener listens; a taken port falls back to a free one.", "socks_url = \"socks5h://127.0.0.1:0\"")
            .read_by(|it| value::socks_url(it).map(Value::Listen)).shown(Show::Written).built(Built::Listener),
        key(Network, "proxy_env", Boolean, "false", "Set proxy variables for the command; nothing needs them.", "proxy_env = true")
            .built(Built::No),
        key(Network, "dangerously_allow_non_loopback_proxy", Boolean, "false", "Let the explicit listeners listen beyond loopback.", "dangerously_allow_non_loopback_proxy = true")
            .narrow(false).built(Built::No),
        key(Network, "dangerously_allow_all_unix_sockets", Boolean, "false", "Every unix socket that no rule denies may be reached.", "dangerously_allow_all_unix_sockets = true")
            .narrow(false).built(Built::No),
        key(Network, "unix_enforcement", Word(&["required", "off"]), "\"required\"", "`\"off\"`: start also where the kernel cannot hold the rules for unix sockets.", "unix_enforcement = \"off\"")
            .narrow_word("required"),
        key(Network, "ech", Word(&["refuse", "allow"]), "\"refuse\"", "`\"allow\"` lets Encrypted ClientHello pass; only its outer name is checked then.", "ech = \"allow\"")
            .narrow_word("refuse"),
        key(Network, "refusal_errno", Word(&["eperm", "econnrefused", "ehostunreach"]), "\"eperm\"", "What `connect()` to a refused destination gives, and a refused send of an unconnected datagram socket. Before Linux 5.18 it is always EPERM.", "refusal_errno = \"econnrefused\""),
        key(Network, "drain", Time, "\"30s\"", "After the command's end, what it wrote is still delivered; a connection whose receiver takes nothing for this long is given up. `\"0s\"` gives up at once.", "drain = \"2m\""),
        key(Network, "presets", Texts { empty: true }, "[]", "Lists of rules that come with egress; `egress policy presets` shows them.", "presets = [\"common-dependencies\"]")
            .read_by(|it| value::preset(it).map(Value::Word)).free().shown(Show::Never),
        key(Network, "managed_allowed_domains_only", Boolean, "false", "In `requirements.toml` only: what lower layers allow must be covered by a rule of that file.", "managed_allowed_domains_only = true")
            .narrow(true).for_requirements().shown(Show::Never),
        key(Network, "domains", Rules(Pattern::parse_domain), "", "Rules for names: `example.com`, `*.example.com` (below), `**.example.com` (both), `*` (every public host).", "\"**.example.com\" = \"allow\""),
        key(Network, "addresses", Rules(|text, _| Pattern::parse_address(text)), "", "Rules for addresses and CIDR blocks, IPv4 and IPv6.", "\"10.20.0.0/16\" = { action = \"allow\", ports = [5432] }"),
        key(Network, "unix_sockets", UnixRules, "", "Absolute paths, or `@name` for abstract ones.", "\"/run/postgresql/.s.PGSQL.5432\" = \"allow\""),
        key(Network, "dns", Kind::Table(Dns), "", "How names are looked up.", "[network.dns]"),
        key(Network, "upstream", Kind::Table(Upstream), "", "A proxy to leave by.", "[network.upstream]"),

        key(Rule, "action", Word(&["allow", "deny"]), "", "Needed. A deny wins over every allow, and takes no options.", "action = \"allow\"")
            .needed(),
        key(Rule, "ports", Ports, "every port", "Ports that it opens; a range has both of its ends. Up to 32 ranges of one pattern, a port being one.", "ports = [22, \"30000-31000\"]")
            .option(options::set_ports, options::ports),
        key(Rule, "transport", Words(&["tcp", "udp"]), "TCP for names, both for addresses", "Transports that it opens.", "transport = [\"tcp\"]")
            .read_by(|it| value::transport(it).map(|one| Value::Word(one.as_str()))).option(options::set_transport, options::transport),
        key(Rule, "protocol", Word(&["any"]), "TLS and HTTP", "`\"any\"` lets other payloads pass on ports 80, 443, 8080 and 8443.", "protocol = \"any\"")
            .read_by(|it| value::any_protocol(it).map(Value::Word)).option(options::set_protocol, options::protocol),
        key(Rule, "methods", Texts { empty: false }, "every method", "Methods of plain HTTP requests, case-sensitive. TLS is refused then, as nothing can be read in it.", "methods = [\"GET\", \"HEAD\"]")
            .read_by(|it| value::method(it).map(Value::Text)).option(options::set_methods, options::methods),
        key(Rule, "paths", Texts { empty: false }, "every path", "Prefixes of the paths of plain HTTP requests, each up to a `/`. Dot segments and escaped slashes match none.", "paths = [\"/openai/\"]")
            .read_by(|it| value::path_prefix(it).map(Value::Text)).option(options::set_paths, options::paths),
        key(Rule, "via", Word(&["kernel", "proxy"]), "what suits the port", "The way of the bytes: judged in the kernel and straight out, or through the proxy (docs/kernel-path.md).", "via = \"proxy\"")
            .option(options::set_via, options::via).formerly("path"),
        key(Rule, "ech", Word(&["refuse", "allow"]), "as `ech` of `[network]`", "Encrypted ClientHello to this host: `\"allow\"` lets it pass by its outer name, `\"refuse\"` none. Requirements with `ech = \"refuse\"` in `[network]` bound it.", "ech = \"allow\"")
            .option(options::set_ech, options::ech),
        key(Rule, "resolves_to", Texts { empty: false }, "public addresses", "Of names: addresses and blocks that are not public and that the names may resolve to all the same. Loopback, link-local, metadata and own addresses each by itself.", "resolves_to = [\"10.20.0.0/16\"]")
            .read_by(|it| value::answer_block(it).map(Value::Block)).option(options::set_resolves_to, options::resolves_to),

        key(Dns, "servers", Texts { empty: false }, "[\"system\"]", "Asked in this order: `system`, an address, `tls://ADDRESS#NAME` or `https://ADDRESS/PATH#NAME`.", "servers = [\"tls://9.9.9.9#dns.quad9.net\"]")
            .read_by(|it| value::dns_server(it).map(Value::Server)),
        key(Dns, "forward", Servers, "", "Servers of single domains and all below them; the longest domain wins.", "forward = { \"corp.example\" = [\"10.0.0.53\"] }"),
        key(Dns, "timeout", Time, "\"5s\"", "For one lookup; above 0, at most a year. Where several servers have to be asked each gets 2s of it, or all of what is less.", "timeout = \"10s\"")
            .never_zero("no lookup is done in no time"),
        key(Dns, "min_ttl", Time, "\"5m\"", "A pin lives at least this long.", "min_ttl = \"1m\""),
        key(Dns, "max_ttl", Time, "\"1h\"", "A pin lives at most this long, unless a connection made under it lives longer.", "max_ttl = \"30m\""),
        key(Dns, "record_types", Texts { empty: true }, "[]", "Types answered beyond A, AAAA, HTTPS, SVCB and PTR of pins: a name, or `TYPE` and a number.", "record_types = [\"TXT\", \"SRV\"]")
            .read_by(|it| value::record_type(it).map(Value::RecordType)).subset(),
        key(Dns, "refusal", Word(&["nxdomain", "refused"]), "\"nxdomain\"", "How refused names are answered.", "refusal = \"refused\""),
        key(Dns, "queries_per_second", Kind::Number, "1000", "Questions that a sandbox may ask for long; twice as many at once. Those whose answer is kept do not count.", "queries_per_second = 5000"),
        key(Dns, "dnssec", Boolean, "false", "Validate answers; what does not validate has failed.", "dnssec = true")
            .narrow(true),

        key(Upstream, "url", Text, "", "`http://`, `https://`, `socks5://` or `socks5h://`, with user and password or without.", "url = \"http://proxy.corp.example:3128\"")
            .read_by(|it| value::upstream_url(it).map(Value::Upstream)).secret().built(Built::No),
        key(Upstream, "no_proxy", Texts { empty: true }, "[]", "Names, `.suffixes`, addresses and blocks that are dialled directly.", "no_proxy = [\".corp.example\"]")
            .read_by(|it| value::no_proxy(it).map(Value::Text)).built(Built::No),
        key(Upstream, "resolve", Word(&["local", "proxy"]), "\"local\"", "Who looks names up.", "resolve = \"proxy\"")
            .narrow_word("local").built(Built::No),

        key(Profile, "extends", Text, "", "Another profile, or `default` for `[network]`. Without it only denies and requirements are inherited.", "extends = \"default\""),
        key(Profile, "network", Kind::Table(Network), "", "As [network].", "[profiles.ci.network]"),

        key(Attach, "cgroup", Text, "", "Needed. A path below the cgroup root; `*` stands for any text without a slash.", "cgroup = \"/system.slice/docker-*.scope\"")
            .needed(),
        key(Attach, "profile", Text, "", "Needed. The profile that it gets.", "profile = \"ci\"")
            .needed(),
    ]
};

/// Every key of a policy file.
pub const KEYS: Keys = Keys::new(LIST);
