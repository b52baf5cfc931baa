//! `policy show`.
use super::*;

const LARGE: &str = "[network]\nmode = \"limited\"\nech = \"allow\"\npresets = [\"all\"]\n\
    [network.domains]\n\"B\u{fc}cher.example\" = \"allow\"\n\"**.a.com\" = \"deny\"\n\
    \"x.com\" = { action = \"allow\", ports = [443, 80], methods = [\"GET\"], paths = [\"/a\"] }\n\
    \"y.com\" = { action = \"allow\", protocol = \"any\", transport = [\"tcp\", \"udp\"], via = \"proxy\" }\n\
    [network.addresses]\n\"10.0.0.0/8\" = \"deny\"\n\"fd00::1\" = { action = \"allow\", ports = [22] }\n\
    [network.unix_sockets]\n\"/run/a.sock\" = \"allow\"\n\"@bus\" = \"deny\"\n\
    [network.dns]\nservers = [\"system\", \"tls://9.9.9.9#dns.test\", \"https://[2620:fe::fe]/q#dns.test\"]\n\
    timeout = \"1500ms\"\nrecord_types = [\"TXT\", \"TYPE257\"]\nrefusal = \"refused\"\n\
    forward = { \"corp.test\" = [\"10.0.0.53\"] }\n\
    [network.upstream]\nurl = \"http://user:secret@proxy.test:3128\"\nno_proxy = [\".corp.test\"]\n";

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let flags = Flags { allow: vec!["x.com:8080".into()], ..Flags::default() };
    let assembled = assemble_layers(vec![parse(LARGE, "p.toml").unwrap()], &flags).unwrap();
    let shown = show(&assembled, false);
    assert!(!shown.contains("secret"), "{shown}");
    let again = one(&shown);
    assert_eq!(show(&again, false), shown);
    let with_origins = show(&assembled, true);
    assert_eq!(show(&one(&with_origins), false), shown);
    assert_eq!((&again.dns, again.network.no_proxy.len()), (&assembled.dns, 1));
    let grant = again.policy.name(&name("x.com")).unwrap();
    assert!(grant.opens(8080, Transport::Tcp) && grant.opens(443, Transport::Tcp));
    for line in [
        "mode = \"limited\"  # user p.toml:2",
        "network_access = true  # default",
        "\"*\" = \"allow\"  # user p.toml:4, preset all",
        "\"x.com \" = { action = \"allow\", ports = [80, 443], methods = [\"GET\"], paths = [\"/a\"] }  # user p.toml:8",
        "\"x.com\" = { action = \"allow\", ports = [8080] }  # user --allow",
        "url = \"http://proxy.test:3128\"  # user p.toml:23",
    ] {
        assert!(with_origins.contains(line), "{line}\n{with_origins}");
    }
}
