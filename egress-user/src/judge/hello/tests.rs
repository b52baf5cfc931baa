use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::{
    config::{Flags, assemble_layers, parse},
    pins::{NEVER_NS, Opening, PinStore, Pins},
    policy::Name,
};

struct Anywhere;

impl PinStore for Anywhere {
    fn pin(&self, _: IpAddr, _: &Opening) -> std::io::Result<()> {
        Ok(())
    }
    fn unpin(&self, _: IpAddr) {}
}

/// Why a hello with ECH is refused at port 443 of an address that both names are pinned for; none where it passes.
fn refused(rules: &str, name: Option<&str>) -> Option<Reason> {
    let policy = assemble_layers(vec![parse(rules, "p.toml").unwrap()], &Flags::default());
    let policy = policy.unwrap().policy;
    let address: IpAddr = "93.184.216.34".parse().unwrap();
    let pins = Pins::new(std::sync::Arc::new(Anywhere));
    for name in ["a.test", "b.test"].map(|name| Name::parse(name).unwrap()) {
        let Ok(grant) = policy.name(&name) else { continue };
        pins.pin(&name, &grant, &[(address, NEVER_NS)], 0).unwrap();
    }
    let evidence = Evidence::gather(&policy, &pins, SocketAddr::new(address, 443), 0).unwrap();
    let hello = Hello { server_name: name.map(Into::into), ech: true };
    evidence.judge_hello(&policy, &hello).err().map(|event| event.reason().unwrap())
}

#[test]
fn encrypted_hellos_are_judged_by_the_line_that_lets_the_rest_pass() {
    use Reason::{Denied, EchRefused, InspectionRequired, SniMismatch};
    let domains = |lines: &str| format!("[network.domains]\n{lines}\n");
    let allowing =
        |lines: &str| format!("[network]\nech = \"allow\"\n[network.domains]\n{lines}\n");
    for (rules, name, reason) in [
        (domains("\"a.test\" = \"allow\""), "a.test", Some(EchRefused)),
        (domains("\"a.test\" = { action = \"allow\", ech = \"allow\" }"), "a.test", None),
        (
            domains("\"a.test\" = { action = \"allow\", ech = \"refuse\" }"),
            "a.test",
            Some(EchRefused),
        ),
        (allowing("\"a.test\" = \"allow\""), "a.test", None),
        (
            allowing("\"a.test\" = { action = \"allow\", ech = \"refuse\" }"),
            "a.test",
            Some(EchRefused),
        ),
        // The rule of another name of the address opens nothing.
        (
            domains("\"a.test\" = { action = \"allow\", ech = \"allow\" }\n\"b.test\" = \"allow\""),
            "b.test",
            Some(EchRefused),
        ),
        // The most specific rule counts.
        (
            domains("\"*.test\" = { action = \"allow\", ech = \"allow\" }\n\"a.test\" = \"allow\""),
            "a.test",
            Some(EchRefused),
        ),
        // What ECH would not change is the reason.
        (
            domains("\"a.test\" = { action = \"allow\", ech = \"allow\" }"),
            "c.test",
            Some(SniMismatch),
        ),
        (
            domains("\"a.test\" = { action = \"allow\", ech = \"allow\" }\n\"c.test\" = \"deny\""),
            "c.test",
            Some(Denied),
        ),
        (
            allowing("\"a.test\" = { action = \"allow\", methods = [\"GET\"] }"),
            "a.test",
            Some(InspectionRequired),
        ),
        // Under `*` a name's own rule is asked first.
        (domains("\"*\" = { action = \"allow\", ech = \"allow\" }"), "c.test", None),
        (
            domains("\"*\" = { action = \"allow\", ech = \"allow\" }\n\"a.test\" = \"allow\""),
            "a.test",
            Some(EchRefused),
        ),
    ] {
        assert_eq!(refused(&rules, Some(name)), reason, "{name} under {rules}");
    }
    // What names nobody is for whoever is there.
    let any = "\"a.test\" = { action = \"allow\", protocol = \"any\", ech = \"allow\" }";
    assert_eq!(refused(&domains(any), None), None);
    let both = format!("{any}\n\"b.test\" = \"allow\"");
    assert_eq!(refused(&domains(&both), None), Some(EchRefused));
}

#[test]
fn of_several_lines_one_has_to_let_all_of_it_pass() {
    let policy = |lines: &[&str]| {
        let read = |line: &&str| parse(&format!("[network.domains]\n{line}\n"), "p.toml").unwrap();
        assemble_layers(lines.iter().map(read).collect(), &Flags::default()).unwrap().policy
    };
    let judge = |policy: &Policy| {
        let grant = policy.name(&Name::parse("a.test").unwrap()).unwrap();
        let judged = |port| {
            let tcp = crate::policy::Transport::Tcp;
            policy.judge_payload(&grant, port, tcp, &Payload::TlsWithEch).is_ok()
        };
        (judged(443), judged(8443))
    };
    let split = policy(&[
        "\"a.test\" = { action = \"allow\", ports = [443], ech = \"allow\" }",
        "\"a.test\" = { action = \"allow\", ports = [8443] }",
    ]);
    assert_eq!(judge(&split), (true, false));
}
