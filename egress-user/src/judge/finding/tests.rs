use super::*;
use crate::{
    dns::support::{Diary, address, name, policy},
    pins::{NEVER_NS, Pins},
};

#[test]
fn the_name_alone_decides_where_it_was_read() {
    let policy = policy(&["allow a.test"]);
    let (at, site) = (address("93.184.216.34"), name("a.test"));
    let pins = Pins::new(std::sync::Arc::new(Diary::default()));
    let grant = policy.name(&site).unwrap();
    pins.pin(&site, &grant, &[(at, NEVER_NS)], 0).unwrap();
    let ruled = |port, finding, name: Option<&str>| {
        let evidence = Evidence::gather(&policy, &pins, (at, port).into(), 0).unwrap();
        let Ruling { refused, by_name } =
            evidence.judge_finding(&policy, finding, name.map(str::to_owned));
        (refused.map(|refused| refused.reason().unwrap()), by_name)
    };
    for (port, finding, name, expected) in [
        (443, Finding::NotPinned, Some("b.test"), (Some(Reason::SniMismatch), true)),
        // Pinned since.
        (443, Finding::NotPinned, Some("a.test"), (None, false)),
        (443, Finding::NoName, None, (Some(Reason::SniMismatch), true)),
        (9, Finding::NoName, None, (None, false)),
        (443, Finding::Encrypted, Some("a.test"), (Some(Reason::EchRefused), true)),
        (443, Finding::NotTls, None, (Some(Reason::ProtocolNotAllowed), false)),
        // It may pass, and is ended here all the same.
        (9, Finding::NotTls, None, (Some(Reason::ProtocolNotAllowed), false)),
        (9, Finding::Request, None, (Some(Reason::ProtocolNotAllowed), false)),
        (9, Finding::Urgent, None, (Some(Reason::ProtocolNotAllowed), false)),
    ] {
        assert_eq!(ruled(port, finding, name), expected, "{port} {finding:?} {name:?}");
    }
}
